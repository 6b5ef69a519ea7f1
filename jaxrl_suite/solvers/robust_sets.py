"""Sets of kernels that nature may choose from, as data: pytrees of numbers, checked before anything compiles.

In an (s,a)-rectangular set nature chooses the row of every state and action by itself, in an s-rectangular one all rows
of a state together. Balls lie around the MDP's own transitions; a radius is one number, or one for each pair [S, A]
(each state, [S]). A set says what it does to a state's backup:

    best(nominal, rewards, discount, following)              -> Backup of the best policy
    against(policy, nominal, rewards, discount, following)   -> Backup of a policy
    sweep(prepare(nominal), rewards, discount, following)    -> value [S] of the best policy, without the rows

nominal [S, A, S], rewards r(s,a) [S, A] or r(s,a,s') [S, A, S], following [S]: values of the next stage.
"""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.rows import TOLERANCE, check_rows, where
from jaxrl_suite.solvers import robust_inner as inner


class Backup(NamedTuple):
    """value [S], action_value [S, A] under the worst rows, policy (int32 [S], or probabilities [S, A]), kernel: the
    worst rows of all pairs, [S, A, S]."""

    value: Any
    action_value: Any
    policy: Any
    kernel: Any


class Swept(abc.ABC):
    """What sets share: a sweep is the best policy's backup, unless a set has a faster one."""

    @abc.abstractmethod
    def best(self, nominal: Any, rewards: Any, discount: Any, following: Any) -> Backup:
        """The best policy's backup of values `following` [S]."""

    def prepare(self, nominal: Any) -> Any:
        """What all sweeps over the same nominal rows share."""
        return nominal

    def sweep(self, prepared: Any, rewards: Any, discount: Any, following: Any) -> jax.Array:
        return self.best(prepared, rewards, discount, following).value


class Rectangular(Swept):
    """What (s,a)-rectangular sets share: `worst(nominal, v)` is all that tells them apart."""

    @abc.abstractmethod
    def worst(self, nominal: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(sigma [S, A], worst rows [S, A, S]) of values v, [S] or [S, A, S]."""

    def action_values(self, nominal: Any, rewards: Any, discount: Any, following: Any) -> tuple[jax.Array, jax.Array]:
        """(worst action values [S, A], worst rows [S, A, S])."""
        if rewards.ndim == 3:
            return self.worst(nominal, rewards + discount * following)
        values, rows = self.worst(nominal, following)
        return rewards + discount * values, rows

    def best(self, nominal: Any, rewards: Any, discount: Any, following: Any) -> Backup:
        values, rows = self.action_values(nominal, rewards, discount, following)
        return Backup(jnp.max(values, axis=-1), values, jnp.argmax(values, axis=-1).astype(jnp.int32), rows)

    def against(self, policy: Any, nominal: Any, rewards: Any, discount: Any, following: Any) -> Backup:
        values, rows = self.action_values(nominal, rewards, discount, following)
        return Backup(jnp.sum(policy * values, axis=-1), values, policy, rows)


@struct.dataclass
class FiniteKernels(Rectangular):
    """Of every row one of K: the rectangular hull of a list of kernels [K, S, A, S]. The MDP's own plays no part."""

    kernels: Any

    def check(self, mdp: Any) -> None:
        kernels, pair = np.asarray(self.kernels), (mdp.num_states, mdp.num_actions, mdp.num_states)
        if kernels.ndim != 4 or kernels.shape[1:] != pair or not len(kernels):
            raise ConfigError(f"FiniteKernels.kernels: shape {kernels.shape}: must be [K, {', '.join(map(str, pair))}]")
        check_rows("FiniteKernels.kernels", kernels, "kernel")

    def worst(self, nominal: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array]:
        kernels = jnp.asarray(self.kernels)
        values = kernels @ v if v.ndim == 1 else jnp.sum(kernels * v, axis=-1)
        least = jnp.argmin(values, axis=0)[None]
        rows = jnp.take_along_axis(kernels, least[..., None], axis=0)[0]
        return jnp.take_along_axis(values, least, axis=0)[0], rows


@struct.dataclass
class Box(Rectangular):
    """low <= p <= high in every state, [S, A, S] each."""

    low: Any
    high: Any

    def check(self, mdp: Any) -> None:
        shape = (mdp.num_states, mdp.num_actions, mdp.num_states)
        low, high = np.asarray(self.low, np.float64), np.asarray(self.high, np.float64)
        for name, given in (("low", low), ("high", high)):
            if given.shape != shape:
                raise ConfigError(f"Box.{name}: shape {given.shape}: must be {list(shape)}")
        bad = np.argwhere(~(low >= 0) | ~(low <= high) | ~np.isfinite(high))
        if len(bad):
            at = tuple(bad[0])
            raise ConfigError(
                f"Box{where(at[:2], 0)}, next state {at[2]}: from {low[at]:g} to {high[at]:g}: must be 0 <= low <= high"
            )
        empty = np.argwhere((low.sum(axis=-1) > 1.0 + TOLERANCE) | (high.sum(axis=-1) < 1.0 - TOLERANCE))
        if len(empty):
            at = tuple(empty[0])
            sums = f"{low[at].sum():.9g} to {high[at].sum():.9g}"
            raise ConfigError(f"Box{where(at, 0)}: sums from {sums}: must have 1 between them, or the set is empty")

    def worst(self, nominal: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array]:
        return _over_pairs(inner.worst_box, v)(v, jnp.asarray(self.low), jnp.asarray(self.high))


@struct.dataclass
class Ball(Rectangular):
    """What balls around the nominal rows share. radius: float [] or [S, A], >= 0."""

    radius: Any

    @abc.abstractmethod
    def row(self, v: jax.Array, nominal: jax.Array, radius: Any) -> tuple[jax.Array, jax.Array]:
        """(sigma, worst row) of one row."""

    def check(self, mdp: Any) -> None:
        _check_size(type(self).__name__, "radius", self.radius, (mdp.num_states, mdp.num_actions))

    def worst(self, nominal: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array]:
        radius = jnp.broadcast_to(jnp.asarray(self.radius), nominal.shape[:-1])
        return _over_pairs(self.row, v)(v, nominal, radius)


@struct.dataclass
class L1Ball(Ball):
    """|p - p0|_1 <= radius, twice the total variation. Mass may go to any state, or only to where p0 > 0."""

    absolutely_continuous: bool = struct.field(pytree_node=False, default=False)

    def row(self, v: jax.Array, nominal: jax.Array, radius: Any) -> tuple[jax.Array, jax.Array]:
        return inner.worst_l1(v, nominal, radius, self.absolutely_continuous)

    def prepare(self, nominal: Any) -> Any:
        """The rows, and by next state: [S', S * A]."""
        return nominal, jnp.moveaxis(nominal, -1, 0).reshape(nominal.shape[-1], -1)

    def sweep(self, prepared: Any, rewards: Any, discount: Any, following: Any) -> jax.Array:
        nominal, by_next = prepared
        if rewards.ndim == 3:
            return self.best(nominal, rewards, discount, following).value
        radius = jnp.broadcast_to(jnp.asarray(self.radius), rewards.shape).ravel()
        values = inner.least_l1(following, by_next, radius, self.absolutely_continuous)
        return jnp.max(rewards + discount * values.reshape(rewards.shape), axis=-1)


@struct.dataclass
class Interval(Ball):
    """|p - p0| <= radius in every state: a `Box` around the nominal row, cut at 0 and 1."""

    def row(self, v: jax.Array, nominal: jax.Array, radius: Any) -> tuple[jax.Array, jax.Array]:
        return inner.worst_interval(v, nominal, radius)


@struct.dataclass
class KLBall(Ball):
    """KL(p | p0) <= radius, in nats."""

    def row(self, v: jax.Array, nominal: jax.Array, radius: Any) -> tuple[jax.Array, jax.Array]:
        return inner.worst_kl(v, nominal, radius)


@struct.dataclass
class ChiSquareBall(Ball):
    """sum (p - p0)^2 / p0 <= radius."""

    def row(self, v: jax.Array, nominal: jax.Array, radius: Any) -> tuple[jax.Array, jax.Array]:
        return inner.worst_chi_square(v, nominal, radius)


@struct.dataclass
class Contamination(Ball):
    """(1 - radius) p0 + radius q, whatever q: with that probability nature decides. radius <= 1."""

    def row(self, v: jax.Array, nominal: jax.Array, radius: Any) -> tuple[jax.Array, jax.Array]:
        return inner.worst_contamination(v, nominal, radius)

    def check(self, mdp: Any) -> None:
        super().check(mdp)
        most = np.max(np.asarray(self.radius, np.float64))
        if most > 1.0:
            raise ConfigError(f"Contamination.radius = {most:g}: must be <= 1")


@struct.dataclass
class StateL1Ball(Swept):
    """sum over actions of |p_a - p0_a|_1 <= radius in every state, [] or [S]: s-rectangular. The best policy may have
    to be random, so policies are probabilities [S, A]."""

    radius: Any

    def check(self, mdp: Any) -> None:
        _check_size("StateL1Ball", "radius", self.radius, (mdp.num_states,))

    def best(self, nominal: Any, rewards: Any, discount: Any, following: Any) -> Backup:
        v, radius = self._values(nominal, rewards, discount, following)
        value, policy, rows = jax.vmap(inner.best_against_state_l1)(v, nominal, radius)
        return Backup(value, jnp.sum(rows * v, axis=-1), policy, rows)

    def against(self, policy: Any, nominal: Any, rewards: Any, discount: Any, following: Any) -> Backup:
        v, radius = self._values(nominal, rewards, discount, following)
        value, rows = jax.vmap(inner.worst_state_l1)(v, nominal, radius, policy)
        return Backup(value, jnp.sum(rows * v, axis=-1), policy, rows)

    def _values(self, nominal: Any, rewards: Any, discount: Any, following: Any) -> tuple[jax.Array, jax.Array]:
        paid = rewards if rewards.ndim == 3 else rewards[..., None]
        v = jnp.broadcast_to(paid + discount * following, nominal.shape)
        return v, jnp.broadcast_to(jnp.asarray(self.radius), nominal.shape[:1])


def _over_pairs(function: Callable[..., Any], v: jax.Array) -> Callable[..., Any]:
    """`function(v, ...)` of all pairs [S, A]; the same v [S] for all is sorted once."""
    axes = (0 if v.ndim > 1 else None, 0, 0)
    return jax.vmap(jax.vmap(function, axes), axes)


def _check_size(kind: str, name: str, given: Any, shape: tuple[int, ...]) -> None:
    size = np.asarray(given, np.float64)
    if size.shape not in ((), shape):
        raise ConfigError(f"{kind}.{name}: shape {size.shape}: must be one number, or {list(shape)}")
    bad = np.argwhere(~np.isfinite(size) | (size < 0))
    if len(bad):
        at = tuple(bad[0])
        raise ConfigError(f"{kind}.{name}{where(at, 0)} = {size[at]:g}: must be finite and >= 0")
