"""Deep IWOCS on DQN: a robust policy from a sequence of ordinary problems, each the last policy's worst kernel.

Zouitine, Geist, Rachelson, Solving robust MDPs as a sequence of static RL problems (arXiv 2410.06212), section 5 and
algorithm 2, for discrete actions. The paper's learner is SAC; here it is DQN:

  default policy   DQN under domain randomisation; pi_0
  kernel i         DQN from scratch on T_i: Q_i, and a one-step predictor of what T_i does next
  validity         Q_i counts in s_t iff |T_i(s_{t-1}, a_{t-1}) - s_t|_1 <= rho_i: the last step looked like T_i; at the
                   start of an episode every one counts
  policy pi_i      of the kernels that count, play what the one with the least max_a Q plays; the default if none does
  threshold        rho_i is the one of a list under whose policy the worst return J is highest, the largest of equals;
                   rho_1 ... rho_{i-1} stay
  T_{i+1}          where J is attained. A kernel that was there before ends the sequence

What differs from the paper: DQN's values have no entropy, so one Q is enough; the predictor is a network of its own and
learns differences s' - s; the best candidate by its worst return is kept, not the last (`best`). `selection="action"`
plays argmax_a min_i Q_i(s, a) of algorithm 1 instead, which SAC cannot. An update is a block of training; a search ends
each kernel's last.

Symbols: psi a kernel's parameters [d]; M kernels at most; i kernels trained so far.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.agents.dqn import DQNState, dqn, q_network, restarted
from jaxrl_suite.agents.robust_dqn import (
    PAPER,
    BlockConfig,
    check_robust,
    learner_config,
    train_block,
    worst_kernel,
    worst_metrics,
)
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.networks import MLP, Network, check_hidden_sizes
from jaxrl_suite.learning.optimisation import gradient_step
from jaxrl_suite.learning.q_learning import epsilon_greedy, exploration, greedy_action
from jaxrl_suite.learning.replay import Experience, replay_of
from jaxrl_suite.learning.worst_case import WorstCase


@struct.dataclass
class DeepIWOCSConfig(BlockConfig):
    """Settings of deep IWOCS: DQN's, the search's, and its own. Floats can be swept."""

    predictor_rate: float = sweepable(1e-3, "step size of Adam of the predictor", source=PAPER, above=0)
    repeat_tolerance: float = sweepable(1e-6, "kernels so close are the same, in widths of the box", low=0)
    kernels: int = static(3, "ordinary problems solved at most", symbol="M", low=1)
    default_blocks: int = static(40, "of the budget, for the default policy", unit="blocks", low=1)
    predictor_steps: int = static(250, "minibatches of the predictor in a block", low=1)
    predictor_sizes: tuple[int, ...] = static((64, 64), "widths of the predictor's hidden layers")
    thresholds: tuple[float, ...] = static(
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0), "tried for each kernel, rising; of the sum over an "
        "observation's entries", symbol="R", source=PAPER,
    )  # fmt: skip
    selection: str = static(
        "kernel", "play what the kernel of the least value plays, or the action of the best least value",
        choices=("kernel", "action"),
    )  # fmt: skip

    @property
    def kernel_blocks(self) -> int:
        """Blocks of one kernel."""
        return (self.total_updates - self.default_blocks) // self.kernels

    def check(self) -> None:
        super().check()
        check_hidden_sizes("DeepIWOCSConfig", self.predictor_sizes)
        rest = self.total_updates - self.default_blocks
        if rest < self.kernels or rest % self.kernels:
            raise ConfigError(
                f"DeepIWOCSConfig.total_updates = {self.total_updates}: must be default_blocks = {self.default_blocks} "
                f"and a multiple of kernels = {self.kernels}"
            )
        if self.anneal_learning_rate and self.default_blocks != self.kernel_blocks:
            raise ConfigError(
                f"DeepIWOCSConfig.anneal_learning_rate = True: default_blocks = {self.default_blocks}: must be as "
                f"many as a kernel's, {self.kernel_blocks}"
            )
        rising = all(a < b for a, b in zip((0.0, *self.thresholds), self.thresholds, strict=False))
        if not self.thresholds or not rising:
            raise ConfigError(f"DeepIWOCSConfig.thresholds = {self.thresholds}: must be one or more, > 0 and rising")


Initialise = Callable[[jax.Array], Any]
Surprise = Callable[[Any, jax.Array, jax.Array, jax.Array], jax.Array]


class Kernels(NamedTuple):
    """Up to M ordinary problems, leading axes [M]. psi: [M, d]. values: parameters of Q_i. predictor: of the predictor.
    threshold: rho_i."""

    psi: jax.Array
    values: Any
    predictor: Any
    threshold: jax.Array


@struct.dataclass
class DeepIWOCSState:
    """learner, predictor, predictor_opt: of what is being trained now, on `psi` [d] (without meaning for the default).

    default: parameters of the default policy. kernels: those trained, `count` of them. best: how many of these the best
    candidate uses, 0 being the default policy alone; best_value: its worst return, -inf before the first search.
    is_repeated: the sequence has ended.
    """

    learner: DQNState
    predictor: Any
    predictor_opt: Any
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


def one_step_predictor(env: Any, env_params: Any, config: DeepIWOCSConfig) -> tuple[Initialise, Surprise]:
    """new(key) -> parameters, and surprise(params, s, a, s') -> |T(s, a) - s'|_1, [...]: summed over an observation's
    entries."""
    num_actions, shape = int(env.action_space(env_params).n), env.observation_space(env_params).shape
    network = Network(MLP(config.predictor_sizes, "relu", 1), shape[0], 0.01)

    def inputs(observation: jax.Array, action: jax.Array) -> jax.Array:
        return jnp.concatenate([observation, jax.nn.one_hot(action, num_actions)], axis=-1)

    def new(key: jax.Array) -> Any:
        return network.init(key, (), inputs(jnp.zeros(shape), jnp.int32(0)))

    def surprise(params: Any, observation: jax.Array, action: jax.Array, following: jax.Array) -> jax.Array:
        outputs: Any = network.apply(params, (), inputs(observation, action))
        return jnp.sum(jnp.abs(observation + outputs[1] - following), axis=-1)

    return new, surprise


def _check(env: Any, env_params: Any, config: DeepIWOCSConfig) -> None:
    check_robust("deep_iwocs", env, env_params)


@agent_factory("deep_iwocs", DeepIWOCSConfig, _check)
def deep_iwocs(env: Any, env_params: Any, config: DeepIWOCSConfig) -> Agent:
    """Deep IWOCS on a `robust/` family. One update is one block of DQN: first the default policy's, then each kernel's.

    `info.env_steps_per_update` counts the steps that are learned from; searches are not counted, as in the paper.
    `iwocs/valid`: the part of a minibatch from kernel i itself that rho_i takes for it. Near 0, the default plays.
    """
    kernel_updates = config.kernel_blocks * config.block_updates
    settings = learner_config(config, kernel_updates)
    shape = env.observation_space(env_params).shape
    network, q_values = q_network(env, env_params, config)
    new_predictor, surprise = one_step_predictor(env, env_params, config)
    adam, replay = optax.scale_by_adam(), replay_of(config)
    low, high = env.bounds(env_params)

    def init(key: jax.Array) -> DeepIWOCSState:
        key_learner, *keys = jax.random.split(key, 3)
        learner = dqn(env, env_params, settings).init(key_learner)
        keys_values, keys_predictors = (jax.random.split(key, config.kernels) for key in keys)
        # Kernels are trained from what is in their slots now: to initialise is slow to compile.
        values = jax.vmap(lambda key: network.init(key, (), jnp.zeros(shape)))(keys_values)
        predictors = jax.vmap(new_predictor)(keys_predictors)
        predictor = jax.tree.map(lambda x: x[0], predictors)
        none = jnp.zeros((), jnp.int32)
        return DeepIWOCSState(
            learner=learner,
            predictor=predictor,
            predictor_opt=adam.init(predictor),
            psi=0.5 * (low + high),
            default=learner.params,
            kernels=Kernels(jnp.tile(low, (config.kernels, 1)), values, predictors, jnp.zeros(config.kernels)),
            count=none,
            best=none,
            best_value=jnp.float32(-jnp.inf),
            is_repeated=jnp.asarray(False),
        )

    def update(key: jax.Array, state: DeepIWOCSState, step: jax.Array) -> tuple[DeepIWOCSState, Metrics]:
        key_init, key_train, key_predict, key_end = jax.random.split(key, 4)
        is_default = step < config.default_blocks
        since = step - config.default_blocks
        block = jnp.where(is_default, step, since % config.kernel_blocks)
        blocks = jnp.where(is_default, config.default_blocks, config.kernel_blocks)
        slot = jnp.clip(since // config.kernel_blocks, 0, config.kernels - 1)
        learner = learner_of(state.psi, is_default)
        old = (state.learner, state.predictor, state.predictor_opt)
        fresh = jax.lax.cond(block == 0, lambda: from_scratch(key_init, state, slot, is_default), lambda: old)
        trained, metrics = train_block(key_train, learner, fresh[0], block * config.block_updates, config.block_updates)
        predictor, predictor_opt, error = jax.lax.cond(
            is_default, lambda *rest: (*rest, jnp.float32(jnp.nan)), lambda *rest: predict(key_predict, trained, *rest),
            *fresh[1:],
        )  # fmt: skip
        state = dataclasses.replace(  # type: ignore[type-var]
            state,
            learner=trained,
            predictor=predictor,
            predictor_opt=predictor_opt,
            default=jax.tree.map(lambda new, old: jnp.where(is_default, new, old), trained.params, state.default),
        )
        state, found = jax.lax.cond(
            block == blocks - 1, lambda: end_of_phase(key_end, state, slot, is_default), lambda: (state, unknown())
        )
        metrics |= found | {
            "loss/predictor": error,
            "iwocs/kernels": state.count,
            "iwocs/best": state.best,
            "finished": state.is_repeated,
        }
        return state, metrics

    def learner_of(psi: jax.Array, is_default: jax.Array) -> Agent:
        """DQN under domain randomisation, or on one kernel. Epsilon falls over the same part of either's budget."""
        longer = jnp.where(is_default, config.default_blocks / config.kernel_blocks, 1.0)
        fraction = settings.exploration_fraction * longer
        changed = dataclasses.replace(settings, exploration_fraction=fraction)  # type: ignore[type-var]
        return dqn(env, phase_params(psi, is_default), changed)

    def phase_params(psi: jax.Array, is_default: jax.Array) -> Any:
        return env.at(env_params, psi).replace(randomness=jnp.where(is_default, 1.0, 0.0))

    def from_scratch(key: jax.Array, state: DeepIWOCSState, slot: jax.Array, is_default: jax.Array) -> Any:
        """Learner, predictor and its optimiser of a new phase."""
        new, predictor = jax.tree.map(lambda x: x[slot], (state.kernels.values, state.kernels.predictor))
        params = jax.tree.map(lambda old, new: jnp.where(is_default, old, new), state.default, new)
        learner = restarted(key, state.learner, params, env, phase_params(state.psi, is_default), settings)
        return learner, predictor, adam.init(predictor)

    def predict(key: jax.Array, learner: DQNState, predictor: Any, opt_state: Any) -> tuple[Any, Any, jax.Array]:
        """Gradient steps of the predictor on the learner's replay buffer: parameters, Adam's state, mean error."""

        def loss(params: Any, batch: Experience) -> tuple[jax.Array, Metrics]:
            error = jnp.mean(surprise(params, batch.observation, batch.action, batch.next_observation))
            return error, {"loss/predictor": error}

        descend = gradient_step(loss, adam, config.predictor_rate)

        def one(carry: Any, key: jax.Array) -> Any:
            return descend(carry, (replay.sample(learner.buffer, key).experience,))

        keys = jax.random.split(key, config.predictor_steps)
        (predictor, opt_state), diagnostics = jax.lax.scan(one, (predictor, opt_state), keys)
        return predictor, opt_state, jnp.mean(diagnostics["loss/predictor"])

    def end_of_phase(key: jax.Array, state: DeepIWOCSState, slot: jax.Array, is_default: jax.Array) -> Any:
        """Stores what was trained as kernel `slot`, unless it is the default; chooses rho, and the next kernel."""
        key_search, key_sample = jax.random.split(key)

        def stored(slots: Any, new: Any) -> Any:
            return jax.tree.map(lambda old, x: jnp.where(is_default, old, old.at[slot].set(x)), slots, new)

        kernels = state.kernels
        kernels = kernels._replace(
            psi=stored(kernels.psi, state.psi),
            values=stored(kernels.values, state.learner.params),
            predictor=stored(kernels.predictor, state.predictor),
        )
        count = jnp.where(is_default, 0, slot + 1).astype(jnp.int32)

        def with_threshold(threshold: jax.Array) -> WorstCase:
            # The same key for all: what differs is the threshold's doing.
            tried = kernels._replace(threshold=stored(kernels.threshold, threshold))

            def play(key: jax.Array, memory: Step, observation: jax.Array) -> tuple[jax.Array, Step]:
                _, action = aggregated(state.default, tried, count, memory, observation)
                return action, Step(observation, action, jnp.asarray(False))

            return worst_kernel(key_search, env, env_params, config, lambda key: first_step(), play)

        thresholds = jnp.array(config.thresholds)
        found = jax.vmap(with_threshold)(thresholds)
        chosen = len(thresholds) - 1 - jnp.argmax(found.value[::-1])
        worst = jax.tree.map(lambda x: x[chosen], found)
        distance = jnp.max(jnp.abs(kernels.psi - worst.point) / (high - low), axis=-1)
        is_known = (distance <= config.repeat_tolerance) & (jnp.arange(config.kernels) < count)
        is_better = worst.value > state.best_value
        state = dataclasses.replace(  # type: ignore[type-var]
            state,
            psi=worst.point,
            kernels=kernels._replace(threshold=stored(kernels.threshold, thresholds[chosen])),
            count=count,
            best=jnp.where(is_better, count, state.best),
            best_value=jnp.where(is_better, worst.value, state.best_value),
            is_repeated=jnp.any(is_known),
        )
        batch = replay.sample(state.learner.buffer, key_sample).experience
        error = surprise(state.predictor, batch.observation, batch.action, batch.next_observation)
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

    def aggregated(
        default: Any, kernels: Kernels, count: jax.Array, memory: Step, observation: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """(values of the actions [A], the action played) of the policy made of the first `count` kernels."""
        error = jax.vmap(surprise, (0, None, None, None))(
            kernels.predictor, memory.observation, memory.action, observation
        )
        is_valid = (memory.is_first | (error <= kernels.threshold)) & (jnp.arange(config.kernels) < count)
        values = jax.vmap(q_values, (0, None))(kernels.values, observation)
        if config.selection == "kernel":
            least = jnp.argmin(jnp.where(is_valid, jnp.max(values, axis=-1), jnp.inf))
            chosen = values[least]
        else:
            chosen = jnp.min(jnp.where(is_valid[:, None], values, jnp.inf), axis=0)
        # The least of no values is no value: only `any` tells that none was valid.
        chosen = jnp.where(jnp.any(is_valid), chosen, q_values(default, observation))
        return chosen, greedy_action(chosen)

    def first_step() -> Step:
        return Step(jnp.zeros(shape), jnp.int32(0), jnp.asarray(True))

    def start(key: jax.Array, state: DeepIWOCSState) -> Step:
        return first_step()

    def act(key: jax.Array, state: DeepIWOCSState, memory: Step, observation: Any, greedy: bool) -> tuple[Any, Any]:
        """Plays the best candidate so far; if not `greedy`, with chance `final_epsilon` a random action."""
        values, action = aggregated(state.default, state.kernels, state.best, memory, observation)
        if not greedy:
            action = epsilon_greedy(exploration(key, (), config.final_epsilon), values)
        return action, Step(observation, action, jnp.asarray(False))

    steps = config.block_updates * config.num_envs * config.train_frequency
    info = AgentInfo("deep_iwocs", env, env_params, config, steps, config.total_updates, deep_iwocs)
    return Agent(init, update, start, act, info)
