"""Whole episodes from their start, many at once, for learners that replay a policy and then explore."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Episodes(NamedTuple):
    """m episodes of at most T steps; leading axes [T, m]. What follows an episode's end is not alive and pays nothing.

    observation, action: as in `Transition`. reward: float. done: bool, the step ended the episode or was the last of
    the T. next_observation: what the step led to. is_alive: bool, the step belongs to the episode.
    """

    observation: Any
    action: jax.Array
    reward: jax.Array
    done: jax.Array
    next_observation: Any
    is_alive: jax.Array


def play_episodes(
    key: jax.Array,
    env: Any,
    env_params: Any,
    choose: Callable[[jax.Array, Any, Any], jax.Array],
    noise: Any,
    episodes: int,
    horizon: int,
) -> Episodes:
    """Plays all episodes in lock-step.

    Args:
        choose: (t, observations [m, ...], noise of the step) -> actions [m]. t is one int32 for all episodes.
        noise: a pytree with leading axis [T]: what `choose` gets of it at each step.
        episodes: m. horizon: T; an episode that has not ended by itself is cut there, and that is its end.
    """
    # One split for all: on a CPU each is a program of its own to compile.
    keys = jax.random.split(key, (horizon + 1, episodes))
    observation, state = jax.vmap(env.reset, (0, None))(keys[0], env_params)
    step = jax.vmap(env.transition, (0, 0, 0, None))

    def play_step(carry: Any, inputs: Any) -> tuple[Any, Episodes]:
        state, observation, is_alive = carry
        t, keys_t, noise_t = inputs
        action = choose(t, observation, noise_t)
        following, state, reward, terminated, truncated = step(keys_t, state, action, env_params)
        done = terminated | truncated | (t == horizon - 1)
        out = Episodes(observation, action, jnp.where(is_alive, reward, 0.0), done, following, is_alive)
        return (state, following, is_alive & ~done), out

    carry = (state, observation, jnp.ones(episodes, bool))
    return jax.lax.scan(play_step, carry, (jnp.arange(horizon), keys[1:], noise))[1]


def random_actions(key: jax.Array, shape: tuple[int, ...], num_actions: int) -> jax.Array:
    """Uniformly random actions, int32 of this shape; like `jax.random.randint` with a third of its work."""
    drawn = (jax.random.uniform(key, shape, jnp.float32) * num_actions).astype(jnp.int32)
    return jnp.minimum(drawn, num_actions - 1)


def returns_to_go(reward: jax.Array, discount: Any) -> jax.Array:
    """G_t, the sum of discount^(u - t) r_u over u >= t; rewards [T, ...], zero after an episode's end."""

    def back(following: jax.Array, paid: jax.Array) -> tuple[jax.Array, jax.Array]:
        total = paid + discount * following
        return total, total

    reward = reward.astype(jnp.result_type(reward, discount))
    return jax.lax.scan(back, jnp.zeros_like(reward[0]), reward, reverse=True)[1]


def totals(episodes: Episodes) -> dict[str, jax.Array]:
    """The reserved metrics of an update that played these episodes, and `steps/count`, the steps it took."""
    steps = jnp.sum(episodes.is_alive)
    count = episodes.is_alive.shape[1]
    return {
        "episode/return": jnp.sum(episodes.reward) / count,
        "episode/length": steps.astype(episodes.reward.dtype) / count,
        "episode/count": jnp.asarray(count, jnp.int32),
        "steps/count": steps.astype(jnp.int32),
    }
