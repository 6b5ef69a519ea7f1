"""Networks with and without memory behind one call."""

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from jaxrl_suite.selection import select


class Recurrent(Protocol):
    """What is asked of a network: `learning.networks.Network`'s, with its memory `()` where it has none."""

    def init(self, key: jax.Array, memory: Any, observation: Any) -> Any: ...

    def apply(self, params: Any, memory: Any, observation: Any) -> Any: ...

    def initial_memory(self, batch_shape: tuple[int, ...]) -> Any: ...


class PerPlayer:
    """A network with memory in self-play: each player has a memory of its own, [..., P, W], which only what that
    player sees moves. With one memory for all, players would know of each other what they must not."""

    def __init__(self, network: Recurrent, player: Callable[[Any], jax.Array], players: int):
        """Args: player: of an observation, whose it is, int32 [...]."""
        self.network, self.player, self.players = network, player, players

    def init(self, key: jax.Array, memory: Any, observation: Any) -> Any:
        return self.network.init(key, self._own(memory, self.player(observation)), observation)

    def apply(self, params: Any, memory: Any, observation: Any) -> Any:
        player = self.player(observation)
        own, outputs = self.network.apply(params, self._own(memory, player), observation)
        is_own = jnp.arange(self.players) == player[..., None]
        memory = jax.tree.map(lambda old, new: jnp.where(is_own[..., None], new[..., None, :], old), memory, own)
        return memory, outputs

    def initial_memory(self, batch_shape: tuple[int, ...]) -> Any:
        return self.network.initial_memory((*batch_shape, self.players))

    def _own(self, memory: Any, player: jax.Array) -> Any:
        index = player[..., None, None]
        return jax.tree.map(lambda x: jnp.take_along_axis(x, index, axis=-2)[..., 0, :], memory)


def has_memory(network: Recurrent) -> bool:
    return len(jax.tree.leaves(network.initial_memory((1,)))) > 0


def reset_memory(network: Recurrent, done: jax.Array, memory: Any) -> Any:
    """`memory` [B, ...] with its initial value wherever an episode ended, done: bool [B]."""
    return select(done, network.initial_memory(done.shape), memory)


def unroll(network: Recurrent, params: Any, memory: Any, observation: Any, done: jax.Array) -> tuple[Any, Any, Any]:
    """Applies a network along time, starting it anew after every step that ended an episode.

    Args:
        memory: the memory before the first step, [B, ...] or `()`.
        observation: [T, B, ...]; without memory any leading axes.
        done: bool [T, B], whether the step taken at t ended an episode. Unused without memory.

    Returns:
        outputs [T, B, ...]; the memory after each observation and before any reset, [T, B, ...]; and the memory to
        carry on with, [B, ...]. Without memory the last two are `()`.
    """
    if not has_memory(network):
        _, outputs = network.apply(params, (), observation)
        return outputs, (), ()

    def step(memory: Any, inputs: tuple[Any, jax.Array]) -> tuple[Any, Any]:
        observation_t, done_t = inputs
        memory, outputs = network.apply(params, memory, observation_t)
        return reset_memory(network, done_t, memory), (outputs, memory)

    last, (outputs, memories) = jax.lax.scan(step, memory, (observation, done))
    return outputs, memories, last
