"""How a batch of members is executed inside an update."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun


def small_products(function: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a function whose work is small matrix products: under `vmap` on a CPU it runs member by member.

    XLA's CPU backend runs a batch of small products slower than the same products one by one, and the batch's
    intermediate results leave the cache. On other backends, and for one member, nothing changes. The function may
    close over traced values, batched ones too; its arguments are pytrees of arrays.
    """

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        # A custom batching rule must not close over batched values: they become arguments here.
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        outputs = _member_by_member(closed.jaxpr)(closed.consts, jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), outputs)

    return call


def _member_by_member(jaxpr: Any) -> Callable[..., list[jax.Array]]:
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

        outputs = jax.lax.map(one, mapped) if jax.default_backend() == "cpu" else jax.vmap(one)(mapped)
        return outputs, [True] * len(outputs)

    return marked
