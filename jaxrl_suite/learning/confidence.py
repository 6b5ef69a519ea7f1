"""Confidence terms of tabular learners, and the pessimistic policy they give from a dataset.

Menard et al., Fast active learning for pure exploration in reinforcement learning (arXiv 2007.13442). S, A, H: states,
actions, stages; n: visits of a state and action at a stage.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl_suite.learning.tabular import by_next_state, empirical, next_state_mean, next_state_variance, scan_stages


def beta(visits: jax.Array, states: int, actions: int, horizon: int, delta: Any) -> jax.Array:
    """beta(n) = ln(3SAH / delta) + S ln(8e(n + 1)), of bounds that hold for all functions of the next state."""
    return jnp.log(3 * states * actions * horizon / delta) + states * (jnp.log(8 * (visits + 1)) + 1)


def beta_star(visits: jax.Array, states: int, actions: int, horizon: int, delta: Any) -> jax.Array:
    """beta*(n) = ln(3SAH / delta) + ln(8e(n + 1)), of bounds for one fixed function."""
    return jnp.log(3 * states * actions * horizon / delta) + jnp.log(8 * (visits + 1)) + 1


def pessimistic_policy(counts: jax.Array, rewards: jax.Array, scale: Any, delta: Any) -> tuple[jax.Array, jax.Array]:
    """VI-LCB: the policy that is greedy in a lower bound of its own value, from a dataset's counts.

    Where every action's bound is zero, which says nothing, it does what the dataset did (uniform where that is nothing
    either): the lowest action would be a guess, and may be an unsafe one.

    Args:
        counts: int32 [H, S, A, S]. rewards: [H, S, A]. scale, delta: as in `stepmix.bounds`.

    Returns:
        (probabilities [H, S, A], else all on the lowest best action; lower bound of the value at the first stage, [S]).
    """
    horizon, states, actions = rewards.shape
    visits, model = empirical(counts, rewards.dtype)
    n = jnp.maximum(visits, 1)
    confidence = scale * beta_star(visits, states, actions, horizon, delta) / n

    def backup(lower: jax.Array, stage: Any) -> tuple[jax.Array, jax.Array]:
        rows, paid, seen, confidence_here = stage
        mean = next_state_mean(rows, lower[None])
        variance = next_state_variance(rows, lower[None], mean)[0]
        mean = mean[0]
        penalty = 3.0 * jnp.sqrt(variance * confidence_here) + 14.0 * horizon * confidence_here
        q = jnp.where(seen > 0, jnp.maximum(paid + mean - penalty, 0.0), 0.0).reshape(states, actions)
        seen = seen.reshape(states, actions)
        best, total = jnp.max(q, axis=-1), jnp.sum(seen, axis=-1, keepdims=True)
        done = jnp.where(total > 0, seen / jnp.maximum(total, 1), 1.0 / actions)
        greedy = jax.nn.one_hot(jnp.argmax(q, axis=-1), actions, dtype=q.dtype)
        return best, jnp.where(best[:, None] > 0, greedy, done)

    stages = (by_next_state(model), *(x.reshape(horizon, -1) for x in (rewards, visits, confidence)))
    lower, policy = scan_stages(backup, jnp.zeros(states, rewards.dtype), stages, horizon, reverse=True)
    return policy, lower
