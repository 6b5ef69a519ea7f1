"""How a batch of members is executed inside an update."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from jaxrl_suite import shards

MOST = 8
"""Members run together on a CPU: more share an operation's overhead, fewer stay in the cache."""


def small_products(function: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a function whose work is small matrix products: under `vmap` on a CPU few members run at a time.

    There the intermediate results of many members leave the cache. Members are taken `MOST` at a time, or the largest
    number below that divides them. On other backends, and for one member, nothing changes. The function may close over
    traced values, batched ones too; its arguments are pytrees of arrays.
    """

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        if shards.are_bound():
            # In a custom batching rule the shards' means would find no axis.
            return function(*arguments)
        closed, shapes = _opened(function, *arguments)
        outputs = _few_at_a_time(closed.jaxpr)(closed.consts, jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), outputs)

    return call


def where_any(condition: jax.Array, function: Callable[[], Any], otherwise: Any) -> Any:
    """`function()` where `condition`, else `otherwise`; under `vmap` computed only while any member needs it.

    A `lax.cond` becomes a select there, and all members pay in every step for what few do now and then.

    Args:
        condition: bool []. function: may close over traced values, batched ones too. otherwise: a pytree of arrays of
            the same shapes and dtypes as `function` returns.
    """
    closed, shapes = _opened(function)

    @jax.custom_batching.custom_vmap
    def run(condition: Any, consts: list[Any], kept: list[Any]) -> list[jax.Array]:
        return jax.lax.cond(condition, lambda: jaxpr_as_fun(ClosedJaxpr(closed.jaxpr, consts))(), lambda: kept)

    @run.def_vmap
    def batched(axis_size: int, in_batched: Any, *arguments: Any) -> tuple[list[jax.Array], list[bool]]:
        condition, consts, kept = arguments
        axes = [0 if is_batched else None for is_batched in in_batched[1]]
        kept = [
            x if is_batched else jnp.broadcast_to(x, (axis_size, *x.shape))
            for x, is_batched in zip(kept, in_batched[2], strict=True)
        ]

        def one(consts: list[Any]) -> list[jax.Array]:
            return jaxpr_as_fun(ClosedJaxpr(closed.jaxpr, consts))()

        def some() -> list[jax.Array]:
            found = jax.vmap(one, (axes,), axis_size=axis_size)(consts)
            return [jax.vmap(jnp.where)(wanted, new, old) for new, old in zip(found, kept, strict=True)]

        wanted = condition if in_batched[0] else jnp.broadcast_to(condition, axis_size)
        return jax.lax.cond(jnp.any(wanted), some, lambda: kept), [True] * len(kept)

    leaves = [jnp.asarray(x) for x in jax.tree.leaves(otherwise)]
    return jax.tree.unflatten(jax.tree.structure(shapes), run(jnp.asarray(condition), closed.consts, leaves))


def _opened(function: Callable[..., Any], *arguments: Any) -> tuple[Any, Any]:
    """(jaxpr with its constants, shapes of what it returns): a custom batching rule must not close over batched values,
    so they become arguments."""
    return jax.make_jaxpr(function, return_shape=True)(*arguments)


def _few_at_a_time(jaxpr: Any) -> Callable[..., list[jax.Array]]:
    def run(consts: list[Any], leaves: list[Any]) -> list[jax.Array]:
        return jaxpr_as_fun(ClosedJaxpr(jaxpr, consts))(*leaves)

    marked = jax.custom_batching.custom_vmap(run)

    @marked.def_vmap
    def batched(axis_size: int, in_batched: Any, *arguments: Any) -> tuple[list[jax.Array], list[bool]]:
        flat, structure = jax.tree.flatten(arguments)
        flags = jax.tree.leaves(in_batched)
        mapped = [x for x, is_batched in zip(flat, flags, strict=True) if is_batched]

        def one(slices: list[Any]) -> list[jax.Array]:
            rest = iter(slices)
            merged = [next(rest) if is_batched else x for x, is_batched in zip(flat, flags, strict=True)]
            return run(*jax.tree.unflatten(structure, merged))

        on_cpu = jax.default_backend() == "cpu"
        outputs = jax.lax.map(one, mapped, batch_size=_group(axis_size)) if on_cpu else jax.vmap(one)(mapped)
        return outputs, [True] * len(outputs)

    return marked


def _group(members: int) -> int:
    """The largest divisor of `members` up to `MOST`: a remainder would be compiled a second time."""
    return max(size for size in range(1, MOST + 1) if members % size == 0)
