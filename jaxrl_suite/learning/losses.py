"""Losses that agents share. Arguments are batches of any shape; losses are scalars to minimise."""

import jax
import jax.numpy as jnp

from jaxrl_suite import shards


def clipped_surrogate(log_ratio: jax.Array, advantage: jax.Array, clip_eps: jax.Array | float) -> jax.Array:
    """-mean min(rho A, clip(rho, 1 - eps, 1 + eps) A) with rho = exp(log_ratio) (Schulman et al. 2017, eq. 7)."""
    # An exponent beyond this has no gradient that could be used, and would overflow.
    ratio = jnp.exp(jnp.clip(log_ratio, -20.0, 20.0))
    clipped = jnp.clip(ratio, 1.0 - clip_eps, 1.0 + clip_eps)
    return -jnp.mean(jnp.minimum(ratio * advantage, clipped * advantage))


def value_loss(value: jax.Array, target: jax.Array) -> jax.Array:
    """Half the mean squared error."""
    return 0.5 * jnp.mean((value - target) ** 2)


def clipped_value_loss(
    value: jax.Array, old_value: jax.Array, target: jax.Array, clip_eps: jax.Array | float
) -> jax.Array:
    """Half the mean of the larger squared error of `value` and of `value` clipped to `old_value` +- eps."""
    clipped = old_value + jnp.clip(value - old_value, -clip_eps, clip_eps)
    return 0.5 * jnp.mean(jnp.maximum((value - target) ** 2, (clipped - target) ** 2))


def explained_variance(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """1 - Var[target - prediction] / Var[target], over all shards; NaN where the target is constant."""
    variance, rest = shards.variance_of(target), shards.variance_of(target - prediction)
    return jnp.where(variance > 0, 1.0 - rest / jnp.where(variance > 0, variance, 1.0), jnp.nan)
