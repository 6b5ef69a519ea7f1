"""Transitions of players who take turns: each from a decision of its own to its next one, or to the end of the game."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.learning.replay import Experience
from jaxrl_suite.selection import select


class Decisions(NamedTuple):
    """A rollout of games, [T, N]. player: int32, who decided. reward: player 0's. done: the game ended with it."""

    observation: Any
    action: jax.Array
    player: jax.Array
    reward: jax.Array
    done: jax.Array


class Pending(NamedTuple):
    """Of each game and player, [N, P], the last decision, if its next one has not come yet (`is_open`, bool).

    reward: float32, what the player itself was paid since.
    """

    observation: Any
    action: jax.Array
    reward: jax.Array
    is_open: jax.Array


def none_pending(observation: Any, action: jax.Array, num_players: int) -> Pending:
    """Before any decision; observation and action are any such, [N, ...]."""

    def zeros(x: jax.Array) -> jax.Array:
        return jnp.zeros((x.shape[0], num_players, *x.shape[1:]), x.dtype)

    observation, action = jax.tree.map(zeros, (observation, action))
    return Pending(observation, action, jnp.zeros(action.shape), jnp.zeros(action.shape, bool))


def own_transitions(
    pending: Pending, decisions: Decisions, signs: tuple[float, ...]
) -> tuple[Pending, Experience, jax.Array]:
    """What has been completed by a rollout, and what is pending after it.

    A step completes the mover's transition before this one, and at the end of a game the last one of every player. An
    end is one whatever brought it about: what a player would have seen next is not known.

    Args:
        signs: what player 0's reward is multiplied with for each of P players.

    Returns:
        (pending, transitions [T, N, 1 + P], whether there is such a one, bool). Next observations after an end are
        without meaning.
    """
    players, each = jnp.arange(len(signs)), jnp.asarray(signs, jnp.float32)

    def in_one_game(pending: Pending, now: Decisions) -> tuple[Pending, tuple[Experience, jax.Array]]:
        is_mover = players == now.player
        own = jax.tree.map(lambda x: x[now.player], pending)
        returned = Experience(own.observation, own.action, own.reward, jnp.asarray(False), now.observation)
        begun = Pending(now.observation, now.action, jnp.float32(0.0), jnp.asarray(True))
        pending = select(is_mover, begun, pending)
        pending = pending._replace(reward=pending.reward + now.reward * each)
        ended = Experience(
            pending.observation, pending.action, pending.reward, jnp.ones_like(is_mover), pending.observation
        )
        made = jax.tree.map(lambda one, each: jnp.concatenate([one[None], each]), returned, ended)
        is_made = jnp.concatenate([own.is_open[None], pending.is_open & now.done])
        return pending._replace(is_open=pending.is_open & ~now.done), (made, is_made)

    pending, (transitions, is_complete) = jax.lax.scan(jax.vmap(in_one_game), pending, decisions)
    return pending, transitions, is_complete
