"""Soft actor-critic (Haarnoja et al. 2018, arXiv 1801.01290 and 1812.05905) for continuous actions.

  critics      twins without common layers; y = r + gamma (min_i Q_i^target(s', a') - alpha log pi(a'|s')), a' ~ pi
  actor        a normal squashed by tanh into the bounds; descends E[alpha log pi(a|s) - min_i Q_i(s, a)]
  temperature  alpha = exp(x) descends -alpha E[log pi(a|s) + H], H the target entropy, -|A| times a factor
  targets      go a part tau of the way to the critics at each of their steps

The actor has its turn every `policy_period` minibatches, and then as many steps, of its own and the temperature's, as
there were minibatches: CleanRL's order. `enhanced` adds what IWOCS asks of a critic (Zouitine et al., arXiv
2410.06212, appendix F): beside the soft value, on one trunk, the value without entropy and a prediction of the next
observation. Each of the three losses has an Adam of its own, and they are stepped in turn.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
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
    joined,
    moved,
    off_policy_agent,
    replaced,
    skipped,
    squashed,
    twins,
)
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.networks import MLP, Dense
from jaxrl_suite.learning.optimisation import gradient_step
from jaxrl_suite.learning.replay import Experience


@struct.dataclass
class SACConfig(OffPolicyConfig):
    """Settings of SAC. Floats can be swept; everything else selects a program."""

    temperature_rate: float = sweepable(1e-3, "step size of the temperature's Adam", source=CLEANRL, above=0)
    initial_temperature: float = sweepable(1.0, "at the start", symbol="alpha", source=CLEANRL, above=0)
    entropy_scale: float = sweepable(
        1.0, "target entropy: minus this times the dimensions of an action", unit="nats a dimension", source=CLEANRL
    )
    lowest_log_std: float = sweepable(-5.0, "of the normal before it is squashed", source=CLEANRL)
    highest_log_std: float = sweepable(2.0, "of the normal before it is squashed", source=CLEANRL)
    enhanced: bool = static(False, "critics have the value without entropy and predict the next observation, too")

    def check(self) -> None:
        super().check()
        if not self.lowest_log_std < self.highest_log_std:
            raise ConfigError(
                f"SACConfig.lowest_log_std = {self.lowest_log_std}: must be below highest_log_std = "
                f"{self.highest_log_std}"
            )


@struct.dataclass
class SACLearned:
    """actor: parameters. critics, targets: of the twins, [2, ...]. log_temperature: x. Optimisers' states: of the
    actor, of each of the critics' losses, of the temperature."""

    actor: Any
    critics: Any
    targets: Any
    log_temperature: jax.Array
    actor_opt: Any
    critic_opts: tuple[Any, ...]
    temperature_opt: Any


class Heads(NamedTuple):
    """What a critic says of (s, a). soft: Q'. plain: Q, without entropy. following: of the next observation, flat."""

    soft: jax.Array
    plain: jax.Array
    following: jax.Array


class EnhancedCritic(nn.Module):
    """One trunk on (s, a) and three heads, of which the plain value's has a layer more."""

    hidden_sizes: tuple[int, ...]
    activation: str
    observation_rank: int
    action_rank: int
    observation_size: int

    @nn.compact
    def __call__(self, observation: jax.Array, action: jax.Array) -> Heads:
        inputs = joined(observation, action, self.observation_rank, self.action_rank)
        _, features = MLP(self.hidden_sizes, self.activation)((), inputs)
        _, deeper = MLP(self.hidden_sizes[-1:], self.activation)((), features)
        soft, plain, following = Dense(1)(features), Dense(1)(deeper), Dense(self.observation_size)(features)
        return Heads(soft[..., 0], plain[..., 0], following)


class Networks(NamedTuple):
    """policy: on the actions' bounds. new_actor(key, s) -> parameters; actor(params, s) -> (mean, log_std) [..., D].

    new_critics(key, s, a) -> parameters [2, ...]; soft(params, s, a) -> Q' [2, ...]; heads(params, s, a): Heads
    [2, ...] of enhanced critics, of others the same as `soft`.
    """

    policy: Any
    new_actor: Callable[..., Any]
    actor: Callable[[Any, Any], tuple[jax.Array, jax.Array]]
    new_critics: Callable[..., Any]
    soft: Callable[..., jax.Array]
    heads: Callable[..., Heads]


def networks_of(env: Any, env_params: Any, config: SACConfig) -> Networks:
    """SAC's networks; others play and search with what they have learned."""
    policy = squashed(env, env_params)
    network = actor_of(env, env_params, config, 2 * policy.num_outputs)
    plain = critic_of(env, env_params, config)
    new_critics, both = twins(_enhanced(plain, env, env_params) if config.enhanced else plain)
    middle = 0.5 * (config.highest_log_std + config.lowest_log_std)
    reach = 0.5 * (config.highest_log_std - config.lowest_log_std)

    def actor(params: Any, observation: Any) -> tuple[jax.Array, jax.Array]:
        outputs: Any = network.apply(params, (), observation)
        mean, spread = jnp.split(outputs[1], 2, axis=-1)
        return mean, middle + reach * jnp.tanh(spread)

    def soft(params: Any, observation: Any, action: jax.Array) -> jax.Array:
        return soft_of(both(params, observation, action))

    return Networks(policy, lambda key, s: network.init(key, (), s), actor, new_critics, soft, both)


def soft_of(found: Any) -> jax.Array:
    """The soft value among what critics say, which is all that those without more heads do."""
    return found.soft if isinstance(found, Heads) else found


def learned_from(actor: Any, critics: Any, config: SACConfig) -> SACLearned:
    """At the start, from these parameters."""
    adam = optax.scale_by_adam(eps=config.adam_epsilon)
    log_temperature = jnp.log(jnp.float32(config.initial_temperature))
    # Soft value, plain value, prediction.
    critic_opts = tuple(adam.init(critics) for _ in range(3 if config.enhanced else 1))
    return SACLearned(
        actor, critics, critics, log_temperature, adam.init(actor), critic_opts, adam.init(log_temperature)
    )


def _enhanced(plain: Critic, env: Any, env_params: Any) -> EnhancedCritic:
    size = math.prod(env.observation_space(env_params).shape)
    return EnhancedCritic(plain.hidden_sizes, plain.activation, plain.observation_rank, plain.action_rank, size)


def _check(env: Any, env_params: Any, config: SACConfig) -> None:
    check_box("sac", env, env_params)


@agent_factory("sac", SACConfig, _check)
def sac(env: Any, env_params: Any, config: SACConfig) -> Agent:
    """SAC on `env`. One update is `train_frequency` steps of all environments, then `gradient_steps` minibatches."""
    networks, adam = networks_of(env, env_params, config), optax.scale_by_adam(eps=config.adam_epsilon)
    policy, rank = networks.policy, len(env.observation_space(env_params).shape)
    target_entropy = -config.entropy_scale * policy.num_outputs

    def new(key: jax.Array, observation: Any, action: jax.Array) -> SACLearned:
        key_actor, key_critics = jax.random.split(key)
        actor = networks.new_actor(key_actor, observation)
        return learned_from(actor, networks.new_critics(key_critics, observation, action), config)

    def sampled(actor: Any, noise: jax.Array, observation: Any) -> tuple[jax.Array, jax.Array]:
        """(actions, their log-probabilities [B])."""
        outputs = networks.actor(actor, observation)
        raw = policy.sample(outputs, noise)
        return policy.to_env(raw), policy.log_prob(outputs, raw)

    def act(learned: SACLearned, noise: jax.Array | None, observation: Any) -> jax.Array:
        outputs = networks.actor(learned.actor, observation)
        return policy.to_env(policy.mode(outputs) if noise is None else policy.sample(outputs, noise))

    def learn(learned: SACLearned, key: jax.Array, batch: Experience, count: jax.Array) -> tuple[SACLearned, Metrics]:
        key_next, key_actor = jax.random.split(key)
        learned, found = critic_step(learned, key_next, batch)
        is_due = count % config.policy_period == 0
        learned, others = jax.lax.cond(is_due, actor_turn, skipped(actor_turn), learned, key_actor, batch)
        return learned, found | others | {"temperature": jnp.exp(learned.log_temperature)}

    def critic_step(learned: SACLearned, key: jax.Array, batch: Experience) -> tuple[SACLearned, Metrics]:
        noise = jax.random.normal(key, (config.batch_size, policy.num_outputs))
        action, log_prob = sampled(learned.actor, noise, batch.next_observation)
        entropy_bonus = -jnp.exp(learned.log_temperature) * log_prob
        following = networks.heads(learned.targets, batch.next_observation, action)
        critics, opts, diagnostics = learned.critics, [], {}
        for loss, opt in zip(critic_losses, learned.critic_opts, strict=True):
            descend = gradient_step(loss, adam, config.critic_rate)
            (critics, opt), found = descend((critics, opt), (batch, following, entropy_bonus))
            opts.append(opt)
            diagnostics |= found
        targets = moved(learned.targets, critics, config.polyak)
        return replaced(learned, critics=critics, targets=targets, critic_opts=tuple(opts)), diagnostics

    def soft_loss(critics: Any, batch: Experience, following: Any, bonus: jax.Array) -> tuple[jax.Array, Metrics]:
        """Sum over the twins of the mean squared difference to the soft target."""
        least = jnp.min(soft_of(following), axis=0)
        target = bootstrapped(batch, least + bonus, config.discount)
        value = networks.soft(critics, batch.observation, batch.action)
        loss = jnp.sum(jnp.mean((value - target) ** 2, axis=-1))
        return loss, {"loss/critic": loss, "value/mean": jnp.mean(value)}

    def plain_loss(critics: Any, batch: Experience, following: Any, bonus: jax.Array) -> tuple[jax.Array, Metrics]:
        """The same of the value without entropy."""
        target = bootstrapped(batch, jnp.min(following.plain, axis=0), config.discount)
        value = networks.heads(critics, batch.observation, batch.action).plain
        loss = jnp.sum(jnp.mean((value - target) ** 2, axis=-1))
        return loss, {"loss/plain": loss, "value/plain": jnp.mean(value)}

    def next_loss(critics: Any, batch: Experience, following: Any, bonus: jax.Array) -> tuple[jax.Array, Metrics]:
        """Mean over twins and minibatch of the predicted next observation's error, summed over its entries."""
        error = surprise(networks.heads(critics, batch.observation, batch.action), batch.next_observation, rank)
        return jnp.mean(error), {"loss/predictor": jnp.mean(error)}

    critic_losses = (soft_loss, plain_loss, next_loss) if config.enhanced else (soft_loss,)

    def actor_turn(learned: SACLearned, key: jax.Array, batch: Experience) -> tuple[SACLearned, Metrics]:
        """As many steps of actor and temperature, on one minibatch, as the actor's turn stands for."""

        def one(learned: SACLearned, noise: jax.Array) -> tuple[SACLearned, Metrics]:
            descend = gradient_step(actor_loss, adam, config.actor_rate)
            arguments = (batch, noise, learned.critics, jnp.exp(learned.log_temperature))
            (actor, actor_opt), found = descend((learned.actor, learned.actor_opt), arguments)
            learned = replaced(learned, actor=actor, actor_opt=actor_opt)
            log_prob = sampled(actor, noise, batch.observation)[1]
            descend = gradient_step(temperature_loss, adam, config.temperature_rate)
            (log_temperature, opt), _ = descend((learned.log_temperature, learned.temperature_opt), (log_prob,))
            return replaced(learned, log_temperature=log_temperature, temperature_opt=opt), found

        shape = (config.policy_period, config.batch_size, policy.num_outputs)
        learned, diagnostics = jax.lax.scan(one, learned, jax.random.normal(key, shape))
        return learned, jax.tree.map(jnp.mean, diagnostics)

    def actor_loss(
        actor: Any, batch: Experience, noise: jax.Array, critics: Any, temperature: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        action, log_prob = sampled(actor, noise, batch.observation)
        value = jnp.min(networks.soft(critics, batch.observation, action), axis=0)
        loss = jnp.mean(temperature * log_prob - value)
        return loss, {"loss/actor": loss, "policy/entropy": -jnp.mean(log_prob)}

    def temperature_loss(log_temperature: jax.Array, log_prob: jax.Array) -> tuple[jax.Array, Metrics]:
        return -jnp.exp(log_temperature) * jnp.mean(log_prob + target_entropy), {}

    return off_policy_agent("sac", sac, env, env_params, config, Learner(new, act, learn))


def surprise(heads: Heads, observation: Any, rank: int) -> jax.Array:
    """|T(s, a) - s'|_1 of each twin, [2, ...]: summed over an observation's entries."""
    flat = observation.reshape(*observation.shape[: observation.ndim - rank], -1)
    return jnp.sum(jnp.abs(heads.following - flat), axis=-1)
