"""The worst of many kernels for a policy: the least return over a box of parameters, by CMA-ES or over given points.

A whole population is one batched roll-out. All candidates share their random numbers, episode by episode and step by
step, so that equal parameters give equal returns, and differences are the parameters' doing.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.agent import Environment
from jaxrl_suite.sampling import between

Evaluate = Callable[[jax.Array], jax.Array]
"""Of points [N, d]: returns [N]."""


class WorstCase(NamedTuple):
    """point: psi [d]. value: the return there. broken: int32, evaluations whose return was no number; these are never
    the worst: a simulation that broke says nothing about a policy."""

    point: jax.Array
    value: jax.Array
    broken: jax.Array


def returns_at(
    key: jax.Array,
    env: Environment,
    params_at: Callable[[jax.Array], Any],
    points: jax.Array,
    start: Callable[[jax.Array], Any],
    act: Callable[[jax.Array, Any, Any], tuple[Any, Any]],
    episodes: int,
    max_steps: int,
) -> jax.Array:
    """Undiscounted returns of whole episodes at N points, [N, episodes], without automatic resets.

    Args:
        params_at: a point [d] -> parameters of `env`.
        start: key -> memory. act: (key, memory, observation) -> (action, memory).
        max_steps: an episode that has not ended then is cut off there.
    """
    keys, count = jax.random.split(key, episodes), len(points)
    # One flat axis of all episodes, point by point: CPUs vectorise the last axis, and of episodes there may be one.
    points = jnp.repeat(points, episodes, axis=0)

    def shared(step: Any) -> jax.Array:
        """The keys of a step: those of an episode are the same at all points."""
        return jnp.tile(jax.vmap(jax.random.fold_in, (0, None))(keys, step), count)

    def begin(key: jax.Array, point: jax.Array) -> Any:
        key_start, key_reset = jax.random.split(key)
        return *env.reset(key_reset, params_at(point)), start(key_start)

    def play(key: jax.Array, point: jax.Array, game: Any) -> Any:
        observation, state, memory = game
        key_act, key_env = jax.random.split(key)
        action, memory = act(key_act, memory, observation)
        observation, state, reward, terminated, truncated = env.transition(key_env, state, action, params_at(point))
        return (observation, state, memory), reward, terminated | truncated

    def is_running(loop: Any) -> jax.Array:
        step, _, _, is_alive = loop
        return jnp.any(is_alive) & (step < max_steps)

    def play_step(loop: Any) -> Any:
        step, games, total, is_alive = loop
        games, reward, is_over = jax.vmap(play)(shared(step + 1), points, games)
        # What follows the end of an episode is played on unseen: cheaper than holding it still.
        return step + 1, games, total + jnp.where(is_alive, reward, 0.0), is_alive & ~is_over

    games = jax.vmap(begin)(shared(0), points)
    loop = (jnp.int32(0), games, jnp.zeros(len(points)), jnp.ones(len(points), bool))
    return jax.lax.while_loop(is_running, play_step, loop)[2].reshape(count, episodes)


def worst_of(evaluate: Evaluate, points: jax.Array) -> WorstCase:
    """The worst of the given points [N, d], the first among equals."""
    returns, broken = _ranked(evaluate(points))
    worst = jnp.argmin(returns)
    return WorstCase(points[worst], returns[worst], broken)


def worst_in(
    key: jax.Array, evaluate: Evaluate, low: jax.Array, high: jax.Array, population: int = 100, generations: int = 6
) -> WorstCase:
    """The worst point that CMA-ES evaluates in the box [low, high], `population * generations` points.

    Candidates are clipped into the box before they are evaluated, and ranked by what they got there: the strategy's
    mean may leave the box, and corners are found exactly.
    """
    strategy = cma_strategy(population, len(low))
    params = strategy.default_params.replace(std_init=jnp.float32(0.5))
    key_init, key_search = jax.random.split(key)
    state = strategy.init(key_init, jnp.full(len(low), 0.5), params)

    def generation(carry: Any, key: jax.Array) -> tuple[Any, None]:
        state, worst = carry
        key_ask, key_tell = jax.random.split(key)
        candidates, state = strategy.ask(key_ask, state, params)
        points = between(low, high, jnp.clip(candidates, 0.0, 1.0))
        returns, broken = _ranked(evaluate(points))
        state, _ = strategy.tell(key_tell, candidates, returns, state, params)
        best = jnp.argmin(returns)
        is_worse = returns[best] < worst.value
        point, value = (
            jnp.where(is_worse, new, old) for new, old in ((points[best], worst.point), (returns[best], worst.value))
        )
        return (state, WorstCase(point, value, worst.broken + broken)), None

    none = WorstCase(0.5 * (low + high), jnp.float32(jnp.inf), jnp.int32(0))
    (_, worst), _ = jax.lax.scan(generation, (state, none), jax.random.split(key_search, generations))
    return worst


def cma_strategy(population: int, dimensions: int) -> Any:
    """evosax's CMA-ES over so many dimensions. It minimises.

    Made anew each time: its constants belong to the devices of the program that is being traced.
    """
    from evosax.algorithms import CMA_ES

    with jax.ensure_compile_time_eval():
        return CMA_ES(population_size=population, solution=jnp.zeros(dimensions))


def _ranked(returns: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns that can be ranked, what is no number last; and how many of these there are."""
    is_broken = ~jnp.isfinite(returns)
    return jnp.where(is_broken, jnp.inf, returns), jnp.sum(is_broken).astype(jnp.int32)
