"""A soft actor-critic for one player of two, whose networks depend on what is observed and on a context.

Reddi et al. 2024 (arXiv 2311.01642), as their program has it; soft actor-critic: Haarnoja et al. (arXiv 1812.05905).

  player     z is what is observed, behind it a context, as of an adversary's temperature, on which all networks depend
  a fit      the actor descends tau log pi(a|z) - min_k Q_k(z, a); the logarithm of the temperature descends
             -log tau (log pi + H), H minus the number of actions; then, of the new actor and temperature, both critics
             go to r + gamma (min_k Q'_k(z', a') - tau log pi(a'|z')), and the targets after them
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxrl_suite.agent import Metrics
from jaxrl_suite.agents.off_policy import bootstrapped, moved, replaced, skipped, twins
from jaxrl_suite.agents.two_player import TwoPlayerConfig
from jaxrl_suite.learning.distributions import TanhGaussian
from jaxrl_suite.learning.networks import activation_fn
from jaxrl_suite.learning.optimisation import gradient_step
from jaxrl_suite.learning.products import narrow_dot_general
from jaxrl_suite.learning.replay import Experience

LEAST_LOG_STD, MOST_LOG_STD = -20.0, 2.0
ADAM = optax.scale_by_adam()


@struct.dataclass
class PlayerLearned:
    """Parameters of the actor, of both critics and their targets [2, ...], the logarithm of the temperature, and the
    optimisers' states of each."""

    actor: Any
    critics: Any
    targets: Any
    log_temperature: jax.Array
    actor_opt: Any
    critic_opt: Any
    temperature_opt: Any


class SoftParts(NamedTuple):
    """What soft actor-critics are made of. Actions are in [-1, 1], of `size` numbers.

    new_actor(key, z), new_critics(key, z, action) -> parameters; critics are twins, [2, ...].
    density(params, z) -> (mean, log_std) of actions before they are squashed, [..., size].
    act(params, noise, z) -> action: noise [..., size] standard normal; None: the mode.
    sampled(params, noise, z) -> (action, its log-probability).
    least(critics, z, action) -> the lower of both values.
    warmed(log_temperature, opt, log_prob) -> the first two after a step towards the target entropy.
    regressed(learned, batch, following) -> (learned, diagnostics): critics a step nearer to what they should be, where
        `following` is worth what follows, [B], and targets after them; learned has critics, targets and critic_opt.
    """

    new_actor: Callable[..., Any]
    new_critics: Callable[..., Any]
    density: Callable[[Any, jax.Array], tuple[jax.Array, jax.Array]]
    act: Callable[[Any, jax.Array | None, jax.Array], jax.Array]
    sampled: Callable[[Any, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
    least: Callable[[Any, jax.Array, jax.Array], jax.Array]
    warmed: Callable[[jax.Array, Any, jax.Array], tuple[jax.Array, Any]]
    regressed: Callable[[Any, Experience, jax.Array], tuple[Any, Metrics]]


class Player(NamedTuple):
    """new(key) -> learned.

    act(learned, noise, z) -> action [..., size]: noise [..., size] standard normal; None: the mode.
    density(learned, z) -> (mean, log_std) of actions before they are squashed, [..., size].
    fit(learned, key, batch, with_actor) -> (learned, diagnostics): observations of the batch are z, actions the
        player's own; `with_actor` is one unbatched bool.
    """

    new: Callable[[jax.Array], PlayerLearned]
    act: Callable[[PlayerLearned, jax.Array | None, jax.Array], jax.Array]
    density: Callable[[PlayerLearned, jax.Array], tuple[jax.Array, jax.Array]]
    fit: Callable[[PlayerLearned, jax.Array, Experience, jax.Array], tuple[PlayerLearned, Metrics]]


class Perceptron(nn.Module):
    """Hidden layers and a linear one; Xavier-uniform weights, gain sqrt(2) where hidden, biases uniform below
    1/sqrt(inputs)."""

    hidden_sizes: tuple[int, ...]
    activation: str
    outputs: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for width in self.hidden_sizes:
            x = activation_fn(self.activation)(_layer(width, x.shape[-1], 2.0)(x))
        return _layer(self.outputs, x.shape[-1], 1.0)(x)


def _layer(width: int, inputs: int, gain: float) -> nn.Dense:
    weights, reach = nn.initializers.variance_scaling(gain, "fan_avg", "uniform"), 1.0 / math.sqrt(inputs)

    def biases(key: jax.Array, shape: Any, dtype: Any = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -reach, reach)

    return nn.Dense(width, kernel_init=weights, bias_init=biases, dot_general=narrow_dot_general)


class Actor(nn.Module):
    """(mean, log_std), [..., size] each, by networks of their own."""

    hidden_sizes: tuple[int, ...]
    activation: str
    size: int

    @nn.compact
    def __call__(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        mean, log_std = (Perceptron(self.hidden_sizes, self.activation, self.size)(z) for _ in range(2))
        return mean, jnp.clip(log_std, LEAST_LOG_STD, MOST_LOG_STD)


class Critic(nn.Module):
    """Q(z, a), [...]."""

    hidden_sizes: tuple[int, ...]
    activation: str

    @nn.compact
    def __call__(self, z: jax.Array, action: jax.Array) -> jax.Array:
        return Perceptron(self.hidden_sizes, self.activation, 1)(jnp.concatenate([z, action], axis=-1))[..., 0]


def soft_parts(size: int, config: TwoPlayerConfig) -> SoftParts:
    """The parts for actions of so many numbers."""
    actor = Actor(config.hidden_sizes, config.activation, size)
    new_critics, both = twins(Critic(config.hidden_sizes, config.activation))
    policy = TanhGaussian((size,), -jnp.ones(size), jnp.ones(size))

    def density(params: Any, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        outputs: Any = actor.apply(params, z)
        return outputs

    def act(params: Any, noise: jax.Array | None, z: jax.Array) -> jax.Array:
        outputs = density(params, z)
        return jnp.tanh(policy.mode(outputs) if noise is None else policy.sample(outputs, noise))

    def sampled(params: Any, noise: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        outputs = density(params, z)
        raw = policy.sample(outputs, noise)
        return jnp.tanh(raw), policy.log_prob(outputs, raw)

    def least(critics: Any, z: jax.Array, action: jax.Array) -> jax.Array:
        return jnp.min(both(critics, z, action), axis=0)

    def temperature_loss(log_temperature: jax.Array, log_prob: jax.Array) -> tuple[jax.Array, Metrics]:
        return -log_temperature * jnp.mean(log_prob - size), {}

    def warmed(log_temperature: jax.Array, opt: Any, log_prob: jax.Array) -> tuple[jax.Array, Any]:
        step = gradient_step(temperature_loss, ADAM, config.temperature_rate)
        return step((log_temperature, opt), (log_prob,))[0]

    def critic_loss(critics: Any, batch: Experience, target: jax.Array) -> tuple[jax.Array, Metrics]:
        """Sum over the twins of the mean squared difference."""
        value = both(critics, batch.observation, batch.action)
        loss = jnp.sum(jnp.mean((value - target) ** 2, axis=-1))
        return loss, {"loss/critic": loss, "value/mean": jnp.mean(value)}

    def regressed(learned: Any, batch: Experience, following: jax.Array) -> tuple[Any, Metrics]:
        target = bootstrapped(batch, following, config.discount)
        step = gradient_step(critic_loss, ADAM, config.critic_rate)
        (critics, opt), found = step((learned.critics, learned.critic_opt), (batch, target))
        targets = moved(learned.targets, critics, config.polyak)
        return replaced(learned, critics=critics, targets=targets, critic_opt=opt), found

    return SoftParts(actor.init, new_critics, density, act, sampled, least, warmed, regressed)


def soft_player(size: int, inputs: int, config: TwoPlayerConfig, temperature: str) -> Player:
    """A soft actor-critic.

    Args:
        size: numbers in its action. inputs: in z. temperature: whose it is: its own, which it learns; or that of each
            transition, the last of the numbers z, which stays with what is stored.
    """
    parts, is_own = soft_parts(size, config), temperature == "own"

    def new(key: jax.Array) -> PlayerLearned:
        key_actor, key_critics = jax.random.split(key)
        z, action = jnp.zeros(inputs), jnp.zeros(size)
        actor, critics = parts.new_actor(key_actor, z), parts.new_critics(key_critics, z, action)
        warmth = jnp.log(jnp.float32(config.initial_temperature))
        return PlayerLearned(actor, critics, critics, warmth, ADAM.init(actor), ADAM.init(critics), ADAM.init(warmth))

    def act(learned: PlayerLearned, noise: jax.Array | None, z: jax.Array) -> jax.Array:
        return parts.act(learned.actor, noise, z)

    def density(learned: PlayerLearned, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        return parts.density(learned.actor, z)

    def temperature_of(learned: PlayerLearned, z: jax.Array) -> jax.Array:
        return jnp.exp(learned.log_temperature) if is_own else z[..., -1]

    def actor_loss(
        params: Any, z: jax.Array, noise: jax.Array, critics: Any, warmth: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        action, log_prob = parts.sampled(params, noise, z)
        value = parts.least(critics, z, action)
        return jnp.mean(warmth * log_prob - value), {"log_prob": log_prob, "value": value}

    def improved(learned: PlayerLearned, key: jax.Array, batch: Experience) -> tuple[PlayerLearned, Metrics]:
        """A step of the actor, and of the temperature, if it is the player's own."""
        noise, z = jax.random.normal(key, (config.batch_size, size)), batch.observation
        step = gradient_step(actor_loss, ADAM, config.actor_rate)
        arguments = (z, noise, learned.critics, temperature_of(learned, z))
        (params, opt), found = step((learned.actor, learned.actor_opt), arguments)
        learned = replaced(learned, actor=params, actor_opt=opt)
        log_prob = found["log_prob"]
        diagnostics = {"policy/entropy": -jnp.mean(log_prob), "policy/value": jnp.mean(found["value"])}
        if is_own:
            warmth, opt = parts.warmed(learned.log_temperature, learned.temperature_opt, log_prob)
            learned = replaced(learned, log_temperature=warmth, temperature_opt=opt)
        return learned, diagnostics

    def fit(
        learned: PlayerLearned, key: jax.Array, batch: Experience, with_actor: jax.Array
    ) -> tuple[PlayerLearned, Metrics]:
        key_actor, key_next = jax.random.split(key)
        learned, diagnostics = jax.lax.cond(with_actor, improved, skipped(improved), learned, key_actor, batch)
        z = batch.next_observation
        action, log_prob = parts.sampled(learned.actor, jax.random.normal(key_next, (config.batch_size, size)), z)
        following = parts.least(learned.targets, z, action) - temperature_of(learned, z) * log_prob
        learned, found = parts.regressed(learned, batch, following)
        warmth = {"temperature": jnp.exp(learned.log_temperature)} if is_own else {}
        return learned, diagnostics | found | warmth

    return Player(new, act, density, fit)
