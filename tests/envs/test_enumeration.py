"""Environments written out as tables: the table steps as the environment does."""

import jax
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite import solvers
from jaxrl_suite.envs import enumerate_env
from jaxrl_suite.errors import ConfigError


def test_the_table_steps_as_the_environment_does():
    env, params = jrl.make("grid/door-key-5")
    found = enumerate_env(env, params, horizon=50)
    mdp, step = found.mdp, jax.jit(env.transition)
    assert mdp.successors.shape == (mdp.num_states, 6, 1)
    state, here = env.reset(jax.random.key(0), params)[1], 0
    for action in np.random.default_rng(0).integers(6, size=60):
        for field, expected in found.states.replace(steps=0).__dict__.items():
            if field != "steps":
                np.testing.assert_array_equal(getattr(state, field), expected[here])
        _, state, reward, is_over, _ = step(jax.random.key(0), state, action, params)
        assert reward == mdp.rewards[here, action]
        here = int(mdp.successors[here, action, 0])
        assert (here == mdp.num_states - 1) == bool(is_over)
        if is_over:
            break


def test_an_environment_of_another_library():
    """gymnax's DeepSea has the values of the suite's own."""
    mdp = enumerate_env(*jrl.make("DeepSea-bsuite"), horizon=8).mdp
    values = solvers.planning_values(mdp)
    assert mdp.initial @ values.best[0] == pytest.approx(0.99, abs=1e-6)
    assert mdp.initial @ values.random[0] == pytest.approx(-0.00109375, abs=1e-6)
    assert mdp.num_states == 8 * 9 // 2 + 1


@pytest.mark.parametrize(
    ("id", "options", "message"),
    [
        ("FrozenLake-misc", {}, "its step depends on chance"),
        ("Catch-bsuite", {}, "its start depends on chance"),
        ("Pendulum-v1", {}, "must be discrete"),
        ("grid/empty-8", {"max_states": 50}, "more than max_states = 50 states"),
    ],
)
def test_what_is_refused(id, options, message):
    with pytest.raises(ConfigError, match=message):
        enumerate_env(*jrl.make(id), horizon=10, **options)
