"""What learners of linear MDPs share: their episodes as arrays of fixed size, played and recorded one at a time."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.agent import Metrics
from jaxrl_suite.agents.conservative_task import own_copy
from jaxrl_suite.envs.linear_features import LinearFeatures
from jaxrl_suite.envs.observations import shows_number, state_number
from jaxrl_suite.envs.tabular import TabularMDP
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.solvers.dynamic_programming import policy_evaluation, value_iteration


@struct.dataclass
class Episodes:
    """states: int32 [M, H + 1], actions: int32 [M, H], rewards [M, H] of the episodes so far, offline ones first;
    length: how many they are."""

    states: jax.Array
    actions: jax.Array
    rewards: jax.Array
    length: jax.Array

    @property
    def is_real(self) -> jax.Array:
        """bool [M, 1]: which rows are episodes and not yet empty."""
        return (jnp.arange(len(self.states)) < self.length)[:, None]

    def recorded(self, shifted: bool) -> jax.Array:
        """int32 [M, H], the states whose features go into the data: of each step, or of the state that followed."""
        return self.states[:, 1:] if shifted else self.states[:, :-1]


def check_linear(env: Any, env_params: Any, config: Any) -> None:
    """Refuses on the host what cannot work: an environment without features, or offline episodes of another shape."""
    if not hasattr(env, "linear_features"):
        raise ConfigError(f"{env.id}: must be an environment with linear features, as make('linear/tetris')")
    if not shows_number(env, env_params):
        raise ConfigError(f"{env.id}: must show its state's number: make(…, observation='raw')")
    shape = (3, horizon_of(env, env_params) + 1)
    if config.offline is not None and np.shape(config.offline)[1:] != shape:
        kind = type(config).__name__
        raise ConfigError(f"{kind}.offline: shape {np.shape(config.offline)}: must be [N_off, {shape[0]}, {shape[1]}]")


def horizon_of(env: Any, env_params: Any) -> int:
    """H, steps an episode. Raises ConfigError where episodes have no fixed length."""
    horizon = getattr(env_params, "horizon", None) or getattr(env_params, "max_steps_in_episode", None)
    if horizon is None:
        raise ConfigError(f"{env.id}: must have a horizon, as make('tabular/lock') has")
    return int(horizon)


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


def play_recorded(
    env: Any, env_params: Any, key: jax.Array, horizon: int, choose: Callable[[jax.Array, jax.Array, jax.Array], Any]
) -> tuple[Episodes, Metrics]:
    """An episode by `choose(key, stage, state's number) -> action`, without leading axis, and its metrics."""
    key_reset, key_episode = jax.random.split(key)
    first, env_state = env.reset(key_reset, env_params)

    def act_and_step(carry: Any, inputs: Any) -> tuple[Any, Any]:
        (here, env_state), (h, key) = carry, inputs
        key_act, key_step = jax.random.split(key)
        action = choose(key_act, h, here).astype(jnp.int32)
        following, env_state, reward, _, _ = env.transition(key_step, env_state, action, env_params)
        return (state_number(following), env_state), (here, action, reward.astype(float))

    inputs = (jnp.arange(horizon), jax.random.split(key_episode, horizon))
    (last, _), (states, actions, rewards) = jax.lax.scan(act_and_step, (state_number(first), env_state), inputs)
    one = Episodes(jnp.append(states, last), actions, rewards, jnp.ones((), jnp.int32))
    return one, {
        "episode/return": jnp.sum(rewards),
        "episode/length": jnp.asarray(horizon, float),
        "episode/count": jnp.ones((), jnp.int32),
    }


def exact_metrics(env_params: Any, policy_of: Callable[[Any], jax.Array], state: Any) -> Metrics:
    """Exact value and regret of the policy that is about to be played, where the MDP is a table; else nothing."""
    if not isinstance(env_params, TabularMDP):
        return {}
    mdp = own_copy(env_params)
    best, value = value_iteration(mdp).start_value, policy_evaluation(mdp, policy_of(state)).start_value
    return {"value/policy": value, "regret": best - value}
