"""DQN that an adversary trains, against a box of kernels.

`adversarial_dqn` is the alternation of RARL (Pinto et al. 2017, arXiv 1703.02702) with a static adversary: a block of
DQN on the adversary's kernel, then the adversary's best response to the greedy policy. Both players are other than
there: the adversary is one kernel, found by search instead of by gradients, and, as in M2TD3 (Tanabe et al. 2022, arXiv
2211.03413), its choice is blurred when an episode starts. The replay buffer keeps what earlier kernels gave.

Symbols: psi a kernel's parameters, d of them; Psi their box.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.agents.dqn import DQNConfig, DQNState, dqn
from jaxrl_suite.agents.robust_blocks import (
    BlockSettings,
    check_robust,
    learner_config,
    steps_of_block,
    train_block,
    worst_kernel,
    worst_metrics,
)
from jaxrl_suite.config import sweepable
from jaxrl_suite.learning.q_learning import check_discrete


@struct.dataclass
class AdversarialDQNConfig(BlockSettings, DQNConfig):
    """Settings of DQN against an adversary. Floats can be swept."""

    blur: float = sweepable(
        0.3, "part of each episode's kernel that is uniform over the box; the rest is the adversary's", low=0, high=1
    )


@struct.dataclass
class AdversarialDQNState:
    """learner: DQN's. kernel: the adversary's psi, float32 [d]."""

    learner: DQNState
    kernel: jax.Array


def _check(env: Any, env_params: Any, config: AdversarialDQNConfig) -> None:
    check_robust("adversarial_dqn", env, env_params, check_discrete)


@agent_factory("adversarial_dqn", AdversarialDQNConfig, _check)
def adversarial_dqn(env: Any, env_params: Any, config: AdversarialDQNConfig) -> Agent:
    """DQN on the kernel of an adversary, who moves after every update, which is a block. The first is the nominal one.

    `info.env_steps_per_update` counts the steps that are learned from; the adversary's are not counted.
    """
    settings = learner_config(DQNConfig, config, config.total_updates * config.block_updates)

    def learner_at(psi: jax.Array) -> Agent:
        return dqn(env, env.at(env_params, psi).replace(randomness=config.blur), settings)

    def init(key: jax.Array) -> AdversarialDQNState:
        nominal = jnp.stack([jnp.asarray(env_params.kernel[name], jnp.float32) for name in env.names])
        return AdversarialDQNState(learner_at(nominal).init(key), nominal)

    def update(key: jax.Array, state: AdversarialDQNState, step: jax.Array) -> tuple[AdversarialDQNState, Metrics]:
        key_train, key_search = jax.random.split(key)
        learner = learner_at(state.kernel)
        trained, metrics = train_block(
            key_train, learner, state.learner, step * config.block_updates, config.block_updates
        )

        def play(key: jax.Array, memory: Any, observation: Any) -> tuple[Any, Any]:
            return learner.act(key, trained, memory, observation, True)

        worst = worst_kernel(key_search, env, env_params, config, lambda key: (), play)
        return AdversarialDQNState(trained, worst.point), metrics | worst_metrics(env, worst)

    def start(key: jax.Array, state: AdversarialDQNState) -> Any:
        return ()

    def act(key: jax.Array, state: AdversarialDQNState, memory: Any, observation: Any, greedy: bool) -> tuple[Any, Any]:
        """As DQN does."""
        return dqn(env, env_params, settings).act(key, state.learner, memory, observation, greedy)

    steps = steps_of_block(config)
    info = AgentInfo("adversarial_dqn", env, env_params, config, steps, config.total_updates, adversarial_dqn)
    return Agent(init, update, start, act, info)
