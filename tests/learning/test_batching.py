"""Marked functions give the same numbers batched, one by one and alone, and run a few at a time on a CPU."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.learning.batching import MOST, small_products, where_any


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


def costly(wanted, x, w, called=lambda: None):
    def function():
        jax.debug.callback(called)
        return {"y": x @ w}

    return where_any(wanted, function, {"y": jnp.zeros((3, 2))})["y"]


@pytest.mark.parametrize("axes", [(0, 0, None), (0, None, 0), (0, 0, 0), (None, 0, None), (0, None, None)])
def test_where_any_selects_for_each_member(axes):
    key = jax.random.key(0)
    wanted = jnp.array([True, False, False, True])
    x, w = jax.random.normal(key, (4, 3, 4)), jax.random.normal(key, (4, 4, 2))
    arguments = [y if axis == 0 else y[0] for y, axis in zip((wanted, x, w), axes, strict=True)]
    each = [[y[i] if axis == 0 else y for y, axis in zip(arguments, axes, strict=True)] for i in range(4)]
    expected = np.stack([costly(*one) for one in each])
    assert np.any(expected != 0)
    assert axes[0] is None or np.all(expected[1:3] == 0)
    np.testing.assert_allclose(jax.jit(jax.vmap(costly, axes))(*arguments), expected, rtol=1e-5, atol=1e-6)


def test_where_any_computes_nothing_while_no_member_needs_it():
    calls = []
    x, w = jnp.ones((4, 3, 4)), jnp.ones((4, 2))
    run = jax.jit(jax.vmap(lambda wanted, x: costly(wanted, x, w, lambda: calls.append(1))))
    jax.block_until_ready(run(jnp.zeros(4, bool), x))
    jax.effects_barrier()
    assert not calls
    jax.block_until_ready(run(jnp.array([False, False, True, False]), x))
    jax.effects_barrier()
    assert calls


def test_where_any_batched_twice():
    wanted, w = jnp.array([[True, False], [False, True], [False, False]]), jnp.ones((4, 2))
    x = jax.random.normal(jax.random.key(0), (2, 3, 4))
    found = jax.vmap(jax.vmap(costly, (0, 0, None)), (0, None, None))(wanted, x, w)
    np.testing.assert_allclose(found, jnp.where(wanted[..., None, None], (x @ w)[None], 0.0), rtol=1e-6)
