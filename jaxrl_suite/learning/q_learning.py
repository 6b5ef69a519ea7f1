"""What agents that learn action values share: values of actions, exploration, and whose actions can be counted."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.sampling import sample_index


def value_of(values: jax.Array, action: jax.Array) -> jax.Array:
    """Entries of `values` [..., A] at `action` [...]. A sum, because its gradient is cheaper than a gather's."""
    return jnp.sum(values * jax.nn.one_hot(action, values.shape[-1]), axis=-1)


def greedy_action(values: jax.Array) -> jax.Array:
    """int32 [...]: the best action by `values` [..., A], the lowest among equals."""
    return jnp.argmax(values, axis=-1).astype(jnp.int32)


def linear_epsilon(step: jax.Array, config: Any, initial: Any = 1.0) -> jax.Array:
    """Linear from `initial` to `final_epsilon` over the first `exploration_fraction` of the budget, then constant."""
    progress = jnp.minimum(step / (config.exploration_fraction * config.total_updates), 1.0)
    return initial + progress * (config.final_epsilon - initial)


def exploration(key: jax.Array, shape: tuple[int, ...], epsilon: Any) -> tuple[jax.Array, jax.Array]:
    """(whether to explore, bool; which action then, uniform in [0, 1)), both of `shape`, from one call."""
    chance, choice = jax.random.uniform(key, (2, *shape))
    return chance < epsilon, choice


def epsilon_greedy(explored: tuple[jax.Array, jax.Array], values: jax.Array, legal: Any = None) -> jax.Array:
    """int32 [...]: the best action by `values` [..., A], or a random one where `exploration` says so.

    Args:
        legal: bool [..., A], what may be drawn at random; None: all.
    """
    explores, choice = explored
    if legal is None:
        random_action = (choice * values.shape[-1]).astype(jnp.int32)
    else:
        random_action = sample_index(legal.astype(choice.dtype), choice)
    return jnp.where(explores, random_action, greedy_action(values))


def legal_actions(env: Any, env_params: Any) -> Callable[[Any], Any]:
    """Of observations [..., ]: which actions are legal, bool [..., A], or None where the environment is no game."""
    turns = getattr(env, "turns", None)
    return lambda observation: None if turns is None else turns.legal(observation, env_params)


def among_legal(values: jax.Array, legal: Any) -> jax.Array:
    """Action values, those of illegal actions so low that none is the best."""
    return values if legal is None else jnp.where(legal, values, jnp.finfo(values.dtype).min)


def check_discrete(name: str, env: Any, env_params: Any) -> None:
    """Raises ConfigError unless the environment's actions can be counted."""
    space = env.action_space(env_params)
    if not hasattr(space, "n"):
        raise ConfigError(
            f"{name}: {env.id} has a {type(space).__name__} of actions, must have a Discrete number of them"
        )
