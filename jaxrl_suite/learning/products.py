"""Matrix products with a narrow side, written as XLA's CPU backend runs them fastest.

A network on four numbers with two outputs has first and last layers that are mostly memory traffic. As a sum of
products the first fuses with the activation that follows; the last, one matrix-vector product an output, has a
gradient that is one too. Elsewhere than on a CPU, and for wider layers, this is the plain product.
"""

from typing import Any

import jax
import jax.numpy as jnp

NARROW = 4
"""Inputs or outputs up to which a layer is narrow: see `benchmarks/narrow_products.py`."""


def narrow_dot_general(
    inputs: jax.Array, kernel: jax.Array, dimension_numbers: Any, precision: Any = None, **options: Any
) -> jax.Array:
    """`lax.dot_general` for the products of `flax.linen.Dense`: inputs [..., I] and kernel [I, O] to [..., O]."""
    fan_in, fan_out = kernel.shape
    if jax.default_backend() == "cpu" and inputs.dtype == kernel.dtype and precision is None:
        if fan_in <= NARROW:
            return _few_inputs(inputs, kernel)
        if fan_out <= NARROW:
            return jnp.stack([inputs @ kernel[:, column] for column in range(fan_out)], axis=-1)
    return jax.lax.dot_general(inputs, kernel, dimension_numbers, precision=precision, **options)


@jax.custom_jvp
def _few_inputs(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    product = inputs[..., :1] * kernel[0]
    for row in range(1, kernel.shape[0]):
        product = product + inputs[..., row : row + 1] * kernel[row]
    return product


@_few_inputs.defjvp
def _few_inputs_jvp(primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]) -> Any:
    # Derivatives through plain products: the gradient of a kernel is one product over the batch, not a sum a row.
    (inputs, kernel), (inputs_dot, kernel_dot) = primals, tangents
    return _few_inputs(inputs, kernel), inputs_dot @ kernel + inputs @ kernel_dot
