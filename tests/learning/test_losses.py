"""Losses: the specs' known answers and their gradients at extremes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.learning.losses import clipped_surrogate, clipped_value_loss, explained_variance, value_loss
from tests.known_answers.ledger import known_answer


@known_answer("baselines/clip")
@pytest.mark.parametrize(("advantage", "objective"), [(2.0, 2.4), (-2.0, -3.0)])
def test_the_clipped_objective(advantage, objective):
    """rho = 1.5, eps = .2: A = 2 -> 2.4, A = -2 -> -3.0 (objectives; the loss has the other sign)."""
    loss = clipped_surrogate(jnp.log(jnp.array([1.5])), jnp.array([advantage]), 0.2)
    np.testing.assert_allclose(-loss, objective, rtol=1e-6)


def test_no_gradient_where_the_ratio_is_clipped():
    gradient = jax.grad(lambda x: clipped_surrogate(x, jnp.array([1.0, -1.0]), 0.2))
    np.testing.assert_allclose(gradient(jnp.log(jnp.array([1.5, 0.5]))), [0.0, 0.0])
    assert np.all(gradient(jnp.log(jnp.array([0.5, 1.5]))) != 0)


def test_gradients_are_finite_at_extreme_ratios():
    for log_ratio in (-1e4, -30.0, 30.0, 1e4):
        gradient = jax.grad(lambda x: clipped_surrogate(x, jnp.array([1.0]), 0.2))(jnp.array([log_ratio]))
        assert np.isfinite(gradient).all()


def test_clipped_value_loss_takes_the_larger_error():
    value, old, target = jnp.array([2.0]), jnp.array([0.0]), jnp.array([2.0])
    np.testing.assert_allclose(clipped_value_loss(value, old, target, 0.2), 0.5 * 1.8**2, rtol=1e-6)
    np.testing.assert_allclose(value_loss(value, target), 0.0)


def test_explained_variance():
    target = jnp.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(explained_variance(target, target), 1.0)
    np.testing.assert_allclose(explained_variance(jnp.zeros(3), target), 0.0, atol=1e-6)
    assert np.isnan(explained_variance(target, jnp.ones(3)))
