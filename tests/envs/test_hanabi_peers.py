"""The same games in OpenSpiel (the Hanabi Learning Environment) and in jaxmarl, move by move."""

import dataclasses
import importlib
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.envs.hanabi import PRESETS, make, num_features
from jaxrl_suite.envs.hanabi_rules import HanabiRules, plausible_cards
from tests.envs.hanabi_games import random_games

VARIANTS = [
    *(make(f"hanabi/{name}").rules for name in PRESETS),
    *(make("hanabi/standard", players=players).rules for players in (3, 4, 5)),
    HanabiRules(players=2, colors=1, ranks=3, hand_size=2, hints=2, lives=2),
    HanabiRules(players=3, colors=2, ranks=2, hand_size=2, hints=1, lives=1),
    HanabiRules(players=5, colors=3, ranks=4, hand_size=3, hints=5, lives=4),
    HanabiRules(players=2, colors=2, ranks=1, hand_size=3, hints=0, lives=1),
]


def named(rules):
    return "-".join(str(value) for value in dataclasses.astuple(rules)[:-1])


def play_in_open_spiel(rules, count, seed):
    """Plays `count` games there by our decks and actions, and compares every turn. How many games came to each end."""
    pyspiel = pytest.importorskip("pyspiel")
    names = {"hints": "max_information_tokens", "lives": "max_life_tokens"}
    options = {names.get(name, name): value for name, value in dataclasses.asdict(rules).items() if name != "bomb_zero"}
    game = pyspiel.load_game("hanabi", options)
    assert game.num_distinct_actions() == rules.num_actions
    games = jax.tree.map(np.asarray, random_games(rules, jax.random.key(seed), count))
    plausible = np.asarray(plausible_cards(rules, jnp.asarray(games.after.marks)))
    ends = {"lost": 0, "full": 0, "out of cards": 0}
    for n in range(count):
        state, undealt = game.new_initial_state(), iter(games.deck[n].tolist())
        deal_in_open_spiel(state, undealt)
        turns = int(games.is_alive[n].sum())
        for t in range(turns):
            assert state.legal_actions() == np.flatnonzero(games.legal[n, t]).tolist()
            assert state.current_player() == games.state.player[n, t]
            before = state.returns()[0]
            state.apply_action(int(games.action[n, t]))
            deal_in_open_spiel(state, undealt)
            assert state.is_terminal() == games.is_over[n, t]
            assert set(state.returns()) == {before + games.reward[n, t]}
            compare_tables(state, games.after, (n, t))
            if not state.is_terminal():
                compare_views(rules, state, games.seen[n, t], plausible[n, t])
        assert state.is_terminal()
        score = games.after.fireworks[n, turns - 1].sum()
        lives = games.after.lives[n, turns - 1]
        ends["lost" if lives == 0 else "full" if score == rules.num_types else "out of cards"] += 1
    return ends


def deal_in_open_spiel(state, undealt):
    while state.is_chance_node():
        state.apply_action(next(undealt))


def compare_tables(state, ours, at):
    lines = dict(line.split(":", 1) for line in str(state).splitlines() if ":" in line)
    assert (int(lines["Life tokens"]), int(lines["Info tokens"])) == (ours.lives[at], ours.hints[at])
    assert [int(word[1:]) for word in lines["Fireworks"].split()] == ours.fireworks[at].tolist()


def compare_views(rules, state, seen, plausible):
    """What each player sees. Theirs has what hints leave possible, where ours weighs it by the cards that are left."""
    size = rules.players * rules.hand_size * (rules.num_types + rules.colors + rules.ranks)
    for player in range(rules.players):
        ours = seen[player].copy()
        cards = ours[-size:].reshape(rules.players, rules.hand_size, -1)
        cards[..., : rules.num_types] = np.roll(plausible, -player, axis=0)
        np.testing.assert_array_equal(ours, np.asarray(state.observation_tensor(player)))


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param(VARIANTS[i], marks=() if i in (0, 4, 9) else pytest.mark.slow, id=named(VARIANTS[i]))
        for i in (0, 1, 2, 3, 4, 5, 9)
    ],
)
def test_games_go_as_in_open_spiel(rules):
    ends = play_in_open_spiel(rules, 30, seed=0)
    assert ends["lost"] > 0
    assert ends["out of cards"] + ends["full"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("rules", VARIANTS, ids=named)
def test_thousands_of_games_go_as_in_open_spiel(rules):
    ends = play_in_open_spiel(rules, 1000, seed=1)
    assert min(ends.values()) > 0 or rules.num_types > 6 or not rules.hints, ends


def play_in_jaxmarl(rules, count, seed):
    """`count` games of ours, and of each move in jaxmarl: what all see after it, what was legal, reward and end."""
    pytest.importorskip("jaxmarl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = importlib.import_module("jaxmarl").make(
            "hanabi", num_agents=rules.players, hand_size=rules.hand_size, num_colors=rules.colors,
            num_ranks=rules.ranks, max_info_tokens=rules.hints, max_life_tokens=rules.lives,
            num_cards_of_rank=np.asarray(rules.copies),
        )  # fmt: skip
    assert theirs.obs_size == num_features(rules)
    # Theirs has an action more, for the player who waits.
    assert theirs.num_moves == rules.num_actions + 1
    games = random_games(rules, jax.random.key(seed), count)

    def replay(deck, actions):
        def turn(state, action):
            told = dict.fromkeys(theirs.agents, action)
            observations, after, rewards, dones, _ = theirs.step_env(jax.random.key(0), state, told)
            legal = theirs.get_legal_moves(state)
            legal, seen = (jnp.stack([each[agent] for agent in theirs.agents]) for each in (legal, observations))
            return after, (seen, legal, rewards["__all__"], dones["__all__"])

        pairs = jnp.stack([deck // rules.ranks, deck % rules.ranks], axis=-1).astype(jnp.int32)
        return jax.lax.scan(turn, theirs.reset_from_deck_of_pairs(pairs)[1], actions)[1]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = jax.jit(jax.vmap(replay))(games.deck, games.action)
    return jax.tree.map(np.asarray, (games, found))


def compare_with_jaxmarl(rules, count, seed):
    games, (seen, legal, reward, is_over) = play_in_jaxmarl(rules, count, seed)
    alive = games.is_alive
    np.testing.assert_array_equal(games.seen[alive], seen[alive])
    np.testing.assert_array_equal(games.reward[alive], reward[alive])
    np.testing.assert_array_equal(games.is_over[alive], is_over[alive])
    movers = np.take_along_axis(legal, games.state.player[..., None, None], axis=2)[:, :, 0]
    np.testing.assert_array_equal(games.legal[alive], movers[alive][:, :-1])


@pytest.mark.parametrize("name", ["standard", "7-card-4-hint"])
def test_players_see_what_they_see_in_jaxmarl(name):
    compare_with_jaxmarl(make(f"hanabi/{name}").rules, 120, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("rules", [rules for rules in VARIANTS if rules.hints], ids=named)
def test_all_variants_look_as_in_jaxmarl(rules):
    compare_with_jaxmarl(rules, 600, seed=1)
