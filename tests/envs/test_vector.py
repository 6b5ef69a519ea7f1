"""Vectorised stepping, pooled resets, episode statistics, and running normalisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.envs import VectorEnv
from jaxrl_suite.envs.normalize import NormalizeObservations, RunningMoments, ScaleRewards
from jaxrl_suite.envs.vector import episode_metrics
from jaxrl_suite.errors import ConfigError
from tests.known_answers.ledger import known_answer


def rollout(vector, params, steps=60, action=1):
    key_reset, key_draw = jax.random.split(jax.random.key(0))
    observation, state = vector.reset(key_reset, params)
    inputs = vector.draw(key_draw, params, steps)

    def step(carry, inputs_t):
        return vector.step(carry, jnp.full(vector.num_envs, action), params, inputs_t)

    state, out = jax.jit(lambda s, i: jax.lax.scan(step, s, i))(state, inputs)
    return observation, state, inputs, out


@pytest.fixture(scope="module")
def cartpole():
    env, params = jrl.make("CartPole-v1")
    return (env, params, *rollout(VectorEnv(env, 3), params))


def test_every_copy_is_the_environment_stepped_by_hand(cartpole):
    env, params, observation, _, inputs, out = cartpole
    transition = jax.jit(env.transition)
    seen, state = jax.vmap(env.reset, (0, None))(jax.random.split(jax.random.split(jax.random.key(0))[0], 3), params)
    np.testing.assert_allclose(seen, observation)
    copy = jax.tree.map(lambda x: x[1], state)
    for t in range(60):
        final, copy, reward, terminated, truncated = transition(inputs.key[t, 1], copy, jnp.int32(1), params)
        np.testing.assert_allclose(out.final_observation[t, 1], final, rtol=1e-5)
        assert bool(out.terminated[t, 1]) == bool(terminated)
        assert bool(out.truncated[t, 1]) == bool(truncated)
        assert out.reward[t, 1] == reward
        if terminated | truncated:
            copy = jax.tree.map(lambda x, t=t: x[t, 1], inputs.start_state)
            np.testing.assert_array_equal(out.observation[t, 1], inputs.start_observation[t, 1])


def test_episode_statistics(cartpole):
    *_, out = cartpole
    assert out.terminated.any()
    length, total = 0, 0.0
    lengths, returns = [], []
    for t in range(60):
        length, total = length + 1, total + float(out.reward[t, 0])
        assert out.episode_length[t, 0] == length
        np.testing.assert_allclose(out.episode_return[t, 0], total)
        if out.done[t, 0]:
            lengths.append(length)
            returns.append(total)
            length, total = 0, 0.0
    assert len(lengths) > 2
    first = episode_metrics(jax.tree.map(lambda x: x[:, :1], out))
    np.testing.assert_allclose(first["episode/return"], np.mean(returns))
    np.testing.assert_allclose(first["episode/length"], np.mean(lengths))
    assert first["episode/count"] == len(lengths)
    none = episode_metrics(jax.tree.map(lambda x: x[:2], out))
    assert none["episode/count"] == 0
    assert np.isnan(none["episode/return"])


def test_a_pool_gives_copies_that_end_together_its_starts_in_turn():
    env, params = jrl.make("probe/observation")
    _, _, inputs, out = rollout(VectorEnv(env, 4, reset_pool=2), params, steps=5, action=0)
    assert inputs.start_observation.shape[:2] == (5, 2)
    np.testing.assert_array_equal(out.observation[:, 0], inputs.start_observation[:, 0])
    np.testing.assert_array_equal(out.observation[:, 1], inputs.start_observation[:, 1])
    np.testing.assert_array_equal(out.observation[:, 2], inputs.start_observation[:, 0])
    with pytest.raises(ConfigError, match="reset_pool = 5: must be between 0"):
        VectorEnv(env, 4, reset_pool=5)


@known_answer("baselines/running-statistics")
def test_running_moments_are_those_of_all_data():
    """After k batches equal to NumPy's mean and variance of all data within 1e-3 relative (prior count 1e-4)."""
    data = np.random.default_rng(0).normal(5.0, 3.0, (20, 8, 4)).astype(np.float32)
    moments = RunningMoments.zeros((4,))
    for batch in data:
        moments = moments.merge(jnp.asarray(batch))
    np.testing.assert_allclose(moments.mean, data.reshape(-1, 4).mean(axis=0), rtol=1e-3)
    np.testing.assert_allclose(moments.variance, data.reshape(-1, 4).var(axis=0), rtol=1e-3)


def test_observations_are_normalised_and_clipped():
    env, params = jrl.make("CartPole-v1")
    vector = NormalizeObservations(VectorEnv(env, 8))
    _, state, _, out = rollout(vector, params, steps=200)
    assert np.abs(out.observation).max() <= 10.0
    late = np.asarray(out.observation[100:]).reshape(-1, 4)
    np.testing.assert_allclose(late.std(axis=0), 1.0, atol=0.25)
    raw = jnp.array([0.1, -0.2, 0.3, 0.4])
    expected = (raw - state.moments.mean) / np.sqrt(state.moments.variance + 1e-8)
    np.testing.assert_allclose(vector.observe(state, raw), expected, rtol=1e-5)


def test_rewards_are_scaled_by_the_discounted_return_and_statistics_are_not():
    env, params = jrl.make("CartPole-v1")
    plain = rollout(VectorEnv(env, 4), params, steps=100)[-1]
    vector = ScaleRewards(VectorEnv(env, 4), 0.9)
    _, state, _, scaled = rollout(vector, params, steps=100)
    np.testing.assert_allclose(scaled.episode_return, plain.episode_return)
    carried, seen = np.zeros(4), []
    for reward, done in zip(np.asarray(plain.reward), np.asarray(plain.done), strict=True):
        carried = carried * 0.9 + reward
        seen.append(carried.copy())
        carried[done] = 0.0
    np.testing.assert_allclose(state.moments.variance, np.var(seen), rtol=1e-3)
    np.testing.assert_allclose(scaled.reward[-1], plain.reward[-1] / np.std(seen), rtol=1e-3)
