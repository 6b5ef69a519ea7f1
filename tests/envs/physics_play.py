"""Playing the MuJoCo tasks, for the tests of both engines."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl_suite import envs


@functools.cache
def player(env: Any, steps: int) -> Any:
    """(key, params) -> (observations [T, n], rewards [T], ends [T]) of random actions, without any reset."""

    def play(key: jax.Array, params: Any) -> Any:
        _, state = env.reset(key, params)
        space = env.action_space(params)

        def step(state: Any, t: jax.Array) -> Any:
            k = jax.random.fold_in(key, t)
            observation, state, reward, terminated, truncated = env.transition(k, state, space.sample(k), params)
            return state, (observation, reward, terminated | truncated)

        return jax.lax.scan(step, state, jnp.arange(steps))[1]

    return jax.jit(play)


def under_kernels(id: str, kernels: Any, names: Any, steps: int, seed: int = 0, **options: Any) -> Any:
    """As `player`, [K, T, ...], under kernels [K, d] of these parameters; the same actions for all."""
    env, params = envs.make(id, **options)
    written = [params.replace(**dict(zip(names, kernel, strict=True))) for kernel in kernels]
    stacked = jax.tree.map(lambda *leaves: jnp.asarray(leaves), *written)
    return jax.vmap(player(env, steps), (None, 0))(jax.random.key(seed), stacked)


def undiscounted(rewards: jax.Array, ends: jax.Array) -> jax.Array:
    """Returns [...] of the first episode, of rewards [..., T] and ends [..., T]."""
    before = jnp.cumsum(ends, axis=-1) - ends
    return jnp.sum(jnp.where(before == 0, rewards, 0.0), axis=-1)
