"""The judge beside a learning agent: its numbers are those of the policy as it plays."""

import jax
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.agents.judging import greedy_plan
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.solvers import plan_value


@pytest.fixture(scope="module")
def run():
    env, params = jrl.make("grid/empty-5")
    config = jrl.agents.PPOConfig(
        num_envs=4, rollout_length=64, hidden_sizes=(16,), learning_rate=3e-3, total_updates=12, num_epochs=2
    )
    agent = jrl.agents.judged(jrl.agents.ppo, jrl.agents.judge_of(env, params), 3)(env, params, config)
    return jrl.train(agent, seeds=6)


def test_a_judgement_every_so_many_updates(run):
    is_judged = ~np.isnan(run.metrics["judge/return"])
    assert is_judged.tolist() == [[False, False, True] * 4] * 6


def test_the_judges_value_is_what_the_greedy_policy_earns(run):
    played = jrl.evaluate(run.agent, run.state, seeds=run.seeds, episodes=2)
    np.testing.assert_allclose(played.returns[:, 0], run.metrics["judge/return"][:, -1], atol=1e-6)
    judge = jrl.agents.judge_of(run.agent.info.env, run.agent.info.env_params)
    for seed in range(2):
        state = jax.tree.map(lambda x, seed=seed: x[seed], run.state)
        plan = greedy_plan(run.agent, state, judge.observations, judge.mdp.horizon)
        assert plan_value(judge.mdp, plan) == pytest.approx(run.metrics["judge/return"][seed, -1], abs=1e-6)


def test_solved_is_the_first_judgement_that_is_good_enough(run):
    judge = jrl.agents.judge_of(run.agent.info.env, run.agent.info.env_params)
    assert (judge.best, judge.random) == pytest.approx((1.0, 0.7620095947), abs=1e-9)
    for returns, solved in zip(run.metrics["judge/return"], run.metrics["judge/solved_steps"], strict=True):
        good = np.flatnonzero(returns >= judge.threshold)
        expected = np.where(np.arange(12) >= good[0], (good[0] + 1) * 256, 0) if len(good) else np.zeros(12)
        np.testing.assert_array_equal(solved, expected)


def test_a_member_stops_once_it_has_solved_its_task():
    env, params = jrl.make("table/tabular/lock", length=3)
    judge = jrl.agents.judge_of(env, params)
    agent = jrl.agents.judged(jrl.agents.gorp, judge, stops=True)(
        env, params, jrl.agents.GORPConfig(depth=3, episodes=1, horizon=3)
    )
    run = jrl.train(agent, seeds=4)
    # All sequences of three actions are tried: the first action is right, and so the plan of one is judged.
    assert run.metrics["finished"].any(axis=1).tolist() == (run.metrics["judge/solved_steps"].max(axis=1) > 0).tolist()
    assert run.metrics["finished"].any()


def test_what_has_no_table_is_refused():
    env, mdp = jrl.make("tabular/chain")
    with pytest.raises(ConfigError, match="must be given, its episodes have no longest length"):
        jrl.agents.judge_of(env, mdp.replace(horizon=None, discount=0.9))
    with pytest.raises(ConfigError, match="depends on the stage"):
        jrl.agents.judge_of(*jrl.make("tabular/lock"))
    with pytest.raises(ConfigError, match="depends on chance"):
        jrl.agents.judge_of(*jrl.make("CartPole-v1"))
