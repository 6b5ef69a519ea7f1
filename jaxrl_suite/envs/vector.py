"""Many copies of one environment, stepped together, with automatic resets and episode statistics.

A reset is needed only where an episode ends, but a compiled program cannot skip it for some copies. The usual answer
resets every copy at every step, inside the rollout's loop. Here the fresh starts of a whole rollout are drawn before
the loop as one batched call (`draw`), and the loop only selects: the same distribution, exactly one reset's worth of
work a step and copy, but none of its overhead in the loop. A pool of fewer starts a step than copies (`reset_pool`)
saves work where a reset is costly; copies that end in the same step then take the pool's starts in turn.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite import shards
from jaxrl_suite.agent import Environment
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.selection import select


@struct.dataclass
class VectorState:
    """State of N copies. env: the environment's own state, [N, ...]; running return and length of each episode, [N]."""

    env: Any
    episode_return: jax.Array
    episode_length: jax.Array


class StepInputs(NamedTuple):
    """Everything random that a step of N copies needs. With a leading time axis: of a whole rollout.

    key: [N] keys. start_observation, start_state: [P, ...] fresh starts.
    """

    key: jax.Array
    start_observation: Any
    start_state: Any


class VectorStep(NamedTuple):
    """What one step of N copies produced; every array has the leading axis [N].

    observation: what the agent sees next (a new episode's first observation where one ended).
    final_observation: the observation the step itself produced, before any reset.
    episode_return, episode_length: of the episode up to and with this step; complete where it ended.
    """

    observation: Any
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    final_observation: Any
    episode_return: jax.Array
    episode_length: jax.Array

    @property
    def done(self) -> jax.Array:
        """bool [N]: the episode ended, by termination or by truncation."""
        return self.terminated | self.truncated


class VectorEnv:
    """`num_envs` copies of `env`.

    Args:
        env: any `Environment`.
        num_envs: number of copies N.
        reset_pool: number P of fresh starts drawn a step; 0 means one a copy.

    Raises:
        ConfigError: if `reset_pool` is negative or above `num_envs`.
    """

    def __init__(self, env: Environment, num_envs: int, reset_pool: int = 0):
        if not 0 <= reset_pool <= num_envs:
            raise ConfigError(f"reset_pool = {reset_pool}: must be between 0 (one a copy) and num_envs = {num_envs}")
        self.env, self.num_envs = env, num_envs
        self.pool_size = reset_pool or num_envs

    def reset(self, key: jax.Array, params: Any) -> tuple[Any, VectorState]:
        """First observations [N, ...] and the state of all copies."""
        observation, env_state = jax.vmap(self.env.reset, (0, None))(jax.random.split(key, self.num_envs), params)
        zeros = jnp.zeros(self.num_envs)
        return observation, VectorState(env_state, zeros, zeros.astype(jnp.int32))

    def draw(self, key: jax.Array, params: Any, num_steps: int) -> StepInputs:
        """Keys and fresh starts for `num_steps` steps; every leaf has the leading axis [num_steps]."""
        key_step, key_reset = jax.random.split(key)
        reset_keys = jax.random.split(key_reset, (num_steps, self.pool_size))
        observation, env_state = jax.vmap(jax.vmap(self.env.reset, (0, None)), (0, None))(reset_keys, params)
        return StepInputs(jax.random.split(key_step, (num_steps, self.num_envs)), observation, env_state)

    def step(self, state: VectorState, action: Any, params: Any, inputs: StepInputs) -> tuple[VectorState, VectorStep]:
        """Steps all copies once; those that ended start anew. `inputs` is one time slice of `draw`."""
        transition = jax.vmap(self.env.transition, (0, 0, 0, None))
        final, env_state, reward, terminated, truncated = transition(inputs.key, state.env, action, params)
        done = terminated | truncated
        starts = (inputs.start_observation, inputs.start_state)
        if self.pool_size < self.num_envs:
            turn = (jnp.cumsum(done) - 1) % self.pool_size
            starts = jax.tree.map(lambda leaf: leaf[turn], starts)
        observation, env_state = select(done, starts, (final, env_state))
        episode_return, episode_length = state.episode_return + reward, state.episode_length + 1
        out = VectorStep(observation, reward, terminated, truncated, final, episode_return, episode_length)
        carried = VectorState(env_state, jnp.where(done, 0.0, episode_return), jnp.where(done, 0, episode_length))
        return carried, out

    def observe(self, state: VectorState, observation: Any) -> Any:
        """One unbatched observation of the environment as the learner would see it: here, as it is."""
        return observation


class Rollout(NamedTuple):
    """What was seen, done, and came of it; every array has the leading axes [T, N]."""

    observation: Any
    action: jax.Array
    steps: VectorStep


def play(
    vector: VectorEnv, params: Any, choose: Callable[[Any, Any], Any], carry: tuple[Any, Any], noise: Any, inputs: Any
) -> tuple[tuple[Any, Any], Rollout]:
    """A rollout of all copies by a policy without memory.

    Args:
        choose: (one time slice of `noise`, observations [N, ...]) -> actions [N].
        carry: the copies' state, and what they show; returned as they are afterwards.
        noise: what `choose` draws on, [T, ...]. inputs: from `draw`.
    """

    def act_and_step(carry: Any, inputs_t: Any) -> tuple[Any, Rollout]:
        env_state, observation = carry
        action = choose(inputs_t[0], observation)
        env_state, out = vector.step(env_state, action, params, inputs_t[1])
        return (env_state, out.observation), Rollout(observation, action, out)

    return jax.lax.scan(act_and_step, carry, (noise, inputs))


def episode_metrics(steps: VectorStep) -> dict[str, jax.Array]:
    """Mean return and length of the episodes that ended within `steps` (NaN where none), and how many did.

    Of all shards, where these are a part of them.
    """
    done = steps.done
    count = shards.total(jnp.sum(done))
    divisor = jnp.where(count > 0, count, jnp.nan)
    return {
        "episode/return": shards.total(jnp.sum(jnp.where(done, steps.episode_return, 0.0))) / divisor,
        "episode/length": shards.total(jnp.sum(jnp.where(done, steps.episode_length, 0))) / divisor,
        "episode/count": count,
    }
