"""LSVI-UCB as the linear MDPs' authors run it: one weight vector for all stages, one backup an episode.

Least-squares value iteration with upper confidence bounds is of Jin, Yang, Wang, Jordan (COLT 2020, arXiv 1907.05388);
this is the stationary form of the programs published beside hybrid reinforcement learning in linear MDPs (Tan, Fan,
Wei 2024, and repository hybridlin), constants and all. No discount, no clipping, the bonus in the targets only.

Symbols: phi features, d of them; Lambda = lambda I + sum phi phi' over all data; w the weights.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.agents.linear_mdp import (
    appended,
    check_linear,
    offline_episodes,
    outer_products,
    play_measured,
)
from jaxrl_suite.config import array, static, sweepable
from jaxrl_suite.envs.linear_features import LinearFeatures
from jaxrl_suite.envs.observations import state_number
from jaxrl_suite.envs.recorded import Episodes, horizon_of

PROGRAM = "the authors' program"


@struct.dataclass
class LSVIConfig:
    """Settings of LSVI-UCB. Floats can be swept."""

    bonus: float = sweepable(1.0, "multiplies the features' norm in the targets", source=PROGRAM, low=0)
    ridge: float = sweepable(0.01, "weight of the squared weights", symbol="lambda", source=PROGRAM, above=0)
    total_updates: int = static(100, "budget: episodes", symbol="T", unit="episodes", source=PROGRAM, low=1)
    shifted_features: bool = static(
        False, "the published programs' quirk: data are recorded with phi(s', a) of the state that followed"
    )
    offline: Any = array(None, "offline episodes, [N_off, 3, H + 1]: states, actions, rewards; the last two end unused")


@struct.dataclass
class LSVIState:
    """The data; covariance: Lambda, [1, d, d]; weights: w, [d]."""

    episodes: Episodes
    covariance: jax.Array
    weights: jax.Array


@agent_factory("lsvi_ucb", LSVIConfig, check=check_linear)
def lsvi_ucb(env: Any, env_params: Any, config: LSVIConfig) -> Agent:
    """LSVI-UCB: one update is one episode. Without offline data the first is uniformly random."""
    features: LinearFeatures = env.linear_features(env_params)
    horizon, num_actions = horizon_of(env, env_params), int(env.action_space(env_params).n)
    num_offline = 0 if config.offline is None else len(config.offline)

    def init(key: jax.Array) -> LSVIState:
        episodes = offline_episodes(config.offline, num_offline + config.total_updates, horizon)
        states, actions = (x[:num_offline] for x in (episodes.recorded(config.shifted_features), episodes.actions))
        covariance = config.ridge * jnp.eye(features.size)[None] + outer_products(features, states, actions, True)
        return LSVIState(episodes, covariance, jnp.zeros(features.size))

    def greedy(state: LSVIState, here: jax.Array) -> jax.Array:
        """argmax_a phi(s, a)' w, the lowest among equals."""
        return jnp.argmax(features.of(here, jnp.arange(num_actions)) @ state.weights)

    def backup(state: LSVIState) -> jax.Array:
        """w = Lambda^-1 sum phi y, y = r + max_a [phi(s', a)' w_old + b |phi(s', a)|_{Lambda^-1}]."""
        inverse, episodes = jnp.linalg.inv(state.covariance[0]), state.episodes
        norms = jnp.sqrt(jnp.maximum(features.squared_norms(inverse), 0.0))
        value = jnp.max(features.values(state.weights) + config.bonus * norms, axis=-1)
        y = jnp.where(episodes.is_real, episodes.rewards + value[episodes.states[:, 1:]], 0.0)
        return inverse @ features.weighted_sum(episodes.recorded(config.shifted_features), episodes.actions, y)

    def update(key: jax.Array, state: LSVIState, step: jax.Array) -> tuple[LSVIState, Metrics]:
        is_random = (step == 0) & (num_offline == 0)

        def choose(key: jax.Array, stage: jax.Array, here: jax.Array) -> jax.Array:
            return jnp.where(is_random, jax.random.randint(key, (), 0, num_actions), greedy(state, here))

        one, metrics = play_measured(env, env_params, key, horizon, choose)
        seen = one.states[1:] if config.shifted_features else one.states[:-1]
        covariance = state.covariance + outer_products(features, seen, one.actions, True)
        state = dataclasses.replace(state, episodes=appended(state.episodes, one), covariance=covariance)
        return dataclasses.replace(state, weights=backup(state)), metrics

    def start(key: jax.Array, state: LSVIState) -> Any:
        return ()

    def act(key: jax.Array, state: LSVIState, memory: Any, observation: Any, is_greedy: bool) -> tuple[Any, Any]:
        """The best action by the weights, greedy or not."""
        return greedy(state, state_number(observation)).astype(jnp.int32), memory

    info = AgentInfo("lsvi_ucb", env, env_params, config, horizon, config.total_updates, lsvi_ucb, precision="float64")
    return Agent(init, update, start, act, info)
