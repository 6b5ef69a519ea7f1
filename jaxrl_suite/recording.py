"""Metrics of a chunk of updates as fixed-size buffers, one record every `every` updates.

With `every` > 1 a record sums up its block of updates: counts (names ending in `/count`) are added, the least is kept
of names ending in `/min`, episode returns and lengths are averaged over the episodes that ended, other floats over the
updates where they are not NaN, and the remaining values (bools, whole numbers) are the block's last.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl_suite.agent import Metrics

PER_EPISODE = ("episode/return", "episode/length")


def _kind(name: str, dtype: Any) -> str:
    if name.endswith("/count"):
        return "sum"
    if name.endswith("/min") and jnp.issubdtype(dtype, jnp.floating):
        return "min"
    return "mean" if jnp.issubdtype(dtype, jnp.floating) else "last"


def empty(shapes: dict[str, jax.ShapeDtypeStruct], records: int, every: int) -> dict[str, Any]:
    """Buffers for `records` records of metrics of these shapes."""

    def buffer(name: str, shape: jax.ShapeDtypeStruct) -> Any:
        first = jnp.nan if _kind(name, shape.dtype) == "min" else 0
        values = jnp.full((records, *shape.shape), first, shape.dtype)
        needs_weight = every > 1 and _kind(name, shape.dtype) == "mean"
        return (values, jnp.zeros_like(values)) if needs_weight else values

    return {name: buffer(name, shape) for name, shape in shapes.items()}


def write(buffers: dict[str, Any], index: jax.Array, metrics: Metrics, every: int) -> dict[str, Any]:
    """Adds one update's metrics to record `index`."""
    return {name: _write(name, buffers[name], index, metrics, every) for name in metrics}


def _write(name: str, buffer: Any, index: jax.Array, metrics: Metrics, every: int) -> Any:
    value = metrics[name]
    kind = _kind(name, value.dtype)
    if every == 1 or kind == "last":
        return buffer.at[index].set(value)
    if kind == "sum":
        return buffer.at[index].add(value)
    if kind == "min":
        return buffer.at[index].set(jnp.fmin(buffer[index], value))
    total, weight = buffer
    ones = jnp.ones_like(value)
    counts = metrics["episode/count"].astype(value.dtype) if name in PER_EPISODE else ones
    counts = jnp.where(jnp.isnan(value), 0.0, counts)
    return total.at[index].add(jnp.where(counts > 0, value, 0.0) * counts), weight.at[index].add(counts)


def finish(buffers: dict[str, Any]) -> dict[str, jax.Array]:
    """The records: means divided out, NaN where nothing was averaged."""

    def mean(buffer: Any) -> jax.Array:
        if not isinstance(buffer, tuple):
            return buffer
        total, weight = buffer
        return jnp.where(weight > 0, total / jnp.where(weight > 0, weight, 1.0), jnp.nan)

    return {name: mean(buffer) for name, buffer in buffers.items()}
