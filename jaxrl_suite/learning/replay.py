"""Replay of single transitions: what is stored, the ring of memory that stores it, and how is learnt from it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flashbax
import jax
import jax.numpy as jnp
import optax

from jaxrl_suite.agent import Metrics
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.optimisation import gradient_step
from jaxrl_suite.learning.q_learning import value_of

MOST_ENV_STEPS = 2**31
"""Environment steps of a member are counted in 32 bits."""


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


def check_replay(config: Any) -> None:
    """Raises ConfigError unless its memory holds what comes at once and its steps can be counted."""
    name, steps = type(config).__name__, config.num_envs * config.train_frequency
    if config.buffer_size < max(config.batch_size, steps):
        raise ConfigError(
            f"{name}.buffer_size = {config.buffer_size}: must hold batch_size = {config.batch_size} transitions "
            f"and an update's num_envs * train_frequency = {steps}"
        )
    if config.total_updates * steps >= MOST_ENV_STEPS:
        raise ConfigError(
            f"{name}.total_updates = {config.total_updates}: with {steps} environment steps an update, "
            f"must stay below {MOST_ENV_STEPS // steps}"
        )
    if hasattr(getattr(config, "module", None), "initial_memory"):
        raise ConfigError(f"{name}.module: must have no memory; single transitions are replayed, not sequences")


def replay_of(config: Any) -> Any:
    """The last `buffer_size` transitions, minibatches of `batch_size` of them."""
    return memory_of(config.buffer_size, config.batch_size)


def memory_of(size: int, batch_size: int) -> Any:
    """flashbax's memory of the last `size` items, minibatches of `batch_size` of them."""
    # Its `add` writes in place and its `sample` gathers; drawing the indices with fewer random numbers was no faster.
    return flashbax.make_item_buffer(size, batch_size, batch_size, add_sequences=True, add_batches=True)


def empty_replay(replay: Any, experience: Any) -> Any:
    """Memory without an item, for such as `experience` [T, N], arrays or shapes of arrays."""
    item = jax.tree.map(lambda x: jnp.zeros(x.shape[2:], x.dtype), experience)
    # Zeroed: flashbax leaves new memory as it found it, NaN and all.
    return jax.tree.map(jnp.zeros_like, replay.init(item))


def add_where(buffer: Any, items: Any, keep: jax.Array) -> Any:
    """A memory of `memory_of`, or of a reservoir, with those of items [...] that `keep`, bool [...], in order.

    At most as many may be kept at once as it holds.
    """
    size = jax.tree.leaves(buffer.experience)[0].shape[1]
    number = buffer.current_index + jnp.cumsum(keep).reshape(keep.shape)
    return grown(written(buffer, items, jnp.where(keep, (number - 1) % size, size)), number[(-1,) * keep.ndim])


def written(buffer: Any, items: Any, place: jax.Array) -> Any:
    """The memory with items [...] at their places, int32 [...], nowhere if beyond its end; no place comes twice."""

    def write(kept: jax.Array, new: jax.Array) -> jax.Array:
        return kept.at[0, place.reshape(-1)].set(new.reshape(-1, *kept.shape[2:]), mode="drop")

    return buffer.replace(experience=jax.tree.map(write, buffer.experience, items))


def grown(buffer: Any, number: jax.Array) -> Any:
    """The memory once it has come to `number` items, counted from its start or from any time when it was full."""
    size = jax.tree.leaves(buffer.experience)[0].shape[1]
    return buffer.replace(current_index=number % size, is_full=buffer.is_full | (number >= size))


def td_target(batch: Experience, choosing: jax.Array, judging: jax.Array, discount: Any) -> jax.Array:
    """y = r + gamma Q_judging(s', argmax_a Q_choosing(s', a)), or r after an end. Values are [B, A], y is [B].

    One network for both is Mnih et al. (2015), the online one choosing is van Hasselt et al. (2016), eq. 4.
    """
    next_value = value_of(judging, jnp.argmax(choosing, axis=-1))
    return batch.reward + discount * jnp.where(batch.terminated, 0.0, next_value)


def td_learner(
    q_values: Callable[[Any, Any], jax.Array], optimizer: Any, learning_rate: Any, config: Any
) -> Callable[[Any, Any, Any, Experience], tuple[Any, Any, Metrics]]:
    """learn(params, opt_state, target_params, batches [G, B]) -> (params, opt_state, diagnostics): G gradient steps.

    Args:
        q_values: (params, observations [B, ...]) -> [B, A]. optimizer: without a learning rate of its own.
        config: with discount, double, and error, which is huber or squared.
    """

    def loss(params: Any, batch: Experience, target: jax.Array) -> tuple[jax.Array, Metrics]:
        """Mean Huber loss (its corner at 1) of the minibatch's temporal differences, or their mean square."""
        value = value_of(q_values(params, batch.observation), batch.action)
        is_squared = config.error == "squared"
        error = jnp.mean((value - target) ** 2 if is_squared else optax.huber_loss(value, target))
        return error, {"loss/td": error, "value/mean": jnp.mean(value)}

    descend = gradient_step(loss, optimizer, learning_rate)

    def learn(params: Any, opt_state: Any, target_params: Any, batches: Experience) -> tuple[Any, Any, Metrics]:
        def one_batch(carry: tuple[Any, Any], batch: Experience) -> tuple[Any, Metrics]:
            judging = q_values(target_params, batch.next_observation)
            choosing = q_values(carry[0], batch.next_observation) if config.double else judging
            return descend(carry, (batch, td_target(batch, choosing, judging, config.discount)))

        (params, opt_state), diagnostics = jax.lax.scan(one_batch, (params, opt_state), batches)
        return params, opt_state, jax.tree.map(jnp.mean, diagnostics)

    return learn
