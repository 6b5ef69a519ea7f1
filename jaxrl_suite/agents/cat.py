"""CAT, curriculum adversarial training by attacks on actions (IEEE 9892908), with soft actor-critics.

As Reddi et al. 2024 (arXiv 2311.01642) run it. Nobody else learns. Of every action a ~ pi(.|s), with mean m and
standard deviation sigma before it is squashed, another is made that is less likely (myopic action space attack: Lee et
al., arXiv 1909.02583):

    a <- a - 3 p'(a), p the density of N(m, sigma) in each coordinate, twice, then until none moves by more than 1e-3,
    or 25 times; of where that ends, the point in the ball of radius b around the action is played, and stored

The budget b is 0 in the first fifth of all iterations, rises for three fifths, and is `budget` in the last.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.agents.off_policy import replaced
from jaxrl_suite.agents.soft_player import PlayerLearned, soft_player
from jaxrl_suite.agents.two_player import (
    CODE,
    Side,
    TwoPlayerConfig,
    check_pushed,
    observed,
    phase_metrics,
    phases,
)
from jaxrl_suite.config import sweepable

FIRST_STEPS, MORE_STEPS, STILL = 2, 25, 1e-3


@struct.dataclass
class CATConfig(TwoPlayerConfig):
    """Settings of CAT. Floats can be swept; everything else selects a program."""

    budget: float = sweepable(1.0, "of an attack, in the end", symbol="b", unit="L2", source=CODE, low=0)
    attack_rate: float = sweepable(3.0, "step of an attack", source=CODE, above=0)


@struct.dataclass
class Attacked:
    """player: what it has learned. budget: b of this iteration."""

    player: PlayerLearned
    budget: jax.Array


@struct.dataclass
class CATState:
    """learned, and the memory of transitions."""

    learned: Attacked
    memory: Any


def attacked(action: jax.Array, mean: jax.Array, deviation: jax.Array, rate: Any, budget: Any) -> jax.Array:
    """The action [..., D] that is played in an action's place; mean, deviation [..., D]."""

    def moved(point: jax.Array) -> jax.Array:
        distance = (point - mean) / deviation
        density = jnp.exp(-0.5 * distance**2) / (deviation * jnp.sqrt(2.0 * jnp.pi))
        return point + rate * distance / deviation * density

    def step(carry: tuple[jax.Array, jax.Array], count: jax.Array) -> tuple[Any, None]:
        point, is_still = carry
        following = moved(point)
        point = jnp.where(is_still[..., None], point, following)
        has_settled = jnp.max(jnp.abs(following - carry[0]), axis=-1) <= STILL
        return (point, is_still | (has_settled & (count >= FIRST_STEPS))), None

    start = action, jnp.zeros(action.shape[:-1], bool)
    point = jax.lax.scan(step, start, jnp.arange(FIRST_STEPS + MORE_STEPS))[0][0]
    away = point - action
    length = jnp.linalg.norm(away, axis=-1, keepdims=True)
    return action + away * jnp.minimum(1.0, budget / jnp.maximum(length, 1e-12))


def budget_of(iteration: Any, iterations: int, most: Any) -> jax.Array:
    """b: nothing, a rise over three fifths, and `most`."""
    return most * jnp.clip((iteration / iterations - 0.2) / 0.6, 0.0, 1.0)


def _check(env: Any, env_params: Any, config: CATConfig) -> None:
    check_pushed("cat", env, env_params, config)


@agent_factory("cat", CATConfig, _check)
def cat(env: Any, env_params: Any, config: CATConfig) -> Agent:
    """CAT on an environment that can be pushed, where nobody pushes. One update is one phase."""
    size = env.action_space(env_params).shape[0]
    player = soft_player(size, env.observation_space(env_params).shape[0], config, "own")

    def choose(learned: Attacked, noise: jax.Array, z: jax.Array, context: jax.Array) -> jax.Array:
        mean, log_std = player.density(learned.player, z)
        action = player.act(learned.player, noise, z)
        return attacked(action, mean, jnp.exp(log_std), config.attack_rate, learned.budget)

    def fit(learned: Attacked, key: jax.Array, batch: Any, with_actor: jax.Array) -> tuple[Attacked, Metrics]:
        known, found = player.fit(learned.player, key, batch, with_actor)
        return replaced(learned, player=known), found

    side = Side(choose, lambda batch: batch, fit)
    turn = phases(env, env_params, config, side, size, 0)
    nothing = jnp.zeros((config.episodes, 0))

    def init(key: jax.Array) -> CATState:
        return CATState(Attacked(player.new(key), jnp.zeros(())), turn.memory())

    def update(key: jax.Array, state: CATState, step: jax.Array) -> tuple[CATState, Metrics]:
        budget = budget_of(step, config.total_updates, config.budget)
        learned = replaced(state.learned, budget=budget)
        learned, memory, played = turn.run(key, step, learned, state.memory, nothing)
        return CATState(learned, memory), phase_metrics(played) | {"attack/budget": budget}

    def start(key: jax.Array, state: CATState) -> Any:
        return ()

    def act(key: jax.Array, state: CATState, memory: Any, observation: Any, greedy: bool) -> tuple[Any, Any]:
        noise = None if greedy else jax.random.normal(key, (size,))
        return player.act(state.learned.player, noise, observed(observation, jnp.zeros(0))), memory

    steps = config.episodes * config.episode_steps
    info = AgentInfo("cat", env, env_params, config, steps, config.total_updates, cat)
    return Agent(init, update, start, act, info)
