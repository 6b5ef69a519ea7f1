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


def _dense(width: int, scale: float, name: str | None = None) -> nn.Dense:
    return nn.Dense(
        width,
        name=name,
        kernel_init=nn.initializers.orthogonal(scale),
        bias_init=nn.initializers.zeros,
        dot_general=narrow_dot_general,
    )


class Dense(nn.Module):
    """A linear layer, orthogonally initialised, as heads are."""

    width: int
    scale: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return _dense(self.width, self.scale)(x)


class _Rows(nn.Module):
    """The layer `_dense` on one-hot vectors, from the numbers they stand for: a row of its kernel, and no product."""

    count: int
    width: int
    scale: float

    @nn.compact
    def __call__(self, number: jax.Array) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.orthogonal(self.scale), (self.count, self.width))
        return jnp.asarray(kernel)[number] + self.param("bias", nn.initializers.zeros, (self.width,))


class MLP(nn.Module):
    """Fully connected torso on the flattened observation; orthogonal initialisation with gain sqrt(2), zero bias.

    With `layer_norm` every layer is normalised before its activation. Observations that are numbers of `num_states`
    states are read as one-hot vectors.
    """

    hidden_sizes: Sequence[int] = (64, 64)
    activation: str = "tanh"
    observation_rank: int = 1
    layer_norm: bool = False
    num_states: int = 0

    @nn.compact
    def __call__(self, memory: Any, observation: jax.Array) -> tuple[Any, jax.Array]:
        x = observation if self.num_states else flatten_observation(observation, self.observation_rank)
        for i, width in enumerate(self.hidden_sizes):
            if self.num_states and i == 0:
                # The name it would have as a dense layer: the same key gives the same parameters.
                x = _Rows(self.num_states, width, math.sqrt(2.0), name="Dense_0")(x)
            else:
                x = _dense(width, math.sqrt(2.0), f"Dense_{i}")(x)
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


class Conv(nn.Module):
    """One 3x3 convolution, without padding, then dense layers: the network usual on MinAtar's images [H, W, C].

    He-normal kernels, zero bias; with `layer_norm` every layer is normalised, over channels, before its activation.
    `divisor` divides observations.
    """

    channels: int = 16
    hidden_sizes: Sequence[int] = (128,)
    activation: str = "relu"
    layer_norm: bool = False
    divisor: float = 1.0

    @nn.compact
    def __call__(self, memory: Any, observation: jax.Array) -> tuple[Any, jax.Array]:
        def layer(x: jax.Array, width: int) -> jax.Array:
            x = nn.Dense(width, kernel_init=nn.initializers.he_normal())(x)
            return activation_fn(self.activation)(nn.LayerNorm()(x) if self.layer_norm else x)

        # A product over patches: members batched by vmap make a convolution a grouped one, which CPUs run slowly.
        x = layer(_patches(observation.astype(jnp.float32) / self.divisor), self.channels)
        x = flatten_observation(x, 3)
        for width in self.hidden_sizes:
            x = layer(x, width)
        return memory, x

    def initial_memory(self, batch_shape: tuple[int, ...]) -> Any:
        return ()


def _patches(images: jax.Array, side: int = 3) -> jax.Array:
    """All squares of pixels, [..., H - side + 1, W - side + 1, side * side * C], from [..., H, W, C]."""
    height, width = images.shape[-3] - side + 1, images.shape[-2] - side + 1
    shifts = [(row, column) for row in range(side) for column in range(side)]
    return jnp.concatenate([images[..., y : y + height, x : x + width, :] for y, x in shifts], axis=-1)


TORSOS = ("mlp", "conv")
"""Torsos without memory that configs choose from."""


def torso_of(config: Any, space: Any) -> nn.Module:
    """The torso that an agent's config asks for.

    Args:
        config: with hidden_sizes, activation, module, torso, and where there are such layer_norm and byte_images.
        space: of the observations.

    Raises:
        ConfigError: for a convolution on observations that are no images of at least 3 x 3.
    """
    layer_norm, shape = getattr(config, "layer_norm", False), space.shape
    if config.module is not None:
        return as_torso(config.module)
    if config.torso == "gru":
        return GRU(config.hidden_sizes[-1], config.activation, len(shape))
    if config.torso == "mlp":
        is_number = hasattr(space, "n") and len(shape) == 0
        return MLP(config.hidden_sizes, config.activation, len(shape), layer_norm, int(space.n) if is_number else 0)
    if len(shape) != 3 or min(shape[:2]) < 3:
        raise ConfigError(f"{type(config).__name__}.torso = 'conv': observations are {shape}: must be images [H, W, C]")
    divisor = 255.0 if getattr(config, "byte_images", False) else 1.0
    return Conv(16, config.hidden_sizes, config.activation, layer_norm, divisor)


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
