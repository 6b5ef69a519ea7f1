"""Observations as memories keep them: one-hot vectors as the numbers they stand for, zeros and ones as bits."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.envs.observations import state_number


class Packing(NamedTuple):
    """What is kept of observations, and shown to networks; with any leading axes.

    pack: an observation as it is kept. unpack: what is shown of what was kept. view: what is shown of an observation.
    space: of what is shown.
    """

    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]
    view: Callable[[Any], Any]
    space: Any


def packing_of(env: Any, env_params: Any, numbers: bool) -> Packing:
    """The packing for observations of the kind that `env` says (`BaseEnv.observation_kind`), which loses nothing.

    Args:
        numbers: one-hot vectors are shown as numbers too. Learners that can read these save the products with zeros,
            and the environment's `turns` read both.
    """
    space, kind = env.observation_space(env_params), getattr(env, "observation_kind", "any")
    if kind == "one_hot":
        size = space.shape[0]
        if numbers:
            from gymnax.environments import spaces

            return Packing(state_number, _same, state_number, spaces.Discrete(size))
        return Packing(state_number, lambda kept: jax.nn.one_hot(kept, size), _same, space)
    if kind == "bits":
        size = space.shape[0]
        return Packing(
            lambda observation: jnp.packbits(observation > 0, axis=-1),
            lambda kept: jnp.unpackbits(kept, axis=-1, count=size).astype(jnp.float32),
            _same,
            space,
        )
    return Packing(_same, _same, _same, space)


def _same(observation: Any) -> Any:
    return observation
