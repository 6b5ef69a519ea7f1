"""Observations of Hanabi read back: the same game but for what its player cannot see."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.envs.hanabi import HanabiEnv, features, make
from jaxrl_suite.envs.hanabi_rules import HanabiRules, with_hand
from jaxrl_suite.envs.hanabi_views import Watched, unwatched, view_of, watched
from tests.envs.hanabi_games import random_games


@pytest.mark.parametrize(
    "rules",
    [
        make("hanabi/small").rules,
        pytest.param(HanabiRules(players=3, colors=2, ranks=3, hand_size=3, hints=2, lives=2), marks=pytest.mark.slow),
    ],
    ids=["small", "three players"],
)
@pytest.mark.slow
def test_a_view_with_the_own_hand_is_the_game(rules):
    """All that is seen of it by anyone is the same, and so is every field but `marks` and the order of the deck."""
    env, games = HanabiEnv("hanabi/of-a-test", rules), random_games(rules, jax.random.key(0), 30)
    states = jax.tree.map(lambda x: x[np.asarray(games.is_alive)], games.state)

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None))
    def read_back(state, key):
        view = view_of(rules, env.observe(state), state.turns_left, state.stage)
        return with_hand(rules, key, view, state.player, state.hands[state.player])

    again = read_back(states, jax.random.key(1))
    for field in set(states._fields) - {"deck", "marks"}:
        assert jax.tree.all(
            jax.tree.map(lambda x, y: bool((x == y).all()), getattr(states, field), getattr(again, field))
        )
    for player in range(rules.players):
        seen = (jax.vmap(features, (None, 0, None))(rules, each, player) for each in (states, again))
        np.testing.assert_array_equal(*seen)


@pytest.mark.parametrize("rules", [make("hanabi/tiny").rules, HanabiRules(colors=1, ranks=3, hand_size=3, lives=3)])
def test_a_player_who_watches_knows_how_many_turns_are_left(rules):
    """The second game's deck is dealt out at the start."""
    env, games = HanabiEnv("hanabi/of-a-test", rules), random_games(rules, jax.random.key(2), 24)

    @jax.jit
    @jax.vmap
    def follow(states, actions):
        def turn(memory, inputs):
            state, action = inputs
            own = jax.tree.map(lambda x: x[state.player], memory)
            view = watched(rules, own, env.observe(state))
            now = Watched(view, action, jnp.asarray(True))
            memory = jax.tree.map(lambda x, new: x.at[state.player].set(new), memory, now)
            return memory, (view.turns_left == state.turns_left) & (view.stage == state.stage)

        both = jax.tree.map(lambda x: jnp.stack([x] * 2), unwatched(rules))
        return jax.lax.scan(turn, both, (states, actions))[1]

    is_right = np.asarray(follow(games.state, games.action.astype(jnp.int32)))
    is_last = np.asarray((games.state.turns_left < 2) & games.is_alive)
    assert is_last.any()
    assert is_right[np.asarray(games.is_alive)].all()
