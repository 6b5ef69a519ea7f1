"""What a policy that knows the time is worth on a sparse table, exactly, with or without sticky actions."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl_suite.precision import exact


@exact
def plan_value(mdp: Any, actions: Any, repeat_probability: Any = 0.0) -> Any:
    """Expected return of a deterministic policy from the start, float64.

    Args:
        mdp: as in `effective_horizon`: successor indices with a horizon T.
        actions: ints [T, S], what the policy plays at each step in each state.
        repeat_probability: chance, from the second step on, that the action executed last is executed again instead.
            The policy does not see it.
    """
    return plan_return(mdp, actions, repeat_probability)


def plan_return(mdp: Any, actions: Any, repeat_probability: Any = 0.0) -> jax.Array:
    """`plan_value` in the caller's precision, for judging inside a program that trains.

    With sticky actions values are kept by state and last action: the larger table is never built.
    """
    successors, probabilities = jnp.asarray(mdp.successors), jnp.asarray(mdp.probabilities)
    rewards, own = jnp.asarray(mdp.rewards), jnp.arange(mdp.num_actions)
    actions = jnp.asarray(actions)

    def backup(following: jax.Array, played: jax.Array) -> tuple[jax.Array, None]:
        """following: values of the next step by state and last action, [S, A]."""
        executed = rewards + jnp.sum(probabilities * following[successors, own[:, None]], axis=-1)  # [S, A]
        chosen = jnp.take_along_axis(executed, played[:, None], axis=-1)
        return (1.0 - repeat_probability) * chosen + repeat_probability * executed, None

    zeros = jnp.zeros(rewards.shape, rewards.dtype)
    second, _ = jax.lax.scan(backup, zeros, actions[1:], reverse=True)
    executed = rewards + jnp.sum(probabilities * second[successors, own[:, None]], axis=-1)
    first = jnp.take_along_axis(executed, actions[0][:, None], axis=-1)[:, 0]
    return jnp.sum(jnp.asarray(mdp.initial) * first)
