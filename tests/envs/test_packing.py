"""What memories keep of observations loses nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.envs.packing import packing_of


def test_zeros_and_ones_are_kept_as_bits():
    env, params = jrl.make("board/dark_hex")
    packing, size = packing_of(env, params, numbers=True), env.observation_space(params).shape[0]
    observations = np.random.default_rng(0).integers(2, size=(3, 4, size)).astype(np.float32)
    kept = packing.pack(jnp.asarray(observations))
    assert kept.dtype == jnp.uint8
    assert kept.shape == (3, 4, -(-size // 8))
    shown = packing.unpack(kept)
    assert shown.dtype == jnp.float32
    np.testing.assert_array_equal(shown, observations)
    assert packing.view(observations) is observations

    def game(key):
        observation, state = env.reset(key, params)

        def move(carry, action):
            observation, state, *_ = env.step(key, carry[1], action, params)
            return (observation, state), carry[0]

        return jax.lax.scan(move, (observation, state), jnp.array([1, 1, 0, 2, 3, 7, 8]))[1]

    assert set(np.unique(jax.jit(game)(jax.random.key(1)))) == {0.0, 1.0}, "what the environment says of them holds"


@pytest.mark.parametrize("numbers", [False, True])
def test_one_hot_vectors_are_kept_as_numbers(numbers):
    """And shown as either; whose turn it is, and what is legal, is read from both."""
    env, params = jrl.make("game/leduc_poker")
    packing, infosets = packing_of(env, params, numbers), jnp.array([[3, 200], [935, 0]])
    observations = env.observation_of(infosets, params)
    kept = packing.pack(observations)
    np.testing.assert_array_equal(kept, infosets)
    expected = infosets if numbers else observations
    np.testing.assert_array_equal(packing.unpack(kept), expected)
    np.testing.assert_array_equal(packing.view(observations), expected)
    assert packing.space.shape == expected.shape[2:]
    shown = packing.unpack(kept)
    np.testing.assert_array_equal(env.turns.player(shown, params), params.player[infosets])
    np.testing.assert_array_equal(env.turns.legal(shown, params), params.legal[infosets])


@pytest.mark.parametrize("env_id", ["game/kuhn_poker", "board/dark_hex"])
def test_other_observations_are_kept_as_they_are(env_id):
    env, params = jrl.make(env_id, observation="raw")
    observation, _ = env.reset(jax.random.key(0), params)
    packing = packing_of(env, params, numbers=True)
    for function in (packing.pack, packing.unpack, packing.view):
        assert function(observation) is observation
