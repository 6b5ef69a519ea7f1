"""NORA and NOAH on linear MDPs: the same rarely fitted critic and reset actor as `nora`, by ridge regression.

Tan, Fan, Wei, Actor-Critics Can Achieve Optimal Sample Efficiency, ICML 2025 (arXiv 2505.03710): a reconstruction, as
`nora` says. The critic of stage h is Q_h(s,a) = clip(phi(s,a)' w_h + b |phi(s,a)|_{Lambda^-1}), its weights fitted from
the last stage to the first; the data of all stages are pooled, as the same authors' programs do, or kept apart. Greedy
and with pooled data it is rare-switching LSVI-UCB.

Symbols: phi features, d of them; Lambda = lambda I + sum phi phi', b the bonus, eta the actor's step size.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.agents.linear_mdp import (
    appended,
    check_linear,
    exact_metrics,
    offline_episodes,
    outer_products,
    play_measured,
)
from jaxrl_suite.agents.nora import RECONSTRUCTION, has_grown
from jaxrl_suite.config import array, static, sweepable
from jaxrl_suite.envs.linear_features import LinearFeatures
from jaxrl_suite.envs.observations import state_number
from jaxrl_suite.envs.recorded import Episodes, horizon_of
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.batching import where_any


@struct.dataclass
class LinearNORAConfig:
    """Settings of NORA on linear MDPs; without a bonus it is NOAH. Floats can be swept."""

    step_size: float = sweepable(5.0, "of mirror ascent", symbol="eta", source=RECONSTRUCTION, above=0)
    bonus: float = sweepable(0.1, "multiplies the features' norm", symbol="b", source=RECONSTRUCTION, low=0)
    ridge: float = sweepable(1.0, "weight of the squared weights", symbol="lambda", above=0)
    reward_low: float = sweepable(0.0, "least reward: the critic is clipped to what is left to get at it")
    reward_high: float = sweepable(1.0, "greatest reward, likewise")
    return_low: float = sweepable(-1e9, "least return of an episode: the critic is clipped to it, too")
    return_high: float = sweepable(1e9, "greatest return of an episode, likewise")
    total_updates: int = static(100, "budget: episodes", symbol="T", unit="episodes", low=1)
    actor: str = static("softmax", "mirror ascent, or greedy in the critic: eta = inf", choices=("softmax", "greedy"))
    pooled: bool = static(True, "stages share their data, and one Lambda")
    shifted_features: bool = static(
        False, "the published programs' quirk: data are recorded with phi(s', a) of the state that followed"
    )
    offline: Any = array(None, "offline episodes, [N_off, 3, H + 1]: states, actions, rewards; the last two end unused")


@struct.dataclass
class LinearState:
    """The data; covariance: Lambda, [P, d, d], P = 1 where pooled, else H. inverse, log_volume: Lambda^-1, and log det
    Lambda [P], at the last fit. weights: w, [H, d]. steps: n."""

    episodes: Episodes
    covariance: jax.Array
    inverse: jax.Array
    log_volume: jax.Array
    weights: jax.Array
    steps: jax.Array


def check_task(env: Any, env_params: Any, config: LinearNORAConfig) -> None:
    """What `check_linear` refuses, and rewards without a range."""
    check_linear(env, env_params, config)
    if np.any(np.asarray(config.reward_low) >= np.asarray(config.reward_high)):
        kind = type(config).__name__
        raise ConfigError(f"{kind}.reward_high = {float(np.min(config.reward_high)):g}: must be above reward_low")


@agent_factory("nora_linear", LinearNORAConfig, check=check_task)
def nora_linear(env: Any, env_params: Any, config: LinearNORAConfig) -> Agent:
    """NORA on a linear MDP: one update is one episode. With offline episodes it is the paper's hybrid version."""
    features: LinearFeatures = env.linear_features(env_params)
    horizon, num_actions = horizon_of(env, env_params), int(env.action_space(env_params).n)
    num_offline = 0 if config.offline is None else len(config.offline)
    left = (horizon - jnp.arange(horizon)).astype(float)

    def init(key: jax.Array) -> LinearState:
        episodes = offline_episodes(config.offline, num_offline + config.total_updates, horizon)
        groups = 1 if config.pooled else horizon
        state = LinearState(
            episodes=episodes,
            covariance=jnp.tile(config.ridge * jnp.eye(features.size), (groups, 1, 1)),
            inverse=jnp.zeros((groups, features.size, features.size)),
            log_volume=jnp.zeros(groups),
            weights=jnp.zeros((horizon, features.size)),
            steps=jnp.zeros((), jnp.int32),
        )
        if num_offline:
            seen, actions = episodes.recorded(config.shifted_features), episodes.actions
            state = counted(state, seen[:num_offline], actions[:num_offline])
        return fit(state)

    def counted(state: LinearState, states: jax.Array, actions: jax.Array) -> LinearState:
        """With steps more in Lambda; both int32 [..., H]."""
        added = outer_products(features, states, actions, config.pooled)
        return dataclasses.replace(state, covariance=state.covariance + added)

    def volume(state: LinearState) -> jax.Array:
        return jnp.linalg.slogdet(state.covariance)[1]

    def fit(state: LinearState) -> LinearState:
        """The critic of all data so far, and the actor at uniform."""
        inverse = jnp.linalg.inv(state.covariance)
        episodes = state.episodes
        seen = episodes.recorded(config.shifted_features)
        per_group = jax.vmap(lambda m: jnp.sqrt(jnp.maximum(features.squared_norms(m), 0.0)))(inverse)

        def backup(value: jax.Array, stage: Any) -> tuple[jax.Array, jax.Array]:
            h, left_here = stage
            group = 0 if config.pooled else h
            y = jnp.where(episodes.is_real, episodes.rewards + value[episodes.states[:, 1:]], 0.0)
            samples = (seen, episodes.actions, y) if config.pooled else (seen[:, h], episodes.actions[:, h], y[:, h])
            w = inverse[group] @ features.weighted_sum(*samples)
            q = clipped(features.values(w) + config.bonus * per_group[group], left_here)
            return jnp.max(q, axis=-1), w

        last = jnp.zeros(features.values(state.weights[0]).shape[0])
        _, weights = jax.lax.scan(backup, last, (jnp.arange(horizon), left), reverse=True)
        none = jnp.zeros((), jnp.int32)
        return dataclasses.replace(state, inverse=inverse, log_volume=volume(state), weights=weights, steps=none)

    def clipped(q: jax.Array, left_here: jax.Array) -> jax.Array:
        within = jnp.clip(q, left_here * config.reward_low, left_here * config.reward_high)
        return jnp.clip(within, config.return_low, config.return_high)

    def logits(state: LinearState, h: jax.Array, here: jax.Array) -> jax.Array:
        """eta n Q_h(s, .), or all on the lowest best action."""
        phi = features.of(here, jnp.arange(num_actions))
        inverse = state.inverse[0 if config.pooled else h]
        norms = jnp.sqrt(jnp.maximum(jnp.sum((phi @ inverse) * phi, axis=-1), 0.0))
        q = clipped(phi @ state.weights[h] + config.bonus * norms, left[h])
        if config.actor == "greedy":
            return jnp.log(jax.nn.one_hot(jnp.argmax(q), num_actions))
        return config.step_size * state.steps * q

    def policy_of(state: LinearState) -> jax.Array:
        """pi_h(a|s) of all states, [H, S, A]."""
        stages, numbers = jnp.arange(horizon), jnp.arange(features.values(state.weights[0]).shape[0])
        every = jax.vmap(jax.vmap(logits, (None, None, 0)), (None, 0, None))(state, stages, numbers)
        return jax.nn.softmax(every, axis=-1)

    def update(key: jax.Array, state: LinearState, step: jax.Array) -> tuple[LinearState, Metrics]:
        def choose(key: jax.Array, h: jax.Array, here: jax.Array) -> jax.Array:
            return jax.random.categorical(key, logits(state, h, here))

        one, metrics = play_measured(env, env_params, key, horizon, choose)
        exact = exact_metrics(env_params, policy_of, state)
        state = dataclasses.replace(state, episodes=appended(state.episodes, one))
        seen = one.states[1:] if config.shifted_features else one.states[:-1]
        state = counted(state, seen, one.actions)
        switches = has_grown(volume(state), state.log_volume)
        waited = dataclasses.replace(state, steps=state.steps + 1)
        state = where_any(switches, lambda: fit(state), waited)
        return state, metrics | exact | {"switch/count": switches.astype(jnp.int32)}

    def start(key: jax.Array, state: LinearState) -> jax.Array:
        """The stage."""
        return jnp.zeros((), jnp.int32)

    def act(key: jax.Array, state: LinearState, memory: jax.Array, observation: Any, greedy: bool) -> tuple[Any, Any]:
        scores = logits(state, memory, state_number(observation))
        action = jnp.argmax(scores) if greedy else jax.random.categorical(key, scores)
        return action.astype(jnp.int32), jnp.minimum(memory + 1, horizon - 1)

    info = AgentInfo(
        "nora_linear", env, env_params, config, horizon, config.total_updates, nora_linear, precision="float64"
    )
    return Agent(init, update, start, act, info)
