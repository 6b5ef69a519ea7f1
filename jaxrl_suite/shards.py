"""One agent whose environments come in shards, each with random numbers of its own, so that devices can share them.

Shards are part of the agent, not of the machine: `over_shards` runs them as a batch on one device, and where the axis
`DATA` is bound (by `shard_map` or `pmap`) each device runs its part of them. Gradients and statistics are means over
all shards either way, so the number of devices changes no more than the order of additions. Outside of shards the
means here are those of the arrays as they are.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

DATA = "data"
"""Axis of the devices that share an agent."""

SLICE = "slice"
"""Axis of the shards on one device."""


def over_shards(function: Callable[..., Any], shards: int, in_axes: Any, out_axes: Any) -> Callable[..., Any]:
    """`function`, which sees one shard, for all shards on this device.

    Args:
        shards: how many in all, a multiple of the devices. in_axes, out_axes: as in `jax.vmap`; what is None there is
            the same for all shards, and an output that is not is an error when tracing.
    """
    if shards == 1:
        return function

    def on_device(*arguments: Any) -> Any:
        return jax.vmap(function, in_axes, out_axes, axis_size=shards // devices(), axis_name=SLICE)(*arguments)

    return on_device


def own_key(key: jax.Array) -> jax.Array:
    """A key of the shard's own; outside of shards the key as it is."""
    if not are_bound():
        return key
    index = jax.lax.axis_index(SLICE)
    if devices() > 1:
        index = index + jax.lax.axis_index(DATA) * jax.lax.axis_size(SLICE)
    return jax.random.fold_in(key, index)


def mean(tree: Any) -> Any:
    """The mean over shards of every array."""
    axes = _bound()
    return jax.lax.pmean(tree, axes) if axes else tree


def total(tree: Any) -> Any:
    """The sum over shards of every array."""
    axes = _bound()
    return jax.lax.psum(tree, axes) if axes else tree


def any_true(flag: jax.Array) -> jax.Array:
    """Whether it is true on any device, where these share a member; `flag` as it is elsewhere."""
    return jax.lax.pmax(flag, DATA) if devices() > 1 else flag


def mean_of(x: jax.Array) -> jax.Array:
    """The mean of all elements, over all shards."""
    return mean(jnp.mean(x))


def variance_of(x: jax.Array) -> jax.Array:
    """The variance of all elements, over all shards."""
    if not _bound():
        return jnp.var(x)
    return mean_of((x - mean_of(x)) ** 2)


def devices() -> int:
    """Of those that run this, how many share the agent."""
    return jax.lax.axis_size(DATA) if _is_bound(DATA) else 1


def are_bound() -> bool:
    """Whether this is the work of one shard among others."""
    return _is_bound(SLICE)


def _bound() -> tuple[str, ...]:
    if not are_bound():
        return ()
    return (DATA, SLICE) if devices() > 1 else (SLICE,)


def _is_bound(name: str) -> bool:
    try:
        jax.lax.axis_size(name)
    except NameError:
        return False
    return True
