"""Networks with and without memory behind one call."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl_suite.learning.networks import Network


def has_memory(network: Network) -> bool:
    return len(jax.tree.leaves(network.initial_memory((1,)))) > 0


def reset_memory(network: Network, done: jax.Array, memory: Any) -> Any:
    """`memory` [B, ...] with its initial value wherever an episode ended, done: bool [B]."""
    initial = network.initial_memory(done.shape)
    return jax.tree.map(lambda new, old: jnp.where(done[..., None], new, old), initial, memory)


def unroll(network: Network, params: Any, memory: Any, observation: Any, done: jax.Array) -> tuple[Any, Any, Any]:
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
