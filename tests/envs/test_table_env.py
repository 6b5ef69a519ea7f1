"""Environments written out: the same steps as the environment itself, looked up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.envs import SuccessorMDP
from jaxrl_suite.errors import ConfigError


def rewards_and_ends(env, params, actions):
    """Of episodes one after another, [steps] each."""

    def step(carry, inputs):
        key, action = inputs
        _, state, reward, terminated, truncated, _ = env.step(key, carry, action, params)
        return state, (reward, terminated, truncated)

    _, state = env.reset(jax.random.key(0), params)
    keys = jax.random.split(jax.random.key(1), len(actions))
    return jax.jit(lambda s: jax.lax.scan(step, s, (keys, jnp.asarray(actions)))[1])(state)


@pytest.mark.parametrize(("id", "options"), [("grid/empty-5", {"shaping": "distance", "horizon": 30})])
def test_a_table_pays_and_ends_as_the_environment_does(id, options):
    plain, table = jrl.make(id, **options), jrl.make(f"table/{id}", **options | {"horizon": None})
    table = (table[0], SuccessorMDP(*jax.tree.leaves(table[1]), horizon=30))
    actions = np.random.default_rng(0).integers(3, size=2000)
    for expected, found in zip(rewards_and_ends(*plain, actions), rewards_and_ends(*table, actions), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.sum(rewards_and_ends(*plain, actions)[1]) > 20


def test_the_horizon_is_the_environments_own_or_another():
    assert jrl.make("table/grid/empty-5")[1].horizon == 100
    assert jrl.make("table/grid/empty-5", horizon=7)[1].horizon == 7
    assert jrl.make("table/tabular/frozen-lake", horizon=9)[1].horizon == 9
    assert jrl.make("table/tabular/lock", length=3)[1].num_states == 7


def test_observations_are_numbers_or_one_hot():
    env, mdp = jrl.make("table/grid/empty-5")
    assert env.observation_space(mdp).shape == (33,)
    raw, mdp = jrl.make("table/grid/empty-5", observation="raw")
    assert int(raw.reset(jax.random.key(0), mdp)[0]) == 0
    assert raw.observation_space(mdp).n == 33


def test_what_is_refused():
    with pytest.raises(ConfigError, match="must be discrete"):
        jrl.make("table/Pendulum-v1")
    with pytest.raises(ConfigError, match="depends on chance"):
        jrl.make("table/CartPole-v1")
