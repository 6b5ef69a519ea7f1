"""Any gymnax-style environment object as an `Environment` of the suite, with fixed dtypes and a reset-free step."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.envs.observations import check_mode, encode, encoded_space
from jaxrl_suite.envs.params import fingerprint, kind_of, leaf_name
from jaxrl_suite.errors import ConfigError

Advance = Callable[..., tuple[Any, Any, Any, Any, Any, dict]]


class AdaptedEnv(BaseEnv):
    """A wrapped environment object. Made by `adapt` or `make`, which keep one a wrapped object and options.

    Attributes:
        env: the wrapped object.
        observation: how observations are encoded: `auto`, `raw`, `float` or `one_hot` (see `adapt`).
    """

    def __init__(self, env: Any, id: str, params: Any, observation: str, resets_itself: bool):
        self.env, self.id, self.observation = env, id, observation
        # The wrapped code may rely on the kinds it declared, so `_given_params` is what it sees; users see ints.
        self._given_params, self.default_params = params, _with_whole_limit(params)
        self._space = env.observation_space(params)
        self._wrapped_advance = _advance_of(env, id, resets_itself)
        check_mode(observation, self._space, id)

    def observation_space(self, params: Any) -> Any:
        params = self._own(params)
        raw = jax.eval_shape(self.env.reset, jax.random.key(0), params)[0] if self.observation == "raw" else None
        return encoded_space(self.observation, self.env.observation_space(params), raw)

    def action_space(self, params: Any) -> Any:
        return self.env.action_space(self._own(params))

    def _params_template(self) -> Any:
        return self._given_params

    def _reset(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        observation, state = self.env.reset(key, params)
        return encode(self.observation, self._space, observation), state

    def _advance(self, key: jax.Array, state: Any, action: Any, params: Any) -> tuple[Any, Any, Any, Any, Any, dict]:
        result = self._wrapped_advance(key, state, action, params)
        return encode(self.observation, self._space, result[0]), *result[1:]


_adapted: dict[tuple[int, str, str, bool, Any], AdaptedEnv] = {}


def adapt(
    env: Any,
    id: str | None = None,
    *,
    params: Any = None,
    observation: str = "auto",
    resets_itself: bool = True,
    check: bool = True,
) -> BaseEnv:
    """Makes an `Environment` of your own environment object; its parameters are in `.default_params`.

    The object needs `reset(key, params)`, `observation_space(params)`, `action_space(params)` with gymnax spaces, and
    one of these, taken in this order:
        transition: the suite's own reset-free step, five values.
        step_env: gymnax's reset-free step, five values (observation, state, reward, flag, info). If the object has
            `is_truncated(state, params)` (gymnax 1), the flag is `terminated`; if not (older), the flag is `done`, or
            there are six values as those of `step`.
        step: six values as in gymnax 1, or five with one `done` flag as before. If it resets by itself,
            `info["final_observation"]` must hold the observation before the reset.
    A lone `done` counts as terminated unless the info says `truncated` or `TimeLimit.truncated`. An older environment
    that ends at a limit of its own without saying so is therefore seen as terminating there; use `TimeLimit` instead.
    With `transition` or `step_env`, `step` gives what the object's own `step` gives for the same key.

    Numbers that decide shapes must be declared static (`flax.struct.field(pytree_node=False)`) in the parameters.

    Args:
        env: the object. One that is already a `BaseEnv` is returned as it is. It is kept alive for ever.
        id: name; by default the object's `name`, or that of its class.
        params: parameters, a pytree of numbers; by default the object's `default_params`.
        observation: `auto` makes observations of a discrete space one-hot and all others float32; `float` makes all
            float32; `one_hot` insists on a discrete space; `raw` leaves them as they are.
        resets_itself: whether the object's `step` resets automatically. Only asked of objects with nothing but `step`.
        check: whether to trace a reset and a step first, which finds mistakes but takes seconds for large environments.

    Returns:
        The same object for the same `env` and options.

    Raises:
        ConfigError: if something is missing, or shapes and dtypes do not fit together; found without running it.
    """
    if isinstance(env, BaseEnv):
        return env
    names = (id, getattr(env, "name", None), getattr(env, "id", None), type(env).__name__)
    name = next(candidate for candidate in names if candidate and isinstance(candidate, str))
    _require_methods(env, name)
    if params is None:
        params = getattr(env, "default_params", None)
    if params is None:
        raise ConfigError(f"{name}: the environment has no default_params: give adapt(…, params=…)")
    cache_key = (_identity(env), name, observation, resets_itself, fingerprint(params, name))
    if cache_key not in _adapted:
        with jax.ensure_compile_time_eval():
            adapted = AdaptedEnv(env, name, params, observation, resets_itself)
            if check:
                _check_by_tracing(adapted)
        _adapted[cache_key] = adapted
    return _adapted[cache_key]


def _identity(env: Any) -> int:
    # By identity, not by equality: the cached object keeps `env` alive, so the number is never used again.
    return id(env)


def _with_whole_limit(params: Any) -> Any:
    limit = getattr(params, "max_steps_in_episode", None)
    if isinstance(limit, float) and limit.is_integer() and dataclasses.is_dataclass(params):
        return dataclasses.replace(params, max_steps_in_episode=int(limit))  # type: ignore[type-var]
    return params


def _require_methods(env: Any, name: str) -> None:
    missing = [m for m in ("reset", "observation_space", "action_space") if not callable(getattr(env, m, None))]
    if missing:
        raise ConfigError(f"{name}: the environment lacks {', '.join(missing)}")
    if not any(callable(getattr(env, m, None)) for m in ("transition", "step_env", "step")):
        raise ConfigError(f"{name}: the environment lacks a step: one of transition, step_env, step")


def _advance_of(env: Any, name: str, resets_itself: bool) -> Advance:
    if callable(getattr(env, "transition", None)):
        return lambda *args: (*env.transition(*args), {})
    if not callable(getattr(env, "step_env", None)):
        return lambda *args: _from_step(env.step(*args), name, resets_itself)
    if callable(getattr(env, "is_truncated", None)):
        return lambda *args: _from_step_env(env, *args)
    return lambda *args: _from_step(env.step_env(*args), name, resets_itself=False)


def _from_step_env(env: Any, key: jax.Array, state: Any, action: Any, params: Any) -> tuple[Any, ...]:
    observation, state, reward, terminated, info = env.step_env(key, state, action, params)
    return observation, state, reward, terminated, env.is_truncated(state, params), info


def _split_done(observation: Any, state: Any, reward: Any, done: Any, info: dict) -> tuple[Any, ...]:
    said = info.get("truncated", info.get("TimeLimit.truncated", False))
    done, said = jnp.asarray(done, jnp.bool_), jnp.asarray(said, jnp.bool_)
    return observation, state, reward, done & ~said, done & said, info


def _from_step(result: tuple[Any, ...], name: str, resets_itself: bool) -> tuple[Any, ...]:
    if len(result) not in (5, 6):
        raise ConfigError(f"{name}: a step returns {len(result)} values, must be 6 (gymnax 1) or 5 (one done flag)")
    observation, *rest = result if len(result) == 6 else _split_done(*result)
    info = rest[-1]
    if not resets_itself:
        return observation, *rest
    if "final_observation" not in info:
        raise ConfigError(
            f'{name}: step gives no info["final_observation"] and there is no step_env: '
            "give one of them, or adapt(…, resets_itself=False) if step does not reset"
        )
    return info["final_observation"], *rest


def _check_by_tracing(env: AdaptedEnv) -> None:
    params = env.default_params
    key = jax.random.key(0)
    try:
        observation, state = jax.eval_shape(env.reset, key, params)
        action = jax.eval_shape(env.action_space(params).sample, key)
        stepped = jax.eval_shape(env._advance, key, state, action, env._given_params)
        after = jax.eval_shape(env.advance, key, state, action, params)
    except (jax.errors.JAXTypeError, TypeError) as error:
        if not isinstance(error, jax.errors.JAXTypeError) and "concrete" not in str(error):
            raise
        reason = "code or shapes depend on a value that jit traces (state, action, or a parameter not declared static)"
        raise ConfigError(f"{env.id}: {reason}: {str(error).splitlines()[0]}") from error
    _check_shapes(env, "observation of reset", observation, env.observation_space(params))
    _check_shapes(env, "observation of step", after[0], env.observation_space(params))
    for what, value in zip(("reward", "terminated", "truncated"), stepped[2:5], strict=True):
        if jnp.shape(value) != ():
            raise ConfigError(f"{env.id}: {what} has shape {jnp.shape(value)}, must be ()")
        if what != "reward" and kind_of(value) != "bool":
            raise ConfigError(f"{env.id}: {what} is {jnp.result_type(value)}, must be bool")
    before = jax.tree_util.tree_leaves_with_path(state)
    for (path, old), new in zip(before, jax.tree.leaves(after[1]), strict=True):
        if old.shape != new.shape:
            raise ConfigError(f"{env.id}: the state's {leaf_name(path)} changes shape: {old.shape} to {new.shape}")


def _check_shapes(env: AdaptedEnv, what: str, observation: Any, space: Any) -> None:
    if hasattr(space, "spaces"):
        return
    if not hasattr(observation, "shape") or tuple(observation.shape) != tuple(space.shape):
        got = getattr(observation, "shape", type(observation).__name__)
        raise ConfigError(f"{env.id}: {what} has shape {got}, its space says {tuple(space.shape)}")
