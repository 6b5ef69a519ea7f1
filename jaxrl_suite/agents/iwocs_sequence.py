"""The sequence of deep IWOCS, whatever learner solves its ordinary problems: each the last policy's worst kernel.

Zouitine, Geist, Rachelson, Solving robust MDPs as a sequence of static RL problems (arXiv 2410.06212), section 5 and
algorithm 2:

  default policy   the learner under domain randomisation; pi_0
  kernel i         the learner from scratch on T_i: Q_i, and a one-step predictor of what T_i does next
  validity         Q_i counts in s_t iff |T_i(s_{t-1}, a_{t-1}) - s_t|_1 <= rho_i: the last step looked like T_i; at the
                   start of an episode every one counts
  policy pi_i      of the kernels that count, play what the one of least value plays; the default if none does
  threshold        rho_i is the one of a list under whose policy the worst return J is highest, the largest of equals;
                   rho_1 ... rho_{i-1} stay
  T_{i+1}          where J is attained. A kernel that was there before ends the sequence

What differs from the paper: the best candidate by its worst return is kept, not the last (`best`). An update is a block
of training; a search ends each kernel's last.

Symbols: psi a kernel's parameters [d]; M kernels at most; i kernels trained so far.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics
from jaxrl_suite.agents.robust_blocks import PAPER, BlockSettings, steps_of_block, worst_kernel, worst_metrics
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.replay import Experience
from jaxrl_suite.learning.worst_case import WorstCase


@struct.dataclass
class SequenceSettings(BlockSettings):
    """Settings of the sequence; combined with its learner's. Floats can be swept."""

    repeat_tolerance: float = sweepable(1e-6, "kernels so close are the same, in widths of the box", low=0)
    kernels: int = static(3, "ordinary problems solved at most", symbol="M", low=1)
    default_blocks: int = static(40, "of the budget, for the default policy", unit="blocks", low=1)
    thresholds: tuple[float, ...] = static(
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0), "tried for each kernel, rising; of the sum over an "
        "observation's entries", symbol="R", source=PAPER,
    )  # fmt: skip

    @property
    def kernel_blocks(self) -> int:
        """Blocks of one kernel."""
        return (self.total_updates - self.default_blocks) // self.kernels

    @property
    def default_share(self) -> float:
        """The default policy's budget in budgets of a kernel."""
        return self.default_blocks / self.kernel_blocks


def check_sequence(config: Any) -> None:
    """Raises ConfigError unless blocks are shared out evenly and thresholds rise."""
    name, rest = type(config).__name__, config.total_updates - config.default_blocks
    if rest < config.kernels or rest % config.kernels:
        raise ConfigError(
            f"{name}.total_updates = {config.total_updates}: must be default_blocks = {config.default_blocks} "
            f"and a multiple of kernels = {config.kernels}"
        )
    rising = all(a < b for a, b in zip((0.0, *config.thresholds), config.thresholds, strict=False))
    if not config.thresholds or not rising:
        raise ConfigError(f"{name}.thresholds = {config.thresholds}: must be one or more, > 0 and rising")


class Solver(NamedTuple):
    """The learner. S is its state, K what is kept of a kernel: its policy, value and predictor.

    new(keys [2]) -> K: before any learning. init(key) -> S.
    restart(key, S, K, env_params) -> S: at the start of a run from these networks; of the old state only shapes count.
    train(keys [2], S, env_params, is_default, first) -> (S, metrics): a block, `first` being its first update's index;
        metrics have `loss/predictor`.
    keep(S) -> K.
    policy(K, s) -> a: greedy. choose(K [M], is_valid bool [M], s) -> a: of those that count; of none it is never used.
    surprise(K, s, a, s') -> |T(s, a) - s'|_1, [...]: summed over an observation's entries.
    sample(key, S) -> Experience [B]: steps that were learned from.
    explore(key, a) -> a: where play is not greedy.
    no_action: an action, for its shape.
    """

    new: Callable[[jax.Array], Any]
    init: Callable[[jax.Array], Any]
    restart: Callable[[jax.Array, Any, Any, Any], Any]
    train: Callable[[jax.Array, Any, Any, jax.Array, jax.Array], tuple[Any, Metrics]]
    keep: Callable[[Any], Any]
    policy: Callable[[Any, Any], jax.Array]
    choose: Callable[[Any, jax.Array, Any], jax.Array]
    surprise: Callable[[Any, Any, jax.Array, Any], jax.Array]
    sample: Callable[[jax.Array, Any], Experience]
    explore: Callable[[jax.Array, jax.Array], jax.Array]
    no_action: jax.Array


class Kernels(NamedTuple):
    """Up to M ordinary problems, leading axes [M]. psi: [M, d]. kept: what was learned on it. threshold: rho_i."""

    psi: jax.Array
    kept: Any
    threshold: jax.Array


@struct.dataclass
class SequenceState:
    """learner: of what is being trained now, on `psi` [d] (without meaning for the default).

    default: what is kept of the default policy. kernels: those trained, `count` of them. best: how many of these the
    best candidate uses, 0 being the default policy alone; best_value: its worst return, -inf before the first search.
    is_repeated: the sequence has ended.
    """

    learner: Any
    psi: jax.Array
    default: Any
    kernels: Kernels
    count: jax.Array
    best: jax.Array
    best_value: jax.Array
    is_repeated: jax.Array


class Step(NamedTuple):
    """An episode's memory: the step before. is_first: there is none yet."""

    observation: jax.Array
    action: jax.Array
    is_first: jax.Array


def sequence_agent(name: str, factory: Any, env: Any, env_params: Any, config: Any, solver: Solver) -> Agent:
    """Deep IWOCS on a `robust/` family. One update is one block: first of the default policy, then of each kernel.

    `info.env_steps_per_update` counts the steps that are learned from; searches are not counted, as in the paper.
    `iwocs/valid`: the part of a minibatch from kernel i itself that rho_i takes for it. Near 0, the default plays.
    """
    shape = env.observation_space(env_params).shape
    low, high = env.bounds(env_params)

    def init(key: jax.Array) -> SequenceState:
        key_learner, *keys = jax.random.split(key, 3)
        learner = solver.init(key_learner)
        # Kernels are trained from what is in their slots now: to initialise is slow to compile.
        slots = jax.vmap(solver.new)(jnp.stack([jax.random.split(key, config.kernels) for key in keys], axis=1))
        none = jnp.zeros((), jnp.int32)
        return SequenceState(
            learner=learner,
            psi=0.5 * (low + high),
            default=solver.keep(learner),
            kernels=Kernels(jnp.tile(low, (config.kernels, 1)), slots, jnp.zeros(config.kernels)),
            count=none,
            best=none,
            best_value=jnp.float32(-jnp.inf),
            is_repeated=jnp.asarray(False),
        )

    def update(key: jax.Array, state: SequenceState, step: jax.Array) -> tuple[SequenceState, Metrics]:
        keys = jax.random.split(key, 4)
        is_default = step < config.default_blocks
        since = step - config.default_blocks
        block = jnp.where(is_default, step, since % config.kernel_blocks)
        blocks = jnp.where(is_default, config.default_blocks, config.kernel_blocks)
        slot = jnp.clip(since // config.kernel_blocks, 0, config.kernels - 1)
        params = phase_params(state.psi, is_default)
        fresh = jax.lax.cond(
            block == 0, lambda: from_scratch(keys[0], state, slot, is_default, params), lambda: state.learner
        )
        learner, metrics = solver.train(keys[1:3], fresh, params, is_default, block * config.block_updates)
        default = jax.tree.map(lambda new, old: jnp.where(is_default, new, old), solver.keep(learner), state.default)
        state = _changed(state, learner=learner, default=default)
        state, found = jax.lax.cond(
            block == blocks - 1, lambda: end_of_phase(keys[3], state, slot, is_default), lambda: (state, unknown())
        )
        metrics |= found | {
            "iwocs/kernels": state.count,
            "iwocs/best": state.best,
            "finished": state.is_repeated,
        }
        return state, metrics

    def phase_params(psi: jax.Array, is_default: jax.Array) -> Any:
        return env.at(env_params, psi).replace(randomness=jnp.where(is_default, 1.0, 0.0))

    def from_scratch(key: jax.Array, state: SequenceState, slot: jax.Array, is_default: jax.Array, params: Any) -> Any:
        """The learner of a new phase."""
        new = jax.tree.map(lambda x: x[slot], state.kernels.kept)
        kept = jax.tree.map(lambda old, new: jnp.where(is_default, old, new), state.default, new)
        return solver.restart(key, state.learner, kept, params)

    def end_of_phase(key: jax.Array, state: SequenceState, slot: jax.Array, is_default: jax.Array) -> Any:
        """Stores what was trained as kernel `slot`, unless it is the default; chooses rho, and the next kernel."""
        key_search, key_sample = jax.random.split(key)

        def stored(slots: Any, new: Any) -> Any:
            return jax.tree.map(lambda old, x: jnp.where(is_default, old, old.at[slot].set(x)), slots, new)

        trained = solver.keep(state.learner)
        kernels = state.kernels._replace(
            psi=stored(state.kernels.psi, state.psi), kept=stored(state.kernels.kept, trained)
        )
        count = jnp.where(is_default, 0, slot + 1).astype(jnp.int32)

        def with_threshold(threshold: jax.Array) -> WorstCase:
            # The same key for all: what differs is the threshold's doing.
            tried = kernels._replace(threshold=stored(kernels.threshold, threshold))

            def play(key: jax.Array, memory: Step, observation: jax.Array) -> tuple[jax.Array, Step]:
                action = aggregated(state.default, tried, count, memory, observation)
                return action, Step(observation, action, jnp.asarray(False))

            return worst_kernel(key_search, env, env_params, config, lambda key: first_step(), play)

        thresholds = jnp.array(config.thresholds)
        found = jax.vmap(with_threshold)(thresholds)
        chosen = len(thresholds) - 1 - jnp.argmax(found.value[::-1])
        worst = jax.tree.map(lambda x: x[chosen], found)
        distance = jnp.max(jnp.abs(kernels.psi - worst.point) / (high - low), axis=-1)
        is_known = (distance <= config.repeat_tolerance) & (jnp.arange(config.kernels) < count)
        is_better = worst.value > state.best_value
        state = _changed(
            state,
            psi=worst.point,
            kernels=kernels._replace(threshold=stored(kernels.threshold, thresholds[chosen])),
            count=count,
            best=jnp.where(is_better, count, state.best),
            best_value=jnp.where(is_better, worst.value, state.best_value),
            is_repeated=jnp.any(is_known),
        )
        batch = solver.sample(key_sample, state.learner)
        error = solver.surprise(trained, batch.observation, batch.action, batch.next_observation)
        is_valid = jnp.where(is_default, jnp.nan, jnp.mean(error <= thresholds[chosen]))
        return state, worst_metrics(env, worst) | {
            "worst/threshold": thresholds[chosen],
            "worst/least": jnp.min(found.value),
            "iwocs/valid": is_valid,
        }

    def unknown() -> Metrics:
        """What `end_of_phase` reports where it was not called."""
        none = jnp.float32(jnp.nan)
        nowhere = WorstCase(jnp.full(len(env.names), jnp.nan), none, jnp.int32(0))
        return worst_metrics(env, nowhere) | dict.fromkeys(("worst/threshold", "worst/least", "iwocs/valid"), none)

    def aggregated(default: Any, kernels: Kernels, count: jax.Array, memory: Step, observation: jax.Array) -> jax.Array:
        """The action of the policy made of the first `count` kernels."""
        error = jax.vmap(solver.surprise, (0, None, None, None))(
            kernels.kept, memory.observation, memory.action, observation
        )
        is_valid = (memory.is_first | (error <= kernels.threshold)) & (jnp.arange(config.kernels) < count)
        chosen = solver.choose(kernels.kept, is_valid, observation)
        # The least of no values is no value: only `any` tells that none was valid.
        return jnp.where(jnp.any(is_valid), chosen, solver.policy(default, observation))

    def first_step() -> Step:
        return Step(jnp.zeros(shape), solver.no_action, jnp.asarray(True))

    def start(key: jax.Array, state: SequenceState) -> Step:
        return first_step()

    def act(key: jax.Array, state: SequenceState, memory: Step, observation: Any, greedy: bool) -> tuple[Any, Any]:
        """Plays the best candidate so far; if not `greedy`, as its learner explores."""
        action = aggregated(state.default, state.kernels, state.best, memory, observation)
        if not greedy:
            action = solver.explore(key, action)
        return action, Step(observation, action, jnp.asarray(False))

    info = AgentInfo(name, env, env_params, config, steps_of_block(config), config.total_updates, factory)
    return Agent(init, update, start, act, info)


def least_valued(values: jax.Array, is_valid: jax.Array, actions: jax.Array) -> jax.Array:
    """Of the kernels that count, the action [...] of the one of least value; values [M], actions [M, ...]."""
    return actions[jnp.argmin(jnp.where(is_valid, values, jnp.inf))]


def _changed(state: SequenceState, **parts: Any) -> SequenceState:
    return dataclasses.replace(state, **parts)  # type: ignore[type-var]
