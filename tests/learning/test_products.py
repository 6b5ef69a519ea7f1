"""Narrow products against the plain ones, forwards and in every derivative."""

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

from jaxrl_suite.learning.products import NARROW, narrow_dot_general

LAST = (((1,), (0,)), ((), ()))


def plain(inputs, kernel):
    return inputs @ kernel


def narrow(inputs, kernel):
    dimensions = (((inputs.ndim - 1,), (0,)), ((), ()))
    return narrow_dot_general(inputs, kernel, dimensions)


def operands(leading, fan_in, fan_out):
    keys = jax.random.split(jax.random.key(fan_in * 100 + fan_out))
    return jax.random.normal(keys[0], (*leading, fan_in)), jax.random.normal(keys[1], (fan_in, fan_out))


def close(first, second):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), first, second)


@pytest.mark.slow
@hypothesis.settings(max_examples=5, deadline=None)
@hypothesis.given(st.lists(st.integers(1, 3), max_size=2), st.integers(1, NARROW + 2), st.integers(1, NARROW + 2))
def test_values_and_first_derivatives_are_those_of_the_plain_product(leading, fan_in, fan_out):
    arguments = operands(tuple(leading), fan_in, fan_out)
    close(narrow(*arguments), plain(*arguments))
    for derivative in (jax.jacrev, jax.jacfwd):
        close(derivative(narrow, (0, 1))(*arguments), derivative(plain, (0, 1))(*arguments))


@pytest.mark.parametrize(("fan_in", "fan_out"), [(3, 20), (20, 2), (1, 1)])
def test_second_derivatives_and_batches(fan_in, fan_out):
    inputs, kernel = operands((5,), fan_in, fan_out)

    def loss(product):
        return lambda inputs, kernel: jnp.sum(jnp.tanh(product(inputs, kernel)) ** 2)

    close(jax.hessian(loss(narrow), 1)(inputs, kernel), jax.hessian(loss(plain), 1)(inputs, kernel))
    members = jax.vmap(jax.grad(loss(narrow), (0, 1)))(jnp.stack([inputs, 2 * inputs]), jnp.stack([kernel, -kernel]))
    close(jax.tree.map(lambda leaf: leaf[1], members), jax.grad(loss(plain), (0, 1))(2 * inputs, -kernel))


@pytest.mark.parametrize("case", ["wide", "precision", "dtypes"])
def test_all_other_products_are_left_alone(case):
    inputs, kernel = operands((4,), 20 if case == "wide" else 2, 20)
    kernel = kernel.astype(jnp.bfloat16) if case == "dtypes" else kernel
    precision = "highest" if case == "precision" else None
    used = jax.make_jaxpr(lambda a, b: narrow_dot_general(a, b, LAST, precision))(inputs, kernel)
    assert [equation.primitive.name for equation in used.eqns] == ["dot_general"]
    assert narrow_dot_general(inputs, kernel, LAST, precision).dtype == jnp.float32
