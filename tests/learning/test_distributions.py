"""Policies: densities against SciPy, the tanh traps, and sampling from noise drawn beforehand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.distributions import Categorical, Gaussian, TanhGaussian, policy_for
from tests.known_answers.ledger import known_answer


class Box:
    def __init__(self, low, high, shape):
        self.low, self.high, self.shape = low, high, shape


class Discrete:
    n, shape = 3, ()


def unit(kind, size=1):
    return kind((size,), jnp.full(size, -1.0), jnp.full(size, 1.0))


@known_answer("baselines/tanh-gaussian")
def test_density_of_a_squashed_action():
    """mu = 0, sigma = 1, u = .5 -> action .4621172, log pi = -0.8037095."""
    policy, raw = unit(TanhGaussian), jnp.array([0.5])
    np.testing.assert_allclose(policy.to_env(raw), [0.4621172], atol=1e-6)
    np.testing.assert_allclose(policy.log_prob((jnp.zeros(1), jnp.zeros(1)), raw), -0.8037095, atol=1e-5)


@pytest.mark.parametrize("raw", [-80.0, -20.0, 0.0, 20.0, 80.0])
def test_tanh_is_finite_at_the_bounds(raw):
    policy = unit(TanhGaussian)

    def log_prob(mean):
        return policy.log_prob((mean, jnp.zeros(1)), jnp.array([raw])).sum()

    assert np.isfinite(log_prob(jnp.zeros(1)))
    assert np.isfinite(jax.grad(log_prob)(jnp.zeros(1))).all()
    assert -1.0 <= policy.to_env(jnp.array([raw]))[0] <= 1.0


def test_tanh_density_integrates_to_one_between_its_bounds():
    policy = TanhGaussian((1,), jnp.array([-2.0]), jnp.array([3.0]))
    raw = jnp.linspace(-9, 9, 20001)[:, None]
    action = np.asarray(policy.to_env(raw))[:, 0]
    outputs = (jnp.full((20001, 1), 0.3), jnp.full((20001, 1), -0.2))
    density = np.exp(np.asarray(policy.log_prob(outputs, raw), np.float64))
    assert abs(np.trapezoid(density, action) - 1.0) < 1e-3
    assert action.min() >= -2.0
    assert action.max() <= 3.0


def test_tanh_entropy_is_minus_the_mean_log_density():
    policy, outputs = unit(TanhGaussian, 2), (jnp.array([0.3, -0.5]), jnp.array([-0.3, 0.1]))
    noise = policy.noise(jax.random.key(0), (200_000,))
    wide = jax.tree.map(lambda x: jnp.broadcast_to(x, noise.shape), outputs)
    estimate = -policy.log_prob(wide, policy.sample(wide, noise)).mean()
    np.testing.assert_allclose(policy.entropy(outputs), estimate, atol=0.01)


def test_gaussian_density_is_scipys():
    policy = unit(Gaussian, 2)
    mean, log_std, raw = jnp.array([0.1, -2.0]), jnp.array([0.5, -1.0]), jnp.array([1.0, -1.5])
    expected = scipy.stats.norm(mean, np.exp(log_std)).logpdf(raw).sum()
    np.testing.assert_allclose(policy.log_prob((mean, log_std), raw), expected, rtol=1e-5)
    np.testing.assert_allclose(policy.to_env(jnp.array([5.0, -5.0])), [1.0, -1.0])


def test_categorical_samples_its_distribution():
    policy, logits = Categorical(3), jnp.log(jnp.array([0.2, 0.3, 0.5]))
    noise = policy.noise(jax.random.key(1), (100_000,))
    share = np.bincount(np.asarray(policy.sample(logits, noise)), minlength=3) / 100_000
    np.testing.assert_allclose(share, [0.2, 0.3, 0.5], atol=0.006)
    np.testing.assert_allclose(policy.log_prob(logits, jnp.int32(2)), np.log(0.5), rtol=1e-5)
    np.testing.assert_allclose(policy.entropy(logits), scipy.stats.entropy([0.2, 0.3, 0.5]), rtol=1e-5)
    assert policy.mode(logits) == 2


def test_entropy_of_a_nearly_deterministic_policy_has_a_finite_gradient():
    gradient = jax.grad(lambda x: Categorical(2).entropy(x).sum())(jnp.array([0.0, 1e4]))
    assert np.isfinite(gradient).all()


def test_policy_for_spaces():
    assert policy_for(Discrete()).num_outputs == 3
    assert isinstance(policy_for(Box(-1.0, 1.0, (2,))), Gaussian)
    assert isinstance(policy_for(Box(-1.0, 1.0, (2,)), squash=True), TanhGaussian)
    with pytest.raises(ConfigError, match="finite bounds"):
        policy_for(Box(-np.inf, np.inf, (2,)), squash=True)
    with pytest.raises(ConfigError, match="Discrete or Box"):
        policy_for(object())
