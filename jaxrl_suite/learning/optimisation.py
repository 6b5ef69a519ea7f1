"""Gradient steps."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxrl_suite import shards
from jaxrl_suite.agent import Metrics


def clipped(max_grad_norm: Any, scaling: Any) -> Any:
    """An optimiser without a learning rate: the gradient's global norm limited, then optax's `scaling`.

    Flattened: one operation on all parameters instead of a dozen small ones each.
    """
    return optax.flatten(optax.chain(optax.clip_by_global_norm(max_grad_norm), scaling))


def gradient_step(
    loss: Callable[..., tuple[jax.Array, Metrics]], optimizer: Any, learning_rate: Any
) -> Callable[..., tuple[tuple[Any, Any], Metrics]]:
    """step((params, opt_state), arguments) -> ((params, opt_state), diagnostics), as `lax.scan` wants it.

    Args:
        loss: (params, *arguments) -> (loss, diagnostics), means both, so that they can be averaged over shards.
        optimizer: without a learning rate of its own.
    """

    def step(carry: tuple[Any, Any], arguments: Any) -> tuple[tuple[Any, Any], Metrics]:
        params, opt_state = carry
        grads, diagnostics = shards.mean(jax.grad(loss, has_aux=True)(params, *arguments))
        updates, opt_state = optimizer.update(grads, opt_state)
        params = jax.tree.map(lambda p, u: p - learning_rate * u, params, updates)
        return (params, opt_state), diagnostics

    return step


def annealed(config: Any, step: jax.Array) -> Any:
    """`learning_rate`, which falls linearly to zero over `total_updates` if `anneal_learning_rate` says so."""
    if not config.anneal_learning_rate:
        return config.learning_rate
    # A run extended beyond the budget stays at zero.
    return config.learning_rate * jnp.maximum(1.0 - step / config.total_updates, 0.0)
