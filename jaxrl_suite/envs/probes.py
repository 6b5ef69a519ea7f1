"""Probe environments: so small that their exact values are known, each failing for one class of mistake.

    probe/constant      one step, reward 1, nothing to see: the value head and its loss.
    probe/observation   one step, reward = observation (+-1): the value depends on the observation.
    probe/delayed       two steps, reward 1 at the end: discounting and bootstrapping.
    probe/action        one step, reward +1 for action 1, -1 for action 0: the policy's gradient.
    probe/both          one step, +1 if the action matches the observation, -1 if not: policy and observation together.
    probe/never-ending  the same reward for ever, cut off by a time limit that cannot be seen: bootstrapping through
                        truncation. Taking the limit for an end gives visibly smaller values.
    probe/target        one step, reward -(action - observation / 2)^2: a policy over continuous actions.

Observations are float32 [1]. In `constant`, `observation`, `delayed` and `never-ending` both actions do the same.
"""

import abc
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.errors import ConfigError, UnknownNameError


@struct.dataclass
class ProbeParams:
    """reward: scale of all rewards. max_steps_in_episode: steps after which an episode is truncated."""

    reward: float = 1.0
    max_steps_in_episode: int = 10


@struct.dataclass
class ProbeState:
    """observation: float32 [1], what the agent sees. time: int32, steps taken in this episode."""

    observation: jax.Array
    time: jax.Array


class TrueValues(NamedTuple):
    """Exact values under the optimal policy, float64, for each of N observations.

    observations: [N, 1]. values: [N]. action_values: [N, actions], or None where actions are continuous.
    optimal_actions: [N] ints, or floats where actions are continuous; None where all actions are equal.
    """

    observations: np.ndarray
    values: np.ndarray
    action_values: np.ndarray | None
    optimal_actions: np.ndarray | None


class _Probe(BaseEnv):
    """A probe: a first observation, what an action does, and its exact values."""

    default_params = ProbeParams()

    def observation_space(self, params: ProbeParams) -> Any:
        from gymnax.environments import spaces

        return spaces.Box(-1.0, 1.0, (1,), jnp.float32)

    def action_space(self, params: ProbeParams) -> Any:
        from gymnax.environments import spaces

        return spaces.Discrete(2)

    def _reset(self, key: jax.Array, params: ProbeParams) -> tuple[jax.Array, ProbeState]:
        observation = self._first(key)
        return observation, ProbeState(observation, jnp.zeros((), jnp.int32))

    def _advance(self, key: jax.Array, state: ProbeState, action: Any, params: ProbeParams) -> tuple[Any, ...]:
        observation, reward, terminated = self._respond(state, action)
        time = state.time + 1
        truncated = time >= params.max_steps_in_episode
        return observation, ProbeState(observation, time), reward * params.reward, terminated, truncated, {}

    @abc.abstractmethod
    def _first(self, key: jax.Array) -> jax.Array:
        """The first observation, float32 [1]."""

    @abc.abstractmethod
    def _respond(self, state: ProbeState, action: Any) -> tuple[Any, Any, Any]:
        """Next observation, reward and whether the episode terminates."""

    @abc.abstractmethod
    def true_values(self, discount: float) -> TrueValues:
        """Exact values for reward scale 1."""


def _zero(key: jax.Array) -> jax.Array:
    return jnp.zeros(1, jnp.float32)


def _plus_or_minus_one(key: jax.Array) -> jax.Array:
    return jax.random.rademacher(key, (1,), jnp.float32)


def _table(observations: list[float], action_values: list[list[float]]) -> TrueValues:
    values = np.asarray(action_values, np.float64)
    is_indifferent = bool(np.all(values == values[:, :1]))
    optimal = None if is_indifferent else values.argmax(axis=1)
    return TrueValues(np.asarray(observations, np.float64)[:, None], values.max(axis=1), values, optimal)


class _Constant(_Probe):
    id = "probe/constant"

    def _first(self, key: jax.Array) -> jax.Array:
        return _zero(key)

    def _respond(self, state: ProbeState, action: Any) -> tuple[Any, Any, Any]:
        return state.observation, 1.0, True

    def true_values(self, discount: float) -> TrueValues:
        return _table([0.0], [[1.0, 1.0]])


class _Observation(_Probe):
    id = "probe/observation"

    def _first(self, key: jax.Array) -> jax.Array:
        return _plus_or_minus_one(key)

    def _respond(self, state: ProbeState, action: Any) -> tuple[Any, Any, Any]:
        return state.observation, state.observation[0], True

    def true_values(self, discount: float) -> TrueValues:
        return _table([-1.0, 1.0], [[-1.0, -1.0], [1.0, 1.0]])


class _Delayed(_Probe):
    id = "probe/delayed"

    def _first(self, key: jax.Array) -> jax.Array:
        return _zero(key)

    def _respond(self, state: ProbeState, action: Any) -> tuple[Any, Any, Any]:
        is_last = state.observation[0] > 0.5
        return jnp.ones_like(state.observation), is_last.astype(jnp.float32), is_last

    def true_values(self, discount: float) -> TrueValues:
        return _table([0.0, 1.0], [[discount, discount], [1.0, 1.0]])


class _Action(_Probe):
    id = "probe/action"

    def _first(self, key: jax.Array) -> jax.Array:
        return _zero(key)

    def _respond(self, state: ProbeState, action: Any) -> tuple[Any, Any, Any]:
        return state.observation, jnp.where(action == 1, 1.0, -1.0), True

    def true_values(self, discount: float) -> TrueValues:
        return _table([0.0], [[-1.0, 1.0]])


class _Both(_Probe):
    id = "probe/both"

    def _first(self, key: jax.Array) -> jax.Array:
        return _plus_or_minus_one(key)

    def _respond(self, state: ProbeState, action: Any) -> tuple[Any, Any, Any]:
        is_match = (action == 1) == (state.observation[0] > 0)
        return state.observation, jnp.where(is_match, 1.0, -1.0), True

    def true_values(self, discount: float) -> TrueValues:
        return _table([-1.0, 1.0], [[1.0, -1.0], [-1.0, 1.0]])


class _NeverEnding(_Probe):
    id = "probe/never-ending"

    def _first(self, key: jax.Array) -> jax.Array:
        return _zero(key)

    def _respond(self, state: ProbeState, action: Any) -> tuple[Any, Any, Any]:
        return state.observation, 1.0, False

    def true_values(self, discount: float) -> TrueValues:
        value = 1.0 / (1.0 - discount)
        return _table([0.0], [[value, value]])


class _Target(_Probe):
    id = "probe/target"

    def action_space(self, params: ProbeParams) -> Any:
        from gymnax.environments import spaces

        return spaces.Box(-1.0, 1.0, (1,), jnp.float32)

    def _first(self, key: jax.Array) -> jax.Array:
        return jax.random.uniform(key, (1,), jnp.float32, -1.0, 1.0)

    def _respond(self, state: ProbeState, action: Any) -> tuple[Any, Any, Any]:
        return state.observation, -jnp.square(action[0] - 0.5 * state.observation[0]), True

    def true_values(self, discount: float) -> TrueValues:
        observations = np.linspace(-1.0, 1.0, 5)
        return TrueValues(observations[:, None], np.zeros(5), None, 0.5 * observations)


_PROBES = {p.id: p for p in (_Constant, _Observation, _Delayed, _Action, _Both, _NeverEnding, _Target)}

IDS = tuple(_PROBES)
"""Ids of all probes."""


@functools.cache
def make(id: str) -> _Probe:
    """The probe called `id`, always the same object.

    Raises:
        UnknownNameError: if there is no such probe.
    """
    if id not in _PROBES:
        raise UnknownNameError("environment", id, IDS)
    return _PROBES[id]()


def true_values(id: str, discount: float, reward: float = 1.0) -> TrueValues:
    """Exact values of a probe under its optimal policy.

    Args:
        id: one of `IDS`.
        discount: in [0, 1).
        reward: `ProbeParams.reward`, positive.

    Raises:
        UnknownNameError: if there is no such probe.
        ConfigError: if the discount is outside [0, 1) or the reward is not positive.
    """
    if not 0.0 <= discount < 1.0:
        raise ConfigError(f"discount = {discount!r}: must be >= 0 and < 1")
    if not reward > 0.0:
        raise ConfigError(f"reward = {reward!r}: must be > 0")
    exact = make(id).true_values(discount)
    action_values = None if exact.action_values is None else exact.action_values * reward
    return exact._replace(values=exact.values * reward, action_values=action_values)
