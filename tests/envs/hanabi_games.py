"""Random games of Hanabi for the tests: some careless, and careful ones that come to the end of the deck."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.envs.hanabi import features
from jaxrl_suite.envs.hanabi_rules import PLAY, deal, legal_actions, move_table, play, shuffled_deck


class Games(NamedTuple):
    """Decks [N, D]; and of each turn, [N, T]: the state, what is legal, the action, the reward, the end, the state
    after it, whether the game was still on, and the features all players see after it, [N, T, P, F]."""

    deck: Any
    state: Any
    legal: Any
    action: Any
    reward: Any
    is_over: Any
    after: Any
    is_alive: Any
    seen: Any


@functools.partial(jax.jit, static_argnums=(0, 2))
def random_games(rules, key, count):
    """`Games` by legal moves at random; from the second third on without mistakes, and in the last third playing every
    card that fits."""
    keys = jax.random.split(key, count)
    return jax.vmap(lambda key, number: _random_game(rules, key, 3 * number // count))(keys, jnp.arange(count))


def _random_game(rules, key, care):
    key_deck, key_play = jax.random.split(key)
    deck = shuffled_deck(rules, key_deck)

    def turn(carry, key):
        state, is_alive = carry
        legal = legal_actions(rules, state)
        wanted = jax.random.uniform(key, legal.shape) + _worth(rules, state, care)
        action = jnp.argmax(jnp.where(legal, wanted, -jnp.inf))
        after, reward, is_over = play(rules, state, action)
        seen = jax.vmap(lambda player: features(rules, after, player))(jnp.arange(rules.players))
        row = Games(deck, state, legal, action, reward, is_over, after, is_alive, seen)
        return (after, is_alive & ~is_over), row

    keys = jax.random.split(key_play, rules.longest)
    return jax.lax.scan(turn, (deal(rules, deck), True), keys)[1]._replace(deck=deck)


def _worth(rules, state, care):
    """How much more or less careful players want each action."""
    cards = state.hands[state.player][move_table(rules)[:, 1]]
    fits = state.fireworks[cards // rules.ranks] == cards % rules.ranks
    worth = jnp.where(fits, 2.0 * (care == 2), -5.0 * (care >= 1))
    return jnp.where(move_table(rules)[:, 0] == PLAY, worth, 0.0)
