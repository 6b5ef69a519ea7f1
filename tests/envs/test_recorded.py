"""Recorded episodes are the environment's own, as often as the policy plays them, and agents learn from them."""

import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.envs import dataset_counts, record_episodes
from jaxrl_suite.envs.tabular_families import random_mdp
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.solvers import concentrability, occupancy, policy_evaluation, value_iteration

MDP = random_mdp(0, states=3, actions=2, horizon=4)


def tabular(mdp=MDP):
    return jrl.envs.TabularEnv("tabular/mine", mdp).observed_as("raw"), mdp


@pytest.mark.parametrize("kind", ["uniform", "stationary", "staged"])
def test_episodes_are_the_policys(kind):
    env, mdp = tabular()
    rng = np.random.default_rng(0)
    policy = {
        "uniform": np.full((3, 2), 0.5),
        "stationary": rng.dirichlet(np.ones(2), size=3),
        "staged": rng.dirichlet(np.ones(2), size=(4, 3)),
    }[kind]
    data = record_episodes(env, mdp, 4000, None if kind == "uniform" else policy)
    assert data.shape == (4000, 3, 5)
    counts = dataset_counts(data[:, 0], data[:, 1, :-1], mdp)
    met = occupancy(mdp, policy)
    np.testing.assert_allclose(counts.sum(axis=-1) / 4000, met, atol=0.04)
    visits = counts.sum(axis=-1)
    following = counts[visits > 200] / visits[visits > 200][:, None]
    np.testing.assert_allclose(following, mdp.transitions[visits > 200], atol=0.1)
    assert data[:, 2].sum(axis=1).mean() == pytest.approx(policy_evaluation(mdp, policy).start_value, abs=0.1)
    assert not data[:, 1:, -1].any()
    assert concentrability(mdp, policy, counts.sum(axis=-1)) == pytest.approx(1.0, abs=0.3)


@pytest.mark.slow
def test_agents_begin_with_them():
    env, mdp = jrl.make("tabular/lock", length=4, actions=3)
    best = value_iteration(mdp).policy
    policy = 0.9 * np.eye(3)[best] + 0.1 / 3
    data = record_episodes(env, mdp, 100, policy, seed=1)
    counts = dataset_counts(data[:, 0], data[:, 1, :-1], mdp)
    tabled = jrl.agents.NOAHConfig(dataset=counts, offline_episodes=0, total_updates=100)
    run = jrl.train(jrl.agents.noah(env, mdp, tabled), seeds=2, quick_compile=True)
    assert (run.metrics["value/policy"][:, -1] > 0.95).all()
    linear = jrl.agents.LinearNORAConfig(
        bonus=0.0, offline=data, return_low=0.0, return_high=1.0, reward_low=0.0, pooled=False, total_updates=100
    )
    run = jrl.train(jrl.agents.nora_linear(env, mdp, linear), seeds=2, quick_compile=True)
    assert (run.metrics["value/policy"][:, -1] > 0.95).all()


def test_the_seed_decides():
    first, again, other = (record_episodes(*tabular(), 5, seed=seed) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"episodes": 0}, r"episodes = 0: must be >= 1"),
        ({"episodes": 1, "policy": np.ones((2, 2))}, r"policy: shape \(2, 2\): must be \[4, 3, 2\] or \[3, 2\]"),
        ({"episodes": 1, "policy": np.ones((3, 2))}, r"policy: must be probabilities"),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        record_episodes(*tabular(), **options)


def test_environments_it_cannot_record():
    with pytest.raises(ConfigError, match=r"CartPole-v1: must show its state's number"):
        record_episodes(*jrl.make("CartPole-v1"), 1)
