"""QARL and its baselines: who learns from what and when, the teacher within, and the quadratic game's equilibrium."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.agents import (
    CATConfig,
    MixedNashConfig,
    QARLConfig,
    cat,
    kernel_returns,
    mixed_nash,
    opposed,
    qarl,
)
from jaxrl_suite.agents.cat import attacked, budget_of
from jaxrl_suite.agents.mixed_nash import langevin_step
from jaxrl_suite.agents.soft_player import soft_player
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.rationality import teacher_step
from jaxrl_suite.training.program import OPTIMIZATION
from tests.known_answers.ledger import known_answer

SHORT = {"episodes": 3, "episode_steps": 21, "critic_starts": 50, "actor_starts": 120, "hidden_sizes": (16,),
         "batch_size": 32, "buffer_size": 400, "total_updates": 4}  # fmt: skip


PHASE = 63
"""Transitions stored in a phase."""


def task(name="cartpole-balance", steps=21, **params):
    return jrl.make(f"pushed/{name}", params={"max_steps_in_episode": steps, **params})


class Played(NamedTuple):
    """agent. states: before the first update, and after each. metrics: of each."""

    agent: Any
    states: list[Any]
    metrics: list[Any]


@functools.cache
def played(updates=4, steps=21, **changes):
    """Updates of one seed, as the agent's own functions make them."""
    config = QARLConfig(**SHORT | {"threshold": -1e9, "teacher_samples": 12, "episode_steps": steps, **changes})
    agent = qarl(*task(steps=steps), config)
    state, key = jax.jit(agent.init)(jax.random.key(0)), jax.random.key(1)
    update = jax.jit(agent.update).lower(key, state, jnp.int32(0)).compile(compiler_options={OPTIMIZATION: 1})
    states, metrics = [state], []
    for step in range(updates):
        state, found = update(jax.random.fold_in(key, step), states[-1], jnp.int32(step))
        states.append(state)
        metrics.append(found)
    return Played(agent, states, metrics)


def stored(state, side, count):
    """The first transitions in a player's memory."""
    return jax.tree.map(lambda x: np.asarray(x[0, :count]), state.memories[side].experience)


def same(first, second):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))


@pytest.mark.slow
def test_learning_starts_when_there_is_enough():
    learned = [state.learned for state in played().states]
    # Critics learn from the first iteration's last transitions on, actors in the second.
    for player in ("protagonist", "adversary"):
        before, one, two, three = (getattr(x, player) for x in learned[:4])
        assert same(before.actor, one.actor)
        assert not same(before.critics, one.critics)
        assert not same(one.actor, two.actor)
        assert not same(two.targets, three.targets)


@pytest.mark.slow
def test_each_learns_from_its_own_phases():
    state = played().states[2]
    assert all(memory.current_index == 2 * PHASE for memory in state.memories)
    protagonists, adversarys = (stored(state, side, 2 * PHASE) for side in (0, 1))
    assert not np.array_equal(protagonists.observation, adversarys.observation)
    # Cart-pole pays at least nothing; the adversary's transitions are stored with the protagonist's reward, too.
    assert np.all(protagonists.reward >= 0)
    assert np.all(adversarys.reward >= 0)
    # Every transition keeps the temperature of its episode, in both of its observations and in both phases.
    for of in (protagonists, adversarys):
        alphas = of.observation[:, -1]
        assert np.array_equal(alphas, of.next_observation[:, -1])
        assert len(np.unique(alphas)) == 6
        np.testing.assert_array_equal(alphas[:3], alphas[PHASE - 3 : PHASE])
    np.testing.assert_array_equal(np.unique(protagonists.observation[:, -1]), np.unique(adversarys.observation[:, -1]))
    # Nothing terminates; the last steps of both phases are bootstrapped through.
    assert not protagonists.terminated.any()


@pytest.mark.slow
def test_the_teacher_moves_by_what_was_played():
    _, states, metrics = played()
    shapes = [float(state.shape) for state in states]
    assert shapes[0] == shapes[1] == 50.0
    assert shapes[4] < shapes[3] == shapes[2] < 50.0
    seen = [np.asarray(x, np.float64).ravel() for x in (states[2].temperatures, states[2].returns)]
    with jrl.float64():
        step = teacher_step(jnp.float64(50), *map(jnp.asarray, seen), -1e9)
    assert shapes[2] == pytest.approx(float(step.shape), rel=1e-6)
    assert float(metrics[1]["teacher/return"]) == pytest.approx(seen[1].mean(), rel=1e-5)
    assert np.isnan(metrics[0]["teacher/return"])
    # Returns are discounted: so many steps at most, each worth less than the one before.
    assert np.all(seen[1] < (1 - 0.99**21) / 0.01)


@pytest.mark.slow
def test_play_is_judged_at_temperature_zero_with_and_without_the_adversary():
    agent, states, _ = played()
    state = jax.tree.map(lambda x: x[None], states[-1])
    where = {"seeds": [0], "episodes": 20, "greedy": False}
    alone = jrl.evaluate(agent, state, **where).returns
    against = jrl.evaluate(opposed(agent), state, **where).returns
    assert alone.shape == against.shape == (1, 20)
    assert not np.array_equal(alone, against)
    calm = opposed(qarl(*task(force_limit=0.0), agent.info.config))
    nothing = jrl.evaluate(calm, state, **where).returns
    assert abs(nothing.mean() - alone.mean()) < 4 * np.std(alone) / np.sqrt(20)
    grid = agent.info.env.grid(agent.info.env_params, 3)
    assert kernel_returns(agent, state, [0], grid, 2, greedy=False).shape == (1, 9, 2)


@pytest.mark.slow
def test_a_force_is_capped_as_the_curriculum_says():
    state = played(1, adversary="capped", curriculum="shared").states[1]
    of = stored(state, 1, PHASE)
    cap = of.observation[:, -1:]
    assert np.all(np.abs(of.action[:, 1:]) <= cap + 1e-7)
    assert np.any(np.abs(of.action[:, 1:]) >= cap - 1e-7)
    # One draw for all episodes.
    (temperature,) = np.unique(state.temperatures[0])
    np.testing.assert_allclose(np.unique(cap), np.clip(0.051 - temperature, 0, 0.05) / 0.05, rtol=1e-4)


@pytest.mark.slow
def test_alone_there_is_a_fit_for_every_so_many_transitions():
    # Three episodes of 20 steps: six blocks of three steps of each, and two steps, of which two fits are due.
    run = played(2, 20, adversary="none", critic_starts=0, actor_starts=30)
    state, env, params = run.states[2], run.agent.info.env, run.agent.info.env_params
    learned = state.learned.protagonist
    assert learned.critic_opt.count == 2 * 20
    # None of the first three blocks' nine: at their end there are not more than thirty.
    assert learned.actor_opt.count == 2 * 20 - 9
    assert [int(memory.current_index) for memory in state.memories] == [120]
    # What is stored is what the environment alone makes of it.
    of = stored(state, 0, 120)
    assert of.action.shape == (120, 1)
    body = of.observation[0]
    start = env.reset(jax.random.key(0), params)[1]
    inner = jnp.array([body[0], jnp.arctan2(body[2], body[1]), body[3], body[4]])
    start = start.replace(env=start.env.replace(body=inner))
    found = env.advance(jax.random.key(0), start, jnp.asarray(of.action[0]), params)[0]
    np.testing.assert_allclose(found, of.next_observation[0], atol=1e-5)


@pytest.mark.slow
def test_episodes_one_after_the_other():
    _, states, metrics = played(2, serial=True, curriculum="linear")
    of = stored(states[2], 0, 2 * PHASE)
    alphas = of.observation[:, -1].reshape(6, 21)
    np.testing.assert_allclose(alphas[::3, 0], [0.05, 0.05 - 0.049 / (2 / 3 * 4)], rtol=1e-5)
    assert [float(found["temperature/given"]) for found in metrics] == pytest.approx(alphas[::3, 0])
    # An episode goes on where it was, but from one to the next.
    follows = np.all(of.observation[1:, :-1] == of.next_observation[:-1, :-1], axis=1)
    np.testing.assert_array_equal(np.flatnonzero(~follows), np.arange(20, 125, 21))


@pytest.mark.slow
def test_the_adversary_learns_the_opposite():
    config = quadratic(updates=12, curriculum="point", critic_rate=1e-2, initial_temperature=1e-6, threshold=-1e9)
    run = jrl.train(qarl(*jrl.make("pushed/quadratic"), config), seeds=1, quick_compile=True)
    rewards = [memory.experience.reward[0, 0, :768].mean() for memory in run.state.memories]
    found = [run.metrics[name][0, -1] for name in ("value/mean", "adversary/value/mean")]
    # One step ends it: values are rewards, and the adversary's are the protagonist's with the other sign.
    np.testing.assert_allclose(found, [rewards[0], -rewards[1]], atol=0.03)
    assert abs(rewards[1]) > 0.1
    # One temperature, a step lower after every iteration above the threshold.
    np.testing.assert_allclose(run.metrics["temperature/given"][0, :3], [0.05, 0.049, 0.048], rtol=1e-5)


@known_answer("qarl/quadratic")
@pytest.mark.slow
def test_two_learners_find_the_quadratic_games_equilibrium():
    # Fixed temperatures: the protagonist's does not move, the adversary's is the one point.
    rates = {"actor_rate": 2e-4, "critic_rate": 3e-4, "updates": 800}
    config = quadratic(curriculum="point", initial_temperature=0.02, **rates)
    run = jrl.train(qarl(*jrl.make("pushed/quadratic"), config), seeds=3)
    means, deviations = (np.mean(x, axis=1) for x in in_the_end(run, jnp.array([0.0, 0.05])))
    np.testing.assert_allclose(means[0], 1 / 6, atol=0.02)
    np.testing.assert_allclose(means[1], 1 / 30, atol=0.02)
    np.testing.assert_allclose(deviations[0], 0.1, rtol=0.1)
    np.testing.assert_allclose(deviations[1], 0.05**0.5, rtol=0.1)


@known_answer("qarl/temperature-input")
@pytest.mark.slow
def test_an_adversarys_spread_follows_its_temperature():
    config = quadratic(first_shape=4.0, rate=80.0, curriculum="automatic", initial_temperature=0.02, updates=400)
    run = jrl.train(qarl(*jrl.make("pushed/quadratic"), config), seeds=3)
    alphas = np.geomspace(0.02, 0.1, 9)
    spreads = np.stack([in_the_end(run, jnp.array([0.0, a]))[1] for a in alphas])
    slopes = [np.polyfit(np.log(alphas), 2 * np.log(spreads[:, 1, seed]), 1)[0] for seed in range(3)]
    assert np.mean(slopes) == pytest.approx(1.0, abs=0.15)
    assert np.max(np.abs(np.log(spreads[:, 0] / spreads[4, 0]))) < 0.3


def quadratic(updates=300, **changes):
    return QARLConfig(
        **{"episodes": 64, "episode_steps": 1, "fit_interval": 1, "critic_starts": 256, "actor_starts": 512,
           "hidden_sizes": (64, 64), "batch_size": 128, "buffer_size": 60_000, "total_updates": updates,
           "actor_rate": 3e-4, "critic_rate": 1e-3, "temperature_rate": 1e-12, "threshold": 1e9,
           "teacher_samples": 128, "target_shape": 1.0} | changes
    )  # fmt: skip


def in_the_end(run, z):
    """(means [2, seed], standard deviations [2, seed]) of both players' squashed actions."""
    config = run.agent.info.config
    found = []
    for name, temperature in (("protagonist", "own"), ("adversary", "given")):
        player = soft_player(1, 2, config, temperature)
        noise = jax.random.normal(jax.random.key(0), (4000, 1))

        def draw(learned, player=player, noise=noise):
            return jax.vmap(lambda n: player.act(learned, n, z))(noise)[:, 0]

        actions = jax.vmap(draw)(getattr(run.state.learned, name))
        found.append((np.mean(actions, axis=1), np.std(actions, axis=1)))
    return np.stack([x[0] for x in found]), np.stack([x[1] for x in found])


def test_an_attack_goes_where_actions_are_unlikely_and_no_further_than_allowed():
    action, mean, deviation = jnp.array([[0.3, -0.2]]), jnp.array([[0.1, 0.0]]), jnp.array([[0.5, 0.5]])
    np.testing.assert_array_equal(attacked(action, mean, deviation, 3.0, 0.0), action)
    found = attacked(action, mean, deviation, 3.0, 0.5)
    away = np.asarray(found - action)[0]
    assert np.linalg.norm(away) == pytest.approx(0.5, abs=1e-6)
    assert away[0] > 0 > away[1]
    # A step of the attack by hand: p' of each coordinate, downhill.
    small = attacked(action, mean, deviation, 1e-4, 1.0)
    density = np.exp(-0.5 * ((action - mean) / deviation) ** 2) / (deviation * np.sqrt(2 * np.pi))
    slope = -(action - mean) / deviation**2 * density
    np.testing.assert_allclose((small - action) / -1e-4 / slope, 3.0, rtol=1e-2)
    budgets = [float(budget_of(i, 200, 2.0)) for i in (0, 40, 100, 160, 199)]
    np.testing.assert_allclose(budgets, [0, 0, 1.0, 2.0, 2.0], atol=1e-6)


def test_langevin_steps_spread_as_they_should():
    params, zeros = {"w": jnp.zeros(20_000)}, {"w": jnp.zeros(20_000)}
    grads = {"w": jnp.full(20_000, 2.0)}
    found, squares = langevin_step(jax.random.key(0), params, zeros, grads, 0.1, 0.3)
    v = 0.001 * 4.0
    np.testing.assert_allclose(squares["w"], v, rtol=1e-4)
    assert float(found["w"].mean()) == pytest.approx(-0.1 * 2.0 / v**0.5, rel=0.01)
    assert float(found["w"].std()) == pytest.approx(0.1 * 2**0.5 * 0.3 / (0.1 * v**0.5) ** 0.5, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("factory", "kind"), [(cat, CATConfig), (mixed_nash, MixedNashConfig)])
def test_others_learn_alone(factory, kind):
    config = kind(**SHORT)
    run = jrl.train(factory(*task(), config), seeds=2, quick_compile=True)
    assert np.all(np.isfinite(run.metrics["episode/return"]))
    assert np.all(np.isfinite(run.metrics["loss/critic"][:, 1:]))
    assert jrl.evaluate(run.agent, run.state, seeds=run.seeds, episodes=3, greedy=False).returns.shape == (2, 3)
    actions = run.state.memory.experience.action[0, 0, : 4 * PHASE, 0]
    if factory is cat:
        # In the last fifth attacks are as long as they may be, unless pi is where they stop.
        assert np.max(np.abs(actions[-PHASE:])) > 1.0
    else:
        assert np.max(np.abs(actions)) <= 1.0


def test_what_cannot_work_is_refused():
    with pytest.raises(ConfigError, match="must be an environment pushed/"):
        qarl(*jrl.make("Pendulum-v1"), QARLConfig())
    with pytest.raises(ConfigError, match="episode_steps = 500: must be max_steps_in_episode = 21"):
        qarl(*task(), QARLConfig())
    for changes, message in (
        ({"actor_starts": 10}, "actor_starts = 10: must be >= critic_starts = 3000"),
        ({"buffer_size": 100}, "must hold a phase of 2500"),
        ({"target_shape": 60.0}, "must be <= first_shape"),
        ({"homogeneous": True, "adversary": "soft"}, "homogeneous: must be false"),
    ):
        with pytest.raises(ConfigError, match=message):
            qarl(*task(steps=500), dataclasses.replace(QARLConfig(), **changes))
    with pytest.raises(ConfigError, match="must be QARL's agent with an adversary"):
        opposed(qarl(*task(), QARLConfig(**SHORT, adversary="none")))
