"""Robust adversarial reinforcement learning (Pinto et al. 2017, arXiv 1703.02702), off-policy, over a box of kernels.

  protagonist  learns from (s, a, r, s'); what the adversary does is part of its environment
  adversary    moves the kernel at every step, psi = low + (high - low) (b + 1) / 2 of its action b in [-1, 1]^d, and
               learns from (s, b, -r, s') as the protagonist does
  phases       `phase_updates` updates of the protagonist, as many of the adversary, and so on; the other one plays on
               as it is
  play         both explore, in all phases; where the policy is judged there is no adversary

The adversary is RRLS's dynamic one (arXiv 2406.08406). Both are learners of TD3 on one replay memory. The
paper's are TRPO, on fresh rollouts, whose adversary pushes instead; those whose numbers Tanabe et al. (2022) quote are
DDPG: without twins, without noise on the target's action, with a step of the actor for each of the critic's. Here the
memory keeps what earlier opponents did, `buffer_size` steps of it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.agent import Agent, Metrics, agent_factory
from jaxrl_suite.agents.off_policy import Arena, Learner, check_box, off_policy_agent, skipped
from jaxrl_suite.agents.robust_blocks import check_robust
from jaxrl_suite.agents.td3 import TD3Config, TD3Learned, td3_learner
from jaxrl_suite.config import static
from jaxrl_suite.envs.adversaries import MovedKernels, split_action
from jaxrl_suite.learning.replay import Experience


@struct.dataclass
class RARLConfig(TD3Config):
    """Settings of RARL: TD3's, the same for both players. Floats can be swept; everything else selects a program."""

    phase_updates: int = static(
        1000, "updates that one player learns for before it is the other's turn; from the first update on",
        symbol="N_mu, N_nu", unit="updates", source="ours", low=1,
    )  # fmt: skip


@struct.dataclass
class RARLLearned:
    """What each of the two has learned."""

    protagonist: TD3Learned
    adversary: TD3Learned


class _AdversaryView(NamedTuple):
    """The family as the adversary plays it: its observations, and actions b in [-1, 1]^d."""

    env: Any

    def observation_space(self, params: Any) -> Any:
        return self.env.observation_space(params)

    def action_space(self, params: Any) -> Any:
        from gymnax.environments import spaces

        return spaces.Box(-1.0, 1.0, (len(self.env.names),), jnp.float32)


def rarl_learner(env: Any, env_params: Any, config: RARLConfig) -> Learner:
    """RARL in the arena `MovedKernels(env)`."""
    protagonist = td3_learner(env, env_params, config)
    adversary = td3_learner(_AdversaryView(env), env_params, config)
    phase_batches = config.phase_updates * config.gradient_steps

    def new(key: jax.Array, observation: Any, action: jax.Array) -> RARLLearned:
        own, moved = split_action(env, env_params, action)
        key_protagonist, key_adversary = jax.random.split(key)
        return RARLLearned(
            protagonist.new(key_protagonist, observation, own), adversary.new(key_adversary, observation, moved)
        )

    def act(learned: RARLLearned, noise: jax.Array | None, observation: Any) -> jax.Array:
        """The protagonist's."""
        return protagonist.act(learned.protagonist, noise, observation)

    def explore(learned: RARLLearned, noise: jax.Array, observation: Any) -> jax.Array:
        """Both actions, [..., |A| + d]."""
        dimensions = len(env.names)
        own = protagonist.act(learned.protagonist, noise[..., :-dimensions], observation)
        moved = adversary.act(learned.adversary, noise[..., -dimensions:], observation)
        return jnp.concatenate([own.reshape(*moved.shape[:-1], -1), moved], axis=-1)

    def learn(learned: RARLLearned, key: jax.Array, batch: Experience, count: jax.Array) -> tuple[RARLLearned, Metrics]:
        own, moved = split_action(env, env_params, batch.action)
        is_adversarys = (count // phase_batches) % 2 == 1
        views = (batch._replace(action=own), batch._replace(action=moved, reward=-batch.reward))
        turns = ((protagonist, learned.protagonist, ~is_adversarys), (adversary, learned.adversary, is_adversarys))
        players, measured = [], []
        for (player, known, is_due), view in zip(turns, views, strict=True):
            known, found = jax.lax.cond(is_due, player.learn, skipped(player.learn), known, key, view, count)
            players.append(known)
            measured.append(found)
        return RARLLearned(*players), measured[0] | {f"adversary/{name}": x for name, x in measured[1].items()}

    return Learner(new, act, learn, explore)


def _check(env: Any, env_params: Any, config: RARLConfig) -> None:
    check_robust("rarl", env, env_params, check_box)


@agent_factory("rarl", RARLConfig, _check)
def rarl(env: Any, env_params: Any, config: RARLConfig) -> Agent:
    """RARL on the box of kernels of `env`; the parameters' own kernel and randomness are for starts, and evaluation.

    One update is `train_frequency` steps of all environments, then `gradient_steps` minibatches of one of the two.
    """
    arena = Arena(MovedKernels(env), env_params, lambda learned, step: env_params)
    learner = rarl_learner(env, env_params, config)
    return off_policy_agent("rarl", rarl, env, env_params, config, learner, arena)
