"""Conservative agents: what they refuse, offline baselines, playing, resuming, linear programs."""

import jax
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.agents.conservative_task import prepare
from jaxrl_suite.agents.linear_programs import Model, solve_dope, solve_opt_pess
from jaxrl_suite.envs import dataset_counts
from jaxrl_suite.envs.tabular_families import golden_ratio_mdp
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.confidence import pessimistic_policy
from jaxrl_suite.solvers import policy_evaluation, value_iteration
from tests.helpers import same, same_states

ENV, MDP = jrl.make("tabular/golden-ratio")
NAMES = ("stepmix", "epsmix", "bpi_ucbvi", "baseline_only", "budget_exploration")


def agent(name="stepmix", **changes):
    factory = jrl.agents.agent_named(name)
    return factory(ENV, MDP, factory.config_class(**{"total_updates": 500, "scale": 1e-4, **changes}))


def bad_rows():
    policy = np.full((3, 5, 5), 0.2)
    policy[1, 4, 0] = 0.5
    return policy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"threshold": 1.01},
            r"threshold = 1\.01 of the baseline's value: must be at most .* 2\.51599",
        ),
        ({"threshold": 2.6, "threshold_is_fraction": False}, r"threshold = 2\.6: must be at most .* 2\.51599"),
        (
            {"baseline_policy": bad_rows()},
            r"baseline_policy at stage 1, state 4 = .*: must be prob",
        ),
        ({"baseline_policy": np.ones((3, 5))}, r"baseline_policy: shape \(3, 5\): must be \[3, 5, 5\]"),
        ({"scale": 0.0}, r"scale = 0.0: must be > 0"),
        ({"delta": 1.0}, r"delta = 1.0: must be > 0 and < 1"),
        ({"baseline": "best"}, r"baseline = 'best': must be one of boltzmann, second_best, uniform"),
        ({"offline_episodes": -1}, r"offline_episodes = -1: must be >= 0"),
    ],
)
@pytest.mark.parametrize("name", ["stepmix", "dope"])
def test_what_cannot_work_is_refused_before_anything_runs(name, changes, message):
    with pytest.raises(ConfigError, match=message):
        agent(name, **changes)


def test_a_sweep_refuses_the_setting_that_cannot_work():
    config = jrl.agents.ConservativeConfig(total_updates=10)
    with pytest.raises(ConfigError, match=r"threshold = 1\.2 of the baseline's value"):
        jrl.sweep(jrl.agents.stepmix, (ENV, MDP), config, {"threshold": [0.9, 1.2]})


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("CartPole-v1", r"CartPole-v1: must be a tabular MDP with a horizon"),
        ("tabular/chain", r"tabular/chain: rewards must lie in \[0, 1\]"),
    ],
)
def test_other_environments_are_refused(id, message):
    with pytest.raises(ConfigError, match=message):
        jrl.agents.stepmix(*jrl.make(id))


@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_its_sum_of_parts(name):
    run = jrl.train(agent(name), seeds=2)
    m = run.metrics
    kinds = m["baseline/count"] + m["mixture/count"] + m["optimistic/count"]
    assert (kinds == 1).all()
    np.testing.assert_allclose(m["regret"] + m["value/policy"], value_iteration(MDP).start_value, atol=1e-12)
    np.testing.assert_array_equal(run.state.counts.sum(axis=(2, 3, 4)), 500)
    first = m["first_exploration"][:, -1]
    if name == "baseline_only":
        assert (first == 0).all()
    else:
        assert (first == (m["baseline/count"] == 0).argmax(axis=1) + 1).all()


@pytest.mark.parametrize("name", ["stepmix", "budget_exploration", pytest.param("dope", marks=pytest.mark.slow)])
def test_killed_and_resumed_is_unbroken(tmp_path, name):
    changes = {"total_updates": 400, "scale": 1e-5}  # explores before the cut
    whole = jrl.train(agent(name, **changes), seeds=2, out=tmp_path / "whole")
    jrl.train(agent(name, **changes), seeds=2, updates=300, out=tmp_path / "parts")
    parts = jrl.resume(tmp_path / "parts", updates=400)
    for name, values in whole.metrics.items():
        assert same(values, parts.metrics[name]), name
    assert same_states(whole.state, parts.state)
    assert parts.state.task.value.dtype == np.float64
    if name != "dope":
        assert (whole.metrics["first_exploration"][:, 299] > 0).all()


def test_records_of_many_episodes_add_up():
    every, tenth = (jrl.train(agent(), seeds=2, record_every=n).metrics for n in (1, 10))
    for name in ("violation/count", "baseline/count", "episode/count"):
        np.testing.assert_array_equal(tenth[name].sum(axis=1), every[name].sum(axis=1))
    np.testing.assert_allclose(tenth["regret"].sum(axis=1) * 10, every["regret"].sum(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(tenth["value/min"], every["value/min"].reshape(2, 50, 10).min(axis=2))
    np.testing.assert_array_equal(tenth["first_exploration"], every["first_exploration"][:, 9::10])


def test_settings_are_one_program_and_the_same_as_alone():
    config = jrl.agents.ConservativeConfig(total_updates=400)
    sweep = jrl.sweep(jrl.agents.stepmix, (ENV, MDP), config, {"inverse_temperature": [5.0, 10.0], "scale": [1e-5]}, 2)
    alone = jrl.train(agent(total_updates=400, inverse_temperature=5.0, scale=1e-5), seeds=2)
    assert (alone.metrics["optimistic/count"].sum(axis=1) > 0).all()
    np.testing.assert_allclose(sweep.metrics["regret"][0], alone.metrics["regret"], atol=1e-9)


@pytest.mark.parametrize(
    "name",
    [pytest.param("baseline_only", marks=pytest.mark.slow), "stepmix", pytest.param("epsmix", marks=pytest.mark.slow)],
)
@pytest.mark.slow
def test_evaluation_plays_what_the_next_episode_is_judged_by(name):
    run = jrl.train(agent(name, scale=1e-5), seeds=1, updates=400)
    if name != "baseline_only":
        assert run.metrics["mixture/count"][0, -1] + run.metrics["optimistic/count"][0, -1] == 1
    with jrl.float64():
        state = jax.tree.map(lambda x: x[0], run.state)
        _, judged = jax.jit(run.agent.update)(jax.random.key(9), state, np.int32(400))
        value = float(judged["value/policy"])
    for greedy in (True, False):
        returns = jrl.evaluate(run.agent, run.state, seeds=run.seeds, episodes=4000, greedy=greedy).returns
        assert returns.mean() == pytest.approx(value, abs=4 * float(returns.std()) / 4000**0.5)


def test_float64_agents_leave_their_environment_to_float32_programs():
    env, mdp = jrl.make("tabular/golden-ratio", states=4)
    run = jrl.train(jrl.agents.baseline_only(env, mdp, jrl.agents.ConservativeConfig(total_updates=5)), seeds=1)
    jrl.evaluate(run.agent, run.state, seeds=run.seeds, episodes=2)
    observation, _ = env.reset(jax.random.key(0), mdp)
    assert observation.dtype == np.float32


def test_epsmix_reports_the_coin_beside_the_promise():
    m = jrl.train(agent("epsmix", scale=1e-5), seeds=2).metrics
    is_mixed = m["mixture/count"] == 1
    assert is_mixed.any()
    best, value = value_iteration(MDP).start_value, m["value/policy"][is_mixed]
    assert (np.abs(m["value/played"][is_mixed] - value) > 1e-9).any()
    assert (m["value/played"] <= best + 1e-12).all()


# A baseline from a dataset


@pytest.mark.parametrize(
    ("episodes", "target", "least"), [(30, 2.5732, 2.5054), (100, 2.6041, 2.5898), (300, 2.6049, 2.6048)]
)
def test_learned_baselines_are_as_good_as_the_reference_says(episodes, target, least):
    """target, least: mean and least value over the reference's 20 datasets."""
    learner = agent(scale=1e-3, inverse_temperature=5.0, offline_episodes=episodes)
    with jrl.float64():
        states = jax.jit(jax.vmap(learner.init))(jax.vmap(jax.random.key)(np.arange(20)))
    values, thresholds = np.asarray(states.task.value), np.asarray(states.task.threshold)
    assert (values > thresholds).all()
    deviation = max(values.std(), (target - least) / 2)
    assert values.mean() == pytest.approx(target, abs=3 * deviation * (2 / 20) ** 0.5 + 1e-4)
    assert (np.asarray(states.counts).sum(axis=(2, 3, 4)) == episodes).all()


def test_a_dataset_of_ones_own(tmp_path):
    rng = np.random.default_rng(0)
    best = value_iteration(MDP).policy
    states, actions = np.zeros((2000, 4), int), np.zeros((2000, 3), int)
    for stage in range(3):
        # Half the time the best action, so that there is something to learn.
        chosen = np.where(rng.random(2000) < 0.5, best[stage, states[:, stage]], rng.integers(5, size=2000))
        rows = MDP.transitions[stage, states[:, stage], chosen].cumsum(axis=1)
        actions[:, stage], states[:, stage + 1] = chosen, (rng.random((2000, 1)) > rows).sum(axis=1)
    counts = dataset_counts(states, actions, MDP)
    assert (counts.sum(axis=(1, 2, 3)) == 2000).all()
    options = {"dataset": counts, "threshold": 2.0, "threshold_is_fraction": False, "scale": 1e-3}
    run = jrl.train(agent(**options, total_updates=50), seeds=2, out=tmp_path / "run")
    assert run.metrics["violation/count"].sum() == 0
    assert (run.state.task.value > 2.5).all()
    np.testing.assert_array_equal(run.state.counts.sum(axis=(2, 3, 4)), 2050)
    again = jrl.load(tmp_path / "run")
    assert same(again.agent.info.config.dataset, counts)


@pytest.mark.parametrize(
    ("states", "actions", "message"),
    [
        (np.zeros((0, 4), int), np.zeros((0, 3), int), r"dataset: empty"),
        (np.zeros((2, 3), int), np.zeros((2, 3), int), r"shapes \(2, 3\) and \(2, 3\): must be \[episodes, 4\]"),
        (np.full((2, 4), 5), np.zeros((2, 3), int), r"state 5: must be a whole number from 0 to 4"),
        (np.zeros((2, 4), int), np.full((2, 3), -1), r"action -1: must be a whole number from 0 to 4"),
    ],
)
def test_what_is_no_dataset(states, actions, message):
    with pytest.raises(ConfigError, match=message):
        dataset_counts(states, actions, MDP)


def test_an_empty_or_unusable_dataset_is_refused():
    empty = np.zeros((3, 5, 5, 5), int)
    with pytest.raises(ConfigError, match=r"dataset: empty"):
        agent(dataset=empty)
    with pytest.raises(ConfigError, match=r"threshold_is_fraction = True: with a dataset"):
        agent(dataset=empty + 1)


def test_a_cold_start_counts_nothing():
    learner = agent(offline_episodes=50, warm_start=False)
    with jrl.float64():
        assert learner.init(jax.random.key(0)).counts.sum() == 0


def test_the_pessimistic_policy_trusts_what_was_seen():
    counts = np.zeros((3, 5, 5, 5), np.int32)
    best = value_iteration(MDP)
    for stage in range(3):
        for state in range(5):
            counts[stage, state, best.policy[stage, state]] = 10_000
    with jrl.float64():
        policy, lower = pessimistic_policy(counts, MDP.rewards, 1e-6, 0.1)
        blind, zero = pessimistic_policy(counts, MDP.rewards, 1e6, 0.1)
        nothing, _ = pessimistic_policy(0 * counts, MDP.rewards, 1e-6, 0.1)
        policy, lower, blind, zero, nothing = map(np.asarray, (policy, lower, blind, zero, nothing))
    np.testing.assert_array_equal(policy.argmax(axis=-1), best.policy)
    assert (lower > 0).all()
    # Bounds that say nothing: what the dataset did; without any data, everything alike.
    np.testing.assert_array_equal(blind, policy)
    np.testing.assert_array_equal(zero, 0)
    np.testing.assert_array_equal(nothing, 0.2)


# Linear programs


def true_model(visits):
    return Model(np.full((3, 5, 5), visits), MDP.transitions, MDP.rewards, MDP.initial)


@pytest.mark.parametrize("solve", [solve_opt_pess, solve_dope])
def test_with_all_known_the_program_finds_the_optimum(solve):
    config = jrl.agents.LinearProgramConfig(scale=1e-3)
    with jrl.float64():
        task = jax.tree.map(np.asarray, prepare(MDP, config))
    policy = solve(true_model(1e12), task, config)
    np.testing.assert_allclose(policy.sum(axis=-1), 1)
    assert policy_evaluation(MDP, policy).start_value == pytest.approx(2.604911, abs=1e-4)


@pytest.mark.parametrize("solve", [solve_opt_pess, solve_dope])
def test_with_nothing_known_the_baseline_has_to_be_played(solve):
    config = jrl.agents.LinearProgramConfig(scale=1.0)
    with jrl.float64():
        task = jax.tree.map(np.asarray, prepare(MDP, config))
    rows = np.full((3, 5, 5, 5), 0.2)
    assert solve(true_model(0.0)._replace(rows=rows), task, config) is None


@pytest.mark.parametrize(
    ("name", "scale", "episodes"),
    [("dope", 3e-4, 600), pytest.param("opt_pess_lp", 1e-4, 2500, marks=pytest.mark.slow)],
)
def test_programs_leave_the_baseline_and_keep_the_promise(name, scale, episodes):
    run = jrl.train(agent(name, total_updates=episodes, scale=scale), seeds=2)
    assert run.metrics["violation/count"].sum() == 0
    assert (run.metrics["optimistic/count"].sum(axis=1) > 0).all()


def test_programs_know_their_baseline():
    with pytest.raises(ConfigError, match=r"offline_episodes = 5: must be 0 here"):
        agent("dope", offline_episodes=5)


def test_instances_of_other_sizes_run():
    mdp = golden_ratio_mdp(states=3, actions=2, horizon=10)
    env = jrl.envs.TabularEnv("tabular/tested", mdp)
    config = jrl.agents.ConservativeConfig(total_updates=400, scale=1e-6, baseline="uniform", threshold=0.5)
    run = jrl.train(jrl.agents.stepmix(env, mdp, config), seeds=2)
    assert (run.metrics["first_exploration"][:, -1] > 0).all()
    assert (run.metrics["value/policy"][:, -1] > run.metrics["value/policy"][:, 0]).all()
