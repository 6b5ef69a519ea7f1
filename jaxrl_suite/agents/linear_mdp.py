"""What learners of linear MDPs share: their episodes as arrays of fixed size, played and recorded one at a time."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.agent import Metrics
from jaxrl_suite.envs.linear_features import LinearFeatures
from jaxrl_suite.envs.recorded import Episodes, check_shows_number, horizon_of, play_recorded
from jaxrl_suite.envs.tabular import TabularMDP
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.precision import own_arrays
from jaxrl_suite.solvers.dynamic_programming import policy_evaluation, value_iteration


def check_linear(env: Any, env_params: Any, config: Any) -> None:
    """Refuses on the host what cannot work: an environment without features, or offline episodes of another shape."""
    if not hasattr(env, "linear_features"):
        raise ConfigError(f"{env.id}: must be an environment with linear features, as make('linear/tetris')")
    check_shows_number(env, env_params)
    shape = (3, horizon_of(env, env_params) + 1)
    if config.offline is not None and np.shape(config.offline)[1:] != shape:
        kind = type(config).__name__
        raise ConfigError(f"{kind}.offline: shape {np.shape(config.offline)}: must be [N_off, {shape[0]}, {shape[1]}]")


def offline_episodes(offline: Any, capacity: int, horizon: int) -> Episodes:
    """Room for `capacity` episodes, the offline ones in it.

    Args:
        offline: [N_off, 3, H + 1], states, actions, rewards, the last two's ends unused; or None.
    """
    none = Episodes(
        states=jnp.zeros((capacity, horizon + 1), jnp.int32),
        actions=jnp.zeros((capacity, horizon), jnp.int32),
        rewards=jnp.zeros((capacity, horizon)),
        length=jnp.zeros((), jnp.int32),
    )
    if offline is None:
        return none
    known = jnp.asarray(offline)
    return Episodes(
        states=none.states.at[: len(known)].set(known[:, 0].astype(jnp.int32)),
        actions=none.actions.at[: len(known)].set(known[:, 1, :-1].astype(jnp.int32)),
        rewards=none.rewards.at[: len(known)].set(known[:, 2, :-1]),
        length=jnp.asarray(len(known), jnp.int32),
    )


def appended(episodes: Episodes, one: Episodes) -> Episodes:
    """With an episode more; `one` has no leading axis."""
    place = episodes.length
    return dataclasses.replace(
        episodes,
        states=episodes.states.at[place].set(one.states),
        actions=episodes.actions.at[place].set(one.actions),
        rewards=episodes.rewards.at[place].set(one.rewards),
        length=place + 1,
    )


def outer_products(features: LinearFeatures, states: jax.Array, actions: jax.Array, pooled: bool) -> jax.Array:
    """What steps add to Lambda: sum of phi phi', [1, d, d]; or one a stage [H, d, d]. states, actions: [..., H]."""
    phi = features.of(states, actions).reshape(-1, states.shape[-1], features.size)
    return jnp.einsum("nhd,nhe->de", phi, phi)[None] if pooled else jnp.einsum("nhd,nhe->hde", phi, phi)


def play_measured(
    env: Any, env_params: Any, key: jax.Array, horizon: int, choose: Callable[[jax.Array, jax.Array, jax.Array], Any]
) -> tuple[Episodes, Metrics]:
    """An episode as `play_recorded` has it, and its metrics."""
    one = play_recorded(env, env_params, key, horizon, choose)
    return one, {
        "episode/return": jnp.sum(one.rewards),
        "episode/length": jnp.asarray(horizon, float),
        "episode/count": jnp.ones((), jnp.int32),
    }


def exact_metrics(env_params: Any, policy_of: Callable[[Any], jax.Array], state: Any) -> Metrics:
    """Exact value and regret of the policy that is about to be played, where the MDP is a table; else nothing."""
    if not isinstance(env_params, TabularMDP):
        return {}
    mdp = own_arrays(env_params)
    best, value = value_iteration(mdp).start_value, policy_evaluation(mdp, policy_of(state)).start_value
    return {"value/policy": value, "regret": best - value}
