"""How rational an adversary is, as a curriculum: Gamma temperatures, and the teacher that cools them. Traced, float64.

Reddi et al. 2024 (arXiv 2311.01642). Temperatures alpha are Gamma(shape k, rate rho). The teacher wants k near a target
k*, as far as what the protagonist gets allows, and not too far at a time:

    min_k KL(k || k*)   so that   KL(k || k_old) <= epsilon,   J(k) >= xi
    J(k) = mean of w_i J_i,   w_i = exp(ln Gamma(k_old) - ln Gamma(k) + (k - k_old) ln(rho alpha_i))

The paper's program uses an interior-point solver; here the one-dimensional problem is solved to the last digit. Its
weights are not normalised by their sum; `self_normalised` does that.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma, gammaln

LOWEST_TEMPERATURE = 1e-8
GRID = 256
"""Shapes that are tried between the old one and the candidate, the two included."""
HALVINGS = 60
WEIGHT_CAP = 20.0
"""Of the logarithm of an importance weight, either way."""


class TeacherStep(NamedTuple):
    """shape: k. mean_return: of what was seen. predicted: J(k). mean_weight: of w at k, 1 in expectation.
    effective_samples: (sum w)^2 / sum w^2 at k."""

    shape: jax.Array
    mean_return: jax.Array
    predicted: jax.Array
    mean_weight: jax.Array
    effective_samples: jax.Array


def gamma_divergence(shape: Any, other: Any) -> jax.Array:
    """KL(k || k') of two Gamma distributions with the same rate."""
    return (shape - other) * digamma(shape) - gammaln(shape) + gammaln(other)


def importance_weights(shape: Any, old: Any, temperatures: jax.Array, rate: Any) -> jax.Array:
    """w of temperatures [n] that were drawn with shape `old`, under `shape`."""
    logarithms = gammaln(old) - gammaln(shape) + (shape - old) * jnp.log(rate * temperatures)
    return jnp.exp(jnp.clip(logarithms, -WEIGHT_CAP, WEIGHT_CAP))


def predicted_return(
    shape: Any, old: Any, temperatures: jax.Array, returns: jax.Array, rate: Any, self_normalised: bool = False
) -> jax.Array:
    """J(k) from (alpha_i, J_i), [n] each, drawn with shape `old`."""
    weights = importance_weights(shape, old, temperatures, rate)
    total = jnp.sum(weights) if self_normalised else len(temperatures)
    return jnp.sum(weights * returns) / total


def teacher_step(
    shape: Any,
    temperatures: jax.Array,
    returns: jax.Array,
    threshold: Any,
    target: Any = 1.0,
    largest_divergence: Any = 0.5,
    rate: Any = 1000.0,
    self_normalised: bool = False,
) -> TeacherStep:
    """The next shape, from episodes under the current one.

    Args:
        shape: k_old, at least the target. temperatures, returns: alpha_i and the discounted J_i, [n]. threshold: xi.
        target: k*. largest_divergence: epsilon. rate: rho.
    """

    def value(k: Any) -> jax.Array:
        return predicted_return(k, shape, temperatures, returns, rate, self_normalised)

    mean_return = jnp.mean(returns)
    candidate = jnp.maximum(_furthest(shape, largest_divergence), jnp.minimum(target, shape))
    # Feasible shapes need not be an interval: the first boundary on the way down is what a path of feasible iterates
    # would find.
    grid = shape + (candidate - shape) * jnp.linspace(0.0, 1.0, GRID)
    fails = (jax.vmap(value)(grid) < threshold).at[0].set(False)
    is_before = jnp.cumsum(fails) == 0
    good, bad = jnp.min(jnp.where(is_before, grid, jnp.inf)), jnp.max(jnp.where(is_before, -jnp.inf, grid))

    def halve(_: Any, ends: Any) -> Any:
        good, bad = ends
        middle = 0.5 * (good + bad)
        passes = value(middle) >= threshold
        return jnp.where(passes, middle, good), jnp.where(passes, bad, middle)

    boundary = jax.lax.fori_loop(0, HALVINGS, halve, (good, bad))[0]
    found = jnp.where(mean_return < threshold, shape, jnp.where(jnp.any(fails), boundary, candidate))
    weights = importance_weights(found, shape, temperatures, rate)
    effective = jnp.sum(weights) ** 2 / jnp.sum(weights**2)
    return TeacherStep(found, mean_return, value(found), jnp.mean(weights), effective)


def _furthest(shape: Any, largest_divergence: Any) -> jax.Array:
    """The least k with KL(k || shape) <= epsilon."""

    def halve(_: Any, ends: Any) -> Any:
        far, near = ends
        middle = 0.5 * (far + near)
        is_far = gamma_divergence(middle, shape) > largest_divergence
        return jnp.where(is_far, middle, far), jnp.where(is_far, near, middle)

    ends = jnp.full_like(shape, LOWEST_TEMPERATURE), jnp.asarray(shape)
    return jax.lax.fori_loop(0, HALVINGS, halve, ends)[1]


def point_step(temperature: Any, returns: jax.Array, threshold: Any, step: Any = 1e-3) -> jax.Array:
    """The next single temperature: one step down if the mean return is above the threshold; the floor is 1e-8."""
    lower = jnp.maximum(temperature - step, LOWEST_TEMPERATURE)
    return jnp.where(jnp.mean(returns) > threshold, lower, temperature)


def linear_temperature(iteration: Any, iterations: Any, first: Any = 0.05, last: Any = 1e-3) -> jax.Array:
    """Down in a straight line over the first two thirds of all iterations."""
    return jnp.clip(first + (last - first) * iteration / (2.0 / 3.0 * iterations), last, first)


def force_of_temperature(temperature: Any, largest: Any, first: Any = 0.05, last: Any = 1e-3) -> jax.Array:
    """The force curriculum's cap on a push, in [0, `largest`]: the whole at `last`, little at `first`."""
    return jnp.clip((first + last - temperature) * largest / first, 0.0, largest)
