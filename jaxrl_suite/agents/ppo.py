"""Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347), with the details of the reference programs.

Separate policy and value networks, orthogonal initialisation, Adam with epsilon 1e-5, generalised advantages,
per-minibatch advantage normalisation, clipped ratio and clipped value loss, a global gradient norm, a learning rate
that falls linearly per update. The rollout and its advantages: `on_policy`.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxrl_suite import shards
from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.agents.on_policy import (
    Batch,
    OnPolicyConfig,
    OnPolicyState,
    Params,
    Parts,
    about,
    check_shards,
    in_shards,
    on_policy_parts,
)
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.batching import small_products
from jaxrl_suite.learning.losses import clipped_surrogate, clipped_value_loss, explained_variance, value_loss
from jaxrl_suite.learning.minibatches import sample_minibatches, sequence_minibatches
from jaxrl_suite.learning.networks import ACTIVATIONS, check_hidden_sizes
from jaxrl_suite.learning.optimisation import annealed, clipped, gradient_step
from jaxrl_suite.learning.recurrence import has_memory

CLEANRL = "CleanRL and PureJaxRL, CartPole"


@struct.dataclass
class ClippedConfig(OnPolicyConfig):
    """What PPO shares with agents that are PPO but for their loss. Floats can be swept."""

    learning_rate: float = sweepable(2.5e-4, "step size of Adam", symbol="alpha", source=CLEANRL, above=0)
    discount: float = sweepable(0.99, "discount factor", symbol="gamma", source=CLEANRL, low=0, high=1)
    gae_lambda: float = sweepable(
        0.95, "decay of the advantage estimator", symbol="lambda", source=CLEANRL, low=0, high=1
    )
    clip_eps: float = sweepable(0.2, "range of the clipped ratio", symbol="epsilon", source=CLEANRL, above=0)
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
    normalize_advantages: bool = static(True, "subtract mean and divide by standard deviation, per minibatch")
    clip_value_loss: bool = static(True, "clip the value's change like the ratio")
    anneal_learning_rate: bool = static(True, "let the learning rate fall linearly to zero over the budget")

    def check(self) -> None:
        check_shards(self)
        own = self.num_envs // self.data_shards
        samples, kind = own * self.rollout_length, "num_envs * rollout_length"
        if self.torso == "gru" or hasattr(self.module, "initial_memory"):
            samples, kind = own, "num_envs (memory needs whole sequences)"
        kind += f" / data_shards ({self.data_shards})" if self.data_shards > 1 else ""
        if samples % self.num_minibatches:
            name = f"{type(self).__name__}.num_minibatches"
            raise ConfigError(f"{name} = {self.num_minibatches}: must divide {kind} = {samples}")
        check_hidden_sizes(type(self).__name__, self.hidden_sizes)


@struct.dataclass
class PPOConfig(ClippedConfig):
    """Settings of PPO. Floats can be swept; everything else selects a program."""

    ent_coef: float = sweepable(0.01, "weight of the entropy bonus", symbol="c_e", source=CLEANRL, low=0)


class Losses(NamedTuple):
    """Of one minibatch: of the policy and the value; the policy's mean entropy; outputs of the policy as it is now."""

    policy: jax.Array
    value: jax.Array
    entropy: jax.Array
    outputs: Any


def clipped_losses(
    params: Params, memory: Params, batch: Batch, parts: Parts, config: ClippedConfig
) -> tuple[Losses, Metrics]:
    """L_pi, L_V and H over one minibatch, and what is reported of them."""
    outputs, value = parts.evaluate(params, memory, batch)
    advantage = batch.advantage
    if config.normalize_advantages:
        spread = jnp.sqrt(shards.variance_of(advantage))
        advantage = (advantage - shards.mean_of(advantage)) / (spread + 1e-8)
    log_ratio = parts.policy.log_prob(outputs, batch.action) - batch.log_prob
    policy_loss = clipped_surrogate(log_ratio, advantage, config.clip_eps)
    returns = batch.advantage + batch.value
    if config.clip_value_loss:
        critic_loss = clipped_value_loss(value, batch.value, returns, config.clip_eps)
    else:
        critic_loss = value_loss(value, returns)
    entropy = jnp.mean(parts.policy.entropy(outputs))
    diagnostics = {
        "loss/policy": policy_loss,
        "loss/value": critic_loss,
        "policy/entropy": entropy,
        "policy/approx_kl": jnp.mean(jnp.exp(log_ratio) - 1.0 - log_ratio),
        "policy/clip_fraction": jnp.mean(jnp.abs(jnp.exp(log_ratio) - 1.0) > config.clip_eps),
    }
    return Losses(policy_loss, critic_loss, entropy, outputs), diagnostics


def loss(
    params: Params, memory: Params, batch: Batch, parts: Parts, config: PPOConfig, step: Any = None
) -> tuple[jax.Array, Metrics]:
    """L_pi + c_v L_V - c_e H over one minibatch."""
    losses, diagnostics = clipped_losses(params, memory, batch, parts, config)
    return losses.policy + config.vf_coef * losses.value - config.ent_coef * losses.entropy, diagnostics


@agent_factory("ppo", PPOConfig)
def ppo(env: Any, env_params: Any, config: PPOConfig) -> Agent:
    """PPO on `env`. One update is one rollout of `num_envs * rollout_length` steps and all epochs on it."""
    return clipped_agent(ppo, env, env_params, config, loss)


def clipped_agent(
    factory: Any, env: Any, env_params: Any, config: ClippedConfig, loss: Callable[..., tuple[jax.Array, Metrics]]
) -> Agent:
    """PPO with a loss of its own: `loss(params, memory, batch, parts, config, step)`."""
    optimizer = clipped(config.max_grad_norm, optax.scale_by_adam(eps=1e-5))
    parts = on_policy_parts(env, env_params, config, optimizer)
    minibatches = sequence_minibatches if has_memory(parts.actor) else sample_minibatches

    def update(key: jax.Array, state: OnPolicyState, step: jax.Array) -> tuple[OnPolicyState, Metrics]:
        key_rollout, key_learn = jax.random.split(shards.own_key(key))
        start, learning_rate = state.memory, annealed(config, step)
        state, batch, metrics = parts.collect(key_rollout, state)
        learnt = small_products(learn)(key_learn, state.params, state.opt_state, start, batch, learning_rate, step)
        params, opt_state, diagnostics = learnt
        returns = batch.advantage + batch.value
        metrics |= diagnostics
        metrics |= {
            "value/mean": shards.mean_of(batch.value),
            "value/explained_variance": explained_variance(batch.value, returns),
        }
        return dataclasses.replace(state, params=params, opt_state=opt_state), metrics

    def learn(
        key: jax.Array,
        params: Params,
        opt_state: Any,
        memory: Params,
        batch: Batch,
        learning_rate: Any,
        step: jax.Array,
    ) -> tuple[Params, Any, Metrics]:
        """`num_epochs` passes over the batch in shuffled minibatches."""
        one_minibatch = gradient_step(
            functools.partial(loss, parts=parts, config=config, step=step), optimizer, learning_rate
        )

        def one_epoch(carry: tuple[Params, Any], key: jax.Array) -> tuple[Any, Metrics]:
            return jax.lax.scan(one_minibatch, carry, minibatches(key, config.num_minibatches, memory, batch))

        keys = jax.random.split(key, config.num_epochs)
        (params, opt_state), diagnostics = jax.lax.scan(one_epoch, (params, opt_state), keys)
        return params, opt_state, jax.tree.map(jnp.mean, diagnostics)

    steps = config.num_envs * config.rollout_length
    info = AgentInfo(
        factory.agent_name, env, env_params, config, steps, config.total_updates, factory, **about(config, parts)
    )
    return Agent(*in_shards(parts.init, update, config), parts.start, parts.act, info)
