"""Twin delayed deterministic policy gradient (Fujimoto, van Hoof, Meger 2018, arXiv 1802.09477).

  critics   twins; y = r + gamma min_i Q_i^target(s', a'), a' = clip(mu^target(s') + clip(e, -c, c)), e ~ N(0, sigma)
  actor     tanh into the bounds; every `policy_period` minibatches it descends -E[Q_1(s, mu(s))], and only then do
            all targets go a part tau of the way to their networks
  play      mu(s) and normal noise, clipped

Noise is in halves of an action's range.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxrl_suite.agent import Agent, Metrics, agent_factory
from jaxrl_suite.agents.off_policy import (
    CLEANRL,
    Critic,
    Learner,
    OffPolicyConfig,
    actor_of,
    bootstrapped,
    check_box,
    critic_of,
    moved,
    off_policy_agent,
    replaced,
    skipped,
    squashed,
    twins,
)
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.learning.optimisation import gradient_step
from jaxrl_suite.learning.replay import Experience


@struct.dataclass
class TD3Config(OffPolicyConfig):
    """Settings of TD3. Floats can be swept; everything else selects a program."""

    critic_rate: float = sweepable(3e-4, "step size of the critics' Adam", source=CLEANRL, above=0)
    exploration: float = sweepable(
        0.1, "standard deviation of the noise in play", unit="half ranges", source=CLEANRL, low=0
    )
    target_noise: float = sweepable(
        0.2, "standard deviation of the noise on the target's action", symbol="sigma", unit="half ranges",
        source=CLEANRL, low=0,
    )  # fmt: skip
    target_noise_clip: float = sweepable(
        0.5, "limit of that noise", symbol="c", unit="half ranges", source=CLEANRL, low=0
    )
    learning_starts: int = static(
        25_000, "play at random and do not learn before (never before there is one minibatch)",
        unit="environment steps", source=CLEANRL, low=0,
    )  # fmt: skip


@struct.dataclass
class TD3Learned:
    """Parameters of actor and twin critics ([2, ...]), their targets, and both optimisers' states."""

    actor: Any
    critics: Any
    target_actor: Any
    target_critics: Any
    actor_opt: Any
    critic_opt: Any


class TD3Parts(NamedTuple):
    """What TD3 is made of, for agents that are TD3 but for something. policy: on the actions' bounds.

    new(key, observation, inputs) -> TD3Learned: `inputs` stand beside the observation in the critics.
    mode(actor, observation) -> action, mu(s). act(learned, noise, observation): as a Learner's.
    values(critics, observation, inputs) -> [2, ...].
    target_action(learned, key, observation [B]) -> a'.
    regressed(learned, observation, inputs, target [B]) -> (learned, diagnostics): a step of the critics.
    improved(learned, loss, *arguments) -> (learned, diagnostics): a step of the actor, then of all targets. The loss is
        loss(actor, first, *arguments) -> (loss, diagnostics), `first` the parameters of Q_1, [1, ...].
    """

    policy: Any
    new: Callable[[jax.Array, Any, jax.Array], TD3Learned]
    mode: Callable[[Any, Any], jax.Array]
    act: Callable[[Any, jax.Array | None, Any], jax.Array]
    values: Callable[[Any, Any, jax.Array], jax.Array]
    target_action: Callable[[Any, jax.Array, Any], jax.Array]
    regressed: Callable[..., tuple[Any, Metrics]]
    improved: Callable[..., tuple[Any, Metrics]]


def td3_parts(env: Any, env_params: Any, config: TD3Config, critic: Critic | None = None) -> TD3Parts:
    """The parts on `env`'s spaces; `critic`: another than of its observations and actions."""
    policy, adam = squashed(env, env_params), optax.scale_by_adam(eps=config.adam_epsilon)
    network = actor_of(env, env_params, config, policy.num_outputs)
    new_critics, values = twins(critic_of(env, env_params, config) if critic is None else critic)

    def new(key: jax.Array, observation: Any, inputs: jax.Array) -> TD3Learned:
        key_actor, key_critics = jax.random.split(key)
        actor = network.init(key_actor, (), observation)
        critics = new_critics(key_critics, observation, inputs)
        return TD3Learned(actor, critics, actor, critics, adam.init(actor), adam.init(critics))

    def mode(actor: Any, observation: Any) -> jax.Array:
        outputs: Any = network.apply(actor, (), observation)
        return policy.to_env(outputs[1])

    def act(learned: Any, noise: jax.Array | None, observation: Any) -> jax.Array:
        action = mode(learned.actor, observation)
        return action if noise is None else policy.disturbed(action, config.exploration * noise)

    def target_action(learned: Any, key: jax.Array, observation: Any) -> jax.Array:
        noise = smoothing_noise(config, key, policy.num_outputs)
        return policy.disturbed(mode(learned.target_actor, observation), noise)

    def regressed(learned: Any, observation: Any, inputs: jax.Array, target: jax.Array) -> tuple[Any, Metrics]:
        descend = gradient_step(critic_loss, adam, config.critic_rate)
        (critics, critic_opt), found = descend((learned.critics, learned.critic_opt), (observation, inputs, target))
        return replaced(learned, critics=critics, critic_opt=critic_opt), found

    def critic_loss(critics: Any, observation: Any, inputs: jax.Array, target: jax.Array) -> tuple[jax.Array, Metrics]:
        """Sum over the twins of the mean squared difference to the target."""
        value = values(critics, observation, inputs)
        loss = jnp.sum(jnp.mean((value - target) ** 2, axis=-1))
        return loss, {"loss/critic": loss, "value/mean": jnp.mean(value)}

    def improved(learned: Any, loss: Callable[..., tuple[jax.Array, Metrics]], *arguments: Any) -> tuple[Any, Metrics]:
        descend = gradient_step(loss, adam, config.actor_rate)
        first = jax.tree.map(lambda x: x[:1], learned.critics)
        (actor, actor_opt), found = descend((learned.actor, learned.actor_opt), (first, *arguments))
        learned = replaced(
            learned,
            actor=actor,
            actor_opt=actor_opt,
            target_actor=moved(learned.target_actor, actor, config.polyak),
            target_critics=moved(learned.target_critics, learned.critics, config.polyak),
        )
        return learned, found

    return TD3Parts(policy, new, mode, act, values, target_action, regressed, improved)


def smoothing_noise(config: TD3Config, key: jax.Array, size: int) -> jax.Array:
    """Clipped normal noise of targets, [B, size] in half ranges."""
    noise = config.target_noise * jax.random.normal(key, (config.batch_size, size))
    return jnp.clip(noise, -config.target_noise_clip, config.target_noise_clip)


def td3_learner(env: Any, env_params: Any, config: TD3Config) -> Learner:
    """TD3 on `env`'s spaces."""
    parts = td3_parts(env, env_params, config)

    def learn(learned: TD3Learned, key: jax.Array, batch: Experience, count: jax.Array) -> tuple[TD3Learned, Metrics]:
        action = parts.target_action(learned, key, batch.next_observation)
        least = jnp.min(parts.values(learned.target_critics, batch.next_observation, action), axis=0)
        target = bootstrapped(batch, least, config.discount)
        learned, found = parts.regressed(learned, batch.observation, batch.action, target)
        is_due = count % config.policy_period == 0
        learned, others = jax.lax.cond(is_due, actor_turn, skipped(actor_turn), learned, batch)
        return learned, found | others

    def actor_turn(learned: TD3Learned, batch: Experience) -> tuple[TD3Learned, Metrics]:
        return parts.improved(learned, actor_loss, batch)

    def actor_loss(actor: Any, first: Any, batch: Experience) -> tuple[jax.Array, Metrics]:
        loss = -jnp.mean(parts.values(first, batch.observation, parts.mode(actor, batch.observation)))
        return loss, {"loss/actor": loss}

    return Learner(parts.new, parts.act, learn)


def _check(env: Any, env_params: Any, config: TD3Config) -> None:
    check_box("td3", env, env_params)


@agent_factory("td3", TD3Config, _check)
def td3(env: Any, env_params: Any, config: TD3Config) -> Agent:
    """TD3 on `env`. One update is `train_frequency` steps of all environments, then `gradient_steps` minibatches."""
    return off_policy_agent("td3", td3, env, env_params, config, td3_learner(env, env_params, config))
