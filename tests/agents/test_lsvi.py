"""LSVI-UCB++: it opens locks, its bounds are monotone and hold what they must, and its weights are probabilities."""

import functools

import jax
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.errors import ConfigError

LENGTH, ACTIONS = 5, 3


@functools.cache
def lock_run(updates=500, **settings):
    env, mdp = jrl.make("tabular/lock", length=LENGTH, actions=ACTIONS)
    config = jrl.agents.LSVIPlusPlusConfig(total_updates=500, **settings)
    return mdp, jrl.train(jrl.agents.lsvi_ucb_plus_plus(env, mdp, config), seeds=4, updates=updates, quick_compile=True)


@pytest.mark.slow
def test_a_lock_is_opened_and_stays_open():
    _, run = lock_run()
    assert run.metrics["value/policy"][:, -1].min() == 1.0
    np.testing.assert_allclose(run.metrics["value/policy"] + run.metrics["regret"], 1.0, atol=1e-12)
    assert run.metrics["regret"].sum(axis=-1).max() < ACTIONS**LENGTH
    assert run.metrics["switch/count"].sum(axis=-1).max() < 200


def test_with_a_bonus_that_covers_the_ridge_the_bounds_hold_the_true_values():
    """Deterministic: the only error is that of the ridge, |phi| sqrt(lambda) |w| with lambda = 1 / H^2, |w| <= H."""
    big = {"bonus_scale": 2.0, "pessimism_scale": 2.0}
    mdp, run = lock_run(**big)
    best = jrl.solvers.value_iteration(mdp).action_value
    assert (np.asarray(run.state.upper) >= best - 1e-9).all()
    assert (np.asarray(run.state.lower) <= best + 1e-9).all()
    _, earlier = lock_run(updates=50, **big)
    assert (np.asarray(run.state.upper) <= np.asarray(earlier.state.upper) + 1e-12).all()
    assert (np.asarray(run.state.lower) >= np.asarray(earlier.state.lower) - 1e-12).all()


def test_a_sample_never_weighs_more_than_one_of_least_variance():
    _, run = lock_run()
    weights = np.asarray(run.state.weights)
    assert (weights > 0).all()
    assert weights.max() <= 1 / LENGTH + 1e-12
    state = jax.tree.map(lambda x: np.asarray(x[0]), run.state)
    pairs = ACTIONS * state.episodes.states[:, :-1] + state.episodes.actions
    for stage in range(LENGTH):
        sums = np.bincount(pairs[:, stage], state.weights[:, stage], minlength=2 * ACTIONS)
        np.testing.assert_allclose(state.covariance[stage], np.diag(1 / LENGTH**2 + sums), atol=1e-9)


@pytest.mark.parametrize(
    ("env_id", "settings", "message"),
    [
        ("linear/tetris", {}, r"linear/tetris: 39321600 values of states and actions: must be at most 10000000"),
        ("tabular/lock", {"reward_low": 1.0}, r"LSVIPlusPlusConfig.reward_high = 1: must be above reward_low"),
    ],
)
def test_what_is_refused(env_id, settings, message):
    # All features as they are: their leading directions would first have to be found.
    options = {"dimension": 640} if env_id == "linear/tetris" else {}
    env, params = jrl.make(env_id, observation="raw", **options)
    with pytest.raises(ConfigError, match=message):
        jrl.agents.lsvi_ucb_plus_plus(env, params, jrl.agents.LSVIPlusPlusConfig(**settings))
