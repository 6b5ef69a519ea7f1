"""Updates of a policy at one decision point, given action values: what search and learning in games have in common.

Sokota et al., The Update-Equivalence Framework for Decision-Time Planning, ICLR 2024 (arXiv 2304.13138), section 3;
Sokota et al., A Unified Approach to Reinforcement Learning, Quantal Response Equilibria, and Two-Player Zero-Sum Games,
ICLR 2023 (arXiv 2206.05825). Policies are log-probabilities; the last axis is the actions.
"""

from typing import Any

import jax
import jax.numpy as jnp

NEVER = -1e30
"""Log-probability of an illegal action: finite, so that nothing turns NaN."""

TIE = 1e-12
"""Relative difference of action values up to which they are tied."""


def normalized(logits: Any, legal: Any = True) -> jax.Array:
    """Log-probabilities over legal actions."""
    masked = jnp.where(legal, logits, NEVER)
    return jnp.where(legal, jax.nn.log_softmax(masked, axis=-1), NEVER)


def magnetic_logits(
    log_policy: Any, q: Any, step_size: Any, temperature: Any = 0.0, log_magnet: Any = None, legal: Any = True
) -> jax.Array:
    """`magnetic_step` before it is normalised; of illegal actions anything finite."""
    pull = step_size * temperature
    magnet = 0.0 if log_magnet is None else jnp.where(legal, log_magnet, 0.0)
    return (jnp.where(legal, log_policy, 0.0) + pull * magnet + step_size * q) / (1.0 + pull)


def magnetic_step(
    log_policy: Any, q: Any, step_size: Any, temperature: Any = 0.0, log_magnet: Any = None, legal: Any = True
) -> jax.Array:
    """Magnetic mirror descent: argmax_p <p, q> - KL(p, pi) / eta - alpha KL(p, rho).

    p is proportional to (pi rho^(eta alpha) exp(eta q))^(1 / (1 + eta alpha)). With temperature 0 it is mirror descent.

    Args:
        log_policy: log pi. q: action values. step_size: eta. temperature: alpha. log_magnet: log rho; None: uniform.
        legal: bool, as `q`.
    """
    return normalized(magnetic_logits(log_policy, q, step_size, temperature, log_magnet, legal), legal)


def mirror_step(log_policy: Any, q: Any, step_size: Any, legal: Any = True) -> jax.Array:
    """Mirror descent (hedge): p proportional to pi exp(eta q)."""
    return magnetic_step(log_policy, q, step_size, legal=legal)


def greedy_step(log_policy: Any, q: Any, legal: Any = True) -> jax.Array:
    """Policy iteration: the best action that the policy plays at all; among equals in proportion to the policy.

    The limit of mirror descent for large step sizes.
    """
    is_played = legal & (log_policy > NEVER / 2)
    top = jnp.max(jnp.where(is_played, q, -jnp.inf), axis=-1, keepdims=True)
    is_best = is_played & (q >= top - TIE * jnp.maximum(jnp.abs(top), 1.0))
    return normalized(log_policy, is_best)


def euclidean_step(
    logits: Any, q: Any, step_size: Any, temperature: Any = 0.0, magnet: Any = 0.0, legal: Any = True
) -> jax.Array:
    """Magnetic mirror descent in the space of logits: z + eta grad E_softmax(z)[q] + eta alpha zeta over 1 + eta alpha.

    Args:
        logits: z. magnet: zeta, logits too. Returns logits, not normalised; 0 for illegal actions.
    """
    policy = jnp.exp(normalized(logits, legal))
    gradient = policy * (q - jnp.sum(policy * q, axis=-1, keepdims=True))
    moved = (logits + step_size * gradient + step_size * temperature * magnet) / (1.0 + step_size * temperature)
    return jnp.where(legal, moved, 0.0)


def floored(policy: Any, least: Any, legal: Any = True) -> jax.Array:
    """Probabilities of legal actions raised to at least `least`, and normalised again."""
    raised = jnp.maximum(policy, least) * legal
    return raised / jnp.sum(raised, axis=-1, keepdims=True)


def safe_log(policy: Any) -> jax.Array:
    """log of probabilities; of 0 that of the least positive number."""
    return jnp.log(jnp.maximum(policy, jnp.finfo(jnp.result_type(policy, jnp.float32)).tiny))
