"""Marked functions give the same numbers batched, one by one and alone, and run a few at a time on a CPU."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.learning.batching import MOST, small_products


def product(x, w, scale):
    return {"y": jnp.tanh(x @ w) * scale}


def test_the_same_numbers_with_any_arguments_batched():
    key = jax.random.key(0)
    x, w = jax.random.normal(key, (5, 3, 4)), jax.random.normal(key, (4, 2))
    for axes in ((0, None, None), (0, None, 0)):
        scale = jnp.arange(5.0) if axes[2] == 0 else 2.0
        expected = jax.vmap(product, axes)(x, w, scale)["y"]
        np.testing.assert_allclose(jax.vmap(small_products(product), axes)(x, w, scale)["y"], expected, rtol=1e-6)
    np.testing.assert_allclose(small_products(product)(x[0], w, 2.0)["y"], product(x[0], w, 2.0)["y"])


def test_closing_over_batched_values_works():
    """A learner closes over its settings, which a sweep batches."""

    def one(rate, x):
        return small_products(lambda x: x @ x.T * rate)(x)

    rates, x = jnp.array([1.0, 2.0, 3.0]), jax.random.normal(jax.random.key(0), (3, 2, 2))
    expected = jnp.stack([r * y @ y.T for r, y in zip(rates, x, strict=True)])
    np.testing.assert_allclose(jax.vmap(one)(rates, x), expected, rtol=1e-5)


@pytest.mark.parametrize(("members", "together"), [(5, 5), (8, 8), (11, 1), (12, 6), (16, 8)])
def test_few_members_run_together_on_a_cpu(members, together):
    def sizes(function):
        arguments = (jnp.zeros((members, 3, 4)), jnp.zeros((members, 4, 2)))
        text = jax.jit(jax.vmap(lambda x, w: function(x, w, 1.0))).lower(*arguments).as_text()
        return {int(size) for size in re.findall(r"dot_general.*-> tensor<(?:(\d+)x)?3x2xf32>", text) if size} or {1}

    assert sizes(product) == {members}
    assert sizes(small_products(product)) == {together}
    assert together <= MOST
