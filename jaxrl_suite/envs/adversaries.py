"""Families of kernels seen by learners with an adversary: one who sets an episode's kernel, one who moves it.

Both speak of kernels as u in [-1, 1]^d, psi = low + (high - low) (u + 1) / 2: whatever the box, half of a range is one.
Parameters nest the family's as `env`. Box-shaped actions only.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.envs.pushed import with_push
from jaxrl_suite.envs.robust_control import RobustEnv, RobustParams, RobustState
from jaxrl_suite.envs.wrappers import OnePerArguments
from jaxrl_suite.sampling import between, sample_index


def kernel_at(env: RobustEnv, params: RobustParams, scaled: jax.Array) -> jax.Array:
    """psi [d] of the kernel u, `scaled`, [d]."""
    return between(*env.bounds(params), 0.5 * (scaled + 1.0))


def scaled_kernel(env: RobustEnv, params: RobustParams, psi: jax.Array) -> jax.Array:
    """u [d] of the kernel psi [d]."""
    low, high = env.bounds(params)
    return 2.0 * (psi - low) / (high - low) - 1.0


class Seen(NamedTuple):
    """own: what the environment shows. kernel: u of this episode, [d]."""

    own: Any
    kernel: jax.Array


@struct.dataclass
class ChosenParams:
    """env: the family's; of these, only randomness 1 (uniform kernels) takes the choice from the adversary.

    candidates: [K, d] in [-1, 1]. probabilities: [K]. spread: standard deviation of the noise on a candidate, [d] or a
    number, in half ranges.
    """

    env: RobustParams
    candidates: jax.Array
    probabilities: jax.Array
    spread: Any


class ChosenKernels(BaseEnv, metaclass=OnePerArguments):
    """At a reset one of K candidates is drawn, disturbed by normal noise and clipped to the box; observations tell it.

    Observations are `Seen`. The default is the middle of the box, without noise.
    """

    def __init__(self, env: RobustEnv):
        self.env, self.id = env, f"{env.id}+chosen"
        middle = jnp.zeros((1, len(env.names)))
        self.default_params = ChosenParams(env.default_params, middle, jnp.ones(1), 0.0)

    def observation_space(self, params: ChosenParams) -> Any:
        from gymnax.environments import spaces

        kernel = spaces.Box(-1.0, 1.0, (len(self.env.names),), jnp.float32)
        return spaces.Tuple((self.env.observation_space(params.env), kernel))

    def action_space(self, params: ChosenParams) -> Any:
        return self.env.action_space(params.env)

    def _reset(self, key: jax.Array, params: ChosenParams) -> tuple[Seen, RobustState]:
        # A stream of its own: see RobustEnv.
        key_index, key_noise = jax.random.split(jax.random.fold_in(key, 2))
        index = sample_index(params.probabilities, jax.random.uniform(key_index))
        noise = params.spread * jax.random.normal(key_noise, (len(self.env.names),))
        psi = kernel_at(self.env, params.env, jnp.clip(params.candidates[index] + noise, -1.0, 1.0))
        kernel = {name: psi[i] for i, name in enumerate(self.env.names)}
        observation, state = self.env.reset(key, params.env.replace(kernel=kernel))  # type: ignore[attr-defined]
        return self._seen(observation, state, params), state

    def _advance(self, key: jax.Array, state: RobustState, action: Any, params: ChosenParams) -> tuple[Any, ...]:
        observation, state, *rest = self.env.advance(key, state, action, params.env)
        return self._seen(observation, state, params), state, *rest

    def _seen(self, observation: Any, state: RobustState, params: ChosenParams) -> Seen:
        return Seen(observation, scaled_kernel(self.env, params.env, state.kernel))


class MovedKernels(BaseEnv, metaclass=OnePerArguments):
    """The adversary moves the kernel before every step: its u [d] stands behind the agent's action, flat, in one.

    The reward is the agent's. Parameters and observations are the family's; an episode starts under its own kernel.
    """

    def __init__(self, env: RobustEnv):
        self.env, self.id, self.default_params = env, f"{env.id}+moved", env.default_params

    def observation_space(self, params: RobustParams) -> Any:
        return self.env.observation_space(params)

    def action_space(self, params: RobustParams) -> Any:
        from gymnax.environments import spaces

        own, ones = self.env.action_space(params), jnp.ones(len(self.env.names))
        low, high = (jnp.broadcast_to(jnp.asarray(b, jnp.float32), own.shape).ravel() for b in (own.low, own.high))
        low, high = jnp.concatenate([low, -ones]), jnp.concatenate([high, ones])
        return spaces.Box(low, high, low.shape, jnp.float32)

    def _reset(self, key: jax.Array, params: RobustParams) -> tuple[Any, RobustState]:
        return self.env.reset(key, params)

    def _advance(self, key: jax.Array, state: RobustState, action: jax.Array, params: RobustParams) -> tuple[Any, ...]:
        own, moved = split_action(self.env, params, action)
        psi = kernel_at(self.env, params, jnp.clip(moved, -1.0, 1.0))
        return self.env.advance(key, self.env.with_kernel(state, psi), own, params)


def split_action(env: RobustEnv, params: RobustParams, action: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(the agent's [..., *A], the adversary's u [..., d]) of both in one, [..., |A| + d]."""
    dimensions = len(env.names)
    shape = env.action_space(params).shape
    return action[..., :-dimensions].reshape(*action.shape[:-1], *shape), action[..., -dimensions:]


class PushedBodies(BaseEnv, metaclass=OnePerArguments):
    """The adversary pushes: its o [k] stands behind the protagonist's action [d], flat, in one, both in [-1, 1].

    The reward is the protagonist's. Parameters and observations are the family's, one of `pushed/`.
    """

    def __init__(self, env: RobustEnv):
        self.env, self.id, self.default_params = env, f"{env.id}+pushed", env.default_params
        inner: Any = env.env
        self.actions, self.pushes = inner.actions, inner.pushes

    def observation_space(self, params: RobustParams) -> Any:
        return self.env.observation_space(params)

    def action_space(self, params: RobustParams) -> Any:
        from gymnax.environments import spaces

        return spaces.Box(-1.0, 1.0, (self.actions + self.pushes,), jnp.float32)

    def _reset(self, key: jax.Array, params: RobustParams) -> tuple[Any, RobustState]:
        return self.env.reset(key, params)

    def _advance(self, key: jax.Array, state: RobustState, action: jax.Array, params: RobustParams) -> tuple[Any, ...]:
        own, push = action[: self.actions], action[self.actions :]
        return self.env.advance(key, with_push(self.env, state, push), own, params)
