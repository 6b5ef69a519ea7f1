"""Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347), with the details of the reference programs.

Separate policy and value networks, orthogonal initialisation, Adam with epsilon 1e-5, generalised advantages,
per-minibatch advantage normalisation, clipped ratio and clipped value loss, a global gradient norm, a learning rate
that falls linearly per update.

Only the policy runs inside the rollout's loop; values and log-probabilities are computed afterwards for the whole
rollout at once, which gives the same numbers with far fewer small operations.
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
from jaxrl_suite.envs.normalize import NormalizeObservations, ScaleRewards, VectorEnvironment
from jaxrl_suite.envs.vector import VectorEnv, episode_metrics
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.advantages import gae
from jaxrl_suite.learning.batching import small_products
from jaxrl_suite.learning.distributions import Policy, policy_for
from jaxrl_suite.learning.losses import clipped_surrogate, clipped_value_loss, explained_variance, value_loss
from jaxrl_suite.learning.minibatches import sample_minibatches, sequence_minibatches
from jaxrl_suite.learning.networks import ACTIVATIONS, GRU, MLP, Network, as_torso, check_hidden_sizes
from jaxrl_suite.learning.recurrence import has_memory, reset_memory, unroll

CLEANRL = "CleanRL and PureJaxRL, CartPole"


@struct.dataclass
class PPOConfig:
    """Settings of PPO. Floats can be swept; everything else selects a program."""

    learning_rate: float = sweepable(2.5e-4, "step size of Adam", symbol="alpha", source=CLEANRL, above=0)
    discount: float = sweepable(0.99, "discount factor", symbol="gamma", source=CLEANRL, low=0, high=1)
    gae_lambda: float = sweepable(
        0.95, "decay of the advantage estimator", symbol="lambda", source=CLEANRL, low=0, high=1
    )
    clip_eps: float = sweepable(0.2, "range of the clipped ratio", symbol="epsilon", source=CLEANRL, above=0)
    ent_coef: float = sweepable(0.01, "weight of the entropy bonus", symbol="c_e", source=CLEANRL, low=0)
    vf_coef: float = sweepable(0.5, "weight of the value loss", symbol="c_v", source=CLEANRL, low=0)
    max_grad_norm: float = sweepable(0.5, "limit on the global norm of the gradient", source=CLEANRL, above=0)
    total_updates: int = static(
        976, "budget: updates over which the learning rate falls to zero", unit="updates", low=1
    )
    num_envs: int = static(4, "parallel environments", symbol="N", unit="environments", source=CLEANRL, low=1)
    rollout_length: int = static(
        128, "steps an environment and update", symbol="M", unit="steps", source=CLEANRL, low=1
    )
    num_epochs: int = static(4, "passes over each rollout", symbol="E", source=CLEANRL, low=1)
    num_minibatches: int = static(4, "minibatches a pass", symbol="K", source=CLEANRL, low=1)
    hidden_sizes: tuple[int, ...] = static((64, 64), "widths of the hidden layers (a GRU has the last as its own)")
    activation: str = static("tanh", "activation of the torso", choices=tuple(ACTIVATIONS))
    torso: str = static("mlp", "torso of both networks", choices=("mlp", "gru"))
    module: nn.Module | None = static(None, "a flax module that takes the torso's place (see learning/networks.py)")
    squash: bool = static(False, "tanh-squashed instead of clipped Gaussian actions (continuous actions only)")
    anneal_learning_rate: bool = static(True, "let the learning rate fall linearly to zero over the budget")
    normalize_advantages: bool = static(True, "subtract mean and divide by standard deviation, per minibatch")
    clip_value_loss: bool = static(True, "clip the value's change like the ratio")
    normalize_observations: bool = static(False, "running normalisation of observations, clipped at 10")
    scale_rewards: bool = static(
        False, "divide rewards by the running deviation of the discounted return, clipped at 10"
    )
    truncation_is_termination: bool = static(
        False, "treat a time limit as an end, as the published gymnax numbers did; biases the value"
    )
    reset_pool: int = static(
        0, "fresh starts drawn a step for all environments; 0: one each (see envs/vector.py)", low=0
    )

    def check(self) -> None:
        samples, kind = self.num_envs * self.rollout_length, "num_envs * rollout_length"
        if self.torso == "gru" or hasattr(self.module, "initial_memory"):
            samples, kind = self.num_envs, "num_envs (memory needs whole sequences)"
        if samples % self.num_minibatches:
            raise ConfigError(f"PPOConfig.num_minibatches = {self.num_minibatches}: must divide {kind} = {samples}")
        check_hidden_sizes("PPOConfig", self.hidden_sizes)


class Params(NamedTuple):
    actor: Any
    critic: Any


@struct.dataclass
class PPOState:
    """params and optimiser state; the environments and what they show, [N, ...]; both networks' memories."""

    params: Params
    opt_state: Any
    env: Any
    observation: Any
    memory: Params


class Batch(NamedTuple):
    """Samples to learn from; leading axes [T, N], or those of a minibatch."""

    observation: Any
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    advantage: jax.Array
    done: jax.Array


@agent_factory("ppo", PPOConfig)
def ppo(env: Any, env_params: Any, config: PPOConfig) -> Agent:
    """PPO on `env`. One update is one rollout of `num_envs * rollout_length` steps and all epochs on it."""
    vector = _vector_env(env, config)
    policy = policy_for(env.action_space(env_params), config.squash)
    actor, critic = _networks(env, env_params, policy, config)
    # Flattened: one operation on all parameters instead of a dozen small ones each.
    optimizer = optax.flatten(
        optax.chain(optax.clip_by_global_norm(config.max_grad_norm), optax.scale_by_adam(eps=1e-5))
    )
    minibatches = sequence_minibatches if has_memory(actor) else sample_minibatches

    def init(key: jax.Array) -> PPOState:
        key_env, key_actor, key_critic = jax.random.split(key, 3)
        observation, env_state = vector.reset(key_env, env_params)
        memory = Params(*(network.initial_memory((config.num_envs,)) for network in (actor, critic)))
        params = Params(
            actor.init(key_actor, memory.actor, observation), critic.init(key_critic, memory.critic, observation)
        )
        return PPOState(params, optimizer.init(params), env_state, observation, memory)

    def update(key: jax.Array, state: PPOState, step: jax.Array) -> tuple[PPOState, Metrics]:
        key_rollout, key_learn = jax.random.split(key)
        learning_rate = config.learning_rate
        if config.anneal_learning_rate:
            # A run extended beyond the budget stays at zero.
            learning_rate = learning_rate * jnp.maximum(1.0 - step / config.total_updates, 0.0)
        start = state.memory
        state, batch, metrics = collect(key_rollout, state)
        learnt = small_products(learn)(key_learn, state.params, state.opt_state, start, batch, learning_rate)
        params, opt_state, diagnostics = learnt
        returns = batch.advantage + batch.value
        metrics |= diagnostics
        metrics |= {
            "value/mean": jnp.mean(batch.value),
            "value/explained_variance": explained_variance(batch.value, returns),
        }
        return dataclasses.replace(state, params=params, opt_state=opt_state), metrics

    def collect(key: jax.Array, state: PPOState) -> tuple[PPOState, Batch, Metrics]:
        """A rollout of T steps in N environments, with advantages."""
        key_noise, key_env = jax.random.split(key)
        noise = policy.noise(key_noise, (config.rollout_length, config.num_envs))
        inputs = vector.draw(key_env, env_params, config.rollout_length)

        def act_and_step(carry: Any, inputs_t: Any) -> tuple[Any, Any]:
            env_state, observation, memory = carry
            memory, outputs = actor.apply(state.params.actor, memory, observation)
            action = policy.sample(outputs, inputs_t[0])
            env_state, out = vector.step(env_state, policy.to_env(action), env_params, inputs_t[1])
            memory = reset_memory(actor, out.done, memory)
            return (env_state, out.observation, memory), (observation, action, outputs, out)

        carry = (state.env, state.observation, state.memory.actor)
        carry, (observation, action, outputs, steps) = jax.lax.scan(act_and_step, carry, (noise, inputs))
        value, next_value, critic_memory = values(state.params.critic, state.memory.critic, observation, steps)
        terminated = steps.done if config.truncation_is_termination else steps.terminated
        advantage = gae(
            steps.reward, value, next_value, terminated, steps.truncated, config.discount, config.gae_lambda
        )
        batch = Batch(observation, action, policy.log_prob(outputs, action), value, advantage, steps.done)
        env_state, observation, actor_memory = carry
        state = dataclasses.replace(
            state, env=env_state, observation=observation, memory=Params(actor_memory, critic_memory)
        )
        return state, batch, episode_metrics(steps)

    def values(params: Any, memory: Any, observation: Any, steps: Any) -> tuple[jax.Array, jax.Array, Any]:
        """V of each observation and of what each step itself led to, both [T, N], and the critic's last memory."""
        value, memories, last = unroll(critic, params, memory, observation, steps.done)
        next_outputs: Any = critic.apply(params, memories, steps.final_observation)
        return value[..., 0], next_outputs[1][..., 0], last

    def learn(
        key: jax.Array, params: Params, opt_state: Any, memory: Params, batch: Batch, learning_rate: Any
    ) -> tuple[Params, Any, Metrics]:
        """`num_epochs` passes over the batch in shuffled minibatches."""

        def one_minibatch(carry: tuple[Params, Any], minibatch: tuple[Params, Batch]) -> tuple[Any, Metrics]:
            params, opt_state = carry
            grads, diagnostics = jax.grad(loss, has_aux=True)(params, *minibatch)
            updates, opt_state = optimizer.update(grads, opt_state)
            params = jax.tree.map(lambda p, u: p - learning_rate * u, params, updates)
            return (params, opt_state), diagnostics

        def one_epoch(carry: tuple[Params, Any], key: jax.Array) -> tuple[Any, Metrics]:
            return jax.lax.scan(one_minibatch, carry, minibatches(key, config.num_minibatches, memory, batch))

        keys = jax.random.split(key, config.num_epochs)
        (params, opt_state), diagnostics = jax.lax.scan(one_epoch, (params, opt_state), keys)
        return params, opt_state, jax.tree.map(jnp.mean, diagnostics)

    def loss(params: Params, memory: Params, batch: Batch) -> tuple[jax.Array, Metrics]:
        """L_pi + c_v L_V - c_e H over one minibatch."""
        outputs, _, _ = unroll(actor, params.actor, memory.actor, batch.observation, batch.done)
        value, _, _ = unroll(critic, params.critic, memory.critic, batch.observation, batch.done)
        advantage = batch.advantage
        if config.normalize_advantages:
            advantage = (advantage - jnp.mean(advantage)) / (jnp.std(advantage) + 1e-8)
        log_ratio = policy.log_prob(outputs, batch.action) - batch.log_prob
        policy_loss = clipped_surrogate(log_ratio, advantage, config.clip_eps)
        returns = batch.advantage + batch.value
        if config.clip_value_loss:
            critic_loss = clipped_value_loss(value[..., 0], batch.value, returns, config.clip_eps)
        else:
            critic_loss = value_loss(value[..., 0], returns)
        entropy = jnp.mean(policy.entropy(outputs))
        diagnostics = {
            "loss/policy": policy_loss,
            "loss/value": critic_loss,
            "policy/entropy": entropy,
            "policy/approx_kl": jnp.mean(jnp.exp(log_ratio) - 1.0 - log_ratio),
            "policy/clip_fraction": jnp.mean(jnp.abs(jnp.exp(log_ratio) - 1.0) > config.clip_eps),
        }
        return policy_loss + config.vf_coef * critic_loss - config.ent_coef * entropy, diagnostics

    def start(key: jax.Array, state: PPOState) -> Any:
        return actor.initial_memory(())

    def act(key: jax.Array, state: PPOState, memory: Any, observation: Any, greedy: bool) -> tuple[Any, Any]:
        seen = vector.observe(state.env, observation)
        memory, outputs = actor.apply(state.params.actor, memory, seen)
        action = policy.mode(outputs) if greedy else policy.sample(outputs, policy.noise(key, ()))
        return policy.to_env(action), memory

    steps = config.num_envs * config.rollout_length
    info = AgentInfo("ppo", env, env_params, config, steps, config.total_updates, ppo)
    return Agent(init, update, start, act, info)


def _vector_env(env: Any, config: PPOConfig) -> VectorEnvironment:
    vector: VectorEnvironment = VectorEnv(env, config.num_envs, config.reset_pool)
    if config.normalize_observations:
        vector = NormalizeObservations(vector)
    if config.scale_rewards:
        vector = ScaleRewards(vector, config.discount)
    return vector


def _networks(env: Any, env_params: Any, policy: Policy, config: PPOConfig) -> tuple[Network, Network]:
    """Policy and value network, each with a torso of its own; head gains 0.01 and 1."""
    rank = len(env.observation_space(env_params).shape)
    if config.module is not None:
        torso = as_torso(config.module)
    elif config.torso == "gru":
        torso = GRU(config.hidden_sizes[-1], config.activation, rank)
    else:
        torso = MLP(config.hidden_sizes, config.activation, rank)
    return Network(torso, policy.num_outputs, 0.01, policy.has_log_std), Network(torso, 1, 1.0)
