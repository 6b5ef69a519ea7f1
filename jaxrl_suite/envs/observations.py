"""Observations as networks want them: the encodings that `make(…, observation=…)` chooses from, and their spaces."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.params import strongly_typed
from jaxrl_suite.errors import ConfigError

MODES = ("auto", "raw", "float", "one_hot")


def check_mode(mode: str, space: Any, where: str) -> None:
    """Raises ConfigError unless observations of `space` can be encoded by `mode`."""
    if mode not in MODES:
        raise ConfigError(f"{where}: observation = {mode!r}: must be one of {', '.join(MODES)}")
    if mode == "one_hot" and not _is_discrete(space):
        raise ConfigError(f"{where}: observation = 'one_hot': observations are {space}, not discrete")


def encode(mode: str, space: Any, observation: Any) -> Any:
    """One observation, encoded.

    auto: one-hot float32 of length n for a discrete space, float32 otherwise. float: always float32. one_hot: one-hot,
    discrete spaces only. raw: the environment's own dtype.
    """
    if hasattr(space, "spaces"):
        return _map_children(lambda child, value: encode(mode, child, value), space.spaces, observation)
    if mode == "raw":
        return jax.tree.map(strongly_typed, observation)
    if mode == "float" or not _is_discrete(space):
        return jax.tree.map(lambda leaf: jax.lax.convert_element_type(leaf, jnp.float32), observation)
    return jax.nn.one_hot(observation, int(space.n), dtype=jnp.float32)


def encoded_space(mode: str, space: Any, raw: Any) -> Any:
    """The space of what `encode` returns.

    Args:
        mode: one of MODES.
        space: what the environment declares.
        raw: in mode `raw`, shapes and dtypes of the environment's observation, because some declare another dtype than
            they return.
    """
    from gymnax.environments import spaces

    if hasattr(space, "spaces"):
        children = _map_children(lambda child, value: encoded_space(mode, child, value), space.spaces, raw)
        return spaces.Dict(children) if isinstance(children, dict) else spaces.Tuple(children)
    if _is_discrete(space):
        if mode == "raw":
            return space
        if mode == "float":
            return spaces.Box(0.0, float(space.n - 1), (), jnp.float32)
        return spaces.Box(0.0, 1.0, (int(space.n),), jnp.float32)
    return spaces.Box(space.low, space.high, tuple(space.shape), raw.dtype if mode == "raw" else jnp.float32)


def shows_number(env: Any, env_params: Any) -> bool:
    """Whether observations are a state's number, or a one-hot vector of it: judged by an episode's first two."""
    observation, state = env.reset(jax.random.key(0), env_params)
    if np.issubdtype(observation.dtype, np.integer):
        return np.ndim(observation) == 0
    # A first observation may be one-hot by chance: that of an empty board with one piece.
    return _is_one_hot(observation) and _is_one_hot(env.step(jax.random.key(0), state, 0, env_params)[0])


def _is_one_hot(observation: Any) -> bool:
    observation = np.asarray(observation)
    return observation.ndim == 1 and np.sum(observation == 1) == 1 and np.sum(observation != 0) == 1


def number_of_states(env: Any, env_params: Any) -> int:
    """How many states there are where observations are as `shows_number` says."""
    space = env.observation_space(env_params)
    return int(space.n) if hasattr(space, "n") else int(space.shape[0])


def state_number(observation: jax.Array) -> jax.Array:
    """int32 [...], numbers of states from numbers [...] or one-hot vectors [..., S]."""
    is_number = jnp.issubdtype(observation.dtype, jnp.integer)
    return jnp.asarray(observation if is_number else jnp.argmax(observation, axis=-1), jnp.int32)


def _is_discrete(space: Any) -> bool:
    return hasattr(space, "n") and tuple(space.shape) == ()


def _map_children(function: Any, children: Any, values: Any) -> dict | tuple:
    if values is None:
        values = dict.fromkeys(children) if isinstance(children, Mapping) else (None,) * len(children)
    if not isinstance(children, Mapping):
        return tuple(function(child, value) for child, value in zip(children, values, strict=True))
    get = values.__getitem__ if isinstance(values, Mapping) else lambda name: getattr(values, name)
    return {name: function(child, get(name)) for name, child in children.items()}
