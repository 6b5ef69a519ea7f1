"""The plain counterpart of `Program`, for agents whose `update` cannot be compiled (`info.host_stepped`)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.agent import AgentInfo
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.training.members import Members, member_agent, split_hyper
from jaxrl_suite.training.program import Carry, ChunkResult, advance, to_plain, to_typed


class HostProgram:
    """Steps members one after another, update by update, in Python. Same methods as `Program`, nothing to compile.

    Raises:
        ConfigError: if records of more than one update are asked for, which only compiled runs can sum up.
    """

    def __init__(self, info: AgentInfo, members: Members, every: int = 1):
        if every != 1:
            raise ConfigError(f"record_every = {every}: must be 1 for {info.name}, which is stepped on the host")
        self.members, self.every, self.capacity = members, every, 256
        swept, fixed = split_hyper(members)
        self._agents = [member_agent(info, members, [x[i] for x in swept], fixed) for i in range(members.count)]
        self._keys = members.keys()

    def compile(self) -> float:
        return 0.0

    def bytes_needed(self) -> int:
        return 0

    def init(self) -> Carry:
        first = [agent.init(jax.random.fold_in(key, 0)) for agent, key in zip(self._agents, self._keys, strict=True)]
        return Carry(_stack(first), np.zeros(self.members.count, bool))

    def run(self, carry: Carry, start: int, stop: int) -> ChunkResult:
        states, finished, rows = self._unstack(carry.state), np.array(carry.finished), []
        for step in range(start, stop):
            row = []
            index: Any = np.int32(step)
            for i, (agent, key) in enumerate(zip(self._agents, self._keys, strict=True)):
                state, metrics = agent.update(_fold_in(key, np.int32(step + 1)), states[i], index)
                arrays = {name: _as_array(value) for name, value in metrics.items()}
                (states[i], finished[i]), reported = advance(Carry(states[i], finished[i]), state, arrays)
                row.append(reported)
            rows.append(row)
        state = _stack(states)
        # Stacked in NumPy, once a chunk: a JAX operation for each number of each step would cost more than the updates.
        rows = jax.device_get(rows)
        metrics = {name: np.array([[member[name] for member in row] for row in rows]) for name in rows[0][0]}
        return ChunkResult(Carry(state, finished), metrics, self._has_nan(to_plain(state)), finished)

    def to_host(self, carry: Carry) -> Carry:
        return to_plain(carry)

    def to_save(self, carry: Carry) -> Carry:
        return to_plain(carry)

    def from_host(self, host: Carry) -> Carry:
        return self.typed(host)

    def typed(self, host: Carry) -> Carry:
        return to_typed(host, self.init())

    def template(self) -> Carry:
        return jax.tree.map(np.zeros_like, to_plain(self.init()))

    def _unstack(self, state: Any) -> list[Any]:
        return [jax.tree.map(lambda x, i=i: x[i], state) for i in range(self.members.count)]

    def _has_nan(self, state: Any) -> np.ndarray:
        floats = [x for x in jax.tree.leaves(state) if np.issubdtype(x.dtype, np.floating)]
        return np.array([any(np.isnan(x[i]).any() for x in floats) for i in range(self.members.count)])


_fold_in = jax.jit(jax.random.fold_in)


def _as_array(value: Any) -> jax.Array:
    return value if isinstance(value, jax.Array) else jnp.asarray(value)


def _stack(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves]), *trees)
