"""A2C, the synchronous form of A3C (Mnih et al. 2016, arXiv 1602.01783), with the details of Stable-Baselines3.

One gradient step on the whole of every short rollout: no ratio, no minibatches, advantages as they are, RMSprop. It is
PPO with one epoch of one minibatch, where the ratio is one and nothing is clipped (Huang et al. 2022, arXiv
2205.09123), and shares PPO's rollout (`on_policy`).
"""

import dataclasses
import functools
from typing import Any

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
from jaxrl_suite.learning.batching import small_products
from jaxrl_suite.learning.losses import explained_variance
from jaxrl_suite.learning.networks import ACTIVATIONS, check_hidden_sizes
from jaxrl_suite.learning.optimisation import annealed, clipped, gradient_step

SB3 = "Stable-Baselines3"


@struct.dataclass
class A2CConfig(OnPolicyConfig):
    """Settings of A2C. Floats can be swept; everything else selects a program."""

    learning_rate: float = sweepable(7e-4, "step size of RMSprop", symbol="alpha", source=SB3, above=0)
    discount: float = sweepable(0.99, "discount factor", symbol="gamma", source=SB3, low=0, high=1)
    gae_lambda: float = sweepable(1.0, "decay of the advantage estimator", symbol="lambda", source=SB3, low=0, high=1)
    ent_coef: float = sweepable(0.0, "weight of the entropy bonus", symbol="c_e", source=SB3, low=0)
    vf_coef: float = sweepable(0.5, "weight of the value loss", symbol="c_v", source=SB3, low=0)
    max_grad_norm: float = sweepable(0.5, "limit on the global norm of the gradient", source=SB3, above=0)
    rms_decay: float = sweepable(0.99, "decay of RMSprop's mean square", source=SB3, low=0, below=1)
    total_updates: int = static(12_500, "budget: updates", unit="updates", low=1)
    num_envs: int = static(8, "parallel environments", symbol="N", unit="environments", source="RL Zoo", low=1)
    rollout_length: int = static(5, "steps an environment and update", symbol="M", unit="steps", source=SB3, low=1)
    hidden_sizes: tuple[int, ...] = static((64, 64), "widths of the hidden layers (a GRU has the last as its own)")
    activation: str = static("tanh", "activation of the torso", choices=tuple(ACTIVATIONS))
    anneal_learning_rate: bool = static(False, "let the learning rate fall linearly to zero over the budget")

    def check(self) -> None:
        check_hidden_sizes("A2CConfig", self.hidden_sizes)
        check_shards(self)


def loss(params: Params, memory: Params, batch: Batch, parts: Parts, config: A2CConfig) -> tuple[jax.Array, Metrics]:
    """-mean A log pi + c_v mean (V - R)^2 - c_e H over a rollout."""
    outputs, value = parts.evaluate(params, memory, batch)
    policy_loss = -jnp.mean(batch.advantage * parts.policy.log_prob(outputs, batch.action))
    critic_loss = jnp.mean((value - batch.advantage - batch.value) ** 2)
    entropy = jnp.mean(parts.policy.entropy(outputs))
    diagnostics = {"loss/policy": policy_loss, "loss/value": critic_loss, "policy/entropy": entropy}
    return policy_loss + config.vf_coef * critic_loss - config.ent_coef * entropy, diagnostics


@agent_factory("a2c", A2CConfig)
def a2c(env: Any, env_params: Any, config: A2CConfig) -> Agent:
    """A2C on `env`. One update is one rollout of `num_envs * rollout_length` steps and one gradient step on it."""
    optimizer = clipped(config.max_grad_norm, optax.scale_by_rms(config.rms_decay, eps=1e-5, eps_in_sqrt=False))
    parts = on_policy_parts(env, env_params, config, optimizer)

    def update(key: jax.Array, state: OnPolicyState, step: jax.Array) -> tuple[OnPolicyState, Metrics]:
        start = state.memory
        state, batch, metrics = parts.collect(shards.own_key(key), state)
        params, opt_state, diagnostics = small_products(learn)(
            state.params, state.opt_state, start, batch, annealed(config, step)
        )
        metrics |= diagnostics
        metrics |= {
            "value/mean": shards.mean_of(batch.value),
            "value/explained_variance": explained_variance(batch.value, batch.advantage + batch.value),
        }
        return dataclasses.replace(state, params=params, opt_state=opt_state), metrics

    def learn(
        params: Params, opt_state: Any, memory: Params, batch: Batch, learning_rate: Any
    ) -> tuple[Params, Any, Metrics]:
        step = gradient_step(functools.partial(loss, parts=parts, config=config), optimizer, learning_rate)
        (params, opt_state), diagnostics = step((params, opt_state), (memory, batch))
        return params, opt_state, diagnostics

    steps = config.num_envs * config.rollout_length
    info = AgentInfo("a2c", env, env_params, config, steps, config.total_updates, a2c, **about(config, parts))
    return Agent(*in_shards(parts.init, update, config), parts.start, parts.act, info)
