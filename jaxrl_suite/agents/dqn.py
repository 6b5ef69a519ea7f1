"""Deep Q-learning (Mnih et al. 2015, doi 10.1038/nature14236), with the details that Stable-Baselines3 made usual.

One network and its target copy, a ring of the last transitions in memory, uniform minibatches of it, the Huber loss,
a global gradient norm, epsilon-greedy play whose epsilon falls linearly. Double Q-learning (van Hasselt et al. 2016,
arXiv 1509.06461) is a switch.

The update's index is the same for all members, so learning before the start and copying to the target are really
skipped. The buffer is written and sampled without condition: a condition that it passed through would copy it.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.envs.vector import VectorEnv, episode_metrics, play
from jaxrl_suite.learning.networks import ACTIVATIONS, TORSOS, Network, check_hidden_sizes, torso_of
from jaxrl_suite.learning.optimisation import annealed, clipped
from jaxrl_suite.learning.q_learning import (
    among_legal,
    check_discrete,
    epsilon_greedy,
    exploration,
    greedy_action,
    legal_actions,
    linear_epsilon,
)
from jaxrl_suite.learning.replay import Experience, check_replay, empty_replay, experience_of, replay_of, td_learner

SB3 = "Stable-Baselines3"
SQIRL = "SQIRL's comparison (Laidlaw et al. 2024), with Stable-Baselines3"


@struct.dataclass
class DQNConfig:
    """Settings of DQN. Floats can be swept; everything else selects a program."""

    learning_rate: float = sweepable(1e-4, "step size of Adam", symbol="alpha", source=SQIRL, above=0)
    discount: float = sweepable(0.99, "discount factor", symbol="gamma", source=SB3, low=0, high=1)
    exploration_fraction: float = sweepable(
        0.1, "part of the budget over which epsilon falls from 1", source=SQIRL, above=0, high=1
    )
    final_epsilon: float = sweepable(
        0.01, "chance of a random action after that, and in play that is not greedy", symbol="epsilon", source=SQIRL,
        low=0, high=1,
    )  # fmt: skip
    max_grad_norm: float = sweepable(10.0, "limit on the global norm of the gradient", source=SQIRL, above=0)
    total_updates: int = static(125_000, "budget: updates whose first part has epsilon fall", unit="updates", low=1)
    num_envs: int = static(1, "parallel environments", unit="environments", source=SQIRL, low=1)
    train_frequency: int = static(4, "steps an environment and update", unit="steps", source=SQIRL, low=1)
    gradient_steps: int = static(1, "minibatches an update", source=SQIRL, low=1)
    batch_size: int = static(32, "transitions a minibatch", unit="transitions", source=SQIRL, low=1)
    buffer_size: int = static(100_000, "transitions kept", symbol="N", unit="transitions", source=SQIRL, low=1)
    learning_starts: int = static(
        0, "play at random and do not learn before (never before there is one minibatch)", unit="environment steps",
        source=SQIRL, low=0,
    )  # fmt: skip
    target_period: int = static(
        1000, "the target is copied by each update that reaches a multiple of it", symbol="C",
        unit="environment steps", source=SQIRL, low=1,
    )  # fmt: skip
    error: str = static(
        "huber", "of temporal differences: squared up to 1 and linear beyond, or squared",
        choices=("huber", "squared"),
    )  # fmt: skip
    anneal_learning_rate: bool = static(False, "the step size falls linearly to zero over the budget")
    double: bool = static(False, "the online network chooses the next action, the target network judges it")
    hidden_sizes: tuple[int, ...] = static((64, 64), "widths of the hidden layers", source=SQIRL)
    activation: str = static("relu", "activation of the torso", source=SQIRL, choices=tuple(ACTIVATIONS))
    torso: str = static("mlp", "fully connected, or one convolution of 16 channels first", choices=TORSOS)
    module: nn.Module | None = static(None, "a flax module that takes the torso's place (see learning/networks.py)")
    truncation_is_termination: bool = static(False, "treat a time limit as an end; biases the value")
    reset_pool: int = static(
        0, "fresh starts drawn a step for all environments; 0: one each (see envs/vector.py)", low=0
    )

    def check(self) -> None:
        check_hidden_sizes("DQNConfig", self.hidden_sizes)
        check_replay(self)


@struct.dataclass
class DQNState:
    """Parameters, the target's copy of them, optimiser state; replay buffer; environments and what they show, [N]."""

    params: Any
    target_params: Any
    opt_state: Any
    buffer: Any
    env: Any
    observation: Any


def q_network(env: Any, env_params: Any, config: DQNConfig) -> tuple[Network, Callable[[Any, Any], jax.Array]]:
    """DQN's network, and values(params, observations [...]) -> [..., A], those of illegal actions the lowest."""
    legal = legal_actions(env, env_params)
    torso = torso_of(config, env.observation_space(env_params))
    network = Network(torso, int(env.action_space(env_params).n), 1.0)

    def values(params: Any, observation: Any) -> jax.Array:
        outputs: Any = network.apply(params, (), observation)
        return among_legal(outputs[1], legal(observation))

    return network, values


def restarted(key: jax.Array, state: DQNState, params: Any, env: Any, env_params: Any, config: DQNConfig) -> DQNState:
    """The state at the start of a run from these parameters of the network; of `state` only the shapes are used."""
    observation, env_state = VectorEnv(env, config.num_envs, config.reset_pool).reset(key, env_params)
    # Adam and the buffer begin at zero.
    opt_state, buffer = jax.tree.map(jnp.zeros_like, (state.opt_state, state.buffer))
    return DQNState(params, params, opt_state, buffer, env_state, observation)


def _check(env: Any, env_params: Any, config: DQNConfig) -> None:
    check_discrete("dqn", env, env_params)


@agent_factory("dqn", DQNConfig, _check)
def dqn(env: Any, env_params: Any, config: DQNConfig) -> Agent:
    """DQN on `env`. One update is `train_frequency` steps of all environments, then `gradient_steps` minibatches."""
    vector = VectorEnv(env, config.num_envs, config.reset_pool)
    legal = legal_actions(env, env_params)
    network, q_values = q_network(env, env_params, config)
    optimizer = clipped(config.max_grad_norm, optax.scale_by_adam(eps=1e-8))
    steps_per_update = config.num_envs * config.train_frequency
    first_learning = max(config.learning_starts, config.batch_size)
    replay = replay_of(config)

    def init(key: jax.Array) -> DQNState:
        key_env, key_network = jax.random.split(key)
        observation, env_state = vector.reset(key_env, env_params)
        params = network.init(key_network, (), observation)
        shapes = jax.eval_shape(collect, key, params, env_state, observation, jnp.zeros(()))[2]
        buffer = empty_replay(replay, shapes)
        return DQNState(params, params, optimizer.init(params), buffer, env_state, observation)

    def update(key: jax.Array, state: DQNState, step: jax.Array) -> tuple[DQNState, Metrics]:
        key_collect, key_sample = jax.random.split(key)
        before, after = step * steps_per_update, (step + 1) * steps_per_update
        epsilon = jnp.where(before < config.learning_starts, 1.0, linear_epsilon(step, config))
        env_state, observation, experience, metrics = collect(
            key_collect, state.params, state.env, state.observation, epsilon
        )
        buffer = replay.add(state.buffer, experience)
        batches = jax.vmap(replay.sample, (None, 0))(buffer, jax.random.split(key_sample, config.gradient_steps))
        params, opt_state, diagnostics = jax.lax.cond(
            after >= first_learning, learn, skip,
            state.params, state.opt_state, state.target_params, batches.experience, annealed(config, step),
        )  # fmt: skip
        is_due = after // config.target_period > before // config.target_period
        target_params = jax.lax.cond(is_due, lambda: params, lambda: state.target_params)
        metrics |= diagnostics | {"exploration/epsilon": epsilon}
        return DQNState(params, target_params, opt_state, buffer, env_state, observation), metrics

    def collect(key: jax.Array, params: Any, env_state: Any, observation: Any, epsilon: jax.Array) -> Any:
        """T steps of N environments: their state, what they show, the Experience [T, N], and the episodes' metrics."""
        key_explore, key_env = jax.random.split(key)
        explored = exploration(key_explore, (config.train_frequency, config.num_envs), epsilon)
        inputs = vector.draw(key_env, env_params, config.train_frequency)

        def choose(explored_t: Any, observation: Any) -> jax.Array:
            return epsilon_greedy(explored_t, q_values(params, observation), legal(observation))

        carry, played = play(vector, env_params, choose, (env_state, observation), explored, inputs)
        return *carry, experience_of(played, config.truncation_is_termination), episode_metrics(played.steps)

    def learn(params: Any, opt_state: Any, target_params: Any, batches: Experience, rate: Any) -> Any:
        """One gradient step a minibatch, `batches` is [gradient_steps, B]: parameters, optimiser's state, metrics."""
        return td_learner(q_values, optimizer, rate, config)(params, opt_state, target_params, batches)

    def skip(params: Any, opt_state: Any, target_params: Any, batches: Experience, rate: Any) -> Any:
        return params, opt_state, {"loss/td": jnp.full((), jnp.nan), "value/mean": jnp.full((), jnp.nan)}

    def start(key: jax.Array, state: DQNState) -> Any:
        return ()

    def act(key: jax.Array, state: DQNState, memory: Any, observation: Any, greedy: bool) -> tuple[Any, Any]:
        """The best action by the network; if not `greedy`, with chance `final_epsilon` a random one."""
        values = q_values(state.params, observation)
        if greedy:
            return greedy_action(values), memory
        return epsilon_greedy(exploration(key, (), config.final_epsilon), values, legal(observation)), memory

    info = AgentInfo("dqn", env, env_params, config, steps_per_update, config.total_updates, dqn)
    return Agent(init, update, start, act, info)
