"""Where members run. The one module that knows of devices.

Members are an axis: they are padded to a multiple of the devices, each device takes its share in groups, and no device
talks to another. A group is batched (`vmap`); groups of one device run one after another. An agent whose environments
come in shards (`AgentInfo.shards`) may have a row of devices for each member, along the mesh's second axis; only these
talk, as its update says. Devices are those of all processes that run together.
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
from jaxrl_suite.shards import DATA
from jaxrl_suite.training import processes
from jaxrl_suite.training.empty_arrays import emptied, filled

MEMBER = PartitionSpec("member")
REPLICATED = PartitionSpec()


class Plan(NamedTuple):
    """How members are executed. devices: how many; group: members batched on one; padded: members run in all;
    quick_compile: as in `Options`; data: devices that a member's shards are spread over."""

    devices: int
    group: int
    padded: int
    quick_compile: bool = False
    data: int = 1

    @property
    def rows(self) -> int:
        """Along which members are spread."""
        return self.devices // self.data


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
    # With NPROC, which `use_cores` sets, somebody has decided.
    if jax.default_backend() != "cpu" or processes.count() > 1 or "NPROC" in os.environ:
        return
    wanted, has = min(members, cores()), jax.local_device_count()
    if has == 1 < wanted:
        problem, count = f"JAX shows one of {cores()} CPU cores", "" if wanted == cores() else str(wanted)
    elif wanted == 1 < cores():
        problem, count = f"JAX spreads the operations of one member over {cores()} threads, which slows it down", "1"
    else:
        return
    warnings.warn(f"{problem}: call jaxrl_suite.use_cores({count}) first", stacklevel=4)


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_plan(
    members: int, devices: int | None = None, group: int | None = None, shards: int = 1, data: int | None = None
) -> Plan:
    """A plan for `members` members; by default on every device that gets one, in one group a device.

    Several processes use all their devices, as each must take part.

    Args:
        shards: what an agent's environments are cut into. data: devices a member; by default as many as divide the
            shards and would otherwise be idle.

    Raises:
        ConfigError: for devices, groups or shards that there cannot be.
    """
    available, local = jax.device_count(), jax.local_device_count()
    several = processes.count() > 1
    if devices is not None and (not 1 <= devices <= available or (several and devices != available)):
        allowed = f"{available}, all of {processes.count()} processes" if several else f"between 1 and {available}"
        raise ConfigError(f"devices = {devices}: must be {allowed}, the devices JAX shows")
    if group is not None and group < 1:
        raise ConfigError(f"group = {group}: must be >= 1")
    most = devices or available
    data = _most_shards(members, most, local, shards) if data is None else _checked_data(data, most, local, shards)
    rows = most // data if several else min(most // data, members)
    share = math.ceil(members / rows)
    group = min(group or share, share)
    return Plan(rows * data, group, rows * math.ceil(share / group) * group, data=data)


def _most_shards(members: int, devices: int, local: int, shards: int) -> int:
    idle = max(1, devices // members)
    return max(d for d in range(1, min(idle, shards) + 1) if shards % d == 0 and local % d == 0)


def _checked_data(data: int, devices: int, local: int, shards: int) -> int:
    if not 1 <= data <= devices or shards % data or local % data:
        raise ConfigError(
            f"data = {data}: must be between 1 and {devices}, the devices, and divide the agent's {shards} data_shards "
            f"and the {local} devices of a process"
        )
    return data


def mesh_of(plan: Plan) -> Mesh:
    """The plan's devices as rows of one member's each, a process' rows together."""
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))[: plan.devices]
    shape, names = (plan.rows, plan.data), (MEMBER[0], DATA)
    return jax.make_mesh(shape, names, devices=devices, axis_types=(AxisType.Auto, AxisType.Auto))


def pad(tree: Any, plan: Plan) -> Any:
    """Repeats the last member up to `plan.padded` along the leading axis of every leaf, on the host or the device."""

    def widen(leaf: Any) -> Any:
        missing = plan.padded - leaf.shape[0]
        if not missing:
            return leaf
        index = np.minimum(np.arange(plan.padded), leaf.shape[0] - 1)
        return leaf[index]

    return jax.tree.map(widen, tree)


def place(tree: Any, plan: Plan, specs: Any = MEMBER) -> Any:
    """Puts arrays [padded, ...] on the plan's devices, split as `specs`, a prefix of the tree, says."""
    mesh = mesh_of(plan)

    def put(spec: PartitionSpec, part: Any) -> Any:
        return jax.tree.map(lambda x: _put(x, NamedSharding(mesh, spec)), part)

    return jax.tree.map(put, specs, tree, is_leaf=lambda x: isinstance(x, PartitionSpec))


def specs_of(split: Any) -> Any:
    """How arrays [padded, ...] are split: members along rows, and where `split`, a prefix tree of bools, says so the
    axis of shards behind them along the devices of a row."""
    return jax.tree.map(lambda is_split: PartitionSpec(*MEMBER, DATA) if is_split else MEMBER, split) or MEMBER


def replicate(tree: Any, plan: Plan) -> Any:
    """Puts arrays, whole, on each of the plan's devices."""
    return place(tree, plan, REPLICATED)


def _put(x: Any, sharding: NamedSharding) -> Any:
    if processes.count() == 1:
        return jax.device_put(x, sharding)
    if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(_put(jax.random.key_data(x), sharding))
    # Every process has the whole on its host, and hands its devices what is theirs.
    whole = np.asarray(x)
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])


def over_members(
    function: Callable[..., Any], plan: Plan, in_members: tuple[Any, ...], out_axes: tuple[Any, ...]
) -> Callable[..., Any]:
    """`function` on batches of members, spread over the plan's devices and groups.

    Args:
        function: takes arguments whose leaves have a leading member axis where `in_members` says so: False for none,
            True for a split along it, or how exactly, a prefix tree of PartitionSpecs.
        out_axes: for each output, the position of its member axis, or a prefix tree of PartitionSpecs with it first.
    """
    in_specs = tuple({False: REPLICATED, True: MEMBER}[x] if isinstance(x, bool) else x for x in in_members)
    positions = tuple(x if isinstance(x, int) else 0 for x in out_axes)
    out_specs = tuple(PartitionSpec(*(None,) * x, *MEMBER) if isinstance(x, int) else x for x in out_axes)
    has_members = tuple(x is not False for x in in_members)

    def on_devices(*arguments: Any) -> Any:
        shapes: list[Any] = []

        def on_device(*full: Any) -> Any:
            own = emptied(full, arguments)
            if plan.padded == plan.rows * plan.group:
                outputs = function(*own)
            else:
                outputs = _in_groups(function, plan.group, has_members, positions, own)
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
