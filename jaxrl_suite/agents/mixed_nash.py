"""MixedNE-LD, mixed equilibria by Langevin dynamics (Kamalaruban et al. 2020, arXiv 2002.06063).

With soft actor-critics, as Reddi et al. 2024 (arXiv 2311.01642) run it. The adversary's action o is of the same kind as
the protagonist's, and a share delta of what is played (an action-robust MDP: Tessler et al., arXiv 1901.09184); one
pair of critics judges the mixture:

    played       (1 - delta) clip(a) + delta clip(o); the protagonist alone is judged with delta = 0
    protagonist  descends E[tau log pi(a|s) - min_k Q_k(s, mixture)],  adversary  E[tau' log nu(o|s) + min_k Q_k]
    both by preconditioned stochastic gradient Langevin dynamics: v <- 0.999 v + 0.001 g^2,
                 theta <- theta - l (g / (sqrt(v) + e) + sqrt(2) sigma n), n ~ N(0, 1 / (l (sqrt(v) + e)))
    critics      go to r + gamma (min_k Q'_k(s', mixture') - tau log pi(a'|s')), by Adam

l = rate (1 - 1e-5)^t and sigma = 1e-3 (1 - 5e-5)^(3 t / 2) after t fits: their program lets the noise decay twice. In
its bootstrap the adversary's action is drawn from the protagonist's policy; here it is the adversary's own.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.agents.off_policy import replaced, skipped
from jaxrl_suite.agents.soft_player import ADAM, soft_parts
from jaxrl_suite.agents.two_player import (
    CODE,
    Side,
    TwoPlayerConfig,
    check_pushed,
    observed,
    phase_metrics,
    phases,
)
from jaxrl_suite.config import sweepable
from jaxrl_suite.learning.replay import Experience

LEAST, KEPT = 1e-8, 0.999


@struct.dataclass
class MixedNashConfig(TwoPlayerConfig):
    """Settings of MixedNE-LD. Floats can be swept; everything else selects a program."""

    actor_rate: float = sweepable(3e-4, "step size of the actors' Langevin dynamics", source=CODE, above=0)
    share: float = sweepable(0.1, "the adversary's of an action", symbol="delta", source=CODE, low=0, high=1)
    noise: float = sweepable(1e-3, "of the actors' steps, at first", symbol="sigma", source=CODE, low=0)


@struct.dataclass
class Walker:
    """actor: parameters. squares: v of each. log_temperature, and its optimiser's state."""

    actor: Any
    squares: Any
    log_temperature: jax.Array
    temperature_opt: Any


@struct.dataclass
class MixedNashLearned:
    """Both players, the critics [2, ...], their targets and optimiser's state; fits: t, int32."""

    protagonist: Walker
    adversary: Walker
    critics: Any
    targets: Any
    critic_opt: Any
    fits: jax.Array


@struct.dataclass
class MixedNashState:
    """learned, and the memory of transitions."""

    learned: MixedNashLearned
    memory: Any


def langevin_step(key: jax.Array, params: Any, squares: Any, grads: Any, rate: Any, noise: Any) -> tuple[Any, Any]:
    """(parameters, v) after a step of preconditioned stochastic gradient Langevin dynamics."""
    squares = jax.tree.map(lambda v, g: KEPT * v + (1.0 - KEPT) * g**2, squares, grads)
    leaves, structure = jax.tree.flatten(params)
    keys = jax.tree.unflatten(structure, list(jax.random.split(key, len(leaves))))

    def step(p: jax.Array, v: jax.Array, g: jax.Array, key: jax.Array) -> jax.Array:
        scale = jnp.sqrt(v) + LEAST
        drawn = jax.random.normal(key, p.shape) / jnp.sqrt(rate * scale)
        return p - rate * (g / scale + jnp.sqrt(2.0) * noise * drawn)

    return jax.tree.map(step, params, squares, grads, keys), squares


def _check(env: Any, env_params: Any, config: MixedNashConfig) -> None:
    check_pushed("mixed_nash", env, env_params, config)


@agent_factory("mixed_nash", MixedNashConfig, _check)
def mixed_nash(env: Any, env_params: Any, config: MixedNashConfig) -> Agent:
    """MixedNE-LD on an environment that can be pushed, where nobody pushes. One update is one phase."""
    size, inputs = env.action_space(env_params).shape[0], env.observation_space(env_params).shape[0]
    parts, force_limit = soft_parts(size, config), env_params.env.force_limit

    def mixed(learned: MixedNashLearned, noise: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(what both play together, log pi of the protagonist's part); noise [..., 2 D]."""
        own, log_prob = parts.sampled(learned.protagonist.actor, noise[..., :size], z)
        other = parts.sampled(learned.adversary.actor, noise[..., size:], z)[0]
        return blend(own, other), log_prob

    def blend(own: jax.Array, other: jax.Array) -> jax.Array:
        return (1.0 - config.share) * own + config.share * jnp.clip(force_limit * other, -1.0, 1.0)

    def walker_step(
        learned: MixedNashLearned, key: jax.Array, batch: Experience, is_protagonist: bool
    ) -> tuple[Walker, jax.Array]:
        """(a player after a step against the other as it is, its entropy)."""
        walker = learned.protagonist if is_protagonist else learned.adversary
        key_noise, key_step = jax.random.split(key)
        noise, z = jax.random.normal(key_noise, (config.batch_size, 2 * size)), batch.observation
        warmth = jnp.exp(walker.log_temperature)

        def loss(params: Any) -> tuple[jax.Array, jax.Array]:
            changed = replaced(walker, actor=params)
            pair = {"protagonist": changed} if is_protagonist else {"adversary": changed}
            pair = replaced(learned, **pair)
            own, own_log = parts.sampled(pair.protagonist.actor, noise[:, :size], z)
            other, other_log = parts.sampled(pair.adversary.actor, noise[:, size:], z)
            value = parts.least(learned.critics, z, blend(own, other))
            log_prob, sign = (own_log, -1.0) if is_protagonist else (other_log, 1.0)
            return jnp.mean(warmth * log_prob + sign * value), log_prob

        grads, log_prob = jax.grad(loss, has_aux=True)(walker.actor)
        count = learned.fits.astype(jnp.float32)
        rate = config.actor_rate * jnp.power(1.0 - 1e-5, count)
        spread = config.noise * jnp.power(1.0 - 5e-5, 1.5 * count)
        params, squares = langevin_step(key_step, walker.actor, walker.squares, grads, rate, spread)
        warmth, opt = parts.warmed(walker.log_temperature, walker.temperature_opt, log_prob)
        return Walker(params, squares, warmth, opt), -jnp.mean(log_prob)

    def improved(learned: MixedNashLearned, key: jax.Array, batch: Experience) -> tuple[MixedNashLearned, Metrics]:
        keys = jax.random.split(key)
        own, entropy = walker_step(learned, keys[0], batch, True)
        other, others = walker_step(learned, keys[1], batch, False)
        learned = replaced(learned, protagonist=own, adversary=other, fits=learned.fits + 1)
        return learned, {"policy/entropy": entropy, "adversary/policy/entropy": others}

    def fit(learned: MixedNashLearned, key: jax.Array, batch: Experience, with_actor: jax.Array) -> tuple[Any, Metrics]:
        key_actor, key_next = jax.random.split(key)
        learned, diagnostics = jax.lax.cond(with_actor, improved, skipped(improved), learned, key_actor, batch)
        z = batch.next_observation
        action, log_prob = mixed(learned, jax.random.normal(key_next, (config.batch_size, 2 * size)), z)
        warmth = jnp.exp(learned.protagonist.log_temperature)
        learned, found = parts.regressed(learned, batch, parts.least(learned.targets, z, action) - warmth * log_prob)
        return learned, diagnostics | found

    def choose(learned: MixedNashLearned, noise: jax.Array, z: jax.Array, context: jax.Array) -> jax.Array:
        return mixed(learned, noise, z)[0]

    turn = phases(env, env_params, config, Side(choose, lambda batch: batch, fit), 2 * size, 0)
    nothing = jnp.zeros((config.episodes, 0))

    def init(key: jax.Array) -> MixedNashState:
        key_own, key_other, key_critics = jax.random.split(key, 3)
        z, warmth = jnp.zeros(inputs), jnp.log(jnp.float32(config.initial_temperature))

        def walker(key: jax.Array) -> Walker:
            params = parts.new_actor(key, z)
            return Walker(params, jax.tree.map(jnp.zeros_like, params), warmth, ADAM.init(warmth))

        critics, fits = parts.new_critics(key_critics, z, jnp.zeros(size)), jnp.zeros((), jnp.int32)
        learned = MixedNashLearned(walker(key_own), walker(key_other), critics, critics, ADAM.init(critics), fits)
        return MixedNashState(learned, turn.memory())

    def update(key: jax.Array, state: MixedNashState, step: jax.Array) -> tuple[MixedNashState, Metrics]:
        learned, memory, played = turn.run(key, step, state.learned, state.memory, nothing)
        return MixedNashState(learned, memory), phase_metrics(played)

    def start(key: jax.Array, state: MixedNashState) -> Any:
        return ()

    def act(key: jax.Array, state: MixedNashState, memory: Any, observation: Any, greedy: bool) -> tuple[Any, Any]:
        noise = None if greedy else jax.random.normal(key, (size,))
        return parts.act(state.learned.protagonist.actor, noise, observed(observation, jnp.zeros(0))), memory

    steps = config.episodes * config.episode_steps
    info = AgentInfo("mixed_nash", env, env_params, config, steps, config.total_updates, mixed_nash)
    return Agent(init, update, start, act, info)
