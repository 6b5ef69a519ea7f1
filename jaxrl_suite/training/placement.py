"""Where members run. The one module that knows of devices.

Members are an axis: they are padded to a multiple of the devices, each device takes its share in groups, and no device
talks to another. A group is batched (`vmap`); groups of one device run one after another.
"""

import math
import os
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.training.empty_arrays import emptied, filled

MEMBER = PartitionSpec("member")
REPLICATED = PartitionSpec()


class Plan(NamedTuple):
    """How members are executed. devices: how many; group: members batched on one; padded: members run in all;
    quick_compile: as in `Options`."""

    devices: int
    group: int
    padded: int
    quick_compile: bool = False


def use_cores(count: int | None = None) -> None:
    """Makes JAX show `count` CPU cores as devices (default: all this process may use), and gives XLA as many threads.

    Call before JAX runs anything, with no more cores than members: a small network's operations take microseconds, and
    threads without a device of their own only pass them to and fro. Where single operations are large instead, set
    NPROC, from which XLA takes its number of threads; it is left alone if set.

    Raises:
        ConfigError: if `count` is below 1, or JAX's backend has started already.
    """
    count = cores() if count is None else count
    if count < 1:
        raise ConfigError(f"use_cores: count = {count}: must be >= 1")
    try:
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError:
        raise ConfigError("use_cores: must be called before JAX runs anything (at the top of the program)") from None
    os.environ.setdefault("NPROC", str(count))


def notice_idle_cores(members: int) -> None:
    """Tells a library user once what `use_cores` would gain. The command line calls it itself."""
    if jax.default_backend() != "cpu":
        return
    wanted, has = min(members, cores()), jax.local_device_count()
    if has == 1 < wanted:
        problem, count = f"JAX shows one of {cores()} CPU cores", "" if wanted == cores() else str(wanted)
    elif wanted == 1 < cores() and "NPROC" not in os.environ:
        problem, count = f"JAX spreads the operations of one member over {cores()} threads, which slows it down", "1"
    else:
        return
    warnings.warn(f"{problem}: call jaxrl_suite.use_cores({count}) first", stacklevel=4)


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_plan(members: int, devices: int | None = None, group: int | None = None) -> Plan:
    """A plan for `members` members; by default on every local device that gets one, in one group a device.

    Raises:
        ConfigError: if more devices are asked for than there are.
    """
    available = jax.local_device_count()
    if devices is not None and not 1 <= devices <= available:
        raise ConfigError(f"devices = {devices}: must be between 1 and {available}, the devices JAX shows")
    devices = min(devices or available, members)
    share = math.ceil(members / devices)
    if group is not None and group < 1:
        raise ConfigError(f"group = {group}: must be >= 1")
    group = min(group or share, share)
    return Plan(devices, group, devices * math.ceil(share / group) * group)


def mesh_of(plan: Plan) -> Mesh:
    return jax.make_mesh(
        (plan.devices,), ("member",), devices=jax.local_devices()[: plan.devices], axis_types=(AxisType.Auto,)
    )


def pad(tree: Any, plan: Plan) -> Any:
    """Repeats the last member up to `plan.padded` along the leading axis of every leaf, on the host or the device."""

    def widen(leaf: Any) -> Any:
        missing = plan.padded - leaf.shape[0]
        if not missing:
            return leaf
        index = np.minimum(np.arange(plan.padded), leaf.shape[0] - 1)
        return leaf[index]

    return jax.tree.map(widen, tree)


def place(tree: Any, plan: Plan) -> Any:
    """Puts arrays [padded, ...] on the plan's devices, split along the leading axis."""
    return jax.device_put(tree, NamedSharding(mesh_of(plan), MEMBER))


def replicate(tree: Any, plan: Plan) -> Any:
    """Puts arrays, whole, on each of the plan's devices."""
    return jax.device_put(tree, NamedSharding(mesh_of(plan), REPLICATED))


def over_members(
    function: Callable[..., Any], plan: Plan, in_members: tuple[bool, ...], out_axes: Any
) -> Callable[..., Any]:
    """`function` on batches of members, spread over the plan's devices and groups.

    Args:
        function: takes arguments whose leaves have a leading member axis where `in_members` says so.
        out_axes: for each output, the position of its member axis.
    """
    out_specs = tuple(PartitionSpec(*(None,) * axis, "member") for axis in out_axes)
    in_specs = tuple(MEMBER if flag else REPLICATED for flag in in_members)

    def on_devices(*arguments: Any) -> Any:
        shapes: list[Any] = []

        def on_device(*full: Any) -> Any:
            own = emptied(full, arguments)
            if plan.padded == plan.devices * plan.group:
                outputs = function(*own)
            else:
                outputs = _in_groups(function, plan.group, in_members, out_axes, own)
            shapes[:] = [jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), outputs)]
            return filled(outputs)

        mapped = jax.shard_map(on_device, mesh=mesh_of(plan), in_specs=in_specs, out_specs=out_specs, check_vma=False)
        outputs = mapped(*filled(arguments))
        return emptied(outputs, shapes[0])

    return on_devices


def _in_groups(function: Any, group: int, in_members: tuple[bool, ...], out_axes: Any, arguments: Any) -> Any:
    batched = tuple(
        jax.tree.map(lambda x: x.reshape(x.shape[0] // group, group, *x.shape[1:]), a)
        for a, flag in zip(arguments, in_members, strict=True)
        if flag
    )

    def one_group(slices: Any) -> Any:
        rest = iter(slices)
        return function(*(next(rest) if flag else a for a, flag in zip(arguments, in_members, strict=True)))

    outputs = jax.lax.map(one_group, batched)

    def merge(axis: int) -> Callable[[jax.Array], jax.Array]:
        def one(x: jax.Array) -> jax.Array:
            x = jax.numpy.moveaxis(x, 0, axis)
            return x.reshape(*x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2 :])

        return one

    return tuple(jax.tree.map(merge(axis), out) for axis, out in zip(out_axes, outputs, strict=True))


def free_bytes() -> int:
    """Memory that the devices in use have free, all together, in bytes."""
    stats = [d.memory_stats() for d in jax.local_devices()]
    if jax.default_backend() != "cpu" and all(stats):
        return sum(s["bytes_limit"] - s["bytes_in_use"] for s in stats if s)
    import psutil

    return int(psutil.virtual_memory().available)
