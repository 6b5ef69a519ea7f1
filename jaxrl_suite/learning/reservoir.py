"""A memory of a whole stream in bounded space: every item ever seen is in it with the same chance.

Reservoir sampling, algorithm R (Vitter 1985, doi 10.1145/3147.3165): the n-th item, counted from 0, takes place n
while there is one, and later a place drawn from 0 to n, if there is that. Here many items come at once.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.learning.replay import grown, written


class Reservoir(NamedTuple):
    """buffer: the items, sampled as those of `replay.memory_of`, which made it. seen: int32, items of the stream."""

    buffer: Any
    seen: jax.Array


def empty_reservoir(buffer: Any) -> Reservoir:
    """A reservoir in the space of an empty memory."""
    return Reservoir(buffer, jnp.zeros((), jnp.int32))


def add_to_reservoir(key: jax.Array, reservoir: Reservoir, items: Any, is_new: jax.Array) -> Reservoir:
    """The reservoir after those of items [...] that `is_new`, bool [...], have come, in order."""
    size = jax.tree.leaves(reservoir.buffer.experience)[0].shape[1]
    is_new, shape = is_new.reshape(-1), is_new.shape
    number = reservoir.seen + jnp.cumsum(is_new) - 1
    drawn = jax.random.randint(key, number.shape, 0, jnp.maximum(number, 0) + 1)
    place = jnp.where(is_new, jnp.where(number < size, number, drawn), size)
    place = _last_of_each(place, size).reshape(shape)
    seen = reservoir.seen + jnp.sum(is_new)
    return Reservoir(grown(written(reservoir.buffer, items, place), seen), seen)


def _last_of_each(place: jax.Array, nowhere: int) -> jax.Array:
    """int32 [M] without repetition: where several are for one place the last has it, as if they had come in turn."""
    order = jnp.argsort(place, stable=True)
    ordered = place[order]
    is_last = jnp.append(ordered[1:] != ordered[:-1], True)
    return jnp.zeros_like(place).at[order].set(jnp.where(is_last, ordered, nowhere), unique_indices=True)
