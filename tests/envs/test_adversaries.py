"""Kernels that an adversary chooses for an episode, or moves at every step."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.adversaries import ChosenKernels, MovedKernels, kernel_at, scaled_kernel
from jaxrl_suite.envs.vector import VectorEnv
from tests.agents.off_policy_tools import SLOPE

FAMILY = SLOPE.default_params
LOW, HIGH = np.array([0.5, 1.0]), np.array([1.5, 5.0])
CHOSEN, MOVED = ChosenKernels(SLOPE), MovedKernels(SLOPE)


def started(count=2000, **settings):
    """(what is seen, psi [count, 2]) at so many starts."""
    params = CHOSEN.default_params.replace(**settings)
    observation, state = VectorEnv(CHOSEN, count).reset(jax.random.key(0), params)
    return observation, np.asarray(state.env.kernel)


def test_kernels_are_scaled_to_the_box():
    for u, psi in (([-1, -1], LOW), ([1, 1], HIGH), ([0, 0.5], [1.0, 4.0])):
        np.testing.assert_allclose(kernel_at(SLOPE, FAMILY, jnp.array(u, jnp.float32)), psi)
        np.testing.assert_allclose(scaled_kernel(SLOPE, FAMILY, jnp.array(psi, jnp.float32)), u, atol=1e-6)


def test_candidates_are_drawn_with_their_probabilities_and_seen():
    candidates = jnp.array([[-1.0, 0.5], [0.2, 0.0], [1.0, 1.0]])
    seen, psi = started(candidates=candidates, probabilities=jnp.array([0.25, 0.0, 0.75]))
    is_first = seen.kernel[:, 0] < 0
    np.testing.assert_allclose(is_first.mean(), 0.25, atol=0.03)
    np.testing.assert_allclose(seen.kernel, np.where(is_first[:, None], [-1.0, 0.5], [1.0, 1.0]), atol=1e-6)
    np.testing.assert_allclose(psi, np.where(is_first[:, None], [0.5, 4.0], [1.5, 5.0]), atol=1e-6)
    np.testing.assert_array_equal(seen.own, np.full((2000, 1), 0.25, np.float32))


def test_noise_on_a_candidate_is_clipped_to_the_box():
    settings = {"candidates": jnp.array([[0.9, 0.0]]), "probabilities": jnp.ones(1)}
    seen, psi = started(**settings, spread=jnp.array([0.4, 0.1]))
    assert seen.kernel.max() <= 1.0 + 1e-6
    assert np.mean(seen.kernel[:, 0] > 1.0 - 1e-6) > 0.3
    assert np.all((psi >= LOW) & (psi <= HIGH))
    np.testing.assert_allclose(seen.kernel[:, 1].std(), 0.1, atol=0.01)
    np.testing.assert_allclose(np.corrcoef(seen.kernel.T)[0, 1], 0.0, atol=0.1)


def test_randomness_takes_the_choice_away():
    _, psi = started(env=SLOPE.randomised(FAMILY))
    np.testing.assert_allclose(psi.mean(axis=0), 0.5 * (LOW + HIGH), atol=0.05)
    np.testing.assert_allclose(psi.std(axis=0), (HIGH - LOW) / np.sqrt(12), atol=0.05)


def test_a_chosen_kernel_stays_for_the_episode():
    params = CHOSEN.default_params.replace(candidates=jnp.array([[0.5, -0.5]]))
    _, state = CHOSEN.reset(jax.random.key(0), params)
    seen, state, reward, terminated, truncated = CHOSEN.transition(jax.random.key(1), state, jnp.ones(2), params)
    np.testing.assert_allclose(seen.kernel, [0.5, -0.5], atol=1e-6)
    np.testing.assert_allclose(reward, (2 - 1.25) - 1.0, atol=1e-6)
    assert not terminated
    assert not truncated


def test_a_kernel_is_moved_before_every_step():
    """And what is beyond the box is at its edge."""
    space = MOVED.action_space(FAMILY)
    np.testing.assert_array_equal(space.low, -np.ones(4))
    np.testing.assert_array_equal(space.high, np.ones(4))
    _, state = MOVED.reset(jax.random.key(0), FAMILY)
    np.testing.assert_allclose(state.kernel, [1.0, 2.0], err_msg="an episode starts under the nominal kernel")
    for u, psi in (([-1.0, 0.5], [0.5, 4.0]), ([0.6, 0.0], [1.3, 3.0]), ([7.0, -7.0], [1.5, 1.0])):
        action = jnp.array([0.8, 0.0, *u])
        _, state, reward, *_ = MOVED.transition(jax.random.key(1), state, action, FAMILY)
        np.testing.assert_allclose(state.kernel, psi, atol=1e-6)
        np.testing.assert_allclose(reward, (2 - psi[0]) * 0.8 - 0.64, atol=1e-6)
