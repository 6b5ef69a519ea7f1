"""SQIRL: the invariants of the practical form, known answers of the theory's, and GORP's plans."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.agents.sqirl import targets
from jaxrl_suite.envs import StickyActions, SuccessorMDP, TableEnv
from jaxrl_suite.envs.tabular_families import combination_lock
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.episodes import returns_to_go
from jaxrl_suite.solvers import gorp_success
from tests.known_answers.ledger import known_answer


@functools.cache
def judged_run(factory, env, config, seeds, updates=None):
    """The metrics of a run whose greedy policy is judged after every update."""
    params = env.default_params
    judge = jrl.agents.judge_of(env, params)
    agent = jrl.agents.judged(factory, judge)(env, params, config)
    return judge, jrl.train(agent, seeds=seeds, updates=updates)


def final_values(factory, env, config, seeds):
    judge, run = judged_run(factory, env, config, seeds)
    return judge, run.metrics["judge/return"][:, -1]


def table(id, **options):
    return jrl.make(f"table/{id}", **options)[0]


@known_answer("sqirl/targets")
def test_targets_bootstrap_from_the_head_before():
    heads = jnp.array([[[0.5, 0.2], [0.7, 0.1]]] * 2)
    found = targets(jnp.array([3.0, 4.0]), jnp.ones(2), jnp.array([False, True]), heads, 0.99)
    np.testing.assert_allclose(found, [[3.0, 1.495], [4.0, 1.0]], rtol=1e-6)


@known_answer("sqirl/returns")
def test_returns_are_discounted_from_where_they_begin():
    np.testing.assert_allclose(returns_to_go(jnp.array([0.0, 0.0, 1.0]), 0.99), [0.9801, 0.99, 1.0], rtol=1e-6)


@functools.cache
def network_run(episodes, horizon, updates):
    """SQIRL with a small network where episodes never end by themselves."""
    env, params = jrl.make("probe/never-ending", params={"max_steps_in_episode": horizon})
    config = jrl.agents.SQIRLConfig(
        episodes=episodes, horizon=horizon, depth=2, hidden_sizes=(8,), total_updates=updates
    )
    return jrl.train(jrl.agents.sqirl(env, params, config), seeds=2)


@known_answer("sqirl/steps-counted")
def test_a_run_ends_after_ten_idle_rounds_and_one():
    run = network_run(1, 10, 40)
    assert run.metrics["finished"][0].tolist() == [False] * 20 + [True]
    assert run.metrics["steps/count"].sum(axis=1).tolist() == [210, 210]
    # It stops before it trains.
    assert run.metrics["gradient_steps/count"][0].tolist() == [1] * 20 + [0]


@known_answer("sqirl/stored")
def test_only_steps_followed_by_random_play_are_stored():
    run = network_run(1, 10, 40)
    assert run.metrics["stored/count"][0].tolist() == [max(0, 10 - i) for i in range(21)]
    assert run.state.memory.replay.stored.tolist() == [55, 55]


@known_answer("sqirl/gradient-steps")
@pytest.mark.slow
def test_gradient_steps_count_all_steps():
    run = network_run(5, 100, 3)
    assert run.metrics["gradient_steps/count"].tolist() == [[40, 40, 40]] * 2
    assert run.metrics["stored/count"][0].tolist() == [500, 495, 490]


@known_answer("sqirl/first-loss")
def test_the_first_loss_is_one():
    np.testing.assert_allclose(network_run(5, 100, 3).metrics["loss/first"][:, 0], 1.0, atol=1e-6)


@known_answer("sqirl/frozen")
def test_frozen_steps_stay_as_they_are():
    run = network_run(5, 100, 3)
    agent, state = run.agent, jax.tree.map(lambda x: x[0], run.state)
    # Opposite weights of the output layer prefer another action.
    other = dataclasses.replace(state, policy=jax.tree.map(lambda x: -x, state.policy))
    seen = agent.info.env.reset(jax.random.key(0), agent.info.env_params)[0]

    def values(state, step):
        """What the head compares: actions alone could agree by chance."""
        return agent.act(jax.random.key(0), state, jnp.int32(step), seen, True)[0]

    assert [int(values(state, t)) for t in range(3)] == [int(values(other, t)) for t in range(3)]
    assert int(values(state, 3)) != int(values(other, 3))


@pytest.mark.slow
def test_the_network_finds_the_better_action_first():
    env, params = jrl.make("probe/action")
    config = jrl.agents.SQIRLConfig(
        episodes=32, horizon=1, learning_rate=1e-2, hidden_sizes=(8,), total_updates=4, batch_size=16
    )
    run = jrl.train(jrl.agents.sqirl(env, params, config), seeds=4)
    evaluation = jrl.evaluate(run.agent, run.state, seeds=run.seeds, episodes=8)
    np.testing.assert_allclose(evaluation.returns, 1.0)


def test_head_one_is_the_value_of_random_play():
    """Not of the best play, and not of what is frozen: its mean over actions at the start."""
    config = jrl.agents.SQIRLConfig(episodes=4000, horizon=100, regressor="table", total_updates=1)
    env = table("grid/empty-5", observation="raw")
    run = jrl.train(jrl.agents.sqirl(env, env.default_params, config), seeds=1)
    # All steps are pooled; from the start state at the first step alone it would be 0.762.
    at_start = run.metrics["episode/return"][0, 0]
    assert at_start == pytest.approx(0.7620095947, abs=4 * 0.43 / 4000**0.5)


@pytest.mark.slow
def test_the_pooled_table_solves_an_empty_room():
    env = jrl.make("table/grid/empty-5", sticky_actions=0.25, observation="raw")[0]
    config = jrl.agents.SQIRLConfig(depth=2, episodes=5, discount=0.99, regressor="table")
    judge, run = judged_run(jrl.agents.sqirl, env, config, 5)
    assert (judge.best, judge.random) == pytest.approx((1.0, 0.7258216572), abs=1e-9)
    solved = run.metrics["judge/solved_steps"].max(axis=1)
    assert np.sum(solved > 0) >= 3
    assert np.all(solved <= run.metrics["steps/count"].sum(axis=1))


@pytest.mark.parametrize(
    ("regressor", "judged"),
    [*(pytest.param(name, False, marks=pytest.mark.slow) for name in ("network", "table")), ("table", True)],
)
def test_a_finished_run_stays_as_it_is(regressor, judged):
    """It ends by its budget of steps, or by a judge that sees its task solved."""
    name, horizon, episodes, limit = ("trap", 2, 20, 0) if judged else ("chain", 6, 2, 20)
    env, params = jrl.make(f"table/tabular/{name}", observation="raw")
    config = jrl.agents.SQIRLConfig(
        regressor=regressor, depth=2, episodes=episodes, horizon=horizon, hidden_sizes=(4,), max_env_steps=limit
    )
    judge = jrl.agents.judge_of(env, params)
    factory = jrl.agents.judged(jrl.agents.sqirl, judge, stops=True) if judged else jrl.agents.sqirl
    agent = factory(env, params, config)
    assert agent.info.finish is not None
    update, state, states = jax.jit(agent.update), agent.init(jax.random.key(0)), []
    for i in range(5):
        state, metrics = update(jax.random.key(i), state, jnp.int32(i))
        states += [state] * bool(metrics["finished"])
    assert len(states) >= 2
    jax.tree.map(np.testing.assert_array_equal, states[0], states[-1])


def theory(**settings):
    return jrl.agents.SQIRLTheoryConfig(**settings)


def trap_run(updates=None, **settings):
    config = theory(episodes=500, horizon=2, **settings)
    judge, run = judged_run(jrl.agents.sqirl_theory, table("tabular/trap"), config, 100, updates)
    assert (judge.best, judge.random) == pytest.approx((0.9, 0.475))
    return run


@pytest.mark.slow
@known_answer("sqirl/trap")
def test_one_step_of_planning_leaves_the_trap():
    shallow = trap_run(depth=1).metrics["judge/return"][:, -1]
    # Random play is worth 0.45 behind the better door and 0.5 behind the other: 500 episodes rarely mistake them.
    assert np.mean(np.isclose(shallow, 0.5)) > 0.85
    for regressor in ("table", "linear"):
        deep = trap_run(depth=2, regressor=regressor).metrics["judge/return"][:, -1]
        np.testing.assert_allclose(deep, 0.9, rtol=1e-6)


@pytest.mark.slow
def test_linear_regression_on_one_hot_observations_is_the_mean():
    # In the first round both see the same random episodes.
    means, weights = (trap_run(1, depth=2, regressor=r).state.agent.memory for r in ("table", "linear"))
    np.testing.assert_allclose(np.swapaxes(weights, 1, 2), means, atol=1e-6)


@known_answer("sqirl/coin")
@pytest.mark.slow
def test_the_coin_needs_a_policy():
    env = table("tabular/coin")
    _, values = final_values(jrl.agents.sqirl_theory, env, theory(episodes=20, horizon=2), 2000)
    share = np.mean(np.isclose(values, 1.0))
    bound = 1 - 2 * 0.75**20
    assert share >= bound - 4 * np.sqrt(bound * (1 - bound) / 2000)
    _, plans = final_values(jrl.agents.gorp, env, jrl.agents.GORPConfig(episodes=20, horizon=2), 50)
    np.testing.assert_array_equal(plans, 0.5)


LOCK_SUCCESS = {8: 0.117, 16: 0.234, 32: 0.385, 64: 0.608, 128: 0.830, 256: 0.951}


@functools.cache
def sticky_lock():
    return StickyActions(TableEnv("lock-10101", SuccessorMDP.from_tabular(combination_lock([1, 0, 1, 0, 1]))), 0.25)


@known_answer("sqirl/sticky-lock")
@pytest.mark.parametrize(("episodes", "depth"), [(16, 1), pytest.param(64, 2, marks=pytest.mark.slow)])
def test_success_on_the_sticky_lock(episodes, depth):
    judge, values = final_values(
        jrl.agents.sqirl_theory, sticky_lock(), theory(episodes=episodes, horizon=5, depth=depth), 2000
    )
    assert judge.best == pytest.approx(0.75**4)
    known = LOCK_SUCCESS[episodes]
    # Both numbers are shares of 2000 seeds.
    assert np.mean(values >= judge.best - 1e-9) == pytest.approx(known, abs=4 * np.sqrt(known * (1 - known) / 1000))


@known_answer("sqirl/gorp-runs")
@pytest.mark.parametrize(("depth", "ties"), [pytest.param(1, "first", marks=pytest.mark.slow), (2, "random")])
def test_gorp_succeeds_as_often_as_it_must(depth, ties):
    env = table("tabular/lock", length=4, seed=1)
    config = jrl.agents.GORPConfig(depth=depth, episodes=3, horizon=4, ties=ties)
    judge, values = final_values(jrl.agents.gorp, env, config, 2000)
    expected = gorp_success(judge.mdp, depth, 3, ties)
    assert 0.05 < expected < 0.95
    assert np.mean(values == 1.0) == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 2000))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda e, p: jrl.agents.sqirl(e, p, jrl.agents.SQIRLConfig(regressor="table")), r"no state's number"),
        (lambda e, p: jrl.agents.sqirl(e, p, jrl.agents.SQIRLConfig(depth=0)), r"depth = 0: must be >= 1"),
        (lambda e, p: jrl.agents.sqirl(e, p, jrl.agents.SQIRLConfig(buffer_capacity=9)), r"must hold a round's 2000"),
        (
            lambda e, p: jrl.agents.sqirl_theory(e, p, theory(regressor="linear", ridge=0.0)),
            r"ridge = 0.0: must be > 0",
        ),
        (lambda e, p: jrl.agents.gorp(e, p, jrl.agents.GORPConfig(depth=12)), r"more than 10000000 episodes"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make(*jrl.make("grid/key-corridor"))
