"""Environments whose bodies an adversary may push, over a box of physical parameters: `pushed/NAME`.

    env, params = make("pushed/cartpole-swingup")        # nobody pushes: any agent learns and plays here
    params = env.at(params, psi)                         # other masses, as of every family (envs/robust_control.py)
    arena = PushedBodies(env)                            # both act at once: envs/adversaries.py

A push o in [-1, 1]^k times the parameter `force_limit` is a force that holds for one step. It is written into the state
and forgotten with the step; zero is none. Rewards are the protagonist's, whose actions are of a box [-1, 1]^d.
"""

import abc
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.envs.robust_control import RobustEnv, RobustState
from jaxrl_suite.errors import ConfigError


@struct.dataclass
class PushedState:
    """body: what moves. push: of the coming step, [k]. step: int32, steps of the episode so far."""

    body: Any
    push: jax.Array
    step: jax.Array


class PushedEnv(BaseEnv):
    """An environment that can be pushed. Parameters have `force_limit` and `max_steps_in_episode`.

    A subclass gives the sizes and what happens to a body; it may end episodes (`_is_over`) or bend pushes (`_force`).

    Attributes:
        actions: d, numbers in the protagonist's action. pushes: k, in the adversary's. observed: in an observation.
    """

    actions: int
    pushes: int
    observed: int

    @abc.abstractmethod
    def _start(self, key: jax.Array, params: Any) -> Any:
        """The body at the start of an episode."""

    @abc.abstractmethod
    def _moved(self, body: Any, action: jax.Array, force: jax.Array, params: Any) -> Any:
        """The body after a step, action [d] within [-1, 1], force [k]."""

    @abc.abstractmethod
    def _seen(self, body: Any) -> jax.Array:
        """The observation, [observed]."""

    @abc.abstractmethod
    def _reward(self, body: Any, action: jax.Array, force: jax.Array, params: Any) -> jax.Array:
        """Of the body after the step."""

    def _is_over(self, body: Any) -> jax.Array:
        """Whether nothing follows any more."""
        return jnp.asarray(False)

    def _force(self, push: jax.Array, params: Any) -> jax.Array:
        """[k], of a push [k]."""
        return params.force_limit * jnp.clip(push, -1.0, 1.0)

    def with_push(self, state: PushedState, push: jax.Array) -> PushedState:
        """The state whose next step is pushed, push [k]."""
        return PushedState(state.body, jnp.asarray(push, state.push.dtype), state.step)

    def check_params(self, params: Any) -> None:
        super().check_params(params)
        if not jnp.all((jnp.asarray(params.force_limit) >= 0) & jnp.isfinite(jnp.asarray(params.force_limit))):
            raise ConfigError(f"{self.id}: force_limit = {params.force_limit}: must be a finite number >= 0")

    def observation_space(self, params: Any) -> Any:
        from gymnax.environments import spaces

        return spaces.Box(-jnp.inf, jnp.inf, (self.observed,), jnp.float32)

    def action_space(self, params: Any) -> Any:
        from gymnax.environments import spaces

        return spaces.Box(-1.0, 1.0, (self.actions,), jnp.float32)

    def _reset(self, key: jax.Array, params: Any) -> tuple[Any, PushedState]:
        body = self._start(key, params)
        return self._seen(body), PushedState(body, jnp.zeros(self.pushes), jnp.zeros((), jnp.int32))

    def _advance(self, key: jax.Array, state: PushedState, action: Any, params: Any) -> tuple[Any, ...]:
        action, force = jnp.clip(action, -1.0, 1.0), self._force(state.push, params)
        body, step = self._moved(state.body, action, force, params), state.step + 1
        reward = self._reward(body, action, force, params)
        after = PushedState(body, jnp.zeros(self.pushes), step)
        return self._seen(body), after, reward, self._is_over(body), step >= params.max_steps_in_episode, {}


def with_push(env: RobustEnv, state: RobustState, push: jax.Array) -> RobustState:
    """The state of a family of pushed environments whose next step is pushed, push [k]."""
    inner: Any = env.env
    return RobustState(inner.with_push(state.env, push), state.kernel)


def runge_kutta(slope: Callable[[jax.Array], jax.Array], x: jax.Array, dt: float) -> jax.Array:
    """One step of the classical fourth-order method."""
    first = slope(x)
    second = slope(x + 0.5 * dt * first)
    third = slope(x + 0.5 * dt * second)
    fourth = slope(x + dt * third)
    return x + dt / 6.0 * (first + 2.0 * second + 2.0 * third + fourth)
