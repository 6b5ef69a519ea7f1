"""Magnetic mirror descent in sequence form, with dilated entropy: linearly to the quantal response equilibrium.

Sokota et al., A Unified Approach to Reinforcement Learning, Quantal Response Equilibria, and Two-Player Zero-Sum Games,
ICLR 2023 (arXiv 2206.05825), section C.3. Both players' plans are updated from the same pair; the iterate is stored as
log-probabilities of behaviour, from which plans are products. With a constant step size eta <= alpha / L^2 the distance
falls by 1 / (1 + eta alpha) an iteration. All in float64.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.agent import Agent, Metrics, agent_factory
from jaxrl_suite.agents.mirror_descent import (
    GameLearnerConfig,
    check_game,
    decayed,
    is_judged,
    judged_metrics,
    table_agent,
)
from jaxrl_suite.config import sweepable
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.local_updates import normalized
from jaxrl_suite.solvers.equilibria import dilated_step, regularised_gap


@struct.dataclass
class SequenceFormMMDConfig(GameLearnerConfig):
    """Settings of sequence-form MMD. Floats can be swept."""

    step_size: float = sweepable(0.05, "of the first iteration", symbol="eta", above=0)
    temperature: float = sweepable(0.1, "of the regularised game, in the first", symbol="alpha", above=0)
    decay: float = sweepable(0.0, "both fall with t to the power of minus this", low=0, high=1)


@struct.dataclass
class PlanState:
    """logits: [I, A], log-probabilities of behaviour."""

    logits: jax.Array


def _check(env: Any, env_params: Any, config: Any) -> None:
    check_game(env, env_params, config)
    if not env_params.is_zero_sum:
        raise ConfigError(f"{env.id}: must be a zero-sum game for mmd_sequence_form")


@agent_factory("mmd_sequence_form", SequenceFormMMDConfig, check=_check)
def mmd_sequence_form(env: Any, env_params: Any, config: SequenceFormMMDConfig) -> Agent:
    """Sequence-form MMD from the uniform policy. An update is an iteration; `saddle_gap` is of the regularised game."""
    game = jax.tree.map(jnp.asarray, env_params)

    def init(key: jax.Array) -> PlanState:
        return PlanState(normalized(jnp.zeros(game.legal.shape), game.legal))

    def policy_of(state: PlanState) -> jax.Array:
        return jnp.exp(state.logits) * game.legal

    def update(key: jax.Array, state: PlanState, step: jax.Array) -> tuple[PlanState, Metrics]:
        eta = decayed(config.step_size, config.decay, step)
        alpha = decayed(config.temperature, config.decay, step)
        state = PlanState(dilated_step(game, state.logits, eta, alpha))
        gap = jax.lax.cond(
            is_judged(step, config.judge_every),
            lambda: regularised_gap(game, state.logits, alpha),
            lambda: jnp.full((), jnp.nan, state.logits.dtype),
        )
        return state, judged_metrics(game, lambda: policy_of(state), step, config.judge_every) | {"saddle_gap": gap}

    functions = (init, update)
    return table_agent("mmd_sequence_form", mmd_sequence_form, env, env_params, config, functions, policy_of)
