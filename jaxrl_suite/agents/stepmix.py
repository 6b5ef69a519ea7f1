"""StepMix and EpsMix: exploration that is no worse than a threshold in every episode.

Li, Huang, Shen, Yang, Near-optimal Conservative Exploration in Reinforcement Learning under Episode-wise Constraints,
ICML 2023 (arXiv 2306.06265). The paper's text was not at hand: this follows its abstract and a derivation of the
bounds, checked by exact invariants, and is called that wherever results are shown.

An episode k: bound every candidate policy from both sides (`bounds`), take the least conservative mixture whose lower
bound is still at the threshold (`step_mixture`, `episode_mixture`), play it, count. All in float64.

Symbols: S, A, H states, actions, stages; C = H + 1 candidates, of which number j follows the baseline policy pi^b for
its first j stages and the optimistic policy from there on; gamma the threshold, kappa = V^b - gamma its margin.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.agent import Agent, agent_factory
from jaxrl_suite.agents.conservative import Choice, conservative_agent
from jaxrl_suite.agents.conservative_task import ConservativeConfig, check_task
from jaxrl_suite.learning.confidence import beta, beta_star
from jaxrl_suite.learning.tabular import (
    by_next_state,
    is_written_out,
    next_state_mean,
    next_state_variance,
    scan_stages,
    stored,
)


class Bounds(NamedTuple):
    """Bounds of all candidates under a model.

    upper, lower: [C], of the value from the initial distribution (U_j, L_j). optimistic: int32 [H, S], the optimistic
    policy, greedy in the upper bound of candidate 0, the lowest best action.
    """

    upper: jax.Array
    lower: jax.Array
    optimistic: jax.Array


def bounds(
    model: jax.Array,
    visits: jax.Array,
    rewards: jax.Array,
    initial: jax.Array,
    baseline: jax.Array,
    scale: Any,
    delta: Any,
) -> Bounds:
    """The paired recursion for all candidates at once, from the last stage to the first.

    Each candidate has a pair of its own: with one optimistic upper bound in everybody's lower bound, actions that a
    deterministic baseline never takes would keep it from ever being trusted.

    Args:
        model: P-hat, [H, S, A, S]. visits: n, [H, S, A]. rewards: [H, S, A]. initial: [S]. baseline: [H, S, A].
        scale: c, multiplies both beta and beta*; 1 is the theory. delta: the allowed probability of failure.
    """
    horizon, states, actions = rewards.shape
    is_new, n = visits == 0, jnp.maximum(visits, 1)
    sizes = (states, actions, horizon, delta)
    root = 3.0 * jnp.sqrt(scale * beta_star(visits, *sizes) / n)
    linear = scale * horizon**2 * beta(visits, *sizes) / n

    def backup(carry: Any, stage: Any) -> Any:
        upper, lower = carry  # U_{h+1}, L_{h+1} of candidates 0, h + 1, ..., H: [., S]
        rows, paid, unknown, root_here, linear_here, baseline_here = stage

        mean_upper, mean_lower = next_state_mean(rows, upper), next_state_mean(rows, lower)
        bonus = root_here * jnp.sqrt(next_state_variance(rows, upper, mean_upper))  # b1
        gap = (mean_upper - mean_lower) / horizon
        q_upper = jnp.minimum(paid + bonus + 14.0 * linear_here + gap + mean_upper, horizon)
        q_lower = jnp.maximum(paid - bonus - 22.0 * linear_here - 2.0 * gap + mean_lower, 0.0)
        q_upper = jnp.where(unknown, horizon, q_upper).reshape(-1, states, actions)
        q_lower = jnp.where(unknown, 0.0, q_lower).reshape(-1, states, actions)
        q_upper, q_lower = stored((q_upper, q_lower))
        optimistic = jnp.argmax(q_upper[0], axis=-1).astype(jnp.int32)
        greedy = jax.nn.one_hot(optimistic, actions, dtype=paid.dtype)

        def follow(q: jax.Array) -> jax.Array:
            """Candidate 0 stays optimistic; h, which was like it so far, and all later ones follow the baseline."""
            following = jnp.concatenate([jnp.sum(greedy * q[:1], axis=-1), jnp.sum(baseline_here * q, axis=-1)])
            return following[: horizon + 1]

        return (follow(q_upper), follow(q_lower)), optimistic

    # Candidates 0 to h are alike after stage h. A loop that is not written out carries all H + 1 rows from the start.
    zeros = jnp.zeros((1 if is_written_out(horizon) else horizon + 1, states), rewards.dtype)
    of_pairs = (by_next_state(model), *(x.reshape(horizon, -1) for x in (rewards, is_new, root, linear)))
    stages = (*stored(of_pairs), baseline)
    (upper, lower), optimistic = scan_stages(backup, (zeros, zeros), stages, horizon, reverse=True)
    return Bounds(upper @ initial, lower @ initial, optimistic)


def step_mixture(lower: jax.Array, threshold: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The least conservative step mixture whose lower bound, interpolated between neighbours, is at the threshold.

    Returns:
        (j*, int32; rho in [0, 1]; weights [H] of the optimistic policy at each stage: 0 before stage j*, rho at it, 1
        after it). Where no candidate's lower bound reaches the threshold, j* is H + 1 and the weights are 0.
    """
    horizon = lower.shape[0] - 1
    is_safe = lower >= threshold
    first = jnp.where(jnp.any(is_safe), jnp.argmax(is_safe), horizon + 1).astype(jnp.int32)
    here, before = lower[jnp.minimum(first, horizon)], lower[jnp.clip(first - 1, 0, horizon)]
    gap = here - before
    rho = jnp.clip(jnp.where(gap > 0, (here - threshold) / jnp.where(gap > 0, gap, 1.0), 0.0), 0.0, 1.0)
    rho = jnp.where(first == 0, 1.0, jnp.where(first > horizon, 0.0, rho))
    stage = jnp.arange(1, horizon + 1)
    weights = jnp.where(stage < first, 0.0, jnp.where(stage == first, rho, 1.0))
    return first, rho, weights.astype(lower.dtype)


def episode_mixture(lower: jax.Array, threshold: jax.Array) -> jax.Array:
    """rho: with what probability EpsMix plays the optimistic policy for a whole episode, else the baseline."""
    optimistic, baseline = lower[0], lower[-1]
    gap = baseline - optimistic
    rho = jnp.clip((baseline - threshold) / jnp.where(gap > 0, gap, 1.0), 0.0, 1.0)
    return jnp.where(optimistic >= threshold, 1.0, jnp.where(baseline < threshold, 0.0, rho))


@agent_factory("stepmix", ConservativeConfig, check=check_task)
def stepmix(env: Any, env_params: Any, config: ConservativeConfig) -> Agent:
    """StepMix: one update is one episode. See the module and `conservative_agent`."""

    def choose(found: Bounds, threshold: jax.Array, memory: Any, uniform: jax.Array) -> Choice:
        _, rho, weights = step_mixture(found.lower, threshold)
        return Choice(weights, weights, jnp.ones_like(rho), rho, memory)

    return conservative_agent(stepmix, env, env_params, config, bounds, choose)


@agent_factory("epsmix", ConservativeConfig, check=check_task)
def epsmix(env: Any, env_params: Any, config: ConservativeConfig) -> Agent:
    """EpsMix: one coin an episode. Its constraint holds in expectation over the coin, and that is how it is judged;
    the value given the coin is reported beside it."""

    def choose(found: Bounds, threshold: jax.Array, memory: Any, uniform: jax.Array) -> Choice:
        rho = episode_mixture(found.lower, threshold)
        ones = jnp.ones(env_params.horizon, found.lower.dtype)
        return Choice(ones * (uniform < rho), ones, rho, rho, memory)

    return conservative_agent(epsmix, env, env_params, config, bounds, choose)
