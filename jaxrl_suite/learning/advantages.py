"""Advantage estimators. Time is the leading axis; any batch axes follow."""

from typing import Any

import jax
import jax.numpy as jnp


def gae(
    reward: jax.Array,
    value: jax.Array,
    next_value: jax.Array,
    terminated: jax.Array,
    truncated: jax.Array,
    discount: jax.Array | float,
    gae_lambda: jax.Array | float,
) -> jax.Array:
    """Generalised advantage estimates (Schulman et al. 2016, eq. 16), bootstrapped through truncation.

    With d the end of an episode by termination or truncation:
        delta_t = r_t + gamma (1 - terminated_t) V(s'_t) - V(s_t)
        A_t = delta_t + gamma lambda (1 - d_t) A_{t+1}

    Args:
        reward, value: [T, ...] float, r_t and V(s_t).
        next_value: [T, ...] float, V(s'_t) of the observation the step itself produced (not of the next episode's).
        terminated, truncated: [T, ...] bool.
        discount, gae_lambda: gamma and lambda.

    Returns:
        A_t, [T, ...] float. The lambda-returns are `gae(...) + value`.
    """
    delta = reward + discount * jnp.where(terminated, 0.0, next_value) - value
    decay = jnp.where(terminated | truncated, 0.0, discount * gae_lambda)

    def backward(advantage: jax.Array, inputs: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        delta_t, decay_t = inputs
        advantage = delta_t + decay_t * advantage
        return advantage, advantage

    _, advantages = jax.lax.scan(backward, jnp.zeros_like(delta[0]), (delta, decay), reverse=True, unroll=16)
    return advantages


def turn_gae(
    reward: jax.Array,
    value: jax.Array,
    last_value: jax.Array,
    player: jax.Array,
    last_player: jax.Array,
    done: jax.Array,
    signs: tuple[float, ...],
    discount: jax.Array | float,
    gae_lambda: jax.Array | float,
) -> jax.Array:
    """Generalised advantage estimates of players who take turns, each from its own decisions alone.

    A player's next value is that of its own next decision, and its reward all that is paid until then: what the other
    sees in between is not for it to know. After the rollout's end the other's value stands in, by sign.

    Args:
        reward: [T, N] float, player 0's. value: [T, N] float, of each decision to the player whose it is.
        last_value, last_player: [N], of what follows the rollout. player: [T, N] ints. done: [T, N] bool.
        signs: what player 0's reward is multiplied with for each player. discount, gae_lambda: a decision.

    Returns:
        [T, N] float, to the player whose decision it is.
    """
    each = jnp.asarray(signs, value.dtype)

    def backward(carry: Any, inputs: Any) -> tuple[Any, jax.Array]:
        reward_t, value_t, player_t, done_t = inputs
        paid, next_value, next_advantage = (jnp.where(done_t[:, None], 0.0, x) for x in carry)
        is_mover = jax.nn.one_hot(player_t, len(signs), dtype=bool)
        paid = paid + reward_t[:, None] * each
        delta = paid + discount * next_value - value_t[:, None]
        advantage = jnp.sum(jnp.where(is_mover, delta + discount * gae_lambda * next_advantage, 0.0), axis=1)
        carry = (
            jnp.where(is_mover, 0.0, paid),
            jnp.where(is_mover, value_t[:, None], next_value),
            jnp.where(is_mover, advantage[:, None], next_advantage),
        )
        return carry, advantage

    zeros = jnp.zeros((value.shape[1], len(signs)), value.dtype)
    start = (zeros, (last_value * each[last_player])[:, None] * each, zeros)
    return jax.lax.scan(backward, start, (reward, value, player, done), reverse=True)[1]


def lambda_targets(
    reward: jax.Array,
    next_value: jax.Array,
    terminated: jax.Array,
    truncated: jax.Array,
    discount: jax.Array | float,
    q_lambda: jax.Array | float,
) -> jax.Array:
    """Targets of Q(lambda) with the behaviour's own maxima (Gallici et al. 2025, eq. 10), through truncation.

        G_t = r_t + gamma (1 - terminated_t) [(1 - lambda) max Q(s'_t) + lambda G_{t+1}]

    with lambda = 0 at the end of an episode and of the rollout.

    Args:
        reward: [T, ...] float, r_t. next_value: [T, ...] float, max_a Q(s'_t, a) of what the step itself led to.
        terminated, truncated: [T, ...] bool. discount, q_lambda: gamma and lambda.

    Returns:
        G_t, [T, ...] float.
    """
    discounts = jnp.where(terminated, 0.0, discount)
    trace = jnp.where(terminated | truncated, 0.0, q_lambda)

    def backward(following: jax.Array, inputs: Any) -> tuple[jax.Array, jax.Array]:
        reward_t, value_t, discount_t, trace_t = inputs
        target = reward_t + discount_t * (value_t + trace_t * (following - value_t))
        return target, target

    stages = (reward, next_value, discounts, trace)
    return jax.lax.scan(backward, next_value[-1], stages, reverse=True, unroll=16)[1]
