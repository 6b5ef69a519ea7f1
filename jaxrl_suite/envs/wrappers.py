"""Wrappers: an environment in, an environment out. The same wrapping gives the same object, so it compiles once.

Parameters of a wrapper are a dataclass that nests those of what it wraps as `env`: `params.env.length`. Build them
from the wrapped environment's by `wrap_params`, or take `default_params`.
"""

import abc
import inspect
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.envs.adapter import adapt
from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.errors import ConfigError


class OnePerArguments(abc.ABCMeta):
    """Calling the class again with equal arguments returns the same object."""

    _made: ClassVar[dict[Any, Any]] = {}

    def __call__(cls, env: Any, *args: Any, **kwargs: Any) -> Any:
        bound = inspect.signature(cls.__init__).bind(None, adapt(env), *args, **kwargs)
        cache_key = (cls, *bound.args[1:])
        if cache_key not in cls._made:
            cls._made[cache_key] = super().__call__(*bound.args[1:])
        return cls._made[cache_key]


class _Wrapper(BaseEnv, metaclass=OnePerArguments):
    """A wrapper with parameters of its own. Spaces are those of `env`."""

    env: BaseEnv

    @abc.abstractmethod
    def wrap_params(self, params: Any) -> Any:
        """This environment's parameters around those of the wrapped one."""

    def observation_space(self, params: Any) -> Any:
        return self.env.observation_space(params.env)

    def action_space(self, params: Any) -> Any:
        return self.env.action_space(params.env)


@struct.dataclass
class StickyParams:
    """env: the wrapped parameters. stick_probability: chance in [0, 1] that the previous action is repeated."""

    env: Any
    stick_probability: float


@struct.dataclass
class StickyState:
    """env: the wrapped state. last_action: the action executed last; has_last: false at the start of an episode."""

    env: Any
    last_action: Any
    has_last: jax.Array


class StickyActions(_Wrapper):
    """Repeats the action executed last, with a probability, instead of the one asked for (Machado et al. 2018).

    The first action of an episode is always executed as asked. The probability is in the parameters
    (`StickyParams.stick_probability`) and may be swept.

    Raises:
        ConfigError: if `probability` is outside [0, 1].
    """

    def __init__(self, env: BaseEnv, probability: float):
        if not (isinstance(probability, (int, float)) and 0.0 <= probability <= 1.0):
            raise ConfigError(f"sticky actions: probability = {probability!r}: must be >= 0 and <= 1")
        self.env, self.probability = env, float(probability)
        self.id = f"{env.id}+sticky({self.probability:g})"
        self.default_params = self.wrap_params(env.default_params)

    def wrap_params(self, params: Any) -> StickyParams:
        return StickyParams(params, self.probability)

    def _reset(self, key: jax.Array, params: StickyParams) -> tuple[Any, StickyState]:
        observation, state = self.env.reset(key, params.env)
        action = jax.eval_shape(self.env.action_space(params.env).sample, key)
        nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), action)
        return observation, StickyState(state, nothing, jnp.asarray(False))

    def _advance(self, key: jax.Array, state: StickyState, action: Any, params: StickyParams) -> tuple[Any, ...]:
        key_env, key_stick = jax.random.split(key)
        is_stuck = state.has_last & jax.random.bernoulli(key_stick, params.stick_probability)
        executed = jax.tree.map(lambda old, new: jnp.where(is_stuck, old, new), state.last_action, action)
        observation, inner, *rest = self.env.advance(key_env, state.env, executed, params.env)
        return observation, StickyState(inner, executed, jnp.asarray(True)), *rest


@struct.dataclass
class TimeLimitParams:
    """env: the wrapped parameters. max_steps: steps after which an episode is truncated, whole and >= 1."""

    env: Any
    max_steps: int


@struct.dataclass
class TimeLimitState:
    """env: the wrapped state. steps: int32, taken in this episode."""

    env: Any
    steps: jax.Array


class TimeLimit(_Wrapper):
    """Truncates every episode after `max_steps` steps at the latest. The wrapped limit, if any, stays in force.

    Raises:
        ConfigError: if `max_steps` is not a whole number >= 1.
    """

    def __init__(self, env: BaseEnv, max_steps: int):
        if isinstance(max_steps, bool) or not isinstance(max_steps, int) or max_steps < 1:
            raise ConfigError(f"time limit: max_steps = {max_steps!r}: must be a whole number >= 1")
        self.env, self.max_steps = env, max_steps
        self.id = f"{env.id}+limit({max_steps})"
        self.default_params = self.wrap_params(env.default_params)

    def wrap_params(self, params: Any) -> TimeLimitParams:
        return TimeLimitParams(params, self.max_steps)

    def _reset(self, key: jax.Array, params: TimeLimitParams) -> tuple[Any, TimeLimitState]:
        observation, state = self.env.reset(key, params.env)
        return observation, TimeLimitState(state, jnp.zeros((), jnp.int32))

    def _advance(self, key: jax.Array, state: TimeLimitState, action: Any, params: TimeLimitParams) -> tuple[Any, ...]:
        result = self.env.advance(key, state.env, action, params.env)
        observation, inner, reward, terminated, truncated, info = result
        steps = state.steps + 1
        is_over = truncated | (steps >= params.max_steps)
        return observation, TimeLimitState(inner, steps), reward, terminated, is_over, info


@struct.dataclass
class StatisticsState:
    """env: the wrapped state. episode_return: float32, episode_length: int32, of the episode so far."""

    env: Any
    episode_return: jax.Array
    episode_length: jax.Array


class EpisodeStatistics(BaseEnv, metaclass=OnePerArguments):
    """Adds `info["episode_return"]` (undiscounted) and `info["episode_length"]`, up to and with this step.

    They are an episode's totals where it ended in this step. Parameters are those of the wrapped environment.
    """

    def __init__(self, env: BaseEnv):
        self.env, self.id, self.default_params = env, f"{env.id}+statistics", env.default_params

    def observation_space(self, params: Any) -> Any:
        return self.env.observation_space(params)

    def action_space(self, params: Any) -> Any:
        return self.env.action_space(params)

    def _reset(self, key: jax.Array, params: Any) -> tuple[Any, StatisticsState]:
        observation, state = self.env.reset(key, params)
        return observation, StatisticsState(state, jnp.zeros((), jnp.float32), jnp.zeros((), jnp.int32))

    def _advance(self, key: jax.Array, state: StatisticsState, action: Any, params: Any) -> tuple[Any, ...]:
        result = self.env.advance(key, state.env, action, params)
        observation, inner, reward, terminated, truncated, info = result
        counted = StatisticsState(inner, state.episode_return + reward, state.episode_length + 1)
        info = {**info, "episode_return": counted.episode_return, "episode_length": counted.episode_length}
        return observation, counted, reward, terminated, truncated, info


class DiscretizedActions(BaseEnv, metaclass=OnePerArguments):
    """Evenly spaced actions instead of a continuous one: action k of K is low + k (high - low) / (K - 1).

    Parameters are those of the wrapped environment, whose action must be one number.

    Raises:
        ConfigError: for another space of actions, or less than two levels.
    """

    def __init__(self, env: BaseEnv, levels: int):
        space = env.action_space(env.default_params)
        if hasattr(space, "n") or tuple(getattr(space, "shape", ())) != (1,):
            raise ConfigError(f"discretized actions: {env.id} has {space}: must have one continuous action")
        if isinstance(levels, bool) or not isinstance(levels, int) or levels < 2:
            raise ConfigError(f"discretized actions: levels = {levels!r}: must be a whole number >= 2")
        self.env, self.levels = env, levels
        self.id, self.default_params = f"{env.id}+levels({levels})", env.default_params

    def observation_space(self, params: Any) -> Any:
        return self.env.observation_space(params)

    def action_space(self, params: Any) -> Any:
        from gymnax.environments import spaces

        return spaces.Discrete(self.levels)

    def _params_template(self) -> Any:
        return self.env._params_template()

    def _reset(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        return self.env.reset(key, params)

    def _advance(self, key: jax.Array, state: Any, action: Any, params: Any) -> tuple[Any, ...]:
        space = self.env.action_space(params)
        share = jnp.asarray(action, jnp.float32) / (self.levels - 1)
        return self.env.advance(key, state, jnp.reshape((1.0 - share) * space.low + share * space.high, (1,)), params)
