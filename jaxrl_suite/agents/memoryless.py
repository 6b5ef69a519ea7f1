"""Playing by a policy without memory: what `Agent` and `AgentInfo` ask for, from its probabilities alone."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Play(NamedTuple):
    """start, act: as in `Agent`. policy: as in `AgentInfo`."""

    start: Callable[..., Any]
    act: Callable[..., tuple[Any, Any]]
    policy: Callable[..., tuple[jax.Array, Any]]


def play_by(probabilities: Callable[[Any, Any], jax.Array]) -> Play:
    """Draws actions from `probabilities(state, observation)`, [A]; greedily the likeliest, the lowest among equals."""

    def start(key: jax.Array, state: Any) -> Any:
        return ()

    def policy(state: Any, memory: Any, observation: Any) -> tuple[jax.Array, Any]:
        return probabilities(state, observation), memory

    def act(key: jax.Array, state: Any, memory: Any, observation: Any, greedy: bool) -> tuple[Any, Any]:
        row = probabilities(state, observation)
        action = jnp.argmax(row) if greedy else jax.random.categorical(key, jnp.log(row))
        return action.astype(jnp.int32), memory

    return Play(start, act, policy)
