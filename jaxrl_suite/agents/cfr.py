"""Counterfactual regret minimisation, plain and CFR+: the references that mirror descent in games is measured against.

Zinkevich et al., Regret Minimization in Games with Incomplete Information, NeurIPS 2007; Tammelin, Solving Large
Imperfect Information Games Using CFR+, 2014 (arXiv 1407.5042). What converges is the average policy; that is what is
judged and played. All in float64.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.agent import Agent, Metrics, agent_factory
from jaxrl_suite.agents.mirror_descent import GameLearnerConfig, check_game, judged_metrics, table_agent
from jaxrl_suite.config import static
from jaxrl_suite.solvers.tree_games import action_values, sequence_reach


@struct.dataclass
class CFRConfig(GameLearnerConfig):
    """Settings of CFR."""

    plus: bool = static(
        False,
        "CFR+: regrets never below 0, players in turn, iteration t weighs t in the average",
        source="Tammelin 2014",
    )


@struct.dataclass
class CFRState:
    """regrets: sums, [I, A]. average: the owner's reach times its policy, summed over iterations, [I, A]."""

    regrets: jax.Array
    average: jax.Array


@agent_factory("cfr", CFRConfig, check=check_game)
def cfr(env: Any, env_params: Any, config: CFRConfig) -> Agent:
    """CFR. One update is one iteration: of both players at once, or with `plus` of one after the other."""
    game = jax.tree.map(jnp.asarray, env_params)

    def init(key: jax.Array) -> CFRState:
        zeros = jnp.zeros(game.legal.shape)
        return CFRState(zeros, zeros)

    def matched(weights: jax.Array) -> jax.Array:
        """In proportion to what is positive; uniform where nothing is."""
        positive = jnp.maximum(weights, 0.0) * game.legal
        total = jnp.sum(positive, axis=-1, keepdims=True)
        uniform = game.legal / jnp.sum(game.legal, axis=-1, keepdims=True)
        return jnp.where(total > 0, positive / jnp.where(total > 0, total, 1.0), uniform)

    def regretted(state: CFRState, weight: Any, players: Any) -> CFRState:
        """After one pass, which only `players` [I] learn from."""
        policy = matched(state.regrets)
        values = action_values(game, policy)
        regrets = state.regrets + (values.counterfactual - values.value[:, None]) * game.legal
        if config.plus:
            regrets = jnp.maximum(regrets, 0.0)
        played = matched(regrets) if config.plus else policy
        reach = sequence_reach(game, played)[game.parent] if config.plus else values.own_reach
        average = state.average + weight * reach[:, None] * played
        kept = players[:, None]
        return CFRState(jnp.where(kept, regrets, state.regrets), jnp.where(kept, average, state.average))

    def update(key: jax.Array, state: CFRState, step: jax.Array) -> tuple[CFRState, Metrics]:
        if config.plus:
            for player in (0, 1):
                state = regretted(state, step + 1.0, game.player == player)
        else:
            state = regretted(state, 1.0, jnp.ones(game.num_infosets, bool))
        return state, judged_metrics(game, lambda: matched(state.average), step, config.judge_every)

    return table_agent("cfr", cfr, env, env_params, config, (init, update), lambda state: matched(state.average))
