"""PQN, parallelised Q-network (Gallici et al., ICLR 2025, arXiv 2407.04811): Q-learning without replay or target.

Many environments take the place of the replay buffer, layer normalisation that of the target network. Epsilon-greedy
rollouts, Q(lambda) targets from the rollout's own maxima, computed once, then a few epochs of shuffled minibatches on
them with RAdam.
"""

import dataclasses
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.envs.vector import VectorEnv, episode_metrics, play
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.advantages import lambda_targets
from jaxrl_suite.learning.batching import small_products
from jaxrl_suite.learning.losses import value_loss
from jaxrl_suite.learning.minibatches import sample_minibatches
from jaxrl_suite.learning.networks import ACTIVATIONS, TORSOS, Network, check_hidden_sizes, torso_of
from jaxrl_suite.learning.optimisation import annealed, clipped, gradient_step
from jaxrl_suite.learning.q_learning import (
    check_discrete,
    epsilon_greedy,
    exploration,
    greedy_action,
    linear_epsilon,
    value_of,
)

PUREJAXQL = "purejaxql, CartPole"


@struct.dataclass
class PQNConfig:
    """Settings of PQN. Floats can be swept; everything else selects a program."""

    learning_rate: float = sweepable(1e-4, "step size of RAdam", symbol="alpha", source=PUREJAXQL, above=0)
    discount: float = sweepable(0.99, "discount factor", symbol="gamma", source=PUREJAXQL, low=0, high=1)
    q_lambda: float = sweepable(0.95, "decay of the targets", symbol="lambda", source=PUREJAXQL, low=0, high=1)
    exploration_fraction: float = sweepable(
        0.2, "part of the budget over which epsilon falls from 1", source=PUREJAXQL, above=0, high=1
    )
    final_epsilon: float = sweepable(
        0.2, "chance of a random action after that, and in play that is not greedy", symbol="epsilon", source=PUREJAXQL,
        low=0, high=1,
    )  # fmt: skip
    reward_scale: float = sweepable(0.1, "multiplies rewards before learning", source=PUREJAXQL, above=0)
    max_grad_norm: float = sweepable(10.0, "limit on the global norm of the gradient", source=PUREJAXQL, above=0)
    total_updates: int = static(
        244, "budget: updates over which the learning rate falls to zero", unit="updates", source=PUREJAXQL, low=1
    )
    num_envs: int = static(32, "parallel environments", symbol="N", unit="environments", source=PUREJAXQL, low=1)
    rollout_length: int = static(
        64, "steps an environment and update", symbol="M", unit="steps", source=PUREJAXQL, low=1
    )
    num_epochs: int = static(4, "passes over each rollout", source=PUREJAXQL, low=1)
    num_minibatches: int = static(16, "minibatches a pass", source=PUREJAXQL, low=1)
    hidden_sizes: tuple[int, ...] = static((256, 256), "widths of the hidden layers", source=PUREJAXQL)
    activation: str = static("relu", "activation of the torso", source=PUREJAXQL, choices=tuple(ACTIVATIONS))
    torso: str = static("mlp", "fully connected, or one convolution of 16 channels first", choices=TORSOS)
    layer_norm: bool = static(True, "normalise every layer of the torso before its activation")
    module: nn.Module | None = static(None, "a flax module that takes the torso's place (see learning/networks.py)")
    anneal_learning_rate: bool = static(True, "let the learning rate fall linearly to zero over the budget")
    byte_images: bool = static(
        False, "the published MinAtar program's: a convolution's input is divided by 255, though its pixels are 0 or 1"
    )
    shifted_bootstrap: bool = static(
        False, "the published program's defect: the last but one target bootstraps from the rollout's end as well"
    )
    truncation_is_termination: bool = static(
        False, "treat a time limit as an end, as the published gymnax numbers did; biases the value"
    )
    reset_pool: int = static(
        0, "fresh starts drawn a step for all environments; 0: one each (see envs/vector.py)", low=0
    )

    def check(self) -> None:
        check_hidden_sizes("PQNConfig", self.hidden_sizes)
        samples = self.num_envs * self.rollout_length
        if samples % self.num_minibatches:
            raise ConfigError(
                f"PQNConfig.num_minibatches = {self.num_minibatches}: must divide num_envs * rollout_length = {samples}"
            )
        if self.shifted_bootstrap and self.rollout_length < 2:
            raise ConfigError("PQNConfig.shifted_bootstrap = True: needs rollout_length >= 2")
        if hasattr(self.module, "initial_memory"):
            raise ConfigError("PQNConfig.module: must have no memory; single steps are shuffled, not sequences")


@struct.dataclass
class PQNState:
    """Parameters and optimiser state; the environments and what they show, [N, ...]."""

    params: Any
    opt_state: Any
    env: Any
    observation: Any


class Batch(NamedTuple):
    """Samples to learn from; leading axes [M, N], or those of a minibatch. target: G."""

    observation: Any
    action: jax.Array
    target: jax.Array


def _check(env: Any, env_params: Any, config: PQNConfig) -> None:
    check_discrete("pqn", env, env_params)


@agent_factory("pqn", PQNConfig, _check)
def pqn(env: Any, env_params: Any, config: PQNConfig) -> Agent:
    """PQN on `env`. One update is one rollout of `num_envs * rollout_length` steps and all epochs on it."""
    vector = VectorEnv(env, config.num_envs, config.reset_pool)
    num_actions = int(env.action_space(env_params).n)
    torso = torso_of(config, env.observation_space(env_params))
    network = Network(torso, num_actions, 1.0)
    optimizer = clipped(config.max_grad_norm, optax.scale_by_radam())

    def q_values(params: Any, observation: Any) -> jax.Array:
        outputs: Any = network.apply(params, (), observation)
        return outputs[1]

    def init(key: jax.Array) -> PQNState:
        key_env, key_network = jax.random.split(key)
        observation, env_state = vector.reset(key_env, env_params)
        params = network.init(key_network, (), observation)
        return PQNState(params, optimizer.init(params), env_state, observation)

    def update(key: jax.Array, state: PQNState, step: jax.Array) -> tuple[PQNState, Metrics]:
        key_rollout, key_learn = jax.random.split(key)
        learning_rate, epsilon = annealed(config, step), linear_epsilon(step, config)
        state, batch, metrics = collect(key_rollout, state, epsilon)
        learnt = small_products(learn)(key_learn, state.params, state.opt_state, batch, learning_rate)
        params, opt_state, diagnostics = learnt
        metrics |= diagnostics | {"exploration/epsilon": epsilon}
        return dataclasses.replace(state, params=params, opt_state=opt_state), metrics

    def collect(key: jax.Array, state: PQNState, epsilon: jax.Array) -> tuple[PQNState, Batch, Metrics]:
        """A rollout of M steps in N environments, with targets."""
        key_explore, key_env = jax.random.split(key)
        explored = exploration(key_explore, (config.rollout_length, config.num_envs), epsilon)
        inputs = vector.draw(key_env, env_params, config.rollout_length)

        def choose(explored_t: Any, observation: Any) -> jax.Array:
            return epsilon_greedy(explored_t, q_values(state.params, observation))

        carry = (state.env, state.observation)
        (env_state, last), (observation, action, steps) = play(vector, env_params, choose, carry, explored, inputs)
        best = jnp.max(q_values(state.params, steps.final_observation), axis=-1)
        batch = Batch(observation, action, targets(steps, best))
        return dataclasses.replace(state, env=env_state, observation=last), batch, episode_metrics(steps)

    def targets(steps: Any, best: jax.Array) -> jax.Array:
        if config.shifted_bootstrap:
            best = best.at[-2].set(best[-1])
        terminated = steps.done if config.truncation_is_termination else steps.terminated
        reward = config.reward_scale * steps.reward
        return lambda_targets(reward, best, terminated, steps.truncated, config.discount, config.q_lambda)

    def learn(
        key: jax.Array, params: Any, opt_state: Any, batch: Batch, learning_rate: Any
    ) -> tuple[Any, Any, Metrics]:
        """`num_epochs` passes over the batch in shuffled minibatches."""

        one_minibatch = gradient_step(loss, optimizer, learning_rate)

        def one_epoch(carry: tuple[Any, Any], key: jax.Array) -> tuple[Any, Metrics]:
            _, minibatches = sample_minibatches(key, config.num_minibatches, (), batch)
            return jax.lax.scan(one_minibatch, carry, (minibatches,))

        keys = jax.random.split(key, config.num_epochs)
        (params, opt_state), diagnostics = jax.lax.scan(one_epoch, (params, opt_state), keys)
        return params, opt_state, jax.tree.map(jnp.mean, diagnostics)

    def loss(params: Any, batch: Batch) -> tuple[jax.Array, Metrics]:
        """Half the mean squared distance to the targets."""
        value = value_of(q_values(params, batch.observation), batch.action)
        distance = value_loss(value, batch.target)
        return distance, {"loss/value": distance, "value/mean": jnp.mean(value)}

    def start(key: jax.Array, state: PQNState) -> Any:
        return ()

    def act(key: jax.Array, state: PQNState, memory: Any, observation: Any, greedy: bool) -> tuple[Any, Any]:
        """The best action by the network; if not `greedy`, with chance `final_epsilon` a random one."""
        values = q_values(state.params, observation)
        if greedy:
            return greedy_action(values), memory
        return epsilon_greedy(exploration(key, (), config.final_epsilon), values), memory

    steps = config.num_envs * config.rollout_length
    info = AgentInfo("pqn", env, env_params, config, steps, config.total_updates, pqn)
    return Agent(init, update, start, act, info)
