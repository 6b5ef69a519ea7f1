"""NORA on linear MDPs: features with structure are those of a table, the data add up, and hybrid Tetris is learnt."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.agents.nora import fit_critic
from jaxrl_suite.envs import tetris
from jaxrl_suite.envs.linear_features import block_features, one_hot_features, tabled_features
from jaxrl_suite.errors import ConfigError


def same_features(ours, table):
    rng = np.random.default_rng(0)
    expected = tabled_features(table)
    states, actions = rng.integers(table.shape[0], size=(3, 4)), rng.integers(table.shape[1], size=(3, 4))
    w, half, weights = rng.normal(size=ours.size), rng.normal(size=(ours.size, ours.size)), rng.normal(size=(3, 4))
    for name, arguments in {
        "of": (states, actions),
        "values": (w,),
        "squared_norms": (half @ half.T,),
        "weighted_sum": (states, actions, weights),
    }.items():
        found, true = (getattr(f, name)(*map(jnp.asarray, arguments)) for f in (ours, expected))
        np.testing.assert_allclose(found, true, atol=1e-9, err_msg=name)
    assert ours.size == expected.size


def test_features_with_structure_are_those_of_the_table():
    rng = np.random.default_rng(1)
    of_state, block, projection = rng.normal(size=(5, 3)), rng.integers(4, size=(2, 6)), rng.normal(size=(12, 7))
    table = np.zeros((10, 6, 4, 3))
    for state in range(10):
        table[state, np.arange(6), block[state % 2]] = of_state[state // 2]
    with jrl.float64():
        same_features(block_features(of_state, block, projection), table.reshape(10, 6, 12) @ projection)
        same_features(one_hot_features(3, 2), np.eye(6).reshape(3, 2, 6))


def test_the_features_of_tetris_are_projected():
    env, params = jrl.make("linear/tetris", dimension=5, observation="raw")
    with jrl.float64():
        found = env.linear_features(params).of(jnp.asarray(195 * 12 + 7), jnp.asarray(13))
    np.testing.assert_allclose(found, tetris.features(195, 7, 13) @ params.projection, atol=1e-12)


@functools.cache
def hybrid_run(updates=10):
    env, params = jrl.make("linear/tetris", shifted=True, observation="raw")
    config = jrl.agents.LinearNORAConfig(
        actor="greedy",
        reward_low=-2.0,
        reward_high=0.0,
        shifted_features=True,
        offline=tetris.uniform_episodes(1, 200),
        total_updates=updates,
    )
    return jrl.train(jrl.agents.nora_linear(env, params, config), seeds=2, quick_compile=True)


@pytest.mark.slow
def test_hybrid_tetris_is_learnt_from_the_first_episode():
    """An independent program: -0.509 a piece over the first ten episodes; random play is worth -0.84."""
    run = hybrid_run()
    assert run.metrics["episode/return"].mean() / 40 == pytest.approx(-0.51, abs=0.1)
    assert run.metrics["switch/count"].sum() > 0


def test_lambda_is_the_sum_over_the_data():
    state = jax.tree.map(lambda x: np.asarray(x[0]), hybrid_run().state)
    assert state.episodes.length == 210
    boards, pieces = np.divmod(state.episodes.states[:, 1:].ravel(), 12)
    _, params = jrl.make("linear/tetris", shifted=True, observation="raw")
    samples = zip(boards, pieces, state.episodes.actions.ravel(), strict=True)
    phi = np.stack([tetris.features(*sample) for sample in samples]) @ params.projection
    np.testing.assert_allclose(state.covariance[0], np.eye(60) + phi.T @ phi, rtol=1e-9, atol=1e-6)


@pytest.mark.slow
def test_with_one_hot_features_it_is_the_tabular_algorithm():
    env, mdp = jrl.make("tabular/lock", length=4, actions=3)
    config = jrl.agents.LinearNORAConfig(pooled=False, bonus=1.0, step_size=10.0, return_high=1.0, total_updates=60)
    run = jrl.train(jrl.agents.nora_linear(env, mdp, config), seeds=2, quick_compile=True)
    # What is played is exact: the code is found, and the sum of what was missed before is the regret.
    assert run.metrics["value/policy"][:, -1].min() > 0.5
    np.testing.assert_allclose(run.metrics["value/policy"] + run.metrics["regret"], 1.0, atol=1e-12)
    state = jax.tree.map(lambda x: np.asarray(x[0]), run.state)
    fitted_to = np.flatnonzero(run.metrics["switch/count"][0])[-1] + 1
    counts = np.zeros((*mdp.rewards.shape, 2), int)
    for states, actions in zip(state.episodes.states[:fitted_to], state.episodes.actions[:fitted_to], strict=True):
        np.add.at(counts, (np.arange(4), states[:-1], actions, states[1:]), 1)
    with jrl.float64():
        expected = fit_critic(jnp.asarray(counts), jnp.asarray(mdp.rewards), 1.0, jrl.agents.NORAConfig())
    norms = np.sqrt(np.diagonal(state.inverse, axis1=1, axis2=2))
    np.testing.assert_allclose(np.clip(state.weights + norms, 0, 1).reshape(4, 2, 3), expected, atol=1e-9)


def test_lsvi_ucb_backs_up_once_an_episode():
    """Two steps and one state: w after an episode is ridge regression on r + max_a [w_old + b sqrt(Lambda^-1)]."""
    env, mdp = jrl.make("tabular/lock", length=3, actions=2)
    offline = np.array([[[0, 0, 1, 1], [1, 0, 1, 0], [0.0, 0.5, 1.0, 0.0]]])
    agent = jrl.agents.lsvi_ucb(env, mdp, jrl.agents.LSVIConfig(offline=offline, ridge=0.5, bonus=2.0, total_updates=2))
    with jrl.float64():
        state, w = agent.init(jax.random.key(0)), np.zeros(4)
        for episode in range(2):
            state, _ = jax.jit(agent.update)(jax.random.key(episode), state, jnp.int32(episode))
            states, actions, rewards = (
                np.asarray(getattr(state.episodes, name))[: episode + 2] for name in ("states", "actions", "rewards")
            )
            pairs = 2 * states[:, :-1] + actions
            visits = np.bincount(pairs.ravel(), minlength=4)
            value = (w + 2.0 / np.sqrt(visits + 0.5)).reshape(2, 2).max(axis=-1)
            y = rewards + value[states[:, 1:]]
            w = np.bincount(pairs.ravel(), y.ravel(), minlength=4) / (visits + 0.5)
            np.testing.assert_allclose(state.weights, w, atol=1e-12)


@pytest.mark.parametrize(
    ("env_id", "changes", "message"),
    [
        ("CartPole-v1", {}, r"CartPole-v1: must be an environment with linear features"),
        ("linear/tetris", {"reward_low": 1.0}, r"reward_high = 1: must be above reward_low"),
        ("linear/tetris", {"offline": np.zeros((2, 3, 7))}, r"offline: shape \(2, 3, 7\): must be \[N_off, 3, 41\]"),
    ],
)
def test_what_is_refused(env_id, changes, message):
    env, params = jrl.make(env_id, observation="raw")
    config = dataclasses.replace(jrl.agents.LinearNORAConfig(), **changes)
    with pytest.raises(ConfigError, match=message):
        jrl.agents.nora_linear(env, params, config)


def test_observations_that_are_no_number_are_refused():
    with pytest.raises(ConfigError, match=r"linear/tetris: must show its state's number"):
        jrl.agents.nora_linear(*jrl.make("linear/tetris"), jrl.agents.LinearNORAConfig())


def test_a_dimension_there_is_not_is_refused():
    with pytest.raises(ConfigError, match=r"dimension = 641: must be between 1 and 640"):
        jrl.make("linear/tetris", dimension=641)
