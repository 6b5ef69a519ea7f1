"""Networks: a torso that turns observations into features, and a head on it.

A torso is a flax module with `__call__(memory, observation) -> (memory, features)` and
`initial_memory(batch_shape) -> memory` (`()` where it has none). Any flax module with `__call__(observation)` can take
a torso's place: `as_torso` wraps it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl_suite.errors import ConfigError, UnknownNameError
from jaxrl_suite.learning.products import narrow_dot_general

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "tanh": nn.tanh,
    "relu": nn.relu,
    "silu": nn.silu,
    "gelu": nn.gelu,
    "elu": nn.elu,
}


def activation_fn(name: str) -> Callable[[jax.Array], jax.Array]:
    """The activation of that name; raises UnknownNameError."""
    if name not in ACTIVATIONS:
        raise UnknownNameError("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]


def check_hidden_sizes(config_name: str, widths: tuple[int, ...]) -> None:
    """Raises ConfigError unless `widths` are those of one or more layers."""
    if not widths or not all(isinstance(w, int) and w > 0 for w in widths):
        raise ConfigError(f"{config_name}.hidden_sizes = {widths}: must be one or more positive whole numbers")


def _dense(width: int, scale: float) -> nn.Dense:
    return nn.Dense(
        width,
        kernel_init=nn.initializers.orthogonal(scale),
        bias_init=nn.initializers.zeros,
        dot_general=narrow_dot_general,
    )


class MLP(nn.Module):
    """Fully connected torso on the flattened observation; orthogonal initialisation with gain sqrt(2), zero bias.

    With `layer_norm` every layer is normalised before its activation.
    """

    hidden_sizes: Sequence[int] = (64, 64)
    activation: str = "tanh"
    observation_rank: int = 1
    layer_norm: bool = False

    @nn.compact
    def __call__(self, memory: Any, observation: jax.Array) -> tuple[Any, jax.Array]:
        x = flatten_observation(observation, self.observation_rank)
        for width in self.hidden_sizes:
            x = _dense(width, math.sqrt(2.0))(x)
            x = nn.LayerNorm()(x) if self.layer_norm else x
            x = activation_fn(self.activation)(x)
        return memory, x

    def initial_memory(self, batch_shape: tuple[int, ...]) -> Any:
        return ()


class GRU(nn.Module):
    """A dense layer and a gated recurrent unit of the same width, orthogonally initialised; initial memory is zero."""

    width: int = 128
    activation: str = "relu"
    observation_rank: int = 1

    @nn.compact
    def __call__(self, memory: jax.Array, observation: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = flatten_observation(observation, self.observation_rank)
        x = activation_fn(self.activation)(_dense(self.width, math.sqrt(2.0))(x))
        return nn.GRUCell(self.width, kernel_init=nn.initializers.orthogonal())(memory, x)

    def initial_memory(self, batch_shape: tuple[int, ...]) -> jax.Array:
        return jnp.zeros((*batch_shape, self.width))


class MemorylessTorso(nn.Module):
    """A user's module `observation -> features` as a torso."""

    module: nn.Module

    def __call__(self, memory: Any, observation: jax.Array) -> tuple[Any, jax.Array]:
        return memory, self.module(observation)

    def initial_memory(self, batch_shape: tuple[int, ...]) -> Any:
        return ()


def as_torso(module: nn.Module) -> nn.Module:
    """`module` itself if it has `initial_memory`, else wrapped as a torso without memory."""
    return module if hasattr(module, "initial_memory") else MemorylessTorso(module)


def flatten_observation(observation: jax.Array, rank: int) -> jax.Array:
    """Flattens the last `rank` axes into one float axis; leading axes are kept."""
    leading = observation.shape[: observation.ndim - rank]
    return observation.reshape(*leading, -1).astype(jnp.float32)


class Network(nn.Module):
    """Torso and linear head: `(memory, observation) -> (memory, outputs [..., num_outputs])`.

    With `has_log_std` the outputs are (mean, log_std), the log-std a parameter of its own, initialised at zero.
    """

    torso: nn.Module
    num_outputs: int
    head_scale: float
    has_log_std: bool = False

    @nn.compact
    def __call__(self, memory: Any, observation: jax.Array) -> tuple[Any, Any]:
        memory, features = self.torso(memory, observation)
        outputs = _dense(self.num_outputs, self.head_scale)(features)
        if self.has_log_std:
            log_std = self.param("log_std", nn.initializers.zeros, (self.num_outputs,))
            return memory, (outputs, jnp.broadcast_to(log_std, outputs.shape))
        return memory, outputs

    def initial_memory(self, batch_shape: tuple[int, ...]) -> Any:
        return self.torso.initial_memory(batch_shape)
