"""GORP, Greedy Over Random Policy: a plan of actions for deterministic environments, one action an update.

Laidlaw, Russell, Dragan, Bridging RL Theory and Practice with the Effective Horizon (NeurIPS 2023, arXiv 2304.09853),
after the published program as described. For every sequence of k actions it plays m episodes, each the plan so far,
then the sequence, then random actions; the first action of the sequence with the largest mean return joins the plan.
The plan sees nothing: where chance decides, it is worth less than a policy.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.episodes import play_episodes, random_actions, totals
from jaxrl_suite.learning.tabular import random_greedy

PATIENCE = 10
"""Updates in which every episode ended within the plan, after which a run stops."""

MOST_EPISODES = 10_000_000
"""Episodes an update that are no mistake."""


@struct.dataclass
class GORPConfig:
    """Settings of GORP. Floats can be swept; everything else selects a program."""

    discount: float = sweepable(1.0, "discount factor", symbol="gamma", low=0, high=1)
    depth: int = static(1, "actions of a sequence", symbol="k", low=1)
    episodes: int = static(10, "episodes for each sequence", symbol="m", unit="episodes", low=1)
    horizon: int = static(100, "actions of the plan, and updates", symbol="T", unit="steps", low=1)
    ties: str = static(
        "random",
        "which of the best sequences is kept: the first in lexicographic order, as the program has it, or any of them",
        choices=("first", "random"),
    )


@struct.dataclass
class GORPState:
    """plan: int32 [T], actions learned so far, then zeros. length: how many are learned. steps: environment steps
    taken. idle: updates in which no step lay beyond the plan (all int32)."""

    plan: jax.Array
    length: jax.Array
    steps: jax.Array
    idle: jax.Array


def check(env: Any, env_params: Any, config: GORPConfig) -> None:
    space = env.action_space(env_params)
    if not hasattr(space, "n"):
        raise ConfigError(f"{env.id}: action space {space}: must be discrete")
    if int(space.n) ** config.depth * config.episodes > MOST_EPISODES:
        raise ConfigError(
            f"GORPConfig.depth = {config.depth}, episodes = {config.episodes}: with {int(space.n)} actions more than "
            f"{MOST_EPISODES} episodes an update"
        )


@agent_factory("gorp", GORPConfig, check=check)
def gorp(env: Any, env_params: Any, config: GORPConfig) -> Agent:
    """GORP on `env`. One update fixes one action; there are T. A^k m episodes an update, all T steps counted."""
    num_actions, depth, horizon = int(env.action_space(env_params).n), config.depth, config.horizon
    # Lexicographic: the last action varies fastest.
    sequences = np.indices((num_actions,) * depth).reshape(depth, -1)  # [k, A^k]
    count = sequences.shape[1] * config.episodes

    def init(key: jax.Array) -> GORPState:
        none = jnp.zeros((), jnp.int32)
        return GORPState(jnp.zeros(horizon, jnp.int32), none, none, none)

    def update(key: jax.Array, state: GORPState, step: jax.Array) -> tuple[GORPState, Metrics]:
        key_play, key_explore, key_tie = jax.random.split(key, 3)
        place = jnp.arange(horizon)[:, None]
        explored = random_actions(key_explore, (horizon, count), num_actions)
        tried = jnp.repeat(jnp.asarray(sequences, jnp.int32), config.episodes, axis=1)  # [k, A^k m]
        tried = tried[jnp.clip(place[:, 0] - step, 0, depth - 1)]
        beyond = jnp.where(place < step + depth, tried, explored)
        actions = jnp.where(place < step, state.plan[:, None], beyond)
        played = play_episodes(
            key_play, env, env_params, lambda t, observation, planned: planned, actions, count, horizon
        )
        # What the plan itself earns counts for no sequence.
        power = config.discount ** jnp.maximum(place - step, 0)
        worth = jnp.sum(jnp.where(place >= step, power * played.reward, 0.0), axis=0)
        means = jnp.mean(worth.reshape(-1, config.episodes), axis=1)
        best = random_greedy(key_tie, means[None])[0] if config.ties == "random" else jnp.argmax(means)
        action = jnp.asarray(sequences[0], jnp.int32)[best]
        is_beyond = jnp.any(played.is_alive & (place >= step))
        idle = jnp.where(is_beyond, 0, state.idle + 1).astype(jnp.int32)
        metrics = totals(played)
        state = GORPState(
            plan=state.plan.at[step].set(action),
            length=state.length + 1,
            steps=state.steps + metrics["steps/count"],
            idle=idle,
        )
        return state, metrics | {"plan/value": jnp.max(means), "finished": idle > PATIENCE}

    def start(key: jax.Array, state: GORPState) -> jax.Array:
        """The step of the episode."""
        return jnp.zeros((), jnp.int32)

    def act(key: jax.Array, state: GORPState, memory: jax.Array, observation: Any, greedy: bool) -> tuple[Any, Any]:
        """The plan's action; beyond what is learned, action 0."""
        action = jnp.where(memory < state.length, state.plan[jnp.minimum(memory, horizon - 1)], 0)
        return action.astype(jnp.int32), memory + 1

    info = AgentInfo("gorp", env, env_params, config, count * horizon, horizon, gorp)
    return Agent(init, update, start, act, info)
