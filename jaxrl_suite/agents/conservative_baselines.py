"""What StepMix is compared with: the baseline alone, optimism without a constraint, a cumulative constraint."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.agent import Agent, agent_factory
from jaxrl_suite.agents.conservative import Choice, conservative_agent
from jaxrl_suite.agents.conservative_task import ConservativeConfig, check_task
from jaxrl_suite.agents.stepmix import Bounds, bounds


@agent_factory("baseline_only", ConservativeConfig, check=check_task)
def baseline_only(env: Any, env_params: Any, config: ConservativeConfig) -> Agent:
    """Plays the baseline policy for ever."""

    def choose(found: Bounds, threshold: jax.Array, memory: Any, uniform: jax.Array) -> Choice:
        return _constant(found, env_params.horizon, 0.0)

    return conservative_agent(baseline_only, env, env_params, config, bounds, choose)


@agent_factory("bpi_ucbvi", ConservativeConfig, check=check_task)
def bpi_ucbvi(env: Any, env_params: Any, config: ConservativeConfig) -> Agent:
    """BPI-UCBVI (Menard et al., arXiv 2007.13442): always optimistic, and never stops. Knows no constraint."""

    def choose(found: Bounds, threshold: jax.Array, memory: Any, uniform: jax.Array) -> Choice:
        return _constant(found, env_params.horizon, 1.0)

    return conservative_agent(bpi_ucbvi, env, env_params, config, bounds, choose)


class Budget(NamedTuple):
    """saved: Z, sum of the optimistic policy's lower bounds in exploring episodes. baseline_episodes: m. episodes: k
    episodes begun so far. int32 counts, float64 sum."""

    saved: Any
    baseline_episodes: Any
    episodes: Any


@agent_factory("budget_exploration", ConservativeConfig, check=check_task)
def budget_exploration(env: Any, env_params: Any, config: ConservativeConfig) -> Agent:
    """Budget-Exploration (Yang et al., arXiv 2106.11692), in our reading: the constraint holds for sums of episodes.

    Explores in episode k where Z + m L_H + L_0 >= k gamma, else plays the baseline.
    """

    def choose(found: Bounds, threshold: jax.Array, memory: Budget, uniform: jax.Array) -> Choice:
        episode = memory.episodes + 1
        promised = memory.saved + memory.baseline_episodes * found.lower[-1] + found.lower[0]
        explores = promised >= episode * threshold
        saved = memory.saved + jnp.where(explores, found.lower[0], 0.0)
        count = memory.baseline_episodes + jnp.where(explores, 0, 1).astype(jnp.int32)
        weight = explores.astype(found.lower.dtype)
        return _constant(found, env_params.horizon, weight)._replace(memory=Budget(saved, count, episode))

    first = Budget(np.float64(0), np.int32(0), np.int32(0))
    return conservative_agent(budget_exploration, env, env_params, config, bounds, choose, first)


def _constant(found: Bounds, horizon: int, weight: Any) -> Choice:
    """The optimistic policy with this weight, 0 or 1, for the whole episode."""
    weight = jnp.asarray(weight, found.lower.dtype)
    weights = jnp.full(horizon, weight)
    return Choice(weights, weights, jnp.ones_like(weight), weight, ())
