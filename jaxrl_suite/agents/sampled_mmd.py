"""Magnetic mirror descent from sampled games: only the information sets of one game are updated in an iteration.

Sokota et al., A Unified Approach to Reinforcement Learning, Quantal Response Equilibria, and Two-Player Zero-Sum Games,
ICLR 2023 (arXiv 2206.05825), black-box feedback: both players play one game by pi; at each information set h that came
up, with the action A taken there and the owner's return r, action values are estimated from r alone (a matrix game is
the bandit case) and the full local update is made. In float64.

Estimates of q(h, a), with a running mean q~(h, a) of what was got, rate 1/2:
    unbiased    1[a = A] r / pi(a)
    baseline    q~(a) + 1[a = A] (r - q~(a)) / pi(a), unbiased too, with less variance where q~ is close
    mean        q~(a) itself, after r is in it: biased
    exact       q^pi(h, a): sampling decides only what is updated
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.agent import Agent, Metrics, agent_factory
from jaxrl_suite.agents.mirror_descent import GameLearnerConfig, check_game, decayed, judged_metrics, table_agent
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.games.policies import softmax_policy
from jaxrl_suite.learning.episodes import play_episodes, totals
from jaxrl_suite.learning.local_updates import floored, magnetic_logits, safe_log
from jaxrl_suite.sampling import sample_index
from jaxrl_suite.solvers.tree_games import action_values

MEAN_RATE = 0.5


@struct.dataclass
class SampledMMDConfig(GameLearnerConfig):
    """Settings of MMD from sampled games; the defaults are the authors' for Kuhn poker. Floats can be swept."""

    step_size: float = sweepable(0.1, "of the first iteration", symbol="eta", above=0)
    temperature: float = sweepable(50.0, "pull of the uniform magnet, in the first", symbol="alpha", low=0)
    step_decay: float = sweepable(0.5, "the step size falls as t to minus this", low=0, high=1)
    temperature_decay: float = sweepable(0.5, "and so does the temperature", low=0, high=1)
    least_probability: float = sweepable(1e-10, "of a legal action, after each update", low=0, high=0.1)
    estimate: str = static(
        "unbiased", "of action values (see the module)", choices=("unbiased", "baseline", "mean", "exact")
    )


@struct.dataclass
class SampledMMDState:
    """policy: pi, [I, A]. mean: q~, [I, A]."""

    policy: jax.Array
    mean: jax.Array


def _check(env: Any, env_params: Any, config: Any) -> None:
    check_game(env, env_params, config)
    if not hasattr(env, "turns"):
        raise ConfigError(f"{env.id}: must be zero-sum or of one payoff for both for mmd_sampled")


@agent_factory("mmd_sampled", SampledMMDConfig, check=_check)
def mmd_sampled(env: Any, env_params: Any, config: SampledMMDConfig) -> Agent:
    """MMD from sampled games, from the uniform policy. An update is one game."""
    game, numbered = jax.tree.map(jnp.asarray, env_params), env.observed_as("raw")

    def init(key: jax.Array) -> SampledMMDState:
        zeros = jnp.zeros(game.legal.shape)
        return SampledMMDState(softmax_policy(zeros, game.legal), zeros)

    def update(key: jax.Array, state: SampledMMDState, step: jax.Array) -> tuple[SampledMMDState, Metrics]:
        policy = state.policy

        def choose(t: jax.Array, infoset: jax.Array, uniform: jax.Array) -> jax.Array:
            return sample_index(policy[infoset], uniform)

        key_play, key_choose = jax.random.split(key)
        uniform = jax.random.uniform(key_choose, (game.longest, 1), policy.dtype)
        episodes = play_episodes(key_play, numbered, game, choose, uniform, 1, game.longest)
        # What the game did not come to is written nowhere.
        met = jnp.where(episodes.is_alive[:, 0], episodes.observation[:, 0], game.num_infosets)
        signs = jnp.asarray(env.turns.signs, policy.dtype)[game.player[met]]
        got = signs * jnp.sum(episodes.reward).astype(policy.dtype)
        q, mean = estimates(state, met, episodes.action[:, 0], got)
        eta = decayed(config.step_size, config.step_decay, step)
        alpha = decayed(config.temperature, config.temperature_decay, step)
        logits = magnetic_logits(safe_log(policy[met]), q, eta, alpha, None, game.legal[met])
        moved = floored(softmax_policy(logits, game.legal[met]), config.least_probability, game.legal[met])
        state = SampledMMDState(policy.at[met].set(moved, mode="drop"), mean)
        metrics = judged_metrics(game, lambda: state.policy, step, config.judge_every)
        return state, metrics | totals(episodes)

    def estimates(state: SampledMMDState, met: Any, action: Any, got: Any) -> tuple[jax.Array, jax.Array]:
        """(values of the actions at each information set that was met, [T, A]; q~ with the returns in it, [I, A])."""
        before = state.mean[met, action]
        mean = state.mean.at[met, action].set(before + MEAN_RATE * (got - before), mode="drop")
        if config.estimate == "exact":
            return action_values(game, state.policy).q[met], mean
        if config.estimate == "mean":
            return mean[met], mean
        base = state.mean[met] if config.estimate == "baseline" else jnp.zeros_like(state.mean[met])
        is_taken = jax.nn.one_hot(action, game.num_actions, dtype=base.dtype)
        likely = jnp.maximum(state.policy[met], jnp.finfo(base.dtype).tiny)
        return base + is_taken * (got[:, None] - base) / likely, mean

    return table_agent("mmd_sampled", mmd_sampled, env, env_params, config, (init, update), lambda s: s.policy)
