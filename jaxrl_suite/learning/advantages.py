"""Advantage estimators. Time is the leading axis; any batch axes follow."""

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
