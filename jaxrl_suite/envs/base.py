"""The scaffolding every environment of the suite stands on: one reset-free step, from which the others are made."""

import abc
import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl_suite.envs.params import kind_of, leaf_name, strongly_typed, with_kinds_of
from jaxrl_suite.errors import ConfigError


class BaseEnv(abc.ABC):
    """An environment that fulfils `jaxrl_suite.agent.Environment`, seen by one agent in one copy (`vmap` for more).

    A subclass gives `id`, `default_params`, the two spaces, `_reset` and `_advance`; everything public is made from
    these, so there is one truth. Objects hash by identity. Public functions are pure and jitted, and may be called
    under `jit`, `vmap` (also over `params`) and `scan`: rewards are float32, flags bool, and the state's leaves keep
    their dtypes, without weak types, from reset through every step.

    Attributes:
        id: name of the environment, as shown in tables.
        default_params: pytree of numbers, usually a frozen dataclass with `.replace`.
    """

    id: str
    default_params: Any
    recipe: dict[str, Any] | None = None
    """Arguments with which `make` gives this object again; None if it was not made by name."""
    observation_kind: str = "any"
    """What observations are, if no more is needed to keep them (`envs.packing`): float32 vectors that are `one_hot`, or
    of zeros and ones, `bits`."""

    @abc.abstractmethod
    def _reset(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        """Observation and state at the start of an episode."""

    @abc.abstractmethod
    def _advance(self, key: jax.Array, state: Any, action: Any, params: Any) -> tuple[Any, Any, Any, Any, Any, dict]:
        """Observation, state, reward, terminated, truncated and info of one step, without any reset."""

    @abc.abstractmethod
    def observation_space(self, params: Any) -> Any:
        """gymnax space of the observations."""

    @abc.abstractmethod
    def action_space(self, params: Any) -> Any:
        """gymnax space of the actions."""

    def observed_as(self, observation: str) -> "BaseEnv":
        """This environment with its observations encoded another way.

        Raises:
            ConfigError: if it encodes its own.
        """
        raise ConfigError(f"{self.id}: observation = {observation!r}: this environment encodes its own; must be auto")

    def check_params(self, params: Any) -> None:
        """Checks parameters on the host. Leaves may carry leading sweep axes.

        Raises:
            ConfigError: if `params` is not of this environment, or a leaf is not of its kind (a fraction for an int).
        """
        with_kinds_of(self.default_params, params, self.id)

    @functools.partial(jax.jit, static_argnums=0)
    def reset(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        """Starts an episode: (observation, state)."""
        observation, state = self._reset(key, self._own(params))
        return observation, jax.tree.map(strongly_typed, state)

    @functools.partial(jax.jit, static_argnums=0)
    def advance(self, key: jax.Array, state: Any, action: Any, params: Any) -> tuple[Any, Any, Any, Any, Any, dict]:
        """One step without automatic reset: (observation, state, reward, terminated, truncated, info)."""
        state = jax.tree.map(strongly_typed, state)
        result = self._advance(key, state, action, self._own(params))
        observation, next_state, reward, terminated, truncated, info = result
        reward = jax.lax.convert_element_type(jnp.asarray(reward), jnp.float32)
        terminated = jax.lax.convert_element_type(jnp.asarray(terminated), jnp.bool_)
        truncated = jax.lax.convert_element_type(jnp.asarray(truncated), jnp.bool_)
        return observation, _with_dtypes_of(state, next_state, self.id), reward, terminated, truncated, info

    @functools.partial(jax.jit, static_argnums=0)
    def transition(self, key: jax.Array, state: Any, action: Any, params: Any) -> tuple[Any, Any, Any, Any, Any]:
        """One step without automatic reset: (observation, state, reward, terminated, truncated).

        After the end of an episode the state is only good for being replaced by a reset.
        """
        return self.advance(key, state, action, params)[:5]

    @functools.partial(jax.jit, static_argnums=0)
    def step(self, key: jax.Array, state: Any, action: Any, params: Any) -> tuple[Any, Any, Any, Any, Any, dict]:
        """One step with automatic reset: (observation, state, reward, terminated, truncated, info).

        Where the episode ended, observation and state are those of a fresh one; `info["final_observation"]` is the
        observation before that reset, always. The key is split as gymnax does: one for the step, one for the reset.
        """
        key_step, key_reset = jax.random.split(key)
        final_observation, stepped, reward, terminated, truncated, info = self.advance(key_step, state, action, params)
        fresh = self.reset(key_reset, params)
        is_over = terminated | truncated
        observation, state = jax.tree.map(
            lambda new, old: jnp.where(is_over, new, old), fresh, (final_observation, stepped)
        )
        info = {**info, "terminated": terminated, "truncated": truncated, "final_observation": final_observation}
        return observation, state, reward, terminated, truncated, info

    def _params_template(self) -> Any:
        return self.default_params

    def _own(self, params: Any) -> Any:
        return with_kinds_of(self._params_template(), params, self.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"


def _with_dtypes_of(state: Any, next_state: Any, where: str) -> Any:
    """`next_state` with the dtypes of `state`, so that a scan's carry keeps its type."""
    before, after = jax.tree.structure(state), jax.tree.structure(next_state)
    if before != after:
        raise ConfigError(f"{where}: the state changes its structure in a step, from {before} to {after}")

    def convert(path: Any, new: Any, old: jax.Array) -> jax.Array:
        if kind_of(new) != kind_of(old):
            change = f"from {old.dtype} to {jnp.result_type(new)}"
            raise ConfigError(f"{where}: the state's {leaf_name(path)} changes in a step {change}")
        if jnp.issubdtype(old.dtype, jax.dtypes.extended):
            return new
        return jax.lax.convert_element_type(new, old.dtype)

    return jax.tree_util.tree_map_with_path(convert, next_state, state)
