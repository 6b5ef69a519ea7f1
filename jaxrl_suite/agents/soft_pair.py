"""Two soft learners in a Markov game written out, and a temperature that falls: QARL's idea in the small. Float64.

Reddi et al. 2024 (arXiv 2311.01642); quantal response: McKelvey and Palfrey (1995). One update, both players at once,
from exact expectations:

    critics   Q_P, Q_A go a share of the way to r + gamma P V_P, r + gamma P V_A
              V_P = x' Q_P y + beta H(x),  V_A = x' Q_A y - alpha H(y): each knows its own entropy only
    policies  log x <- (1 - eta beta) log x + eta Q_P y,  log y <- (1 - eta alpha) log y - eta Q_A' x, normalised
    curriculum  both temperatures are at least first_temperature decay^t

With fixed temperatures the fixed point is `solvers.independent_soft`, in a matrix game the quantal response
equilibrium. A step of eta is stable only where temperatures are not too low for it: cooling keeps it so for longer.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.agents.memoryless import play_by
from jaxrl_suite.config import array, static, sweepable
from jaxrl_suite.envs.observations import state_number
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.games.markov import MarkovGame
from jaxrl_suite.solvers.markov_games import entropy, nash_conv

LEAST_LOG = float(np.log(1e-300))
"""Of a probability: nothing is ever ruled out for good."""


@struct.dataclass
class SoftPairConfig:
    """Settings of the pair. Floats can be swept."""

    step_size: float = sweepable(0.05, "of the policies", symbol="eta", source="ours", above=0)
    critic_rate: float = sweepable(1.0, "share of the way that critics go in an update", source="ours", above=0, high=1)
    protagonist_temperature: float = sweepable(0.05, "at last", symbol="beta", source="ours", low=0)
    adversary_temperature: float = sweepable(0.05, "at last", symbol="alpha", source="ours", low=0)
    first_temperature: float = sweepable(0.0, "both start from no less; 0: from the last ones", low=0)
    decay: float = sweepable(0.9996, "of the temperature that both start from, an update", above=0, high=1)
    total_updates: int = static(20_000, "budget", unit="updates", low=1)
    first_row: Any = array(None, "the protagonist's first mixed strategy in every state, [A]; None: uniform")
    first_column: Any = array(None, "the adversary's, [O]")


@struct.dataclass
class SoftPairState:
    """log_row [S, A], log_column [S, O]: policies. gains, losses: Q_P, Q_A, [S, A, O]."""

    log_row: jax.Array
    log_column: jax.Array
    gains: jax.Array
    losses: jax.Array


def _check(env: Any, env_params: Any, config: SoftPairConfig) -> None:
    if not isinstance(env_params, MarkovGame):
        raise ConfigError(f"{env.id}: must be a Markov game written out, as make('markov/biased-rps')")
    for name, size in zip(("first_row", "first_column"), env_params.rewards.shape[1:], strict=True):
        given = getattr(config, name)
        if given is None:
            continue
        given = np.asarray(given, np.float64)
        if given.shape != (size,) or not (given > 0).all() or abs(given.sum() - 1.0) > 1e-6:
            raise ConfigError(f"SoftPairConfig.{name} = {given.tolist()}: must be {size} probabilities > 0")


@agent_factory("soft_pair", SoftPairConfig, check=_check)
def soft_pair(env: Any, env_params: Any, config: SoftPairConfig) -> Agent:
    """The pair on a Markov game; its policy is of both players' choices in one."""
    game = jax.tree.map(jnp.asarray, env_params)
    states, rows, columns = game.rewards.shape

    def init(key: jax.Array) -> SoftPairState:
        first = [
            jnp.full(size, 1.0 / size) if given is None else jnp.asarray(given, game.rewards.dtype)
            for given, size in ((config.first_row, rows), (config.first_column, columns))
        ]
        row, column = (jnp.broadcast_to(jnp.log(p), (states, len(p))) for p in first)
        return SoftPairState(row, column, game.rewards, game.rewards)

    def update(key: jax.Array, state: SoftPairState, step: jax.Array) -> tuple[SoftPairState, Metrics]:
        hottest = config.first_temperature * jnp.power(config.decay, step)
        beta, alpha = (
            jnp.maximum(hottest, last) for last in (config.protagonist_temperature, config.adversary_temperature)
        )
        eta, x, y = config.step_size, jnp.exp(state.log_row), jnp.exp(state.log_column)
        gains = towards(state.gains, x, y, beta * entropy(x))
        losses = towards(state.losses, x, y, -alpha * entropy(y))
        log_row = (1.0 - eta * beta) * state.log_row + eta * jnp.einsum("sao,so->sa", gains, y)
        log_column = (1.0 - eta * alpha) * state.log_column - eta * jnp.einsum("sao,sa->so", losses, x)
        state = SoftPairState(_normalised(log_row), _normalised(log_column), gains, losses)
        return state, measured(state, alpha)

    def towards(q: jax.Array, x: jax.Array, y: jax.Array, bonus: jax.Array) -> jax.Array:
        value = jnp.einsum("sa,sao,so->s", x, q, y) + bonus
        return q + config.critic_rate * (game.rewards + game.discount * game.transitions @ value - q)

    def measured(state: SoftPairState, alpha: jax.Array) -> Metrics:
        x, y = jnp.exp(state.log_row), jnp.exp(state.log_column)
        value = jnp.sum(game.initial * jnp.einsum("sa,sao,so->s", x, state.gains, y))
        gaps = jax.vmap(nash_conv)(state.gains, x, y)
        return {"nash_conv": jnp.max(gaps), "value/protagonist": value, "temperature/adversary": alpha}

    def probabilities(state: SoftPairState, observation: Any) -> jax.Array:
        here = state_number(observation)
        return jnp.exp(state.log_row[here][:, None] + state.log_column[here]).ravel()

    play = play_by(probabilities)
    info = AgentInfo(
        "soft_pair", env, env_params, config, 1, config.total_updates, soft_pair, precision="float64",
        policy=play.policy,
    )  # fmt: skip
    return Agent(init, update, play.start, play.act, info)


def _normalised(logits: jax.Array) -> jax.Array:
    return jax.nn.log_softmax(jnp.maximum(jax.nn.log_softmax(logits, axis=-1), LEAST_LOG), axis=-1)
