"""How a batch of members is executed inside an update."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

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
        # A custom batching rule must not close over batched values: they become arguments here.
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        outputs = _few_at_a_time(closed.jaxpr)(closed.consts, jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), outputs)

    return call


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
