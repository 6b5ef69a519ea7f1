"""What agents with continuous actions that learn from replayed transitions share: settings, play, memory, twin critics.

    play         `train_frequency` steps of all environments, by chance until `learning_starts`
    memory       a ring of the last `buffer_size` transitions
    learning     `gradient_steps` minibatches, each one step of the critics; the agent's own `learn` says how

Truncation is bootstrapped through, termination never. The update's index is the same for all members, so learning
before the start, and the actor's turns between its period, are really skipped. The buffer is written and sampled
without condition: a condition that it passed through would copy it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.envs.vector import VectorEnv, VectorStep, episode_metrics, play
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.distributions import TanhGaussian, policy_for
from jaxrl_suite.learning.networks import (
    ACTIVATIONS,
    MLP,
    Dense,
    Network,
    check_hidden_sizes,
    flatten_observation,
)
from jaxrl_suite.learning.replay import Experience, check_replay, empty_replay, experience_of, replay_of

CLEANRL = "CleanRL, MuJoCo"


@struct.dataclass
class OffPolicyConfig:
    """What SAC and TD3 share. Floats can be swept; everything else selects a program."""

    actor_rate: float = sweepable(3e-4, "step size of the actor's Adam", source=CLEANRL, above=0)
    critic_rate: float = sweepable(1e-3, "step size of the critics' Adam", source=CLEANRL, above=0)
    adam_epsilon: float = sweepable(1e-8, "Adam's term against division by zero", source=CLEANRL, above=0)
    discount: float = sweepable(0.99, "discount factor", symbol="gamma", source=CLEANRL, low=0, high=1)
    polyak: float = sweepable(
        0.005, "part of the way that targets go to their networks at a time", symbol="tau", source=CLEANRL, above=0,
        high=1,
    )  # fmt: skip
    total_updates: int = static(1_000_000, "budget", unit="updates", low=1)
    num_envs: int = static(1, "parallel environments", unit="environments", source=CLEANRL, low=1)
    train_frequency: int = static(1, "steps an environment and update", unit="steps", source=CLEANRL, low=1)
    gradient_steps: int = static(1, "minibatches an update", source=CLEANRL, low=1)
    batch_size: int = static(256, "transitions a minibatch", unit="transitions", source=CLEANRL, low=1)
    buffer_size: int = static(1_000_000, "transitions kept", unit="transitions", source=CLEANRL, low=1)
    learning_starts: int = static(
        5000, "play at random and do not learn before (never before there is one minibatch)", unit="environment steps",
        source=CLEANRL, low=0,
    )  # fmt: skip
    policy_period: int = static(2, "minibatches from one of the actor's turns to the next", source=CLEANRL, low=1)
    hidden_sizes: tuple[int, ...] = static((256, 256), "widths of the hidden layers", source=CLEANRL)
    activation: str = static("relu", "activation of all networks", source=CLEANRL, choices=tuple(ACTIVATIONS))
    truncation_is_termination: bool = static(False, "treat a time limit as an end; biases the value")
    reset_pool: int = static(
        0, "fresh starts drawn a step for all environments; 0: one each (see envs/vector.py)", low=0
    )

    def check(self) -> None:
        check_hidden_sizes(type(self).__name__, self.hidden_sizes)
        check_replay(self)


@struct.dataclass
class OffPolicyState:
    """learned: all that learning changes; replay buffer; environments and what they show, [N]."""

    learned: Any
    buffer: Any
    env: Any
    observation: Any


class Learner(NamedTuple):
    """What an agent adds.

    new(key, observation, action) -> learned: of one observation and action, for their shapes.
    act(learned, noise, observation) -> action: exploring, noise [..., D] standard normal; None for none: the mode.
    learn(learned, key, batch [B], count) -> (learned, diagnostics): one minibatch; `count` is its index, had learning
        started at once, one unbatched int32. Diagnostics may be NaN in some minibatches: their mean is of the others.
    explore(learned, noise, observation) -> action: as `act`, in an arena; None: `act` itself.
    watch(learned, key, steps [T, N]) -> learned: after each rollout, before learning; None: nothing is made of it.
    """

    new: Callable[[jax.Array, Any, jax.Array], Any]
    act: Callable[[Any, jax.Array | None, Any], jax.Array]
    learn: Callable[[Any, jax.Array, Experience, jax.Array], tuple[Any, Metrics]]
    explore: Callable[[Any, jax.Array, Any], jax.Array] | None = None
    watch: Callable[[Any, jax.Array, VectorStep], Any] | None = None


class Arena(NamedTuple):
    """Where an agent plays to learn, if not in the environment that it is for.

    env_params: at the start. params(learned, step) -> env_params: in update `step`, one unbatched int32.
    """

    env: Any
    env_params: Any
    params: Callable[[Any, jax.Array], Any]


class Critic(nn.Module):
    """Q(s, a), [...], of observations [..., *O] and actions [..., *A] of so many axes."""

    hidden_sizes: tuple[int, ...]
    activation: str
    observation_rank: int
    action_rank: int

    @nn.compact
    def __call__(self, observation: jax.Array, action: jax.Array) -> jax.Array:
        inputs = joined(observation, action, self.observation_rank, self.action_rank)
        _, features = MLP(self.hidden_sizes, self.activation)((), inputs)
        return Dense(1)(features)[..., 0]


def joined(observation: jax.Array, action: jax.Array, observation_rank: int, action_rank: int) -> jax.Array:
    """Both flattened, one after the other, [..., |o| + |a|]."""
    parts = flatten_observation(observation, observation_rank), flatten_observation(action, action_rank)
    return jnp.concatenate(parts, axis=-1)


def twins(critic: nn.Module) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Two critics without common layers: new(key, *inputs) -> their parameters, [2, ...]; both(params, *inputs) ->
    [2, ...]."""

    def new(key: jax.Array, *inputs: Any) -> Any:
        return jax.vmap(lambda key: critic.init(key, *inputs))(jax.random.split(key))

    def both(params: Any, *inputs: Any) -> Any:
        return jax.vmap(lambda one: critic.apply(one, *inputs))(params)

    return new, both


def critic_of(env: Any, env_params: Any, config: Any) -> Critic:
    observation, action = env.observation_space(env_params), env.action_space(env_params)
    return Critic(config.hidden_sizes, config.activation, len(observation.shape), len(action.shape))


def actor_of(env: Any, env_params: Any, config: Any, outputs: int) -> Network:
    """From observations to `outputs` numbers, near zero at first."""
    rank = len(env.observation_space(env_params).shape)
    return Network(MLP(config.hidden_sizes, config.activation, rank), outputs, 0.01)


def squashed(env: Any, env_params: Any) -> TanhGaussian:
    """The policies on the bounds of the environment's actions."""
    policy: Any = policy_for(env.action_space(env_params), squash=True)
    return policy


def check_box(name: str, env: Any, env_params: Any) -> None:
    """Raises ConfigError unless actions are of a box with finite bounds, and observations are arrays."""
    action, observation = env.action_space(env_params), env.observation_space(env_params)
    if hasattr(action, "n") or not hasattr(action, "low"):
        kind = type(action).__name__
        raise ConfigError(f"{name} on {env.id}: action space {kind}: must be a Box; continuous actions are learned")
    if not (np.isfinite(action.low).all() and np.isfinite(action.high).all()):
        raise ConfigError(f"{name} on {env.id}: action space Box: must have finite bounds")
    if not hasattr(observation, "shape") or hasattr(observation, "n"):
        raise ConfigError(f"{name} on {env.id}: observations {type(observation).__name__}: must be a Box")


def bootstrapped(batch: Experience, next_value: jax.Array, discount: Any) -> jax.Array:
    """y = r + gamma v(s'), or r after an end, [B]."""
    return batch.reward + discount * jnp.where(batch.terminated, 0.0, next_value)


def moved(targets: Any, params: Any, polyak: Any) -> Any:
    """Targets that have gone a part of the way to the networks."""
    return optax.incremental_update(params, targets, polyak)


def restarted(
    key: jax.Array, state: OffPolicyState, learned: Any, env: Any, env_params: Any, config: OffPolicyConfig
) -> OffPolicyState:
    """The state at the start of a run with this learned; of `state` only the buffer's shapes are used."""
    observation, env_state = VectorEnv(env, config.num_envs, config.reset_pool).reset(key, env_params)
    return OffPolicyState(learned, jax.tree.map(jnp.zeros_like, state.buffer), env_state, observation)


def replaced(learned: Any, /, **parts: Any) -> Any:
    """`learned` with other parts."""
    return dataclasses.replace(learned, **parts)


def skipped(learn: Callable[..., tuple[Any, Metrics]]) -> Callable[..., tuple[Any, Metrics]]:
    """In `learn`'s place where nothing is learned: (what it was given first, NaN for each of its diagnostics)."""

    def skip(learned: Any, *arguments: Any) -> tuple[Any, Metrics]:
        shapes = jax.eval_shape(learn, learned, *arguments)[1]
        return learned, jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), shapes)

    return skip


def off_policy_agent(
    name: str,
    factory: Any,
    env: Any,
    env_params: Any,
    config: OffPolicyConfig,
    learner: Learner,
    arena: Arena | None = None,
) -> Agent:
    """The agent that plays, keeps and replays, and learns as `learner` says; in `arena` instead of `env` if given."""
    arena = Arena(env, env_params, lambda learned, step: env_params) if arena is None else arena
    explore = learner.act if learner.explore is None else learner.explore
    vector = VectorEnv(arena.env, config.num_envs, config.reset_pool)
    policy, replay = squashed(arena.env, arena.env_params), replay_of(config)
    steps_per_update = config.num_envs * config.train_frequency
    first_learning = max(config.learning_starts, config.batch_size)

    def init(key: jax.Array) -> OffPolicyState:
        key_env, key_networks = jax.random.split(key)
        observation, env_state = vector.reset(key_env, arena.env_params)
        one = jax.tree.map(lambda x: x[0], observation)
        learned = learner.new(key_networks, one, policy.to_env(jnp.zeros(policy.num_outputs)))
        shapes = jax.eval_shape(collect, key, learned, env_state, observation, jnp.int32(0))[2]
        return OffPolicyState(learned, empty_replay(replay, shapes), env_state, observation)

    def update(key: jax.Array, state: OffPolicyState, step: jax.Array) -> tuple[OffPolicyState, Metrics]:
        key_collect, key_sample, key_learn = jax.random.split(key, 3)
        env_state, observation, experience, steps = collect(
            key_collect, state.learned, state.env, state.observation, step
        )
        learned = state.learned
        if learner.watch is not None:
            # A stream of its own: agents without it are as they were.
            learned = learner.watch(learned, jax.random.fold_in(key, 3), steps)
        buffer = replay.add(state.buffer, experience)
        batches = jax.vmap(replay.sample, (None, 0))(buffer, jax.random.split(key_sample, config.gradient_steps))
        arguments = (learned, key_learn, batches.experience, step * config.gradient_steps)
        is_learning = (step + 1) * steps_per_update >= first_learning
        learned, diagnostics = jax.lax.cond(is_learning, learn, skipped(learn), *arguments)
        return OffPolicyState(learned, buffer, env_state, observation), episode_metrics(steps) | diagnostics

    def collect(key: jax.Array, learned: Any, env_state: Any, observation: Any, step: jax.Array) -> Any:
        """T steps of N environments: their state, what they show, the Experience [T, N], and the steps [T, N]."""
        key_uniform, key_normal, key_env = jax.random.split(key, 3)
        shape = (config.train_frequency, config.num_envs, policy.num_outputs)
        uniform = policy.low + (policy.high - policy.low) * jax.random.uniform(key_uniform, shape)
        noise = (uniform.reshape(*shape[:2], *policy.shape), jax.random.normal(key_normal, shape))
        params = arena.params(learned, step)
        inputs = vector.draw(key_env, params, config.train_frequency)
        is_random = step * steps_per_update < config.learning_starts

        def choose(noise_t: Any, observation: Any) -> jax.Array:
            return jnp.where(is_random, noise_t[0], explore(learned, noise_t[1], observation))

        carry, played = play(vector, params, choose, (env_state, observation), noise, inputs)
        return *carry, experience_of(played, config.truncation_is_termination), played.steps

    def learn(learned: Any, key: jax.Array, batches: Experience, count: jax.Array) -> tuple[Any, Metrics]:
        """One step a minibatch, `batches` is [G, B]."""

        def one(learned: Any, inputs: Any) -> tuple[Any, Metrics]:
            return learner.learn(learned, *inputs)

        counts = count + jnp.arange(config.gradient_steps)
        keys = jax.random.split(key, config.gradient_steps)
        learned, diagnostics = jax.lax.scan(one, learned, (keys, batches, counts))
        return learned, jax.tree.map(_mean, diagnostics)

    def start(key: jax.Array, state: OffPolicyState) -> Any:
        return ()

    def act(key: jax.Array, state: OffPolicyState, memory: Any, observation: Any, greedy: bool) -> tuple[Any, Any]:
        """The policy's mode; if not `greedy`, as it explores."""
        noise = None if greedy else jax.random.normal(key, (squashed(env, env_params).num_outputs,))
        return learner.act(state.learned, noise, observation), memory

    info = AgentInfo(name, env, env_params, config, steps_per_update, config.total_updates, factory)
    return Agent(init, update, start, act, info)


def _mean(values: jax.Array) -> jax.Array:
    """Over the minibatches in which there was a number; NaN if in none."""
    is_there = ~jnp.isnan(values)
    count = jnp.sum(is_there)
    return jnp.sum(jnp.where(is_there, values, 0.0)) / jnp.where(count > 0, count, jnp.nan)
