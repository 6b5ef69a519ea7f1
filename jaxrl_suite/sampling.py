"""Drawing from a finite distribution, and points of a box, for environments and learners alike."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp

WRITTEN_OUT = 16
"""Distributions over up to so many outcomes are drawn by operations written out: one small kernel, not several."""


def sample_index(probabilities: jax.Array, uniform: jax.Array) -> jax.Array:
    """int32 index drawn by inverting the cumulative distribution; never one of probability zero.

    It is the last possible outcome whose predecessors' probabilities together are at most `uniform`. Said like this,
    rounding of the sums can neither draw what is impossible nor leave nothing to draw.

    Args:
        probabilities: [..., N], need not sum to exactly one. uniform: [...] in [0, 1).
    """
    count = probabilities.shape[-1]
    if count > WRITTEN_OUT:
        sums = jnp.cumsum(probabilities, axis=-1)
        before = jnp.concatenate([jnp.zeros_like(sums[..., :1]), sums[..., :-1]], axis=-1)
        is_begun = (probabilities > 0) & (before <= (uniform * sums[..., -1])[..., None])
        return jnp.max(jnp.where(is_begun, jnp.arange(count, dtype=jnp.int32), 0), axis=-1)
    columns = [probabilities[..., i] for i in range(count)]
    *before, total = itertools.accumulate(columns, initial=jnp.zeros_like(columns[0]))
    index = jnp.zeros(columns[0].shape, jnp.int32)
    for i, (probability, sum_before) in enumerate(zip(columns, before, strict=True)):
        index = jnp.where((probability > 0) & (sum_before <= uniform * total), jnp.int32(i), index)
    return index


def between(low: Any, high: Any, share: Any) -> jax.Array:
    """The point of the box at `share` in [0, 1]^d of its sides: [..., d]. Never outside, and exact at both ends."""
    return jnp.clip((1.0 - share) * low + share * high, low, high)
