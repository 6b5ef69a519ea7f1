"""The task of conservative agents: an MDP, a baseline policy known to be safe or learned from data, a threshold."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.config import array, static, sweepable
from jaxrl_suite.envs.tabular import TabularMDP
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.confidence import pessimistic_policy
from jaxrl_suite.learning.tabular import add_episode, episode_uniforms, play_episode, staged
from jaxrl_suite.precision import float64
from jaxrl_suite.solvers.dynamic_programming import check_probabilities, policy_evaluation, value_iteration

PROFILE = "practical profile of this suite; the paper's own constants are unknown"


@struct.dataclass
class ConservativeConfig:
    """Settings of agents that explore under an episode-wise constraint. Floats can be swept."""

    scale: float = sweepable(1e-3, "multiplies both confidence terms; 1: theory", symbol="c", source=PROFILE, above=0)
    delta: float = sweepable(0.1, "allowed probability of failure", symbol="delta", source=PROFILE, above=0, below=1)
    threshold: float = sweepable(0.9, "least value of an episode's policy", symbol="gamma", source=PROFILE)
    inverse_temperature: float = sweepable(
        10.0, "of the Boltzmann baseline, on exact optimal action values", symbol="eta", low=0
    )
    total_updates: int = static(20_000, "budget: episodes", symbol="K", unit="episodes", source=PROFILE, low=1)
    baseline: str = static(
        "boltzmann",
        "the safe policy: Boltzmann in the optimal action values, the second best action of each state, or uniform",
        symbol="pi^b",
        choices=("boltzmann", "second_best", "uniform"),
    )
    threshold_is_fraction: bool = static(True, "threshold is a fraction of the baseline's value, else the value itself")
    allow_infeasible: bool = static(False, "allow a threshold above the baseline's value, which no mixture can promise")
    baseline_policy: Any = array(None, "a baseline of your own, probabilities [H, S, A]; takes the place of `baseline`")
    offline_episodes: int = static(
        0, "if positive, the baseline is unknown and learned from so many episodes of it", unit="episodes", low=0
    )
    dataset: Any = array(None, "counts [H, S, A, S] of an unknown safe policy's episodes (see `envs.dataset_counts`)")
    warm_start: bool = static(True, "with a dataset or offline episodes, count them as experience too")


class Task(NamedTuple):
    """baseline: pi^b, [H, S, A]. value: V^b, its exact value. threshold: gamma. best: V*."""

    baseline: jax.Array
    value: jax.Array
    threshold: jax.Array
    best: jax.Array


def baseline_policy(mdp: Any, action_values: jax.Array, config: ConservativeConfig) -> jax.Array:
    """pi^b, [H, S, A], from exact optimal action values [H, S, A] where it depends on them."""
    if config.baseline_policy is not None:
        return jnp.asarray(config.baseline_policy).astype(action_values.dtype)
    if config.baseline == "uniform":
        return jnp.full_like(action_values, 1.0 / mdp.num_actions)
    if config.baseline == "boltzmann":
        return jax.nn.softmax(config.inverse_temperature * action_values, axis=-1)
    # Stable, so that among equals the lowest action comes first.
    second = jnp.argsort(-action_values, axis=-1, stable=True)[..., 1]
    return jax.nn.one_hot(second, mdp.num_actions, dtype=action_values.dtype)


def prepare(mdp: Any, config: ConservativeConfig) -> Task:
    """The task: baseline, its exact value, threshold, the best value. Traced or in float64."""
    solution = value_iteration(mdp)
    baseline = baseline_policy(mdp, solution.action_value, config)
    value = policy_evaluation(mdp, baseline).start_value
    threshold = config.threshold * value if config.threshold_is_fraction else jnp.asarray(config.threshold)
    return Task(baseline, value, threshold, solution.start_value)


def offline_start(key: jax.Array, mdp: Any, config: ConservativeConfig, task: Task) -> tuple[jax.Array, Task]:
    """Counts to begin with, and the task. With offline episodes the baseline is learned from them pessimistically; the
    threshold stays where the behaviour policy's value had put it."""
    nothing = jnp.zeros(counts_shape(mdp), jnp.int32)
    if config.dataset is None and not config.offline_episodes:
        return nothing, task

    def collect(index: jax.Array, counts: jax.Array) -> jax.Array:
        uniforms = episode_uniforms(jax.random.fold_in(key, index), mdp)
        return add_episode(counts, play_episode(uniforms, mdp, task.baseline))

    if config.dataset is None:
        counts = jax.lax.fori_loop(0, config.offline_episodes, collect, nothing)
    else:
        counts = jnp.asarray(config.dataset).astype(jnp.int32)
    learned = pessimistic_policy(counts, staged(mdp)[1], config.scale, config.delta)[0]
    value = policy_evaluation(mdp, learned).start_value
    return counts if config.warm_start else nothing, task._replace(baseline=learned, value=value)


def counts_shape(mdp: Any) -> tuple[int, ...]:
    """[H, S, A, S]."""
    return mdp.horizon, mdp.num_states, mdp.num_actions, mdp.num_states


def check_task(env: Any, env_params: Any, config: ConservativeConfig) -> Task:
    """The task in NumPy. Refuses on the host what cannot work: no horizon, a baseline that is no policy, an unsafe
    threshold.

    Raises:
        ConfigError: naming the field, the value and what is allowed.
    """
    mdp, kind = env_params, type(config).__name__
    if not isinstance(mdp, TabularMDP) or mdp.horizon is None:
        raise ConfigError(f"{env.id}: must be a tabular MDP with a horizon, as in make('tabular/golden-ratio')")
    if np.min(mdp.rewards) < 0 or np.max(mdp.rewards) > 1:
        raise ConfigError(f"{env.id}: rewards must lie in [0, 1], where the bounds hold; rescale them")
    if float(mdp.discount) != 1.0:
        raise ConfigError(f"{env.id}: discount = {float(mdp.discount):g}: must be 1")
    if config.baseline_policy is not None:
        _check_policy(np.asarray(config.baseline_policy), mdp, kind)
    elif config.baseline == "second_best" and mdp.num_actions < 2:
        raise ConfigError(f"{kind}.baseline = 'second_best': needs at least two actions")
    if config.dataset is not None:
        _check_dataset(config, mdp, kind)
    with float64():
        task = jax.tree.map(np.asarray, _begin(mdp, config))
    if task.threshold > task.value and not config.allow_infeasible:
        unit = " of the baseline's value" if config.threshold_is_fraction else ""
        raise ConfigError(
            f"{kind}.threshold = {float(config.threshold):g}{unit}: must be at most the baseline's value "
            f"{float(task.value):.6g} (allow_infeasible lets it pass)"
        )
    return task


@jax.jit
def _begin(mdp: Any, config: ConservativeConfig) -> Task:
    task = prepare(mdp, config)
    return task if config.dataset is None else offline_start(jax.random.key(0), mdp, config, task)[1]


def _check_dataset(config: ConservativeConfig, mdp: Any, kind: str) -> None:
    counts = np.asarray(config.dataset)
    if counts.shape != counts_shape(mdp) or (counts < 0).any():
        raise ConfigError(f"{kind}.dataset: shape {counts.shape}: must be counts {list(counts_shape(mdp))}")
    if not counts.sum():
        raise ConfigError(f"{kind}.dataset: empty: a baseline needs at least one episode to be learned from")
    if config.threshold_is_fraction:
        raise ConfigError(
            f"{kind}.threshold_is_fraction = True: with a dataset nobody knows of what; give the threshold itself"
        )
    if config.baseline_policy is not None:
        raise ConfigError(f"{kind}.baseline_policy: must be None where a dataset is given")
    if config.offline_episodes:
        raise ConfigError(f"{kind}.offline_episodes = {config.offline_episodes}: must be 0 where a dataset is given")


def _check_policy(policy: np.ndarray, mdp: Any, kind: str) -> None:
    shape = (mdp.horizon, mdp.num_states, mdp.num_actions)
    if policy.shape != shape:
        raise ConfigError(f"{kind}.baseline_policy: shape {policy.shape}: must be {list(shape)}")
    check_probabilities(policy, f"{kind}.baseline_policy")
