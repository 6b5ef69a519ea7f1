"""Magnetic mirror descent and its kin on games written out: simultaneous updates of all decision points, exact values.

Sokota et al., A Unified Approach to Reinforcement Learning, Quantal Response Equilibria, and Two-Player Zero-Sum Games,
ICLR 2023 (arXiv 2206.05825): behavioural-form MMD. An iteration t = 1, 2, ...: action values q^pi(h) of the joint
policy at every information set of both players; one local update each (`learning.local_updates`), from the same pi; the
magnet moves. With a fixed temperature alpha and a uniform magnet the iterate converges to the agent quantal response
equilibrium (in practice; proven in normal form), with alpha falling or the magnet following to a Nash equilibrium. No
average is taken: these are last-iterate methods. All in float64.

Sokota et al., The Update-Equivalence Framework for Decision-Time Planning, ICLR 2024 (arXiv 2304.13138), section 3.2:
values other than q^pi, which take part of this iteration's updates as made already. All have the same fixed points.

Symbols: I information sets, A actions; eta step size, alpha temperature, rho magnet.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.agents.memoryless import play_by
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.envs.observations import state_number
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.games.game import Game
from jaxrl_suite.games.policies import softmax_policy
from jaxrl_suite.learning.local_updates import (
    euclidean_step,
    floored,
    greedy_step,
    magnetic_logits,
    normalized,
    safe_log,
)
from jaxrl_suite.solvers.histories import belief_revision, histories, opponent_revision
from jaxrl_suite.solvers.tree_games import action_values, expected_returns, nash_conv, subgame_revision

CODE = "the authors' released program"
UPDATES = ("magnetic", "mirror", "euclidean", "greedy")
REVISIONS = {"subgame": subgame_revision, "belief": belief_revision, "opponent": opponent_revision}


@struct.dataclass
class GameLearnerConfig:
    """What learners on written-out games share."""

    total_updates: int = static(10_000, "budget: iterations", symbol="T", unit="iterations", low=1)
    judge_every: int = static(
        0, "iterations between exact judgements; 0: after 1, 2, ..., 9, 10, 20, ..., 100, 200, ...", low=0
    )


@struct.dataclass
class MMDConfig(GameLearnerConfig):
    """Settings of magnetic mirror descent. Floats can be swept."""

    step_size: float = sweepable(1.0, "of the first iteration", symbol="eta", source=CODE, above=0)
    temperature: float = sweepable(1.0, "pull of the magnet, in the first", symbol="alpha", source=CODE, low=0)
    step_decay: float = sweepable(0.5, "the step size falls as t to minus this", source=CODE, low=0, high=1)
    temperature_decay: float = sweepable(0.5, "and so does the temperature", source=CODE, low=0, high=1)
    magnet_rate: float = sweepable(
        0.05, "how far a moving magnet goes to the policy in an iteration", source=CODE, low=0, high=1
    )
    least_probability: float = sweepable(1e-10, "of a legal action, after each iteration", source=CODE, low=0, high=0.1)
    spread: float = sweepable(0.0, "standard deviation of the first policy's logits; 0: uniform", low=0)
    update: str = static("magnetic", "rule at each information set", choices=UPDATES)
    magnet: str = static(
        "uniform", "what the magnet is: uniform, or following the policy", choices=("uniform", "moving")
    )
    weighting: str = static(
        "none", "reach: the step size times how likely the information set is reached", choices=("none", "reach")
    )
    objective: str = static(
        "return",
        "what values are of: returns; with the owner's later entropy; less the other's as well",
        choices=("return", "max_entropy", "minimax_entropy"),
    )
    values: str = static(
        "current",
        "what they take as revised already: nothing; the owner's later decisions (subgame updates); all earlier ones, "
        "in the owner's belief (belief fine-tuning); the other's next (opponent updates)",
        choices=("current", *REVISIONS),
    )

    def check(self) -> None:
        if self.values == "current":
            return
        whole = {"update": ("euclidean",), "weighting": ("reach",), "objective": ("max_entropy", "minimax_entropy")}
        for name, refused in whole.items():
            if getattr(self, name) in refused:
                raise ConfigError(
                    f"MMDConfig.values = {self.values!r}: must be current with {name} = {getattr(self, name)!r}"
                )


@struct.dataclass
class MMDState:
    """policy: pi, [I, A]; in the Euclidean form its logits. log_magnet: log rho, or its logits, [I, A]."""

    policy: jax.Array
    log_magnet: jax.Array


def check_game(env: Any, env_params: Any, config: Any) -> None:
    """Refuses what is no game written out."""
    if not isinstance(env_params, Game):
        raise ConfigError(f"{env.id}: must be a game written out, as make('game/kuhn_poker')")


def _check(env: Any, env_params: Any, config: Any) -> None:
    check_game(env, env_params, config)
    if config.values in ("belief", "opponent"):
        histories(env_params)


def decayed(value: Any, decay: Any, step: jax.Array) -> jax.Array:
    """`value` of the first iteration in iteration t = step + 1: value / t^decay."""
    return value * jnp.power(step + 1.0, -decay)


def is_judged(step: jax.Array, every: int) -> jax.Array:
    """Whether iteration step + 1 is judged: each so-manieth, or those of one leading digit alone."""
    t = step + 1
    if every:
        return t % every == 0
    return jnp.any(jnp.stack([(t % power == 0) & (t < 10 * power) for power in (10**k for k in range(9))]))


def judged_metrics(game: Game, policy_of: Callable[[], jax.Array], step: jax.Array, every: int) -> Metrics:
    """Exact NashConv of a policy, its half and player 0's value, NaN where this iteration is not judged."""

    def judge() -> tuple[jax.Array, jax.Array]:
        policy = policy_of()
        return nash_conv(game, policy), expected_returns(game, policy)[0]

    nothing = jnp.full((), jnp.nan)
    gap, value = jax.lax.cond(is_judged(step, every), judge, lambda: (nothing, nothing))
    return {"nash_conv": gap, "exploitability": gap / 2, "value/player_0": value}


def table_agent(name: str, factory: Any, env: Any, game: Game, config: Any, functions: Any, policy_of: Any) -> Agent:
    """The agent around `(init, update)` of a learner whose policy is `policy_of(state)`, [I, A]."""
    init, update = functions

    def probabilities(state: Any, observation: Any) -> jax.Array:
        """The observation is the information set's number, or that one-hot."""
        return policy_of(state)[state_number(observation)]

    play, total = play_by(probabilities), config.total_updates
    info = AgentInfo(name, env, game, config, 1, total, factory, precision="float64", policy=play.policy)
    return Agent(init, update, play.start, play.act, info)


@agent_factory("mmd", MMDConfig, check=_check)
def mmd(env: Any, env_params: Any, config: MMDConfig) -> Agent:
    """Behavioural-form MMD; with `temperature` 0, or `update` mirror, mirror descent. One update is one iteration."""
    game = jax.tree.map(jnp.asarray, env_params)
    is_euclidean = config.update == "euclidean"

    def init(key: jax.Array) -> MMDState:
        noise = config.spread * jax.random.normal(key, game.legal.shape)
        uniform = jnp.zeros_like(noise)
        if is_euclidean:
            return MMDState(jnp.where(game.legal, noise, 0.0), uniform)
        return MMDState(softmax_policy(noise, game.legal), normalized(uniform, game.legal))

    def policy_of(state: MMDState) -> jax.Array:
        return softmax_policy(state.policy, game.legal) if is_euclidean else state.policy

    def update(key: jax.Array, state: MMDState, step: jax.Array) -> tuple[MMDState, Metrics]:
        eta = decayed(config.step_size, config.step_decay, step)
        alpha = decayed(config.temperature, config.temperature_decay, step)
        if config.values == "current":
            state = simultaneous(state, eta, alpha)
        else:
            revise = functools.partial(revised, state, eta, alpha)
            _, policy = REVISIONS[config.values](game, state.policy, revise)
            state = MMDState(policy, magnet_of(state, policy))
        return state, judged_metrics(game, lambda: policy_of(state), step, config.judge_every)

    def simultaneous(state: MMDState, eta: jax.Array, alpha: jax.Array) -> MMDState:
        policy = policy_of(state)
        values = action_values(game, policy, *entropy_bonus(policy, alpha))
        if config.weighting == "reach":
            eta = (eta * values.weight * values.own_reach)[:, None]
        if is_euclidean:
            logits = euclidean_step(state.policy, values.q, eta, alpha, state.log_magnet, game.legal)
            return dataclasses.replace(state, policy=logits)
        policy = revised(state, eta, alpha, values.q, slice(None))
        return MMDState(policy, magnet_of(state, policy))

    def entropy_bonus(policy: jax.Array, alpha: jax.Array) -> tuple[Any, Any]:
        """alpha times the entropy at each information set: what its owner gets, and what the other player does."""
        if config.objective == "return":
            return None, None
        own = -alpha * jnp.sum(policy * safe_log(policy), axis=-1)
        return own, (-own if config.objective == "minimax_entropy" else None)

    def revised(state: MMDState, eta: jax.Array, alpha: jax.Array, q: jax.Array, rows: Any) -> jax.Array:
        """The new policy at some information sets, of their values."""
        log_policy, legal = safe_log(state.policy[rows]), game.legal[rows]
        if config.update == "greedy":
            policy = jnp.exp(greedy_step(log_policy, q, legal)) * legal
        else:
            pull = alpha if config.update == "magnetic" else 0.0
            policy = softmax_policy(magnetic_logits(log_policy, q, eta, pull, state.log_magnet[rows], legal), legal)
        return floored(policy, config.least_probability, legal)

    def magnet_of(state: MMDState, policy: jax.Array) -> jax.Array:
        """log rho: proportional to rho^(1 - rate) pi^rate, where it moves."""
        if config.magnet == "uniform":
            return state.log_magnet
        rate = config.magnet_rate
        drawn = softmax_policy((1.0 - rate) * state.log_magnet + rate * safe_log(policy), game.legal)
        return safe_log(floored(drawn, config.least_probability, game.legal))

    return table_agent("mmd", mmd, env, env_params, config, (init, update), policy_of)
