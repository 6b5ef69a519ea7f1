"""Shuffled minibatches of a rollout."""

from typing import Any

import jax
import jax.numpy as jnp


def sample_minibatches(key: jax.Array, num_minibatches: int, memory: Any, batch: Any) -> tuple[Any, Any]:
    """All samples of `batch` ([T, N] leading axes) in random order, as [K, T*N/K] leading axes.

    One uniformly random permutation a call. `memory` is that of networks without one: it is returned as it is.
    """
    steps, envs = jax.tree.leaves(batch)[0].shape[:2]
    order = _permutation(key, steps * envs)

    def shuffled(leaf: jax.Array) -> jax.Array:
        flat = leaf.reshape(steps * envs, *leaf.shape[2:])
        return flat[order].reshape(num_minibatches, -1, *leaf.shape[2:])

    return memory, jax.tree.map(shuffled, batch)


def sequence_minibatches(key: jax.Array, num_minibatches: int, memory: Any, batch: Any) -> tuple[Any, Any]:
    """Whole sequences of `batch` in random order: [K, T, N/K] leading axes, with the memory before each, [K, N/K]."""
    envs = jax.tree.leaves(batch)[0].shape[1]
    order = _permutation(key, envs).reshape(num_minibatches, envs // num_minibatches)

    def shuffled(leaf: jax.Array) -> jax.Array:
        # Time stays in order; a new leading axis of minibatches is cut out of the axis of environments.
        return jnp.moveaxis(leaf[:, order], 1, 0)

    return jax.tree.map(lambda leaf: leaf[order], memory), jax.tree.map(shuffled, batch)


def _permutation(key: jax.Array, count: int) -> jax.Array:
    """Like `jax.random.permutation`, with one sort of 32-bit numbers whatever the count; equal ones are rare."""
    return jnp.argsort(jax.random.bits(key, (count,)), stable=False)
