"""What agents under an episode-wise constraint share: the task, the episode, and the exact judge.

A task is an MDP with a horizon, a baseline policy known to be safe, and a threshold gamma below its value. An agent
says how it mixes the baseline with an optimistic policy; everything it is judged by (value, regret, violations,
coverage of its bounds) is computed from the true transitions, never from samples.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics
from jaxrl_suite.agents.conservative_task import ConservativeConfig, Task, offline_start, prepare
from jaxrl_suite.envs.observations import state_number
from jaxrl_suite.learning.tabular import Episode, add_episode, empirical, play_episode, staged
from jaxrl_suite.precision import own_arrays
from jaxrl_suite.solvers.dynamic_programming import policy_evaluation

VIOLATION = 1e-12
"""How far below the threshold an exact value counts as a violation: rounding of a float64 backward pass."""


@struct.dataclass
class ConservativeState:
    """counts: int32 [H, S, A, S]. task: see `Task`. memory: of the algorithm's own. first_exploration: int32, the
    episode (from 1) that first was no pure baseline episode; 0 if none was yet."""

    counts: jax.Array
    task: Task
    memory: Any
    first_exploration: jax.Array


class Choice(NamedTuple):
    """What an algorithm does in an episode.

    played: [H], probability of the optimistic action at each stage, else the baseline's. judged: [H], likewise, of the
    policy it is judged by; `share` is that policy's part of the judged value, the rest is the baseline's. rho: the
    weight of mixing, as reported. memory: what to remember.
    """

    played: jax.Array
    judged: jax.Array
    share: jax.Array
    rho: jax.Array
    memory: Any


def conservative_agent(
    factory: Callable[..., Agent],
    env: Any,
    env_params: Any,
    config: ConservativeConfig,
    bounds: Callable[..., Any],
    choose: Callable[..., Choice],
    first_memory: Any = (),
) -> Agent:
    """The agent of an algorithm: `bounds` of all candidates, then `choose`, then one episode and its judgement.

    Args:
        bounds: as `stepmix.bounds`.
        choose: (bounds, threshold, memory, uniform in [0, 1)) -> Choice.
        first_memory: what `choose` remembers at the start.
    """
    mdp = own_arrays(env_params)

    def init(key: jax.Array) -> ConservativeState:
        counts, task = offline_start(key, mdp, config, prepare(mdp, config))
        memory = jax.tree.map(jnp.asarray, first_memory)
        return ConservativeState(counts, task, memory, jnp.zeros((), jnp.int32))

    def plan(uniform: jax.Array, state: ConservativeState) -> tuple[Any, Choice]:
        rewards = staged(mdp)[1]
        visits, model = empirical(state.counts, rewards.dtype)
        found = bounds(model, visits, rewards, mdp.initial, state.task.baseline, config.scale, config.delta)
        return found, choose(found, state.task.threshold, state.memory, uniform)

    def update(key: jax.Array, state: ConservativeState, step: jax.Array) -> tuple[ConservativeState, Metrics]:
        task = state.task
        # One call: on a CPU a call costs as much as a tenth of the episode.
        uniforms = jax.random.uniform(key, (2 * mdp.horizon + 2,), task.value.dtype)
        found, choice = plan(uniforms[0], state)
        played = mixture(task.baseline, found.optimistic, choice.played)
        episode = play_episode(uniforms[1:], mdp, played)
        judged = policy_evaluation(mdp, mixture(task.baseline, found.optimistic, choice.judged)).start_value
        value = choice.share * judged + (1.0 - choice.share) * task.value
        is_baseline = jnp.all(choice.judged * choice.share == 0)
        first = first_episode(state.first_exploration, ~is_baseline, step)
        is_mixed = ~is_baseline & jnp.any(choice.judged * choice.share < 1)
        kinds = {"baseline": is_baseline, "mixture": is_mixed, "optimistic": ~is_baseline & ~is_mixed}
        is_covered = (found.lower[-1] <= task.value) & (found.upper[0] >= task.best)
        metrics = {
            **judgement(task, episode, value, first),
            "value/played": policy_evaluation(mdp, played).start_value,
            "bounds/baseline_lower": found.lower[-1],
            "bounds/optimistic_lower": found.lower[0],
            "bounds/upper": found.upper[0],
            "mixture/rho": choice.rho,
            "uncovered/count": (~is_covered).astype(jnp.int32),
            **{f"{name}/count": flag.astype(jnp.int32) for name, flag in kinds.items()},
        }
        counts = add_episode(state.counts, episode)
        return ConservativeState(counts, task, choice.memory, first), metrics

    def start(key: jax.Array, state: ConservativeState) -> Any:
        """The stage, and the policy of the whole episode: what the next update would play."""
        found, choice = plan(jax.random.uniform(key, dtype=state.task.value.dtype), state)
        return jnp.zeros((), jnp.int32), mixture(state.task.baseline, found.optimistic, choice.played)

    info = AgentInfo(
        factory.agent_name,  # type: ignore[attr-defined]
        env,
        env_params,
        config,
        mdp.horizon,
        config.total_updates,
        factory,
        precision="float64",
    )
    return Agent(init, update, start, act, info)


def act(key: jax.Array, state: Any, memory: Any, observation: Any, greedy: bool) -> tuple[Any, Any]:
    """Plays the episode's policy; memory: (stage, policy [H, S, A]). Observations are states' numbers or one-hot."""
    stage, policy = memory
    here = state_number(observation)
    # The promise is a mixture's: its most probable action alone may be unsafe, so greedy plays it too.
    action = jax.random.categorical(key, jnp.log(policy[stage, here])).astype(jnp.int32)
    return action, (jnp.minimum(stage + 1, policy.shape[0] - 1), policy)


def first_episode(first: jax.Array, explores: jax.Array, step: jax.Array) -> jax.Array:
    """`first_exploration` after episode `step` (from 0)."""
    return jnp.where((first == 0) & explores, step + 1, first).astype(jnp.int32)


def judgement(task: Task, episode: Episode, value: jax.Array, first: jax.Array) -> Metrics:
    """What every agent is judged by, from the exact value of the episode's policy."""
    return {
        "episode/return": episode.total,
        "episode/count": jnp.ones((), jnp.int32),
        "value/policy": value,
        "value/min": value,
        "regret": task.best - value,
        "violation/count": (value < task.threshold - VIOLATION).astype(jnp.int32),
        "first_exploration": first,
    }


def mixture(baseline: jax.Array, optimistic: jax.Array, weights: jax.Array) -> jax.Array:
    """(1 - w_h) pi^b_h + w_h optimistic_h: probabilities [H, S, A] from [H, S, A], actions [H, S] and weights [H]."""
    chosen = jax.nn.one_hot(optimistic, baseline.shape[-1], dtype=baseline.dtype)
    weights = weights[:, None, None]
    return (1.0 - weights) * baseline + weights * chosen
