"""What learners in environments that are pushed share: their settings, and phases in which one side learns.

Reddi et al. 2024 (arXiv 2311.01642), as their program has it.

  z          what is observed, behind it a context, as of an adversary's temperature
  phase      so many episodes, in all of which one side stores and learns, a fit for every `fit_interval` transitions

Which side learns is known when a phase is compiled, so that neither pays for the other, and so is when learning starts,
as all members have stored equally much. Episodes are played side by side, each to its end, and those that end early are
followed by others until the phase is over. `serial` plays them one after the other, as the paper's program does. What a
side learns with is mostly `soft_player`.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.agent import Metrics
from jaxrl_suite.agents.off_policy import skipped
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.envs.pushed import PushedEnv
from jaxrl_suite.envs.robust_control import RobustEnv
from jaxrl_suite.envs.vector import VectorEnv, play
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.networks import ACTIVATIONS, check_hidden_sizes, flatten_observation
from jaxrl_suite.learning.replay import Experience, empty_replay, experience_of, memory_of

CODE = "the authors' released program"


@struct.dataclass
class TwoPlayerConfig:
    """What learners in phases share. Floats can be swept; everything else selects a program."""

    actor_rate: float = sweepable(1e-4, "step size of the actors' Adam", source=CODE, above=0)
    critic_rate: float = sweepable(3e-4, "step size of the critics' Adam", source=CODE, above=0)
    temperature_rate: float = sweepable(3e-4, "step size of the temperatures' Adam", source=CODE, above=0)
    initial_temperature: float = sweepable(0.005, "of who learns its own", symbol="tau", source=CODE, above=0)
    discount: float = sweepable(0.99, "discount factor", symbol="gamma", source=CODE, low=0, high=1)
    polyak: float = sweepable(0.005, "of the way that targets go at a time", source=CODE, above=0, high=1)
    total_updates: int = static(200, "budget: iterations", symbol="K", unit="iterations", source=CODE, low=1)
    episodes: int = static(5, "a phase", symbol="E", unit="episodes", source=CODE, low=1)
    episode_steps: int = static(
        500, "of an episode; must be the environment's time limit", symbol="T", unit="steps", source=CODE, low=1
    )
    fit_interval: int = static(3, "transitions from one fit to the next", source=CODE, low=1)
    batch_size: int = static(256, "transitions a fit", unit="transitions", source=CODE, low=1)
    buffer_size: int = static(1_000_000, "transitions kept, of each player", unit="transitions", source=CODE, low=1)
    critic_starts: int = static(3000, "transitions that are stored before critics learn", source=CODE, low=0)
    actor_starts: int = static(5000, "and before actors do", source=CODE, low=0)
    hidden_sizes: tuple[int, ...] = static((256, 256, 256), "widths of the hidden layers", source=CODE)
    activation: str = static("relu", "activation of all networks", source=CODE, choices=tuple(ACTIVATIONS))
    serial: bool = static(False, "episodes one after the other; only then is the order of data the program's")

    def check(self) -> None:
        name = type(self).__name__
        check_hidden_sizes(name, self.hidden_sizes)
        if self.actor_starts < self.critic_starts:
            raise ConfigError(
                f"{name}.actor_starts = {self.actor_starts}: must be >= critic_starts = {self.critic_starts}"
            )
        if self.buffer_size < self.episodes * self.episode_steps:
            raise ConfigError(
                f"{name}.buffer_size = {self.buffer_size}: must hold a phase of {self.episodes * self.episode_steps}"
            )
        if self.episode_steps < self.fit_interval:
            raise ConfigError(f"{name}.episode_steps = {self.episode_steps}: must be >= fit_interval")


def check_pushed(name: str, env: Any, env_params: Any, config: TwoPlayerConfig) -> None:
    """Raises ConfigError unless `env` is of `pushed/`, with episodes as long as the config says."""
    if not isinstance(env, RobustEnv) or not isinstance(env.env, PushedEnv):
        raise ConfigError(f"{name}: {env.id}: must be an environment pushed/...")
    env.check_params(env_params)
    limit = int(env_params.max_steps_in_episode)
    if limit != config.episode_steps:
        raise ConfigError(
            f"{name}: episode_steps = {config.episode_steps}: must be max_steps_in_episode = {limit} of {env.id}"
        )


class Side(NamedTuple):
    """Who learns in a phase.

    choose(learned, noise, z, context) -> actions of the environment, [N, ...]; all play. noise: [N, W]; z: [N, Z];
        context: [N, C], what z ends with.
    view(batch) -> batch: its own actions and rewards, among what was stored.
    fit(learned, key, batch, with_actor) -> (learned, diagnostics): as of `Player`, with everybody's learned.
    """

    choose: Callable[[Any, jax.Array, jax.Array, jax.Array], jax.Array]
    view: Callable[[Experience], Experience]
    fit: Callable[[Any, jax.Array, Experience, jax.Array], tuple[Any, Metrics]]


class Played(NamedTuple):
    """Of a phase, by episode [E]: discounted and plain return of its protagonist, and length; diagnostics of fits."""

    discounted: jax.Array
    returns: jax.Array
    lengths: jax.Array
    diagnostics: Metrics


class Phases(NamedTuple):
    """memory() -> one without an item. run(key, iteration, learned, memory, contexts [E, C]) -> (learned, memory,
    Played): a phase, `iteration` one unbatched int32."""

    memory: Callable[[], Any]
    run: Callable[..., tuple[Any, Any, Played]]


def observed(observation: Any, context: jax.Array) -> jax.Array:
    """z [..., Z] of observations [..., *O] and contexts [..., C]."""
    flat = flatten_observation(observation, observation.ndim - context.ndim + 1)
    # XLA's compiler crashes on an array without elements where evaluation is spread over devices (jaxlib 0.11.2).
    return jnp.concatenate([flat, context], axis=-1) if context.shape[-1] else flat


def phases(env: Any, env_params: Any, config: TwoPlayerConfig, side: Side, noises: int, contexts: int) -> Phases:
    """Phases of one side in `env`.

    Args:
        noises: W, standard normal numbers for everybody's actions in a step. contexts: C.
    """
    copies = 1 if config.serial else config.episodes
    vector = VectorEnv(env, copies)
    replay = memory_of(config.buffer_size, config.batch_size)
    # Steps of every copy in a phase; in blocks after each of which as many fits are made as steps were stored for.
    steps = config.episodes * config.episode_steps // copies
    blocks, rest = divmod(steps, config.fit_interval)
    action = env.action_space(env_params).shape
    inputs = math.prod(env.observation_space(env_params).shape) + contexts

    def memory() -> Any:
        numbers, flag = jnp.zeros((1, 1)), jnp.zeros((1, 1), bool)
        z = jnp.zeros((1, 1, inputs))
        return empty_replay(replay, Experience(z, jnp.zeros((1, 1, *action)), numbers, flag, z))

    def block(count: int, fits: int) -> Callable[[Any, Any], Any]:
        """So many steps and fits, for `lax.scan`."""

        def run(carry: Any, given: Any) -> Any:
            (learned, kept, env_state, observation), (key, context, stored) = carry, given
            key_noise, key_env, key_sample, key_fit = jax.random.split(key, 4)
            noise = jax.random.normal(key_noise, (count, copies, noises))

            def choose(given_t: Any, observation: Any) -> jax.Array:
                noise_t, context_t = given_t
                return side.choose(learned, noise_t, observed(observation, context_t), context_t)

            draws = vector.draw(key_env, env_params, count)
            carried, played = play(vector, env_params, choose, (env_state, observation), (noise, context), draws)
            kept = replay.add(kept, _stored(played, context))
            now = (played.steps.reward, played.steps.done)
            if fits == 0:
                return (learned, kept, *carried), (now, None)
            batches = jax.vmap(replay.sample, (None, 0))(kept, jax.random.split(key_sample, fits)).experience
            arguments = (learned, side.view(batches), key_fit, stored > config.actor_starts)
            learned, found = jax.lax.cond(stored > config.critic_starts, fitted, skipped(fitted), *arguments)
            return (learned, kept, *carried), (now, found)

        def fitted(learned: Any, batches: Experience, key: jax.Array, with_actor: jax.Array) -> tuple[Any, Metrics]:
            def one(known: Any, given: Any) -> tuple[Any, Metrics]:
                return side.fit(known, given[0], given[1], with_actor)

            return jax.lax.scan(one, learned, (jax.random.split(key, fits), batches))

        return run

    def run(key: jax.Array, iteration: jax.Array, learned: Any, kept: Any, context: jax.Array) -> Any:
        key_reset, key_rest, key_blocks = jax.random.split(key, 3)
        observation, env_state = vector.reset(key_reset, env_params)
        by_step = _by_step(context, copies, config.episode_steps)
        stored = iteration * steps * copies + (jnp.arange(blocks) + 1) * config.fit_interval * copies
        whole = blocks * config.fit_interval
        in_blocks = by_step[:whole].reshape(blocks, config.fit_interval, *by_step.shape[1:])
        one = block(config.fit_interval, copies)
        carry, (now, found) = jax.lax.scan(
            one, (learned, kept, env_state, observation), (jax.random.split(key_blocks, blocks), in_blocks, stored)
        )
        now = jax.tree.map(lambda x: x.reshape(whole, copies), now)
        if rest:
            last = (iteration + 1) * steps * copies
            carry, (more, _) = block(rest, rest * copies // config.fit_interval)(
                carry, (key_rest, by_step[whole:], last)
            )
            now = jax.tree.map(lambda x, y: jnp.concatenate([x, y]), now, more)
        reward, done = now
        return carry[0], carry[1], _played(reward, done, config, jax.tree.map(jnp.nanmean, found))

    return Phases(memory, run)


def phase_metrics(played: Played) -> Metrics:
    """Of a phase's episodes and fits."""
    return {
        "episode/return": jnp.mean(played.returns),
        "episode/length": jnp.mean(played.lengths.astype(jnp.float32)),
        "episode/count": jnp.int32(len(played.returns)),
        "episode/discounted": jnp.mean(played.discounted),
    } | played.diagnostics


def _stored(played: Any, context: jax.Array) -> Experience:
    """The Experience [T, N] of a rollout, contexts [T, N, C] behind both of its observations."""
    found = experience_of(played, False)
    seen, following = (observed(x, context) for x in (found.observation, found.next_observation))
    return found._replace(observation=seen, next_observation=following)


def _by_step(context: jax.Array, copies: int, length: int) -> jax.Array:
    """Of contexts [E, C], one an episode, those of every step and copy, [steps, N, C]."""
    episodes, size = context.shape
    return jnp.repeat(context.reshape(episodes // copies, copies, size), length, axis=0)


def _played(reward: jax.Array, done: jax.Array, config: TwoPlayerConfig, diagnostics: Metrics) -> Played:
    """Of the first episode in each stretch of T steps; reward, done [steps, N]."""

    def stretches(x: jax.Array) -> jax.Array:
        return jnp.swapaxes(x.reshape(-1, config.episode_steps, x.shape[-1]), 1, 2).reshape(-1, config.episode_steps)

    reward, done = stretches(reward), stretches(done)
    is_on = jnp.cumsum(done, axis=1) - done == 0
    reward = jnp.where(is_on, reward, 0.0)
    weights = jnp.power(config.discount, jnp.arange(config.episode_steps))
    return Played(reward @ weights, jnp.sum(reward, axis=1), jnp.sum(is_on, axis=1), diagnostics)
