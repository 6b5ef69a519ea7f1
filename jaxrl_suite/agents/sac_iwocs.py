"""Deep IWOCS as in the paper, on SAC: a robust policy from a sequence of ordinary problems (`iwocs_sequence`).

Zouitine, Geist, Rachelson, Solving robust MDPs as a sequence of static RL problems (arXiv 2410.06212), section 5,
appendices F and G. Of each kernel are kept the actor and the enhanced twin critics (`sac.EnhancedCritic`): kernels are
compared by the value without entropy, since soft values of actors with other temperatures are not comparable; it is the
lesser twin's, at the actor's own mode. The predicted observation's error is the mean of both twins'.

The default policy's learner is not named there; it is SAC, with the same settings.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.agent import Agent, Metrics, agent_factory
from jaxrl_suite.agents.iwocs_sequence import SequenceSettings, Solver, check_sequence, least_valued, sequence_agent
from jaxrl_suite.agents.off_policy import OffPolicyState, check_box, restarted
from jaxrl_suite.agents.robust_blocks import PAPER, check_robust, learner_config, train_block
from jaxrl_suite.agents.sac import SACConfig, SACLearned, learned_from, networks_of, sac, surprise
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.learning.replay import replay_of


@struct.dataclass
class SACIWOCSConfig(SequenceSettings, SACConfig):
    """Settings of deep IWOCS: SAC's, whose critics are enhanced, the search's, and the sequence's. Floats can be swept.

    The paper's budgets in environment steps: 1.6e6 for the default policy and 8e5 for each of at most three kernels
    with two uncertain parameters, 1.8e6 and four with three.
    """

    adam_epsilon: float = sweepable(1e-5, "Adam's term against division by zero", source=PAPER, above=0)
    learning_starts: int = static(
        10_000, "in each phase, play at random and do not learn before", unit="environment steps", source=PAPER, low=0
    )
    total_updates: int = static(160, "budget: blocks", unit="blocks", low=1)
    block_updates: int = static(25_000, "updates of SAC in a block", unit="updates", low=1)
    default_blocks: int = static(64, "of the budget, for the default policy", unit="blocks", low=1)

    def check(self) -> None:
        SACConfig.check(self)
        check_sequence(self)


class Kept(NamedTuple):
    """Parameters of the actor, and of the twin critics, [2, ...]."""

    actor: Any
    critics: Any


def _check(env: Any, env_params: Any, config: SACIWOCSConfig) -> None:
    check_robust("sac_iwocs", env, env_params, check_box)


@agent_factory("sac_iwocs", SACIWOCSConfig, _check)
def sac_iwocs(env: Any, env_params: Any, config: SACIWOCSConfig) -> Agent:
    """Deep IWOCS on a `robust/` family with continuous actions. One update is one block of SAC."""
    settings = learner_config(SACConfig, config, config.kernel_blocks * config.block_updates, enhanced=True)
    networks, replay = networks_of(env, env_params, settings), replay_of(settings)
    policy, rank = networks.policy, len(env.observation_space(env_params).shape)
    no_action = policy.to_env(jnp.zeros(policy.num_outputs))

    def new(keys: jax.Array) -> Kept:
        nothing = jnp.zeros(env.observation_space(env_params).shape)
        return Kept(networks.new_actor(keys[0], nothing), networks.new_critics(keys[1], nothing, no_action))

    def restart(key: jax.Array, learner: OffPolicyState, kept: Kept, params: Any) -> OffPolicyState:
        return restarted(key, learner, learned_from(*kept, settings), env, params, settings)

    def train(
        keys: jax.Array, learner: OffPolicyState, params: Any, is_default: jax.Array, first: jax.Array
    ) -> tuple[OffPolicyState, Metrics]:
        return train_block(keys[0], sac(env, params, settings), learner, first, config.block_updates)

    def keep(learner: OffPolicyState) -> Kept:
        learned: SACLearned = learner.learned
        return Kept(learned.actor, learned.critics)

    def mode(kept: Kept, observation: jax.Array) -> jax.Array:
        return policy.to_env(policy.mode(networks.actor(kept.actor, observation)))

    def choose(kept: Kept, is_valid: jax.Array, observation: jax.Array) -> jax.Array:
        def one(kept: Kept) -> tuple[jax.Array, jax.Array]:
            action = mode(kept, observation)
            return jnp.min(networks.heads(kept.critics, observation, action).plain, axis=0), action

        values, actions = jax.vmap(one)(kept)
        return least_valued(values, is_valid, actions)

    def mean_surprise(kept: Kept, observation: Any, action: jax.Array, following: Any) -> jax.Array:
        return jnp.mean(surprise(networks.heads(kept.critics, observation, action), following, rank), axis=0)

    solver = Solver(
        new=new,
        init=sac(env, env_params, settings).init,
        restart=restart,
        train=train,
        keep=keep,
        policy=mode,
        choose=choose,
        surprise=mean_surprise,
        sample=lambda key, learner: replay.sample(learner.buffer, key).experience,
        # Modes of several actors: there is no distribution to draw from.
        explore=lambda key, action: action,
        no_action=no_action,
    )
    return sequence_agent("sac_iwocs", sac_iwocs, env, env_params, config, solver)
