"""Optimistic natural policy gradient on tabular MDPs: mirror ascent on optimistic evaluations of fresh data.

Liu, Weisz, György, Jin, Szepesvári, Optimistic Natural Policy Gradient, NeurIPS 2023 (arXiv 2305.11032). The paper's
text was not at hand: this is a reconstruction of its structure, with the tabular form of its least-squares evaluation,
which is that of `nora`.

A round: N episodes of the actor, of which alone, all older data dropped, Q^pi is evaluated with a bonus; pi times
exp(eta Q^pi), evaluated anew, m times. All in float64.

Symbols: S, A, H states, actions, stages; N episodes a round, m steps a round; eta the step size, b the bonus.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.agents.conservative import act
from jaxrl_suite.agents.conservative_task import counts_shape
from jaxrl_suite.agents.nora import RECONSTRUCTION, SLACK, check_range, check_table, fit_critic
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.learning.tabular import add_episode, episode_uniforms, play_episode, staged
from jaxrl_suite.precision import own_arrays
from jaxrl_suite.solvers.dynamic_programming import policy_evaluation, value_iteration


@struct.dataclass
class OptimisticNPGConfig:
    """Settings of optimistic natural policy gradient. Floats can be swept."""

    step_size: float = sweepable(100.0, "of mirror ascent", symbol="eta", source=RECONSTRUCTION, above=0)
    bonus: float = sweepable(1.0, "of an unvisited pair, divided by the root of visits + lambda", symbol="b", low=0)
    ridge: float = sweepable(1.0, "visits of value 0 that every pair is begun with", symbol="lambda", above=0)
    value_low: float = sweepable(0.0, "least return of an episode; the critic is clipped to it")
    value_high: float = sweepable(1.0, "greatest return of an episode; the critic is clipped to it", symbol="V_max")
    episodes: int = static(100, "fresh data of a round", symbol="N", unit="episodes", source=RECONSTRUCTION, low=1)
    steps: int = static(30, "mirror-ascent steps on them", symbol="m", source=RECONSTRUCTION, low=1)
    total_updates: int = static(30, "budget: rounds", unit="rounds", source=RECONSTRUCTION, low=1)

    def check(self) -> None:
        check_range(self)


@struct.dataclass
class NPGState:
    """logits: eta times the sum of evaluations so far, [H, S, A]. best: V*. first_success: int32, the first episode
    (from 1) of the round with the first return of at least V*; 0 if none yet."""

    logits: jax.Array
    best: jax.Array
    first_success: jax.Array


def _check(env: Any, env_params: Any, config: OptimisticNPGConfig) -> None:
    check_table(env, env_params)


@agent_factory("optimistic_npg", OptimisticNPGConfig, check=_check)
def optimistic_npg(env: Any, env_params: Any, config: OptimisticNPGConfig) -> Agent:
    """Optimistic natural policy gradient: one update is one round of `episodes` episodes."""
    mdp = own_arrays(env_params)

    def init(key: jax.Array) -> NPGState:
        zeros = jnp.zeros(counts_shape(mdp)[:-1])
        return NPGState(zeros, value_iteration(mdp).start_value, jnp.zeros((), jnp.int32))

    def update(key: jax.Array, state: NPGState, step: jax.Array) -> tuple[NPGState, Metrics]:
        policy = jax.nn.softmax(state.logits, axis=-1)

        def collect(counts: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
            episode = play_episode(episode_uniforms(key, mdp), mdp, policy)
            return add_episode(counts, episode), episode.total

        none = jnp.zeros(counts_shape(mdp), jnp.int32)
        counts, returns = jax.lax.scan(collect, none, jax.random.split(key, config.episodes))

        def ascend(_: jax.Array, logits: jax.Array) -> jax.Array:
            now = jax.nn.softmax(logits, axis=-1)
            return logits + config.step_size * fit_critic(counts, staged(mdp)[1], config.bonus, config, now)

        logits = jax.lax.fori_loop(0, config.steps, ascend, state.logits)
        value = policy_evaluation(mdp, policy).start_value
        is_success = (state.first_success == 0) & jnp.any(returns >= state.best - SLACK)
        first = jnp.where(is_success, config.episodes * step + 1, state.first_success).astype(jnp.int32)
        metrics = {
            "episode/return": jnp.mean(returns),
            "episode/count": jnp.asarray(config.episodes, jnp.int32),
            "value/policy": value,
            # Of all episodes of the round.
            "regret": config.episodes * (state.best - value),
            "first_success": first,
        }
        return dataclasses.replace(state, logits=logits, first_success=first), metrics

    def start(key: jax.Array, state: NPGState) -> Any:
        """The stage, and the policy of the whole episode: what the next update would play."""
        return jnp.zeros((), jnp.int32), jax.nn.softmax(state.logits, axis=-1)

    steps = mdp.horizon * config.episodes
    info = AgentInfo(
        "optimistic_npg",
        env,
        env_params,
        config,
        steps,
        config.total_updates,
        optimistic_npg,
        precision="float64",
    )
    return Agent(init, update, start, act, info)
