"""Features of linear MDPs: phi(s, a) of every state and action, without a table where they have structure.

d: how many features; S, A: states and actions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class LinearFeatures(NamedTuple):
    """size: d. of(state, action) -> phi, [..., d]. values(w [d]) -> phi' w of all states and actions, [S, A].
    squared_norms(M [d, d]) -> phi' M phi, [S, A]. weighted_sum(states, actions, weights) -> sum of weight * phi over
    samples of any shape, [d]."""

    size: int
    of: Callable[[jax.Array, jax.Array], jax.Array]
    values: Callable[[jax.Array], jax.Array]
    squared_norms: Callable[[jax.Array], jax.Array]
    weighted_sum: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def tabled_features(table: Any) -> LinearFeatures:
    """Features given as an array [S, A, d]."""
    table = jnp.asarray(table)

    def squared_norms(matrix: jax.Array) -> jax.Array:
        return jnp.sum((table @ matrix) * table, axis=-1)

    def weighted_sum(states: jax.Array, actions: jax.Array, weights: jax.Array) -> jax.Array:
        totals = jnp.zeros(table.shape[:2], weights.dtype).at[states, actions].add(weights)
        return jnp.einsum("sa,sad->d", totals, table)

    return LinearFeatures(table.shape[-1], lambda s, a: table[s, a], lambda w: table @ w, squared_norms, weighted_sum)


def one_hot_features(num_states: int, num_actions: int) -> LinearFeatures:
    """One feature a pair of a state and an action: what makes a linear learner a tabular one."""
    shape, size = (num_states, num_actions), num_states * num_actions

    def of(states: jax.Array, actions: jax.Array) -> jax.Array:
        return jax.nn.one_hot(states * num_actions + actions, size, dtype=float)

    def weighted_sum(states: jax.Array, actions: jax.Array, weights: jax.Array) -> jax.Array:
        return jnp.zeros(shape, weights.dtype).at[states, actions].add(weights).reshape(-1)

    return LinearFeatures(size, of, lambda w: w.reshape(shape), lambda m: jnp.diag(m).reshape(shape), weighted_sum)


def block_features(of_state: Any, block: Any, projection: Any) -> LinearFeatures:
    """Features that are a state's, put into the block of its action and projected.

    phi(s, a) = projection' (e_block(s, a) x of_state(s)), for B blocks of f numbers each.

    Args:
        of_state: [G, f], of groups of states that share it: state s is of group s // P, and member s % P.
        block: ints [P, A] in [0, B). projection: [B f, d].
    """
    of_state, block, projection = jnp.asarray(of_state), jnp.asarray(block), jnp.asarray(projection)
    members, width, size = block.shape[0], of_state.shape[-1], projection.shape[-1]
    blocks = projection.reshape(-1, width, size)

    def spread(by_block: jax.Array) -> jax.Array:
        """[G, B] -> [S, A]."""
        return by_block[:, block].reshape(-1, block.shape[-1])

    def of(states: jax.Array, actions: jax.Array) -> jax.Array:
        chosen = blocks[block[states % members, actions]]
        return jnp.einsum("...f,...fd->...d", of_state[states // members], chosen)

    def values(weights: jax.Array) -> jax.Array:
        return spread(of_state @ (blocks @ weights).T)

    def squared_norms(matrix: jax.Array) -> jax.Array:
        within = jnp.einsum("bfd,de,bge->fgb", blocks, matrix, blocks).reshape(width * width, -1)
        pairs = (of_state[:, :, None] * of_state[:, None, :]).reshape(-1, width * width)
        return spread(pairs @ within)

    def weighted_sum(states: jax.Array, actions: jax.Array, weights: jax.Array) -> jax.Array:
        rows = of_state[states // members] * weights[..., None]
        totals = jnp.zeros(blocks.shape[:2], weights.dtype).at[block[states % members, actions]].add(rows)
        return totals.reshape(-1) @ projection

    return LinearFeatures(size, of, values, squared_norms, weighted_sum)
