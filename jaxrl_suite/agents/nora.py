"""NORA and its kin on tabular MDPs: optimistic actor-critics whose critic is fitted rarely and resets the actor.

Tan, Fan, Wei, Actor-Critics Can Achieve Optimal Sample Efficiency, ICML 2025 (arXiv 2505.03710). The paper's text was
not at hand: this is a reconstruction from its abstract, the names of its algorithms, and a derivation of its rates,
and is called that wherever results are shown.

An episode t: play the actor, softmax of eta times the sum of critics since the last reset; add the episode to the
data; if they have grown enough (`has_grown`), fit the critic anew (`fit_critic`) and reset the actor to uniform, else
take one more step of mirror ascent on the critic at hand. Between switches the critic f is frozen, so the actor after n
steps is softmax(eta n f): no table of policies is needed. All in float64.

  nora    Algorithm 2: the critic aims at Q*, plus a bonus
  noah    Algorithm 3: without the bonus, on offline data
  douhua  Algorithm 1: the critic aims at Q^pi of the actor, is fitted in every episode, and nothing is ever reset; the
          tabular form of OPPO (Cai et al. 2020)

Symbols: S, A, H states, actions, stages; N_h(s,a) visits; eta the actor's step size, b the bonus, lambda the ridge.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.agents.conservative import act
from jaxrl_suite.agents.conservative_task import counts_shape
from jaxrl_suite.config import array, static, sweepable
from jaxrl_suite.envs.tabular import TabularMDP
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.batching import where_any
from jaxrl_suite.learning.tabular import (
    TIE,
    Episode,
    add_episode,
    by_next_state,
    episode_uniforms,
    next_state_mean,
    play_episode,
    scan_stages,
    staged,
)
from jaxrl_suite.precision import in_float64, own_arrays
from jaxrl_suite.solvers.dynamic_programming import policy_evaluation, value_iteration

RECONSTRUCTION = "reconstruction of this suite; the paper's own constants are unknown"
SLACK = 1e-5
"""How far beyond log 2 a log-determinant must have grown: a first visit, which doubles it exactly, is no switch."""


@struct.dataclass
class CriticConfig:
    """What all of them share. Floats can be swept."""

    step_size: float = sweepable(10.0, "of mirror ascent", symbol="eta", source=RECONSTRUCTION, above=0)
    ridge: float = sweepable(1.0, "visits of value 0 that every pair is begun with", symbol="lambda", above=0)
    value_low: float = sweepable(0.0, "least return of an episode; the critic is clipped to it")
    value_high: float = sweepable(1.0, "greatest return of an episode; the critic is clipped to it", symbol="V_max")
    offline_share: float = sweepable(
        0.1, "of uniform actions in the offline policy, otherwise optimal", symbol="epsilon", low=0, high=1
    )
    total_updates: int = static(3000, "budget: episodes", symbol="T", unit="episodes", source=RECONSTRUCTION, low=1)
    offline_episodes: int = static(
        0, "episodes of the offline policy, counted before the first", unit="episodes", low=0
    )
    dataset: Any = array(None, "counts [H, S, A, S] of offline episodes (see `envs.dataset_counts`)")

    def check(self) -> None:
        check_range(self)


@struct.dataclass
class NORAConfig(CriticConfig):
    """Settings of NORA, and the switches that take it apart."""

    bonus: float = sweepable(1.0, "of an unvisited pair, divided by the root of visits + lambda", symbol="b", low=0)
    fits: str = static(
        "rare", "the critic: when the data have doubled, or in every episode", choices=("rare", "always")
    )
    resets: bool = static(True, "the actor becomes uniform whenever the critic is fitted")
    actor: str = static("softmax", "mirror ascent, or greedy in the critic: eta = inf", choices=("softmax", "greedy"))


@struct.dataclass
class NOAHConfig(CriticConfig):
    """Settings of NOAH."""

    offline_episodes: int = static(
        200, "episodes of the offline policy, counted before the first", symbol="N_off", unit="episodes", low=0
    )


@struct.dataclass
class DOUHUAConfig(CriticConfig):
    """Settings of DOUHUA."""

    bonus: float = sweepable(1.0, "of an unvisited pair, divided by the root of visits + lambda", symbol="b", low=0)


def check_range(config: Any) -> None:
    """Raises ConfigError unless value_low is below value_high."""
    if np.any(np.asarray(config.value_low) >= np.asarray(config.value_high)):
        raise ConfigError(
            f"{type(config).__name__}.value_high = {float(np.min(config.value_high)):g}: must be above value_low = "
            f"{float(np.max(config.value_low)):g}"
        )


class Scheme(NamedTuple):
    """What tells the algorithms apart; bonus may be traced, the rest is static."""

    bonus: Any
    is_rare: bool = True
    resets: bool = True
    is_greedy: bool = False
    targets_policy: bool = False


@struct.dataclass
class ActorCriticState:
    """The critic and what it was fitted to.

    counts: int32 [H, S, A, S]. critic: f, [H, S, A]. steps: n, mirror-ascent steps on f, int32. past: sum of earlier
    critics' steps since the last reset, [H, S, A]. log_volume: [H], log det Lambda_h at the last fit. order: [H, S, A],
    among tied actions a greedy actor takes the one with the largest. best: V*. first_success: int32, the first episode
    (from 1) with a return of at least V*; 0 if none yet.
    """

    counts: jax.Array
    critic: jax.Array
    steps: jax.Array
    past: jax.Array
    log_volume: jax.Array
    order: jax.Array
    best: jax.Array
    first_success: jax.Array


def fit_critic(
    counts: jax.Array, rewards: jax.Array, bonus: Any, config: Any, policy: jax.Array | None = None
) -> jax.Array:
    """The critic f, [H, S, A]: ridge regression stage by stage from the last, plus b / sqrt(N + lambda), clipped.

    Pointwise the largest member of the confidence set {f: N (f - f-hat)^2 <= H^2 beta}, for b = H sqrt(beta).

    Args:
        counts: [H, S, A, S]. rewards: [H, S, A], expected ones. policy: [H, S, A], whose action values are the target;
            None: the best ones.
    """
    horizon, states, actions = rewards.shape
    weights = jnp.sum(counts, axis=-1).astype(rewards.dtype)
    widths = bonus / jnp.sqrt(weights + config.ridge)

    def backup(following: jax.Array, stage: Any) -> tuple[jax.Array, jax.Array]:
        rows, paid, width, scale, policy_here = stage
        estimate = (paid + next_state_mean(rows, following[None])[0]) / scale + width
        f = jnp.clip(estimate, config.value_low, config.value_high).reshape(states, actions)
        return jnp.max(f, axis=-1) if policy is None else jnp.sum(policy_here * f, axis=-1), f

    of_pairs = (weights * rewards, widths, weights + config.ridge)
    rows = by_next_state(counts.astype(rewards.dtype))
    stages = (rows, *(x.reshape(horizon, -1) for x in of_pairs), rewards if policy is None else policy)
    return scan_stages(backup, jnp.zeros(states, rewards.dtype), stages, horizon, reverse=True)[1]


def log_volume(counts: jax.Array, ridge: Any) -> jax.Array:
    """log det Lambda_h, [H]: with one-hot features the sum over pairs of log(N_h + lambda)."""
    return jnp.sum(jnp.log(jnp.sum(counts, axis=-1) + ridge), axis=(1, 2))


def has_grown(now: jax.Array, then: jax.Array) -> jax.Array:
    """Whether at any stage the determinant of Lambda_h is more than twice what it was: when to fit anew."""
    return jnp.any(now - then > jnp.log(2.0) + SLACK)


def softmax_actor(critic: jax.Array, steps: jax.Array, past: jax.Array, step_size: Any) -> jax.Array:
    """pi_h(a|s) = softmax(eta (past + n f_h(s,a))), [H, S, A]."""
    return jax.nn.softmax(step_size * (past + steps * critic), axis=-1)


def greedy_actor(critic: jax.Array, order: jax.Array) -> jax.Array:
    """All on a best action, [H, S, A]; among equals the one that `order` has the largest number for."""
    is_best = critic >= jnp.max(critic, axis=-1, keepdims=True)
    chosen = jnp.argmax(jnp.where(is_best, order, -1.0), axis=-1)
    return jax.nn.one_hot(chosen, critic.shape[-1], dtype=critic.dtype)


def check_table(env: Any, mdp: Any) -> None:
    """Refuses on the host what cannot work: no table, no horizon, or discounting."""
    if not isinstance(mdp, TabularMDP) or mdp.horizon is None:
        raise ConfigError(f"{env.id}: must be a tabular MDP with a horizon, as in make('tabular/lock')")
    if float(mdp.discount) != 1.0:
        raise ConfigError(f"{env.id}: discount = {float(mdp.discount):g}: must be 1")


def check_task(env: Any, env_params: Any, config: CriticConfig) -> None:
    """Refuses a task that is no table as these agents need it, or a data set of another shape."""
    check_table(env, env_params)
    mdp, kind = env_params, type(config).__name__
    if config.dataset is not None and np.shape(config.dataset) != counts_shape(mdp):
        raise ConfigError(f"{kind}.dataset: shape {np.shape(config.dataset)}: must be counts {list(counts_shape(mdp))}")
    if config.dataset is not None and config.offline_episodes:
        raise ConfigError(f"{kind}.offline_episodes = {config.offline_episodes}: must be 0 where a dataset is given")


@agent_factory("nora", NORAConfig, check=check_task)
def nora(env: Any, env_params: Any, config: NORAConfig) -> Agent:
    """NORA: one update is one episode. With offline data it is the paper's hybrid version."""
    scheme = Scheme(config.bonus, config.fits == "rare", config.resets, config.actor == "greedy")
    return actor_critic(nora, env, env_params, config, scheme)


@agent_factory("noah", NOAHConfig, check=check_task)
def noah(env: Any, env_params: Any, config: NOAHConfig) -> Agent:
    """NOAH: NORA without optimism, which needs offline data that cover what an optimal policy does."""
    return actor_critic(noah, env, env_params, config, Scheme(0.0))


@agent_factory("douhua", DOUHUAConfig, check=check_task)
def douhua(env: Any, env_params: Any, config: DOUHUAConfig) -> Agent:
    """DOUHUA: the critic evaluates the actor optimistically in every episode, and is added to its logits."""
    scheme = Scheme(config.bonus, is_rare=False, resets=False, targets_policy=True)
    return actor_critic(douhua, env, env_params, config, scheme)


@in_float64
def offline_policy(mdp: Any, share: Any) -> jax.Array:
    """pi*, uniform over all best actions, mixed with a `share` of uniform ones in every state, float64 [H, S, A]."""
    values = value_iteration(mdp).action_value
    is_best = (values >= jnp.max(values, axis=-1, keepdims=True) - TIE).astype(values.dtype)
    return (1.0 - share) * is_best / jnp.sum(is_best, axis=-1, keepdims=True) + share / mdp.num_actions


def judge(mdp: Any, state: Any, policy: jax.Array, episode: Episode, step: jax.Array) -> Metrics:
    """What is reported of an episode of `policy`: its exact value, its regret, and when a return was first the best.

    Args:
        state: of before the episode, with `best` and `first_success`.
    """
    value = policy_evaluation(mdp, policy).start_value
    is_success = (state.first_success == 0) & (episode.total >= state.best - SLACK)
    return {
        "episode/return": episode.total,
        "episode/count": jnp.ones((), jnp.int32),
        "value/policy": value,
        "regret": state.best - value,
        "first_success": jnp.where(is_success, step + 1, state.first_success).astype(jnp.int32),
    }


def actor_critic(
    factory: Callable[..., Agent], env: Any, env_params: Any, config: CriticConfig, scheme: Scheme
) -> Agent:
    """The agent of a scheme. Everything it is judged by is computed from the true transitions."""
    mdp = own_arrays(env_params)

    def offline_counts(key: jax.Array) -> jax.Array:
        if config.dataset is not None:
            return jnp.asarray(config.dataset).astype(jnp.int32)
        nothing = jnp.zeros(counts_shape(mdp), jnp.int32)
        if not config.offline_episodes:
            return nothing
        policy = offline_policy(mdp, config.offline_share)

        def collect(index: jax.Array, counts: jax.Array) -> jax.Array:
            uniforms = episode_uniforms(jax.random.fold_in(key, index), mdp)
            return add_episode(counts, play_episode(uniforms, mdp, policy))

        return jax.lax.fori_loop(0, config.offline_episodes, collect, nothing)

    def fit(counts: jax.Array, policy: jax.Array) -> jax.Array:
        target = policy if scheme.targets_policy else None
        return fit_critic(counts, staged(mdp)[1], scheme.bonus, config, target)

    def init(key: jax.Array) -> ActorCriticState:
        key_order, key_data = jax.random.split(key)
        counts, none = offline_counts(key_data), jnp.zeros((), jnp.int32)
        zeros = jnp.zeros(counts.shape[:-1], staged(mdp)[1].dtype)
        return ActorCriticState(
            counts=counts,
            critic=fit(counts, jnp.full_like(zeros, 1.0 / mdp.num_actions)),
            steps=none,
            past=zeros,
            log_volume=log_volume(counts, config.ridge),
            order=jax.random.uniform(key_order, zeros.shape, zeros.dtype),
            best=value_iteration(mdp).start_value,
            first_success=none,
        )

    def actor(state: ActorCriticState) -> jax.Array:
        if scheme.is_greedy:
            return greedy_actor(state.critic, state.order)
        return softmax_actor(state.critic, state.steps, state.past, config.step_size)

    def learn(state: ActorCriticState, episode: Episode, policy: jax.Array) -> tuple[ActorCriticState, jax.Array]:
        """The state with the episode's data, and whether the critic was fitted."""
        counts = add_episode(state.counts, episode)
        volume = log_volume(counts, config.ridge)
        switches = has_grown(volume, state.log_volume) if scheme.is_rare else jnp.asarray(True)
        steps, past = state.steps + 1, state.past
        if scheme.resets:
            steps = jnp.where(switches, 0, steps)
        else:
            # The first step of the new epoch is on the new critic.
            past = jnp.where(switches, past + state.steps * state.critic, past)
            steps = jnp.where(switches, 1, steps)
        critic = where_any(switches, lambda: fit(counts, policy), state.critic)
        volume = jnp.where(switches, volume, state.log_volume)
        steps = steps.astype(jnp.int32)
        changed = {"counts": counts, "critic": critic, "steps": steps, "past": past, "log_volume": volume}
        return dataclasses.replace(state, **changed), switches

    def update(key: jax.Array, state: ActorCriticState, step: jax.Array) -> tuple[ActorCriticState, Metrics]:
        policy = actor(state)
        episode = play_episode(episode_uniforms(key, mdp), mdp, policy)
        metrics = judge(mdp, state, policy, episode, step)
        state, switches = learn(dataclasses.replace(state, first_success=metrics["first_success"]), episode, policy)
        metrics |= {
            "value/critic": jnp.sum(jnp.max(state.critic[0], axis=-1) * mdp.initial),
            "switch/count": switches.astype(jnp.int32),
        }
        return state, metrics

    def start(key: jax.Array, state: ActorCriticState) -> Any:
        """The stage, and the policy of the whole episode: what the next update would play."""
        return jnp.zeros((), jnp.int32), actor(state)

    info = AgentInfo(
        factory.agent_name,  # type: ignore[attr-defined]
        env,
        env_params,
        config,
        mdp.horizon,
        config.total_updates,
        factory,
        precision="float64",
    )
    return Agent(init, update, start, act, info)
