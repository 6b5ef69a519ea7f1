"""LSVI-UCB++: weighted regression and monotone optimism, nearly minimax optimal on linear MDPs.

He, Zhao, Zhou, Gu, Nearly Minimax Optimal Reinforcement Learning for Linear MDPs, ICML 2023 (arXiv 2212.06132). The
paper's text was not at hand: this is a reconstruction; the constants are those of a published program that runs it.
Differs from the paper in one thing: rewards are learnt with the values, not known.

Per stage h, over the data of that stage, each sample weighted by 1 / sigma-bar^2:

  Q_h        = min(phi' w-hat   + b     |phi|, Q_h before, most)      w-hat:   ridge regression on r + V_{h+1}
  Q-check_h  = max(phi' w-check - b-bar |phi|, Q-check_h before, least)  w-check: the same on r + V-check_{h+1}
  variance   = phi' w-tilde - (phi' w-hat)^2                           w-tilde: the same on (r + V_{h+1})^2

with |phi| in the norm of Sigma^-1, Sigma = lambda I + sum phi phi' / sigma-bar^2. All are refitted when a determinant
of Sigma has doubled. The actor is greedy in Q. All in float64.

Symbols: d features, H stages; sigma-bar^2 a sample's weight; E, D how wrong the estimate of its variance may be.
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
    play_measured,
)
from jaxrl_suite.agents.nora import RECONSTRUCTION, has_grown
from jaxrl_suite.config import array, static, sweepable
from jaxrl_suite.envs.linear_features import LinearFeatures
from jaxrl_suite.envs.observations import number_of_states, state_number
from jaxrl_suite.envs.recorded import Episodes, horizon_of
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.batching import where_any

PROGRAM = "the published program, made of d and H"
MOST_VALUES = 10_000_000
"""Entries of Q, [H, S, A], up to which it is kept as a table: the least of all before cannot be kept as weights."""


@struct.dataclass
class LSVIPlusPlusConfig:
    """Settings of LSVI-UCB++. Floats can be swept."""

    bonus_scale: float = sweepable(0.01, "b is so many times sqrt(d / H) + sqrt(d)", symbol="b", source=PROGRAM, low=0)
    pessimism_scale: float = sweepable(
        1e-5, "b-bar is so many times sqrt(d / H) + sqrt(d^3 H^2)", symbol="b-bar", source=PROGRAM, low=0
    )
    moment_scale: float = sweepable(
        1e-7, "b-tilde is so many times sqrt(d) + sqrt(d^3 H^4)", symbol="b-tilde", source=PROGRAM, low=0
    )
    gap_scale: float = sweepable(
        1e-6,
        "multiplies D, 4 d^3 H^2 times the gap between both bounds; the theory has 1",
        source=RECONSTRUCTION,
        low=0,
    )
    reward_low: float = sweepable(0.0, "least reward: values are clipped to what is left to get at it")
    reward_high: float = sweepable(1.0, "greatest reward, likewise")
    total_updates: int = static(3000, "budget: episodes", symbol="T", unit="episodes", low=1)
    offline: Any = array(None, "offline episodes, [N_off, 3, H + 1]: states, actions, rewards; the last two end unused")

    def check(self) -> None:
        if np.any(np.asarray(self.reward_low) >= np.asarray(self.reward_high)):
            raise ConfigError(
                f"LSVIPlusPlusConfig.reward_high = {float(np.min(self.reward_high)):g}: must be above reward_low"
            )


@struct.dataclass
class LSVIPlusPlusState:
    """The data; weights: 1 / sigma-bar^2 of each sample, [M, H]; covariance: Sigma, [H, d, d]; log_volume: its log det
    at the last fit, [H]. upper, lower: Q and Q-check, [H, S, A]. mean, least, square: w-hat, w-check, w-tilde, [H, d];
    inverse: Sigma^-1 that they were fitted with."""

    episodes: Episodes
    weights: jax.Array
    covariance: jax.Array
    log_volume: jax.Array
    upper: jax.Array
    lower: jax.Array
    mean: jax.Array
    least: jax.Array
    square: jax.Array
    inverse: jax.Array


def _check(env: Any, env_params: Any, config: LSVIPlusPlusConfig) -> None:
    check_linear(env, env_params, config)
    entries = horizon_of(env, env_params) * number_of_states(env, env_params) * int(env.action_space(env_params).n)
    if entries > MOST_VALUES:
        raise ConfigError(f"{env.id}: {entries} values of states and actions: must be at most {MOST_VALUES}")


@agent_factory("lsvi_ucb_plus_plus", LSVIPlusPlusConfig, check=_check)
def lsvi_ucb_plus_plus(env: Any, env_params: Any, config: LSVIPlusPlusConfig) -> Agent:
    """LSVI-UCB++: one update is one episode."""
    features: LinearFeatures = env.linear_features(env_params)
    horizon, d = horizon_of(env, env_params), features.size
    num_states, num_actions = number_of_states(env, env_params), int(env.action_space(env_params).n)
    num_offline = 0 if config.offline is None else len(config.offline)
    left = (horizon - jnp.arange(horizon)).astype(float)
    widest = jnp.maximum(jnp.abs(config.reward_low), jnp.abs(config.reward_high)) * horizon
    bonus = config.bonus_scale * (np.sqrt(d / horizon) + np.sqrt(d))
    pessimism = config.pessimism_scale * (np.sqrt(d / horizon) + np.sqrt(d**3 * horizon**2))
    moment = config.moment_scale * (np.sqrt(d) + np.sqrt(d**3 * horizon**4))

    def init(key: jax.Array) -> LSVIPlusPlusState:
        episodes = offline_episodes(config.offline, num_offline + config.total_updates, horizon)
        # The offline samples weigh least: nothing is known yet of the variance where they were drawn.
        weights = jnp.where(episodes.is_real, 1.0 / widest**2, jnp.zeros(episodes.rewards.shape))
        everywhere = jnp.ones((horizon, num_states, num_actions))
        none = jnp.zeros((horizon, d))
        state = LSVIPlusPlusState(
            episodes=episodes,
            weights=weights,
            covariance=jnp.tile(jnp.eye(d) / horizon**2, (horizon, 1, 1)),
            log_volume=jnp.zeros(horizon),
            upper=left[:, None, None] * config.reward_high * everywhere,
            lower=left[:, None, None] * config.reward_low * everywhere,
            mean=none,
            least=none,
            square=none,
            inverse=jnp.zeros((horizon, d, d)),
        )
        if num_offline:
            phi = features.of(episodes.states[:num_offline, :-1], episodes.actions[:num_offline])
            added = jnp.einsum("nh,nhd,nhe->hde", weights[:num_offline], phi, phi)
            state = dataclasses.replace(state, covariance=state.covariance + added)
        return fit(state)

    def fit(state: LSVIPlusPlusState) -> LSVIPlusPlusState:
        """All three regressions, and both bounds, from the last stage to the first."""
        inverse, episodes = jnp.linalg.inv(state.covariance), state.episodes

        def backup(following: tuple[jax.Array, jax.Array], stage: Any) -> tuple[Any, Any]:
            of_stage, matrix, upper_before, lower_before = stage
            here, action, reward, there, weight = of_stage
            norms = jnp.sqrt(jnp.maximum(features.squared_norms(matrix), 0.0))
            best, worst = reward + following[0][there], reward + following[1][there]
            mean, least, square = (
                matrix @ features.weighted_sum(here, action, weight * y) for y in (best, worst, best**2)
            )
            # The bounds begin at what is left to get, so no further clipping is needed.
            upper = jnp.minimum(features.values(mean) + bonus * norms, upper_before)
            lower = jnp.maximum(features.values(least) - pessimism * norms, lower_before)
            return (jnp.max(upper, axis=-1), jnp.max(lower, axis=-1)), (upper, lower, mean, least, square)

        columns = (episodes.states[:, :-1], episodes.actions, episodes.rewards, episodes.states[:, 1:], state.weights)
        stages = (tuple(x.T for x in columns), inverse, state.upper, state.lower)
        nothing = jnp.zeros(num_states)
        _, found = jax.lax.scan(backup, (nothing, nothing), stages, reverse=True)
        upper, lower, mean, least, square = found
        changed = {"upper": upper, "lower": lower, "mean": mean, "least": least, "square": square, "inverse": inverse}
        return dataclasses.replace(state, **changed, log_volume=volume(state))

    def volume(state: LSVIPlusPlusState) -> jax.Array:
        return jnp.linalg.slogdet(state.covariance)[1]

    def weights_of(state: LSVIPlusPlusState, phi: jax.Array) -> jax.Array:
        """1 / sigma-bar^2 of an episode's samples, [H]; phi: [H, d]."""
        norms = jnp.sqrt(jnp.maximum(jnp.einsum("hd,hde,he->h", phi, state.inverse, phi), 0.0))
        mean, least, square = (jnp.sum(phi * w, axis=-1) for w in (state.mean, state.least, state.square))
        variance = jnp.clip(square, 0.0, widest**2) - jnp.clip(mean, -widest, widest) ** 2
        e = jnp.minimum(moment * norms, widest**2) + jnp.minimum(2 * widest * pessimism * norms, widest**2)
        gap = mean - least + 2 * pessimism * norms
        d_term = config.gap_scale * jnp.clip(4 * d**3 * widest**2 * gap, 0.0, d**3 * widest**3)
        return 1.0 / jnp.maximum(variance + e + d_term + widest, widest)

    def update(key: jax.Array, state: LSVIPlusPlusState, step: jax.Array) -> tuple[LSVIPlusPlusState, Metrics]:
        def choose(key: jax.Array, h: jax.Array, here: jax.Array) -> jax.Array:
            return jnp.argmax(state.upper[h, here])

        one, metrics = play_measured(env, env_params, key, horizon, choose)
        metrics |= exact_metrics(env_params, greedy_policy, state)
        phi = features.of(one.states[:-1], one.actions)
        weights = weights_of(state, phi)
        state = dataclasses.replace(
            state,
            episodes=appended(state.episodes, one),
            weights=state.weights.at[state.episodes.length].set(weights),
            covariance=state.covariance + jnp.einsum("h,hd,he->hde", weights, phi, phi),
        )
        switches = has_grown(volume(state), state.log_volume)
        state = where_any(switches, lambda: fit(state), state)
        return state, metrics | {"switch/count": switches.astype(jnp.int32)}

    def greedy_policy(state: LSVIPlusPlusState) -> jax.Array:
        return jax.nn.one_hot(jnp.argmax(state.upper, axis=-1), num_actions, dtype=float)

    def start(key: jax.Array, state: LSVIPlusPlusState) -> jax.Array:
        """The stage."""
        return jnp.zeros((), jnp.int32)

    def act(
        key: jax.Array, state: LSVIPlusPlusState, memory: jax.Array, observation: Any, greedy: bool
    ) -> tuple[Any, Any]:
        """The best action by Q, greedy or not."""
        action = jnp.argmax(state.upper[memory, state_number(observation)]).astype(jnp.int32)
        return action, jnp.minimum(memory + 1, horizon - 1)

    info = AgentInfo(
        "lsvi_ucb_plus_plus",
        env,
        env_params,
        config,
        horizon,
        config.total_updates,
        lsvi_ucb_plus_plus,
        precision="float64",
    )
    return Agent(init, update, start, act, info)
