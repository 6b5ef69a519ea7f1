"""The compiled program of a run: init, and any number of updates of all members in one call.

The loop over updates is outside, the batch of members inside. The number of updates of a call is an argument, not part
of the program: chunks of any length, the last short one and a resume all run the same machine code.
"""

import collections
import functools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite import recording, shards
from jaxrl_suite.agent import AgentInfo
from jaxrl_suite.training import processes
from jaxrl_suite.training.compile_cache import keep_compiled
from jaxrl_suite.training.members import Members, member_agent, split_hyper
from jaxrl_suite.training.placement import Plan, over_members, pad, place, replicate, specs_of

CAPACITY = 256
"""Records that one call can return. Fixed, so that runs of any length share a program."""


LOT = 64
"""Updates whose keys are made together."""

OPTIMIZATION = "xla_backend_optimization_level"
"""Compiler option, 0 to 3: 1 is compiled in a third of the time of 3."""


class Carry(NamedTuple):
    """What goes from chunk to chunk: every member's state and whether it has finished (bool), leading axis [M]."""

    state: Any
    finished: Any


class ChunkResult(NamedTuple):
    """carry: after the chunk. metrics: [records, M, ...] arrays on the host. has_nan: bool [M], of the state.
    finished: bool [M], the carry's, on the host."""

    carry: Carry
    metrics: dict[str, np.ndarray]
    has_nan: np.ndarray
    finished: np.ndarray


class Program:
    """All members of an agent as one program, compiled on first use and kept for equal programs.

    Args:
        info: the agent; its factory is called inside with each member's numbers.
        members: who runs. plan: where. every: updates a record. capacity: the most records of one call.
    """

    def __init__(self, info: AgentInfo, members: Members, plan: Plan, every: int = 1, capacity: int = CAPACITY):
        self.members, self.plan, self.every, self.capacity = members, plan, every, capacity
        self._spec = _Specification(info, members, plan, every, capacity)
        swept, fixed = split_hyper(members)
        self._swept, self._fixed = place(pad(swept, plan), plan), replicate(fixed, plan)
        self._keys = place(pad(members.keys(), plan), plan)
        self._functions: Any = None

    def compile(self) -> float:
        """Compiles, unless an equal program was before; returns the seconds it took."""
        keep_compiled()
        started = time.perf_counter()
        self._functions = _compiled(self._spec, self._arguments())
        return time.perf_counter() - started

    def bytes_needed(self) -> int:
        """The compiler's estimate of a chunk's memory on one device in bytes, arguments included."""
        analysis = self._compiled()[1].memory_analysis()
        sizes = analysis.temp_size_in_bytes + analysis.argument_size_in_bytes + analysis.output_size_in_bytes
        return int(sizes - analysis.alias_size_in_bytes)

    def operations(self) -> int:
        """Operations of a chunk as the compiler gets it: what its time grows with, the same on every machine."""
        init, chunk = _functions(self._spec)
        carry, index = jax.eval_shape(init, *self._arguments())[0], jax.ShapeDtypeStruct((), np.int32)
        text = jax.jit(chunk).lower(*self._arguments(), carry, index, index).as_text()
        return sum(" = " in line for line in text.splitlines())

    def init(self) -> Carry:
        """Every member's first state."""
        (carry,) = self._compiled()[0](*self._arguments())
        return carry

    def run(self, carry: Carry, start: int, stop: int) -> ChunkResult:
        """Updates `start` (a multiple of `every`) to `stop` of all members. `carry` is consumed."""
        carry, metrics, has_nan = self._compiled()[1](*self._arguments(), carry, np.int32(start), np.int32(stop))
        records, count = -(-(stop - start) // self.every), self.members.count
        metrics, has_nan, finished = processes.gathered((metrics, has_nan, carry.finished))
        metrics = {name: value[:records, :count] for name, value in metrics.items()}
        return ChunkResult(carry, metrics, has_nan[:count], finished[:count])

    def to_host(self, carry: Carry) -> Carry:
        """NumPy copies of the members without padding; typed keys become their data."""
        return jax.tree.map(lambda x: x[: self.members.count], processes.gathered(to_data(carry)))

    def to_save(self, carry: Carry) -> Carry:
        """As `to_host`; with several processes arrays that stay where they are, padding included."""
        return self.to_host(carry) if processes.count() == 1 else to_data(carry)

    def from_host(self, host: Carry) -> Carry:
        """The inverse of `to_host`."""
        return place(pad(self.typed(host), self.plan), self.plan, self._spec.carry_specs())

    def typed(self, host: Carry) -> Carry:
        """`to_host`'s result with typed keys again, not yet padded or placed."""
        return to_typed(host, self._abstract())

    def template(self) -> Carry:
        """NumPy zeros with the structure, shapes and dtypes of `to_host`. Compiles nothing."""

        def zeros(x: jax.ShapeDtypeStruct) -> np.ndarray:
            plain = jax.eval_shape(jax.random.key_data, x) if _is_key(x) else x
            return np.zeros((self.members.count, *plain.shape[1:]), plain.dtype)

        return jax.tree.map(zeros, self._abstract())

    def _abstract(self) -> Carry:
        return jax.eval_shape(_functions(self._spec)[0], *self._arguments())[0]

    def _arguments(self) -> tuple[Any, Any, Any]:
        return self._swept, self._fixed, self._keys

    def _compiled(self) -> Any:
        if self._functions is None:
            self.compile()
        return self._functions


class _Specification(NamedTuple):
    info: AgentInfo
    members: Members
    plan: Plan
    every: int
    capacity: int

    def carry_specs(self) -> Carry:
        """How the carry is split over devices."""
        return Carry(specs_of(self.info.split), specs_of(None))

    def signature(self) -> Any:
        """What decides the machine code: equal signatures are the same program."""
        leaves, structure = jax.tree.flatten(self.members.hyper)
        shapes = tuple((leaf.shape, leaf.dtype.str) for leaf in map(np.asarray, leaves))
        members = (structure, shapes, self.members.swept, self.members.count)
        return self.info.factory, self.info.env, members, self.plan, self.every, self.capacity


_cache: collections.OrderedDict[Any, Any] = collections.OrderedDict()
_CACHED_PROGRAMS = 16


def _compiled(spec: _Specification, arguments: Any) -> Any:
    """(init, chunk) of the specification, compiled at most once while it stays among the last used."""
    key = spec.signature()
    if key not in _cache:
        _cache[key] = _compile(spec, arguments)
        if len(_cache) > _CACHED_PROGRAMS:
            _cache.popitem(last=False)
    _cache.move_to_end(key)
    return _cache[key]


def _compile(spec: _Specification, arguments: Any) -> Any:
    init, chunk = _functions(spec)
    # It runs once: optimising it would cost ten seconds to save milliseconds.
    compiled_init = jax.jit(init).lower(*arguments).compile(compiler_options={OPTIMIZATION: 0})
    shapes, shardings = jax.eval_shape(init, *arguments)[0], compiled_init.output_shardings[0]
    carry = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, shardings)
    index = jax.ShapeDtypeStruct((), np.int32)
    lowered = jax.jit(chunk, donate_argnums=3).lower(*arguments, carry, index, index)
    compiled_chunk = lowered.compile(compiler_options={OPTIMIZATION: 1} if spec.plan.quick_compile else None)
    return compiled_init, compiled_chunk


def _is_key(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def to_plain(tree: Any) -> Any:
    """NumPy copies of all leaves; typed keys become their data."""
    return jax.tree.map(np.asarray, to_data(tree))


def to_data(tree: Any) -> Any:
    """Typed keys become their data."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if _is_key(x) else x, tree)


def to_typed(plain: Any, like: Any) -> Any:
    """`plain` with typed keys where `like` has them."""
    return jax.tree.map(lambda x, y: jax.random.wrap_key_data(x) if _is_key(y) else x, plain, like)


def _strong(tree: Any) -> Any:
    """Without weak types, which would make the loop's carry change its type."""
    return jax.tree.map(lambda x: x if _is_key(x) else jax.lax.convert_element_type(x, x.dtype), tree)


def _functions(spec: _Specification) -> tuple[Any, Any]:
    info, members, plan, every, capacity = spec
    agent_of = functools.partial(member_agent, info, members)
    fold_keys = jax.vmap(jax.random.fold_in, (0, None))

    def init(swept: Any, fixed: Any, keys: jax.Array) -> tuple[Carry]:
        def one(swept: Any, key: jax.Array) -> Carry:
            state = agent_of(swept, fixed).init(jax.random.fold_in(key, 0))
            return Carry(_strong(jax.tree.map(jnp.asarray, state)), jnp.zeros((), bool))

        return (jax.vmap(one)(swept, keys),)

    def chunk(swept: Any, fixed: Any, keys: jax.Array, carry: Carry, start: jax.Array, stop: jax.Array) -> Any:
        def update(carry: Carry, update_keys: jax.Array, step: jax.Array) -> tuple[Carry, Any]:
            def one(swept: Any, key: jax.Array, member: Carry) -> tuple[Carry, Any]:
                agent = agent_of(swept, fixed)
                state, metrics = agent.update(key, member.state, step)
                metrics = {name: jnp.asarray(value) for name, value in metrics.items()}
                return advance(member, _strong(state), metrics, info.finish is not None)

            return jax.vmap(one)(swept, update_keys, carry)

        shapes = jax.eval_shape(update, carry, keys, start)[1]
        buffers = recording.empty(shapes, capacity, every)

        def lot(loop: Any) -> Any:
            first, carry, buffers = loop
            # Folded ahead: one by one, the keys would be a third of the time of a cheap update.
            ahead = jax.vmap(fold_keys, (None, 0))(keys, first + 1 + jnp.arange(LOT))

            def body(step: jax.Array, loop: Any) -> Any:
                carry, buffers = loop
                carry, metrics = update(carry, ahead[step - first], step)
                return carry, recording.write(buffers, (step - start) // every, metrics, every)

            last = jnp.minimum(first + LOT, stop)
            carry, buffers = jax.lax.fori_loop(first, last, body, (carry, buffers))
            return last, carry, buffers

        _, carry, buffers = jax.lax.while_loop(lambda loop: loop[0] < stop, lot, (start, carry, buffers))
        return carry, recording.finish(buffers), _has_nan(carry.state)

    carried = spec.carry_specs()
    spread_init = over_members(init, plan, (True, False, True), (carried,))
    spread_chunk = over_members(chunk, plan, (True, False, True, carried, False, False), (carried, 1, 0))
    return spread_init, spread_chunk


def advance(
    member: Carry, state: Any, metrics: dict[str, jax.Array], freezes_itself: bool = False
) -> tuple[Carry, dict[str, jax.Array]]:
    """The member's next carry and what it reports. A finished one stays as it is and reports NaN and zeros.

    Only agents that can finish, and leave it to the runner to freeze them, pay for the selection.
    """
    if "finished" not in metrics:
        return Carry(state, member.finished), metrics

    def report(value: jax.Array) -> jax.Array:
        is_float = jnp.issubdtype(value.dtype, jnp.floating)
        return jnp.where(member.finished, jnp.asarray(jnp.nan if is_float else 0, value.dtype), value)

    if not freezes_itself:
        state = jax.tree.map(lambda old, new: jnp.where(member.finished, old, new), member.state, state)
    finished = member.finished | metrics["finished"]
    reported = {name: report(value) for name, value in metrics.items()} | {"finished": finished}
    return Carry(state, finished), reported


def _has_nan(state: Any) -> jax.Array:
    """bool [M]: whether any floating leaf of the member holds NaN."""
    floats = [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating)]
    count = jax.tree.leaves(state)[0].shape[0]
    flags = [jnp.any(jnp.isnan(x).reshape(count, -1), axis=1) for x in floats]
    return shards.any_true(functools.reduce(jnp.logical_or, flags, jnp.zeros(count, bool)))
