"""Playing games on from given states: of rollouts and beliefs that follow a policy.

All is for one batch of games of one environment in self-play (`env.turns`), whose states, observations and flags have
the same leading axis [B].
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.sampling import sample_index
from jaxrl_suite.selection import select

Policy = Callable[[Any], jax.Array]
"""Of observations [B, ...]: probabilities [B, A]."""


class Games(NamedTuple):
    """state, observation: of each game, [B, ...]. is_over: bool [B]. reward: float32 [B], player 0's so far."""

    state: Any
    observation: Any
    is_over: jax.Array
    reward: jax.Array


def started(env: Any, env_params: Any, keys: jax.Array) -> Games:
    """New games, one a key."""
    observation, state = jax.vmap(env.reset, (0, None))(keys, env_params)
    zeros = jnp.zeros(keys.shape)
    return Games(state, observation, zeros > 0, zeros)


def stepped(env: Any, env_params: Any, key: jax.Array, games: Games, action: jax.Array) -> Games:
    """One decision further in the games that are not over, all with one key: what chance brings is common to all."""
    step = jax.vmap(env.transition, (None, 0, 0, None))
    observation, state, reward, terminated, truncated = step(key, games.state, action, env_params)
    games_after = Games(state, observation, terminated | truncated, games.reward + reward)
    return select(games.is_over, games, games_after)


def played_on(
    env: Any,
    env_params: Any,
    key: jax.Array,
    games: Games,
    policy: Policy,
    waits: Callable[[Any], jax.Array] | None = None,
    greedy: bool = False,
) -> Games:
    """The games when they are over, or when they wait.

    All games share their random numbers, decision by decision.

    Args:
        policy: of whoever's turn it is. waits: (observations [B, ...]) -> bool [B], not to be played on; None: none.
        greedy: the most likely action instead of a drawn one.
    """

    def is_done(games: Games) -> jax.Array:
        return games.is_over if waits is None else games.is_over | waits(games.observation)

    def one_decision(carry: tuple[jax.Array, Games]) -> tuple[jax.Array, Games]:
        count, games = carry
        key_action, key_step = jax.random.split(jax.random.fold_in(key, count))
        probabilities = policy(games.observation)
        if greedy:
            action = jnp.argmax(probabilities, axis=-1).astype(jnp.int32)
        else:
            uniform = jax.random.uniform(key_action, (), probabilities.dtype)
            action = sample_index(probabilities, jnp.broadcast_to(uniform, probabilities.shape[:-1]))
        after = stepped(env, env_params, key_step, games, action)
        return count + 1, after if waits is None else select(is_done(games), games, after)

    carry = (jnp.int32(0), games)
    return jax.lax.while_loop(lambda c: ~jnp.all(is_done(c[1])), one_decision, carry)[1]
