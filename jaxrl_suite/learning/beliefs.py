"""What a player that searches believes of what it does not see; particle filters, for games of perfect recall.

Sokota et al., The Update-Equivalence Framework for Decision-Time Planning, ICLR 2024 (arXiv 2304.13138), section 5;
the paper leaves the filter's conventions open, these are ours. N copies of the game are played along: the owner's own
actions in all of them, the other players' by the blueprint; those that show the owner something else than what it sees
are dropped. As observations have all that was seen before in them, survivors are samples of the exact posterior.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.learning.playing import Games, Policy, games_at, observed, played_on, repeated, started, stepped
from jaxrl_suite.selection import select


class Belief(NamedTuple):
    """How one player of a game comes to what it believes; all that it remembers is one pytree, its memory.

    start(remembered) -> the memory before its first decision; `remembered` is the blueprint's at a game's start.
    update(key, params, memory, observation, policy) -> (memory, games, is_alive): at a decision; `games` [N] are as
        they may be, drawn from the posterior, those that count where `is_alive`, bool [N]. `params` are the belief's
        own, if it was learned, else anything; `policy` is the blueprint's.
    acted(memory, action) -> the memory once the owner has decided.
    """

    start: Callable[[Any], Any]
    update: Callable[[jax.Array, Any, Any, Any, Policy], tuple[Any, Games, jax.Array]]
    acted: Callable[[Any, jax.Array], Any]


class Particles(NamedTuple):
    """games: [N], as the owner last saw them. is_alive: bool [N]. action: int32, what the owner then did. has_begun:
    bool, whether it has seen anything yet."""

    games: Games
    is_alive: jax.Array
    action: jax.Array
    has_begun: jax.Array


def particle_filter(env: Any, env_params: Any, count: int, resample: bool = True) -> Belief:
    """The belief as `count` particles. With `resample` survivors are drawn back to as many; see `updated`."""

    def update(key: jax.Array, params: Any, memory: Particles, observation: Any, policy: Policy) -> Any:
        memory = updated(env, env_params, key, memory, observation, policy, resample)
        return memory, memory.games, memory.is_alive

    start = functools.partial(no_particles, env, env_params, count)
    return Belief(start, update, lambda memory, action: memory._replace(action=action))


def no_particles(env: Any, env_params: Any, count: int, remembered: Any) -> Particles:
    """Before the owner's first decision."""
    shapes = jax.eval_shape(env.reset, jax.random.key(0), env_params)[1]
    state = jax.tree.map(lambda x: jnp.zeros((count, *x.shape), x.dtype), shapes)
    games = games_at(state, repeated(remembered, count))
    return Particles(games, jnp.zeros(count, bool), jnp.int32(0), jnp.asarray(False))


def updated(
    env: Any, env_params: Any, key: jax.Array, particles: Particles, observation: Any, policy: Policy, resample: bool
) -> Particles:
    """The belief at the owner's next decision.

    Args:
        observation: what the owner sees. policy: of the other players.
        resample: survivors are drawn with replacement, back to N; else the dropped stay dropped.
    """
    count = particles.is_alive.shape[0]
    key_start, key_step, key_play, key_draw = jax.random.split(key, 4)
    player = env.turns.player
    owner = player(observation, env_params)

    def one(particle: Games, key_start: jax.Array, key_step: jax.Array, key_play: jax.Array) -> Games:
        """A batch of one game: particles share no random numbers."""
        # Before it has begun, a particle remembers what one does at a game's start.
        new = started(env, env_params, key_start[None], particle.memory)
        old = games_at(*jax.tree.map(lambda x: x[None], (particle.state, particle.memory)))
        further = stepped(env, env_params, key_step, old, particles.action[None], policy)
        games = select(particles.has_begun[None], further, new)
        waits = lambda seen: player(seen, env_params) == owner  # noqa: E731
        games = played_on(env, env_params, key_play, games, policy, waits)
        return jax.tree.map(lambda x: x[0], games)

    keys = (jax.random.split(k, count) for k in (key_start, key_step, key_play))
    games = jax.vmap(one)(particles.games, *keys)
    seen = observed(env, env_params, games)
    is_same = jax.tree.map(lambda x, y: jnp.all(x == y, axis=tuple(range(1, x.ndim))), seen, observation)
    is_alive = ~games.is_over & (particles.is_alive | ~particles.has_begun) & jax.tree.reduce(jnp.logical_and, is_same)
    if resample:
        drawn = survivor(key_draw, is_alive)
        games = jax.tree.map(lambda x: x[drawn], games)
        is_alive = jnp.broadcast_to(jnp.any(is_alive), is_alive.shape)
    return Particles(games, is_alive, particles.action, jnp.asarray(True))


def survivor(key: jax.Array, is_alive: jax.Array) -> jax.Array:
    """int32 [N]: N draws, with replacement, of those alive; anything where none is."""
    ordered = jnp.cumsum(is_alive)
    chosen = jnp.floor(jax.random.uniform(key, is_alive.shape) * ordered[-1]).astype(ordered.dtype)
    return jnp.minimum(jnp.sum(ordered <= chosen[:, None], axis=1), len(is_alive) - 1).astype(jnp.int32)
