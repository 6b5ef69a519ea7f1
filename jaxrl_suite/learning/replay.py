"""Replay of single transitions: what is stored, the ring of memory that stores it, and the target learnt from it."""

from typing import Any, NamedTuple

import flashbax
import jax
import jax.numpy as jnp

from jaxrl_suite.learning.q_learning import value_of


class Experience(NamedTuple):
    """Transitions as they are replayed: the environment's own observations, and whether to bootstrap no further.

    next_observation: what the step itself led to, before any reset.
    """

    observation: Any
    action: jax.Array
    reward: jax.Array
    terminated: jax.Array
    next_observation: Any


def experience_of(played: Any, truncation_is_termination: bool) -> Experience:
    """The Experience [T, N] of a rollout (see `envs.vector.play`)."""
    steps = played.steps
    is_end = steps.done if truncation_is_termination else steps.terminated
    return Experience(
        played.observation, played.action, steps.reward.astype(jnp.float32), is_end, steps.final_observation
    )


def replay_of(config: Any) -> Any:
    """The last `buffer_size` transitions, minibatches of `batch_size` of them."""
    # Its `add` writes in place and its `sample` gathers; drawing the indices with fewer random numbers was no faster.
    return flashbax.make_item_buffer(
        config.buffer_size, config.batch_size, config.batch_size, add_sequences=True, add_batches=True
    )


def empty_replay(replay: Any, experience: Experience) -> Any:
    """Memory without a transition, for such as `experience` [T, N], arrays or shapes of arrays."""
    item = jax.tree.map(lambda x: jnp.zeros(x.shape[2:], x.dtype), experience)
    # Zeroed: flashbax leaves new memory as it found it, NaN and all.
    return jax.tree.map(jnp.zeros_like, replay.init(item))


def td_target(batch: Experience, choosing: jax.Array, judging: jax.Array, discount: Any) -> jax.Array:
    """y = r + gamma Q_judging(s', argmax_a Q_choosing(s', a)), or r after an end. Values are [B, A], y is [B].

    One network for both is Mnih et al. (2015), the online one choosing is van Hasselt et al. (2016), eq. 4.
    """
    next_value = value_of(judging, jnp.argmax(choosing, axis=-1))
    return batch.reward + discount * jnp.where(batch.terminated, 0.0, next_value)
