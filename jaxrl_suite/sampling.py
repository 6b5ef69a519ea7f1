"""Drawing from a finite distribution, for environments and learners alike."""

import jax
import jax.numpy as jnp


def sample_index(probabilities: jax.Array, uniform: jax.Array) -> jax.Array:
    """int32 index drawn by inverting the cumulative distribution; never one of probability zero.

    Args:
        probabilities: [..., N], need not sum to exactly one. uniform: [...] in [0, 1).
    """
    cumulative = jnp.cumsum(probabilities, axis=-1)
    total = cumulative[..., -1:]
    # Sums may be off by rounding, and `uniform * total` may round to the total: neither may draw what cannot happen.
    is_possible = probabilities > 0
    is_reached = is_possible & (cumulative > uniform[..., None] * total)
    last = probabilities.shape[-1] - 1 - jnp.argmax(is_possible[..., ::-1], axis=-1)
    return jnp.where(jnp.any(is_reached, axis=-1), jnp.argmax(is_reached, axis=-1), last).astype(jnp.int32)
