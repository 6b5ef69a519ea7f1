"""Learners on games written out: fixed points of every variant, self-play with networks, and runs on disk."""

import json

import hypothesis.strategies as st
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings

import jaxrl_suite as jrl
from jaxrl_suite.agents.deep_mmd import loss as mmd_loss
from jaxrl_suite.agents.memoryless import policy_table
from jaxrl_suite.agents.on_policy import on_policy_parts
from jaxrl_suite.agents.ppo import loss as ppo_loss
from jaxrl_suite.errors import ConfigError, RunDirectoryError
from jaxrl_suite.games import load, uniform_policy
from jaxrl_suite.learning.advantages import turn_gae
from jaxrl_suite.learning.distributions import Categorical, Gaussian
from jaxrl_suite.solvers import agent_quantal_response, expected_returns, exploitability, nash_equilibrium
from jaxrl_suite.solvers.tree_games import action_values
from tests.helpers import walked_values

CONSTANT = {"step_decay": 0.0, "temperature_decay": 0.0, "judge_every": 500}


def trained(name="kuhn_poker", seeds=1, **config):
    env, game = jrl.make(f"game/{name}")
    agent = jrl.agents.mmd(env, game, jrl.agents.MMDConfig(**config))
    return jrl.train(agent, seeds=seeds, quick_compile=True), game


@pytest.mark.parametrize(
    "variant",
    [
        {},
        {"weighting": "reach", "step_size": 2.0},
        {"update": "euclidean", "step_size": 1.0},
        {"spread": 1.0},
        {"update": "euclidean", "step_size": 1.0, "spread": 0.5},
        {"values": "subgame", "spread": 1.0},
        {"values": "belief", "spread": 1.0},
        {"values": "opponent", "spread": 1.0},
    ],
)
def test_all_variants_have_one_fixed_point(variant):
    """The agent quantal response equilibrium; in the Euclidean form another, as the magnet pulls logits."""
    run, game = trained(**({"total_updates": 20_000, "step_size": 0.1, "temperature": 0.5} | CONSTANT | variant))
    policy = run.state.policy[0]
    if variant.get("update") == "euclidean":
        with jrl.float64():
            after = np.asarray(jax.nn.softmax(jnp.asarray(policy)))
            q = np.asarray(action_values(game, jnp.asarray(after)).q)
        gradient = after * (q - (after * q).sum(axis=1, keepdims=True))
        np.testing.assert_allclose(gradient, 0.5 * policy, atol=1e-8)
    else:
        np.testing.assert_allclose(policy, agent_quantal_response(game, 0.5).policy, atol=1e-6)


@pytest.mark.parametrize("objective", ["max_entropy", "minimax_entropy"])
def test_entropy_of_later_decisions_counts(objective):
    """At the fixed point pi is the softmax of action values with later entropies in them, by a walk over the tree."""
    alpha = 0.3
    run, game = trained(objective=objective, total_updates=20_000, step_size=0.1, temperature=alpha, **CONSTANT)
    policy = run.state.policy[0]
    entropy = -alpha * (policy * np.log(policy)).sum(axis=1)
    total, weight = walked_values(game, policy, entropy, -entropy if objective == "minimax_entropy" else None)
    q = total / weight[:, None]
    np.testing.assert_allclose(policy, np.exp(q / alpha) / np.exp(q / alpha).sum(axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize(
    ("estimate", "atol"), [("unbiased", 0.012), ("baseline", 0.012), ("mean", 0.012), ("exact", 1e-4)]
)
def test_sampled_games_lead_to_the_same_fixed_point(estimate, atol):
    """The mean of many seeds; perturbed rock, paper, scissors with bandit feedback."""
    env, game = jrl.make("game/perturbed_rps")
    settled = {"step_size": 0.2, "temperature": 0.2, "temperature_decay": 0.0}
    config = jrl.agents.SampledMMDConfig(total_updates=10_000, estimate=estimate, judge_every=5000, **settled)
    run = jrl.train(jrl.agents.mmd_sampled(env, game, config), seeds=30, quick_compile=True)
    solution = agent_quantal_response(game, 0.2).policy
    np.testing.assert_allclose(run.state.policy.mean(axis=0), solution, atol=atol)
    uniform = np.abs(uniform_policy(game) - solution).max()
    assert uniform > 0.1


def test_a_sampled_game_changes_what_it_came_to_alone():
    env, game = jrl.make("game/kuhn_poker")
    config = jrl.agents.SampledMMDConfig(total_updates=1, step_size=1.0, temperature=1.0, estimate="baseline")
    run = jrl.train(jrl.agents.mmd_sampled(env, game, config), seeds=20, quick_compile=True)
    changed = np.any(np.abs(run.state.policy - uniform_policy(game)) > 1e-9, axis=-1)
    np.testing.assert_array_equal(changed.sum(axis=1), run.metrics["steps/count"][:, 0])
    for seed in range(20):
        infosets = np.flatnonzero(changed[seed])
        # Each player's first card and what was done so far: one game, told by its information sets.
        names = [game.names.infosets[i] for i in infosets]
        stages = [name[1:] for name in names]
        assert len(set(stages)) == len(stages)
        assert "" in stages
        assert np.any(run.state.mean[seed][infosets] != 0.0, axis=1).all()


def test_settings_are_swept_in_one_program():
    env, game = jrl.make("game/kuhn_poker")
    grid = {"step_size": [0.5, 1.0], "temperature": [1.0, 2.0], "spread": [0.0, 1.0]}
    config = jrl.agents.MMDConfig(total_updates=20)
    run = jrl.sweep(jrl.agents.mmd, (env, game), config, grid, seeds=2, quick_compile=True)
    assert run.metrics["exploitability"].shape == (8, 2, 20)
    alone = jrl.train(
        jrl.agents.mmd(env, game, jrl.agents.MMDConfig(total_updates=20, step_size=0.5)), quick_compile=True
    )
    np.testing.assert_allclose(run.metrics["exploitability"][0, 0], alone.metrics["exploitability"][0], rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("values", ["opponent", "subgame", "belief"])
def test_variants_with_other_settings(values):
    """Swept as alone; a moving magnet leads to an equilibrium; probabilities keep their floor."""
    env, game = jrl.make("game/kuhn_poker")
    config = jrl.agents.MMDConfig(total_updates=20, values=values)
    run = jrl.sweep(jrl.agents.mmd, (env, game), config, {"step_size": [0.5, 1.0]}, seeds=1, quick_compile=True)
    alone, _ = trained(total_updates=20, values=values, step_size=0.5)
    np.testing.assert_allclose(run.metrics["exploitability"][0, 0], alone.metrics["exploitability"][0], rtol=1e-12)
    moving = {"magnet": "moving", "step_size": 0.1, "temperature": 1.0, "total_updates": 3000}
    run, _ = trained(values=values, **(CONSTANT | moving))
    assert exploitability(game, run.state.policy[0]) < 1e-4
    run, _ = trained(values=values, update="greedy", least_probability=0.01, total_updates=1)
    assert run.state.policy[0].min() == pytest.approx(0.01 / 1.01)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"values": "plain"}, r"MMDConfig.values = 'plain': must be one of current, subgame, belief, opponent"),
        ({"values": "belief", "update": "euclidean"}, r"must be current with update = 'euclidean'"),
        ({"values": "opponent", "weighting": "reach"}, r"must be current with weighting = 'reach'"),
        ({"values": "subgame", "objective": "max_entropy"}, r"must be current with objective = 'max_entropy'"),
    ],
)
def test_variants_that_cannot_be(config, message):
    with pytest.raises(ConfigError, match=message):
        jrl.agents.mmd(*jrl.make("game/kuhn_poker"), jrl.agents.MMDConfig(**config))


def test_what_is_judged_and_when():
    run, _ = trained(total_updates=120)
    judged = np.flatnonzero(~np.isnan(run.metrics["exploitability"][0])) + 1
    assert judged.tolist() == [*range(1, 10), *range(10, 100, 10), 100]
    np.testing.assert_allclose(run.metrics["nash_conv"], 2 * run.metrics["exploitability"])
    run, _ = trained(total_updates=20, judge_every=8)
    assert np.flatnonzero(~np.isnan(run.metrics["exploitability"][0])).tolist() == [7, 15]


def test_a_run_on_a_large_game_is_found_again_by_name(tmp_path):
    env, game = jrl.make("game/leduc_poker")
    run = jrl.train(
        jrl.agents.mmd(env, game, jrl.agents.MMDConfig(total_updates=3)), out=tmp_path / "run", quick_compile=True
    )
    path = tmp_path / "run" / "config.json"
    assert path.stat().st_size < 100_000
    again = jrl.load(tmp_path / "run")
    np.testing.assert_array_equal(again.state.policy, run.state.policy)
    config = json.loads(path.read_text())
    changed = next(v for v in config["env"]["params"].values() if isinstance(v, dict))
    changed["sha256"] = "0"
    path.write_text(json.dumps(config))
    with pytest.raises(RunDirectoryError, match=r"environment parameter env\..* is another than the run was made with"):
        jrl.load(tmp_path / "run")


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1), st.sampled_from([(1.0, -1.0), (1.0, 1.0, 1.0)]))
def test_advantages_of_players_who_take_turns(seed, discount, decay, signs):
    """By a slow loop: each player's own decisions alone, rewards in between added up."""
    rng, steps = np.random.default_rng(seed), 12
    reward, value = rng.normal(size=(steps, 1)), rng.normal(size=(steps, 1))
    player, done = rng.integers(len(signs), size=(steps, 1)), rng.random((steps, 1)) < 0.2
    last_value, last_player = rng.normal(size=1), rng.integers(len(signs), size=1)
    with jrl.float64():
        found = turn_gae(
            *map(jnp.asarray, (reward, value, last_value, player, last_player, done)), signs, discount, decay
        )
    for t in range(steps):
        me = player[t, 0]
        expected, scale, now = 0.0, 1.0, t
        while True:
            paid, later, is_over = 0.0, now, False
            while True:
                paid += signs[me] * reward[later, 0]
                is_over, later = done[later, 0], later + 1
                if is_over or later == steps or player[later, 0] == me:
                    break
            if is_over:
                following = 0.0
            elif later == steps:
                following = last_value[0] * signs[last_player[0]] * signs[me]
            else:
                following = value[later, 0]
            expected += scale * (paid + discount * following - value[now, 0])
            scale *= discount * decay
            if is_over or later == steps:
                break
            now = later
        assert found[t, 0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "env_id", [*(pytest.param(id, marks=pytest.mark.slow) for id in ("CartPole-v1", "Pendulum-v1")), "game/kuhn_poker"]
)
def test_without_the_divergence_it_is_ppo(env_id):
    shared = {"num_envs": 4, "rollout_length": 8, "hidden_sizes": (16,), "num_minibatches": 1}
    env, params = jrl.make(env_id)
    ours = jrl.agents.DeepMMDConfig(**shared, step_size=1e12, temperature=0.01, schedule="constant")
    theirs = jrl.agents.PPOConfig(**shared, ent_coef=0.01)
    parts = on_policy_parts(env, params, ours, optax.identity())
    state = jax.jit(parts.init)(jax.random.key(0))
    before = state.memory
    state, batch, _ = jax.jit(parts.collect)(jax.random.key(1), state)
    moved = jax.tree.map(lambda x: x + 0.01, state.params)

    def gradient(loss, config):
        def total(params):
            return loss(params, before, batch, parts, config, 0)[0]

        return jax.flatten_util.ravel_pytree(jax.jit(jax.grad(total))(moved))[0]

    a, b = gradient(mmd_loss, ours), gradient(ppo_loss, theirs)
    assert jnp.linalg.norm(a) > 1e-3
    np.testing.assert_allclose(a, b, atol=1e-5)
    bound = gradient(mmd_loss, ours.replace(step_size=0.01))
    assert jnp.linalg.norm(bound - b) > 1e-3


def test_divergences_of_policies():
    rng = np.random.default_rng(0)
    a, b = jnp.asarray(rng.normal(size=(2, 4, 3)), jnp.float32)
    p, q = jax.nn.softmax(a), jax.nn.softmax(b)
    np.testing.assert_allclose(Categorical(3).divergence(a, b), (p * jnp.log(p / q)).sum(axis=-1), atol=1e-5)
    normal = Gaussian((1,), jnp.full(1, -1.0), jnp.full(1, 1.0))
    found = normal.divergence((jnp.ones((1, 1)), jnp.zeros(1)), (jnp.zeros((1, 1)), jnp.log(jnp.full(1, 2.0))))
    # Of N(1, 1) to N(0, 4): log 2 + (1 + 1) / 8 - 1 / 2.
    np.testing.assert_allclose(found, [np.log(2) + 0.25 - 0.5], atol=1e-6)


@pytest.mark.slow
def test_networks_learn_kuhn_poker_in_self_play():
    env, game = jrl.make("game/kuhn_poker")
    config = jrl.agents.DeepMMDConfig(
        num_envs=64, rollout_length=16, total_updates=300, discount=1.0, gae_lambda=1.0, learning_rate=1e-3,
        reference_steps=1e5,
    )  # fmt: skip
    run = jrl.train(jrl.agents.deep_mmd(env, game, config), seeds=3, quick_compile=True)
    tables = policy_table(run)
    assert max(exploitability(game, table) for table in tables) < 0.2
    values = [expected_returns(game, table)[0] for table in tables]
    np.testing.assert_allclose(values, nash_equilibrium(game).value, atol=0.1)
    # A third of the folds that no policy should make are gone: facing a bet, a king calls.
    assert tables[:, game.infoset("Kb"), 1].min() > 0.9


def test_tables_and_settings_that_cannot_be():
    run = jrl.train(jrl.agents.ppo(*jrl.make("CartPole-v1"), jrl.agents.PPOConfig(total_updates=1)), quick_compile=True)
    with pytest.raises(ConfigError, match=r"CartPole-v1: must be a game written out"):
        policy_table(run)
    env, game = jrl.make("game/kuhn_poker")
    with pytest.raises(ConfigError, match=r"PPOConfig.normalize_observations = True: must be False in a game"):
        jrl.agents.ppo(env, game, jrl.agents.PPOConfig(normalize_observations=True))


def test_illegal_actions_are_never_played():
    env, game = jrl.make("game/leduc_poker")
    agent = jrl.agents.ppo(env, game, jrl.agents.PPOConfig(num_envs=16, total_updates=2))
    state = agent.init(jax.random.key(0))
    for infoset in np.flatnonzero(~game.legal[:, 0])[:5]:
        shown = jax.nn.one_hot(infoset, game.num_infosets)
        keys = jax.random.split(jax.random.key(1), 50)
        actions = jax.vmap(lambda key, shown=shown: agent.act(key, state, (), shown, False)[0])(keys)
        assert game.legal[infoset, np.asarray(actions)].all()
    assert uniform_policy(load("leduc_poker"))[~game.legal].sum() == 0
