"""Magnetic mirror descent with networks: PPO with the divergence from the policy that played, and an entropy bonus.

Sokota et al., A Unified Approach to Reinforcement Learning, Quantal Response Equilibria, and Two-Player Zero-Sum Games,
ICLR 2023 (arXiv 2206.05825), section J: maximise E[(pi / pi_old) A] + alpha_t H(pi) - KL(pi || pi_old) / eta_t. In a
game (`make("game/...")`) both players share the networks: self-play. In single-agent tasks it is a trust-region method.

Symbols: eta step size of mirror descent, alpha temperature; t environment steps.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.agent import Agent, Metrics, agent_factory
from jaxrl_suite.agents.on_policy import Batch, Params, Parts
from jaxrl_suite.agents.ppo import ClippedConfig, clipped_agent, clipped_losses
from jaxrl_suite.config import static, sweepable

PAPER = "the paper, phantom games"


@struct.dataclass
class DeepMMDConfig(ClippedConfig):
    """Settings of deep MMD: PPO's, but for the entropy's weight. Floats can be swept."""

    step_size: float = sweepable(0.05, "of mirror descent at the reference", symbol="eta", source=PAPER, above=0)
    temperature: float = sweepable(0.05, "weight of the entropy there", symbol="alpha", source=PAPER, low=0)
    reference_steps: float = sweepable(
        1e7, "where both are as given; with the schedule root they are sqrt(reference / t) times that", unit="steps",
        source=PAPER, above=0,
    )  # fmt: skip
    schedule: str = static("root", "of both", choices=("root", "constant"))


def loss(
    params: Params, memory: Params, batch: Batch, parts: Parts, config: DeepMMDConfig, step: jax.Array
) -> tuple[jax.Array, Metrics]:
    """PPO's, with alpha_t for the entropy and KL(pi || pi_old) / eta_t, over one minibatch."""
    losses, diagnostics = clipped_losses(params, memory, batch, parts, config)
    divergence = jnp.mean(parts.policy.divergence(losses.outputs, batch.outputs))
    played = (step + 1.0) * config.num_envs * config.rollout_length
    growth = jnp.sqrt(config.reference_steps / played) if config.schedule == "root" else 1.0
    total = losses.policy - config.temperature * growth * losses.entropy + divergence / (config.step_size * growth)
    return total + config.vf_coef * losses.value, diagnostics | {"policy/reverse_kl": divergence}


@agent_factory("deep_mmd", DeepMMDConfig)
def deep_mmd(env: Any, env_params: Any, config: DeepMMDConfig) -> Agent:
    """Deep MMD on `env`. One update is as PPO's; the divergence is of whole distributions, not of samples."""
    return clipped_agent(deep_mmd, env, env_params, config, loss)
