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
from jaxrl_suite.agents.nora import RECONSTRUCTION, has_grown
from jaxrl_suite.config import array, static, sweepable
from jaxrl_suite.envs.linear_features import LinearFeatures
from jaxrl_suite.envs.observations import shows_number
from jaxrl_suite.errors import ConfigError


@struct.dataclass
class LinearNORAConfig:
    """Settings of NORA on linear MDPs; without a bonus it is NOAH. Floats can be swept."""

    step_size: float = sweepable(5.0, "of mirror ascent", symbol="eta", source=RECONSTRUCTION, above=0)
    bonus: float = sweepable(0.1, "multiplies the features' norm", symbol="b", source=RECONSTRUCTION, low=0)
    ridge: float = sweepable(1.0, "weight of the squared weights", symbol="lambda", above=0)
    reward_low: float = sweepable(0.0, "least reward: the critic is clipped to what is left to get at it")
    reward_high: float = sweepable(1.0, "greatest reward, likewise")
    total_updates: int = static(100, "budget: episodes", symbol="T", unit="episodes", low=1)
    actor: str = static("softmax", "mirror ascent, or greedy in the critic: eta = inf", choices=("softmax", "greedy"))
    pooled: bool = static(True, "stages share their data, and one Lambda")
    shifted_features: bool = static(
        False, "the published programs' quirk: data are recorded with phi(s', a) of the state that followed"
    )
    offline: Any = array(None, "offline episodes, [N_off, 3, H + 1]: states, actions, rewards; the last two end unused")


@struct.dataclass
class LinearState:
    """states: int32 [M, H + 1], actions [M, H] and rewards [M, H] of the episodes so far, offline ones first; length:
    how many they are. covariance: Lambda, [P, d, d], P = 1 where pooled, else H. inverse, log_volume: Lambda^-1, and
    log det Lambda [P], at the last fit. weights: w, [H, d]. steps: n."""

    states: jax.Array
    actions: jax.Array
    rewards: jax.Array
    length: jax.Array
    covariance: jax.Array
    inverse: jax.Array
    log_volume: jax.Array
    weights: jax.Array
    steps: jax.Array


def check_task(env: Any, env_params: Any, config: LinearNORAConfig) -> None:
    """Refuses on the host what cannot work: an environment without features, or episodes of another shape."""
    kind = type(config).__name__
    if not hasattr(env, "linear_features"):
        raise ConfigError(f"{env.id}: must be an environment with linear features, as make('linear/tetris')")
    if not shows_number(env, env_params):
        raise ConfigError(f"{env.id}: must show its state's number: make(…, observation='raw')")
    if np.any(np.asarray(config.reward_low) >= np.asarray(config.reward_high)):
        raise ConfigError(f"{kind}.reward_high = {float(np.min(config.reward_high)):g}: must be above reward_low")
    shape = (3, env_params.max_steps_in_episode + 1)
    if config.offline is not None and np.shape(config.offline)[1:] != shape:
        raise ConfigError(f"{kind}.offline: shape {np.shape(config.offline)}: must be [N_off, {shape[0]}, {shape[1]}]")


@agent_factory("nora_linear", LinearNORAConfig, check=check_task)
def nora_linear(env: Any, env_params: Any, config: LinearNORAConfig) -> Agent:
    """NORA on a linear MDP: one update is one episode. With offline episodes it is the paper's hybrid version."""
    features: LinearFeatures = env.linear_features(env_params)
    horizon, num_actions = env_params.max_steps_in_episode, int(env.action_space(env_params).n)
    offline = None if config.offline is None else jnp.asarray(config.offline)
    num_offline = 0 if offline is None else offline.shape[0]
    left = (horizon - jnp.arange(horizon)).astype(float)

    def init(key: jax.Array) -> LinearState:
        capacity, groups = num_offline + config.total_updates, 1 if config.pooled else horizon
        state = LinearState(
            states=jnp.zeros((capacity, horizon + 1), jnp.int32),
            actions=jnp.zeros((capacity, horizon), jnp.int32),
            rewards=jnp.zeros((capacity, horizon)),
            length=jnp.zeros((), jnp.int32),
            covariance=jnp.tile(config.ridge * jnp.eye(features.size), (groups, 1, 1)),
            inverse=jnp.zeros((groups, features.size, features.size)),
            log_volume=jnp.zeros(groups),
            weights=jnp.zeros((horizon, features.size)),
            steps=jnp.zeros((), jnp.int32),
        )
        if offline is not None:
            states, actions = offline[:, 0].astype(jnp.int32), offline[:, 1, :-1].astype(jnp.int32)
            state = jax.lax.fori_loop(
                0, num_offline, lambda i, s: add(s, states[i], actions[i], offline[i, 2, :-1]), state
            )
        return fit(state)

    def add(state: LinearState, states: jax.Array, actions: jax.Array, rewards: jax.Array) -> LinearState:
        """The state with an episode more: states int32 [H + 1], actions int32 [H], rewards [H]."""
        phi = features.of(states[1:] if config.shifted_features else states[:-1], actions)
        grown = jnp.einsum("hd,he->de", phi, phi)[None] if config.pooled else phi[:, :, None] * phi[:, None, :]
        place = state.length
        return dataclasses.replace(
            state,
            states=state.states.at[place].set(states),
            actions=state.actions.at[place].set(actions),
            rewards=state.rewards.at[place].set(rewards),
            covariance=state.covariance + grown,
            length=place + 1,
        )

    def volume(state: LinearState) -> jax.Array:
        return jnp.linalg.slogdet(state.covariance)[1]

    def fit(state: LinearState) -> LinearState:
        """The critic of all data so far, and the actor at uniform."""
        inverse = jnp.linalg.inv(state.covariance)
        is_real = (jnp.arange(len(state.states)) < state.length)[:, None]
        seen = state.states[:, 1:] if config.shifted_features else state.states[:, :-1]
        per_group = jax.vmap(lambda m: jnp.sqrt(jnp.maximum(features.squared_norms(m), 0.0)))(inverse)

        def backup(value: jax.Array, stage: Any) -> tuple[jax.Array, jax.Array]:
            h, left_here = stage
            group = 0 if config.pooled else h
            y = jnp.where(is_real, state.rewards + value[state.states[:, 1:]], 0.0)
            samples = (seen, state.actions, y) if config.pooled else (seen[:, h], state.actions[:, h], y[:, h])
            w = inverse[group] @ features.weighted_sum(*samples)
            q = clipped(features.values(w) + config.bonus * per_group[group], left_here)
            return jnp.max(q, axis=-1), w

        last = jnp.zeros(features.values(state.weights[0]).shape[0])
        _, weights = jax.lax.scan(backup, last, (jnp.arange(horizon), left), reverse=True)
        none = jnp.zeros((), jnp.int32)
        return dataclasses.replace(state, inverse=inverse, log_volume=volume(state), weights=weights, steps=none)

    def clipped(q: jax.Array, left_here: jax.Array) -> jax.Array:
        return jnp.clip(q, left_here * config.reward_low, left_here * config.reward_high)

    def logits(state: LinearState, h: jax.Array, here: jax.Array) -> jax.Array:
        """eta n Q_h(s, .), or all on the lowest best action."""
        phi = features.of(here, jnp.arange(num_actions))
        inverse = state.inverse[0 if config.pooled else h]
        norms = jnp.sqrt(jnp.maximum(jnp.sum((phi @ inverse) * phi, axis=-1), 0.0))
        q = clipped(phi @ state.weights[h] + config.bonus * norms, left[h])
        if config.actor == "greedy":
            return jnp.log(jax.nn.one_hot(jnp.argmax(q), num_actions))
        return config.step_size * state.steps * q

    def update(key: jax.Array, state: LinearState, step: jax.Array) -> tuple[LinearState, Metrics]:
        key_reset, key_episode = jax.random.split(key)
        first, env_state = env.reset(key_reset, env_params)

        def act_and_step(carry: Any, inputs: Any) -> tuple[Any, Any]:
            here, env_state = carry
            h, key = inputs
            key_act, key_step = jax.random.split(key)
            action = jax.random.categorical(key_act, logits(state, h, here)).astype(jnp.int32)
            following, env_state, reward, _, _ = env.transition(key_step, env_state, action, env_params)
            return (following, env_state), (here, action, reward.astype(left.dtype))

        inputs = (jnp.arange(horizon), jax.random.split(key_episode, horizon))
        (last, _), (states, actions, rewards) = jax.lax.scan(act_and_step, (first, env_state), inputs)
        state = add(state, jnp.append(states, last), actions, rewards)
        switches = has_grown(volume(state), state.log_volume)
        waited = dataclasses.replace(state, steps=state.steps + 1)
        state = jax.lax.cond(switches, fit, lambda s: waited, state)
        metrics = {
            "episode/return": jnp.sum(rewards),
            "episode/length": jnp.asarray(horizon, float),
            "episode/count": jnp.ones((), jnp.int32),
            "switch/count": switches.astype(jnp.int32),
        }
        return state, metrics

    def start(key: jax.Array, state: LinearState) -> jax.Array:
        """The stage."""
        return jnp.zeros((), jnp.int32)

    def act(key: jax.Array, state: LinearState, memory: jax.Array, observation: Any, greedy: bool) -> tuple[Any, Any]:
        scores = logits(state, memory, observation)
        action = jnp.argmax(scores) if greedy else jax.random.categorical(key, scores)
        return action.astype(jnp.int32), jnp.minimum(memory + 1, horizon - 1)

    info = AgentInfo(
        "nora_linear", env, env_params, config, horizon, config.total_updates, nora_linear, precision="float64"
    )
    return Agent(init, update, start, act, info)
