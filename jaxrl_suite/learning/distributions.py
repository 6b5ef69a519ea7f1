"""Policies over action spaces: what a network's outputs mean.

A policy draws its noise before the rollout's loop (`noise`) and turns it into an action inside (`sample`): drawing
from a counter-based generator costs more than the rest of a small network's step. Learners keep the raw action, from
which log-probabilities are always finite, and hand `to_env(raw)` to the environment.

distrax supplies densities and entropies; it takes seconds to import, so it is imported when a policy is made.
"""

import abc
import dataclasses
import math
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.errors import ConfigError

GaussianOutputs = tuple[jax.Array, jax.Array]


class Policy(Protocol):
    """Functions of a network's outputs; leading axes of all arguments agree and are kept.

    num_outputs: width of the network's head. has_log_std: whether the head carries a state-independent log-std.
    """

    @property
    def num_outputs(self) -> int: ...
    @property
    def has_log_std(self) -> bool: ...
    def noise(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array: ...
    def sample(self, outputs: Any, noise: jax.Array) -> jax.Array: ...
    def mode(self, outputs: Any) -> jax.Array: ...
    def log_prob(self, outputs: Any, raw: jax.Array) -> jax.Array: ...
    def entropy(self, outputs: Any) -> jax.Array: ...
    def divergence(self, outputs: Any, others: Any) -> jax.Array: ...
    def to_env(self, raw: jax.Array) -> jax.Array: ...


class Categorical(NamedTuple):
    """One of `num_actions`; outputs are logits [..., A]; raw actions are the int32 action itself."""

    num_actions: int
    has_log_std: bool = False

    @property
    def num_outputs(self) -> int:
        return self.num_actions

    def noise(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return jax.random.gumbel(key, (*shape, self.num_actions))

    def sample(self, outputs: jax.Array, noise: jax.Array) -> jax.Array:
        return jnp.argmax(outputs + noise, axis=-1).astype(jnp.int32)

    def mode(self, outputs: jax.Array) -> jax.Array:
        return jnp.argmax(outputs, axis=-1).astype(jnp.int32)

    def log_prob(self, outputs: jax.Array, raw: jax.Array) -> jax.Array:
        return _distrax().Categorical(logits=outputs).log_prob(raw)

    def entropy(self, outputs: jax.Array) -> jax.Array:
        # distrax normalises its logits a second time for the entropy; they are normalised already.
        log_probs = _distrax().Categorical(logits=outputs).logits
        probs = jnp.exp(log_probs)
        return -jnp.sum(probs * jnp.where(probs > 0, log_probs, 0.0), axis=-1)

    def divergence(self, outputs: jax.Array, others: jax.Array) -> jax.Array:
        """KL(policy of outputs || policy of others)."""
        log_probs, log_others = jax.nn.log_softmax(outputs), jax.nn.log_softmax(others)
        return jnp.sum(jnp.exp(log_probs) * (log_probs - log_others), axis=-1)

    def to_env(self, raw: jax.Array) -> jax.Array:
        return raw


@dataclasses.dataclass(frozen=True)
class _DiagonalNormal(abc.ABC):
    """What policies on a box share: raw actions are independent normals, outputs (mean, log_std), each [..., D].

    low, high: [D] bounds of the action space; D is the size of `shape`.
    """

    shape: tuple[int, ...]
    low: jax.Array
    high: jax.Array
    has_log_std: bool = True

    @property
    def num_outputs(self) -> int:
        return math.prod(self.shape)

    def noise(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return jax.random.normal(key, (*shape, self.num_outputs))

    def sample(self, outputs: GaussianOutputs, noise: jax.Array) -> jax.Array:
        mean, log_std = outputs
        return mean + jnp.exp(log_std) * noise

    def mode(self, outputs: GaussianOutputs) -> jax.Array:
        return outputs[0]

    @abc.abstractmethod
    def log_prob(self, outputs: GaussianOutputs, raw: jax.Array) -> jax.Array: ...

    @abc.abstractmethod
    def entropy(self, outputs: GaussianOutputs) -> jax.Array: ...

    def divergence(self, outputs: GaussianOutputs, others: GaussianOutputs) -> jax.Array:
        """KL(policy of outputs || policy of others); squashing both alike changes nothing."""
        (mean, log_std), (other_mean, other_log_std) = outputs, others
        ratio, distance = jnp.exp(2.0 * (log_std - other_log_std)), (mean - other_mean) * jnp.exp(-other_log_std)
        return 0.5 * jnp.sum(ratio - 1.0 - jnp.log(ratio) + distance**2, axis=-1)

    @abc.abstractmethod
    def to_env(self, raw: jax.Array) -> jax.Array: ...


class Gaussian(_DiagonalNormal):
    """Independent normals; actions are clipped at the environment only."""

    def log_prob(self, outputs: GaussianOutputs, raw: jax.Array) -> jax.Array:
        return _normal(outputs).log_prob(raw)

    def entropy(self, outputs: GaussianOutputs) -> jax.Array:
        return _normal(outputs).entropy()

    def to_env(self, raw: jax.Array) -> jax.Array:
        return jnp.clip(raw, self.low, self.high).reshape(*raw.shape[:-1], *self.shape)


class TanhGaussian(_DiagonalNormal):
    """Independent normals squashed by tanh into the (finite) bounds; raw actions are unsquashed.

    With u the raw action: log pi = log N(u) - sum log((high - low)/2 (1 - tanh^2 u)), the last factor written as
    2 (log 2 - u - softplus(-2u)), which neither overflows nor turns NaN at the bounds.
    """

    def log_prob(self, outputs: GaussianOutputs, raw: jax.Array) -> jax.Array:
        return _normal(outputs).log_prob(raw) - jnp.sum(self._log_slope(raw), axis=-1)

    def entropy(self, outputs: GaussianOutputs) -> jax.Array:
        """Entropy of the squashed action: the normal's plus E[log slope], by Gauss-Hermite quadrature."""
        mean, log_std = outputs
        nodes, weights = np.polynomial.hermite_e.hermegauss(16)
        at_nodes = mean[..., None] + jnp.exp(log_std)[..., None] * jnp.asarray(nodes, jnp.float32)
        log_slope = jnp.moveaxis(self._log_slope(jnp.moveaxis(at_nodes, -1, 0)), 0, -1)
        expected = log_slope @ jnp.asarray(weights / weights.sum(), jnp.float32)
        return _normal(outputs).entropy() + jnp.sum(expected, axis=-1)

    def to_env(self, raw: jax.Array) -> jax.Array:
        action = self.low + (self.high - self.low) * 0.5 * (jnp.tanh(raw) + 1.0)
        return action.reshape(*raw.shape[:-1], *self.shape)

    def disturbed(self, action: jax.Array, noise: jax.Array) -> jax.Array:
        """Actions of the environment with noise [..., D] in halves of their range, clipped to the bounds."""
        moved = action.reshape(noise.shape) + 0.5 * (self.high - self.low) * noise
        return jnp.clip(moved, self.low, self.high).reshape(action.shape)

    def _log_slope(self, raw: jax.Array) -> jax.Array:
        scale = (self.high - self.low) * 0.5
        return jnp.log(scale) + 2.0 * (jnp.log(2.0) - raw - jax.nn.softplus(-2.0 * raw))


def policy_for(action_space: Any, squash: bool = False) -> Policy:
    """The policy for a gymnax action space: Categorical for Discrete, else Gaussian (`squash`: TanhGaussian).

    Raises:
        ConfigError: for a space of another kind, or if `squash` is asked of an unbounded one.
    """
    if hasattr(action_space, "n"):
        return Categorical(int(action_space.n))
    if not hasattr(action_space, "low"):
        raise ConfigError(f"action space {type(action_space).__name__}: must be Discrete or Box")
    shape = tuple(action_space.shape)
    size = math.prod(shape)
    low, high = (
        jnp.broadcast_to(jnp.asarray(b, jnp.float32), shape).reshape(size)
        for b in (action_space.low, action_space.high)
    )
    if squash and not isinstance(low, jax.core.Tracer) and not (jnp.isfinite(low).all() and jnp.isfinite(high).all()):
        raise ConfigError("squash = True: needs an action space with finite bounds")
    return (TanhGaussian if squash else Gaussian)(shape, low, high)


def _distrax() -> Any:
    import warnings

    with warnings.catch_warnings():
        # TensorFlow Probability, which distrax imports, still uses a name that JAX has deprecated.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        import distrax
    return distrax


def _normal(outputs: GaussianOutputs) -> Any:
    mean, log_std = outputs
    return _distrax().MultivariateNormalDiag(mean, jnp.exp(jnp.broadcast_to(log_std, mean.shape)))
