"""Optimistic natural policy gradient: it learns a short lock, and its data are those of a round alone."""

import functools

import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.errors import ConfigError


@functools.cache
def lock_run(updates=30, **settings):
    env, mdp = jrl.make("tabular/lock", length=3, actions=3)
    config = jrl.agents.OptimisticNPGConfig(**settings)
    return jrl.train(jrl.agents.optimistic_npg(env, mdp, config), seeds=5, updates=updates, quick_compile=True)


def test_a_short_lock_is_learnt():
    run = lock_run()
    assert run.metrics["value/policy"][:, 0] == pytest.approx(3.0**-3)
    assert run.metrics["value/policy"][:, -10:].min() > 0.99
    missed = 100 * (1.0 - run.metrics["value/policy"])
    np.testing.assert_allclose(run.metrics["regret"], missed, atol=1e-9)
    assert (run.metrics["episode/count"] == 100).all()
    assert (run.metrics["first_success"][:, -1] == 1).all()


def test_a_bonus_that_data_never_overcome_keeps_the_actor_uniform():
    """Every value is clipped to the highest: nothing tells actions apart."""
    run = lock_run(updates=3, bonus=100.0)
    np.testing.assert_allclose(run.metrics["value/policy"], 3.0**-3, rtol=1e-9)


def test_a_step_is_proportional_to_its_size():
    """From uniform play the first round's data, and so its evaluation, are the same."""
    one, two = (np.asarray(lock_run(updates=1, steps=1, step_size=size).state.logits) for size in (1.0, 2.0))
    assert np.ptp(one) > 0
    np.testing.assert_allclose(two, 2 * one, rtol=1e-12)


@pytest.mark.parametrize(
    ("env_id", "settings", "message"),
    [
        ("CartPole-v1", {}, r"CartPole-v1: must be a tabular MDP with a horizon"),
        ("tabular/lock", {"value_high": 0.0}, r"OptimisticNPGConfig.value_high = 0: must be above value_low = 0"),
    ],
)
def test_what_is_refused(env_id, settings, message):
    with pytest.raises(ConfigError, match=message):
        jrl.agents.optimistic_npg(*jrl.make(env_id), jrl.agents.OptimisticNPGConfig(**settings))
