"""Hanabi: sizes, what can be known, what search needs, self-play. Its rules are held to peers in test_hanabi_peers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxrl_suite as jrl
from jaxrl_suite.envs import hanabi_rules as rules_of
from jaxrl_suite.envs.hanabi import features, make, num_features
from jaxrl_suite.envs.hanabi_rules import HanabiRules
from jaxrl_suite.errors import ConfigError, UnknownNameError
from tests.envs.hanabi_games import random_games
from tests.known_answers.ledger import known_answer

PLAYED = [
    make("hanabi/tiny").rules,
    HanabiRules(players=3, colors=2, ranks=3, hand_size=3, hints=2, lives=2, bomb_zero=False),
]


def ordered_hands(rules, size):
    """How many sequences of `size` types of card the deck can deal."""
    ways = [1] + [0] * size
    for count in rules.full_counts.tolist():
        ways = [sum(math.comb(n, j) * ways[n - j] for j in range(min(n, count) + 1)) for n in range(size + 1)]
    return ways[size]


@known_answer("mirror_descent_search/hanabi-sizes")
def test_sizes():
    for name, size, actions, hands in (
        ("standard", 658, 20, 8_964_050),
        ("7-card-4-hint", 844, 24, 5_059_643_050),
    ):
        env, params = jrl.make(f"hanabi/{name}")
        assert (num_features(env.rules), env.action_space(params).n) == (size, actions)
        observation, state = jax.eval_shape(env.reset, jax.random.key(0), params)
        assert observation.shape == env.observation_space(params).shape == (size + actions + 1,)
        assert jax.eval_shape(lambda state, rules=env.rules: features(rules, state, 0), state).shape == (size,)
        assert ordered_hands(env.rules, env.rules.hand_size) == hands


@pytest.mark.parametrize(("name", "longest"), [("standard", 89), ("7-card-4-hint", 77), ("tiny", 11)])
def test_the_longest_game_is_as_long_as_it_can_be(name, longest):
    """By a hint wherever one can be given, else a discard."""
    env, params = jrl.make(f"hanabi/{name}")
    assert params.max_steps_in_episode == longest
    order = np.argsort(-rules_of.move_table(env.rules)[:, 0], kind="stable")
    order = np.concatenate([order[: -2 * env.rules.hand_size], np.arange(2 * env.rules.hand_size)])

    def turn(state):
        legal = rules_of.legal_actions(env.rules, state)
        return rules_of.play(env.rules, state, jnp.asarray(order)[jnp.argmax(legal[order])])

    state = env.reset(jax.random.key(0), params)[1]
    for t in range(longest):
        state, _, is_over = jax.jit(turn)(state)
        assert bool(is_over) == (t == longest - 1)


def test_a_completed_color_gives_a_token_back_and_the_full_score_ends_the_game():
    rules = HanabiRules(players=2, colors=1, ranks=2, hand_size=1, hints=1, lives=1)
    # Player 0 holds the two, player 1 a one: a hint, the one, the two.
    state = rules_of.deal(rules, [1, 0, 0, 0])
    found = []
    for action in (2, 1, 1):
        state, reward, is_over = rules_of.play(rules, state, jnp.int32(action))
        found.append((int(state.hints), float(reward), bool(is_over), bool(state.last.regained)))
    assert found == [(0, 0.0, False, False), (0, 1.0, False, False), (1, 1.0, True, True)]


@pytest.mark.parametrize(("bomb_zero", "paid"), [(True, [1.0, -1.0]), (False, [1.0, 0.0])])
def test_the_last_life_takes_the_points(bomb_zero, paid):
    rules = make("hanabi/tiny", lives=1, bomb_zero=bomb_zero).rules
    # Both players hold ones of the first colour: the second to be played is a mistake.
    state = rules_of.deal(rules, [0, 1, 0, 0, 2, 2, 2, 3])
    for reward in paid:
        state, found, is_over = rules_of.play(rules, state, jnp.int32(2))
        assert found == reward
        assert bool(is_over) == (reward < 1)


def test_an_illegal_action_is_played_as_the_lowest_legal_one():
    env, params = jrl.make("hanabi/tiny")
    observation, state = env.reset(jax.random.key(0), params)
    legal = np.asarray(env.turns.legal(observation, params))
    # Tokens are full: no discards, and the first slot is played.
    assert legal.tolist()[:4] == [False, False, True, True]
    illegal, played = (env.transition(jax.random.key(1), state, action, params) for action in (0, 2))
    jax.tree.map(np.testing.assert_array_equal, illegal, played)
    assert env.turns.player(illegal[0], params) == 1


def test_decks_are_shuffled_evenly():
    rules = HanabiRules()
    keys = jax.random.split(jax.random.key(0), 20_000)
    decks = np.asarray(jax.vmap(lambda key: rules_of.shuffled_deck(rules, key))(keys))
    assert (np.sort(decks) == np.sort(decks[0])).all()
    for position in (0, 17, 49):
        found = np.bincount(decks[:, position], minlength=25)
        expected = len(decks) * rules.full_counts / 50
        # Chi-squared of 24 degrees of freedom: above 52 in one of a thousand.
        assert ((found - expected) ** 2 / expected).sum() < 52


def drawn_turn(data):
    """(rules, the games, number and turn of one that was still on)."""
    rules = data.draw(st.sampled_from(PLAYED))
    games = random_games(rules, jax.random.key(data.draw(st.integers(0, 1000))), 12)
    n = data.draw(st.integers(0, 11))
    return rules, games, n, data.draw(st.integers(0, int(games.is_alive[n].sum()) - 1))


def counted(rules, cards):
    return np.bincount(np.ravel(cards), minlength=rules.num_types + 1)[: rules.num_types]


@settings(deadline=None, max_examples=15)
@given(st.data())
@pytest.mark.slow
def test_cards_hints_and_points_are_accounted_for(data):
    rules, games, n, t = drawn_turn(data)
    state = jax.tree.map(lambda x: np.asarray(x)[n, t], games.after)
    played = (state.fireworks[:, None] > np.arange(rules.ranks)).ravel()
    undealt = counted(rules, state.deck[state.position :])
    known = played + state.discards
    assert (known + counted(rules, state.hands) + undealt == rules.full_counts).all()
    for player in range(rules.players):
        unseen = np.asarray(rules_of.unseen_counts(rules, state, player))
        assert (unseen == counted(rules, state.hands[player]) + undealt).all()
    plausible = np.asarray(rules_of.plausible_cards(rules, jnp.asarray(state.marks)))
    has_card = state.hands < rules.num_types
    assert plausible[has_card, state.hands[has_card]].all()
    assert not plausible[~has_card].any()
    returned = games.reward[n, : t + 1].sum()
    assert returned == (0 if rules.bomb_zero and state.lives == 0 else state.fireworks.sum())
    assert 0 <= state.hints <= rules.hints
    assert 0 <= state.lives <= rules.lives


@settings(deadline=None, max_examples=15)
@given(st.data())
@pytest.mark.slow
def test_another_hand_is_nothing_its_player_sees(data):
    rules, games, n, t = drawn_turn(data)
    state = jax.tree.map(lambda x: x[n, t], games.state)
    player = data.draw(st.integers(0, rules.players - 1))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    hand = consistent_hand(rules, state, player, rng)
    other = rules_of.with_hand(rules, jax.random.key(rng.integers(1000)), state, player, hand)
    assert (other.hands[player] == hand).all()
    np.testing.assert_array_equal(features(rules, other, player), features(rules, state, player))
    if player == state.player:
        legal = (rules_of.legal_actions(rules, each) for each in (state, other))
        np.testing.assert_array_equal(*legal)
    hidden = (counted(rules, s.deck[s.position :]) + counted(rules, s.hands[player]) for s in (state, other))
    np.testing.assert_array_equal(*hidden)
    others = np.arange(rules.players) != player
    np.testing.assert_array_equal(other.hands[others], state.hands[others])


def consistent_hand(rules, state, player, rng):
    """A hand that the player could have, by what it sees and was told: drawn anew until one fits."""
    plausible = np.asarray(rules_of.plausible_cards(rules, state.marks[player]))
    pool = np.repeat(np.arange(rules.num_types), np.asarray(rules_of.unseen_counts(rules, state, player)))
    count = int(plausible.any(axis=1).sum())
    hand = np.full(rules.hand_size, rules.num_types)
    for _ in range(10_000):
        hand[:count] = rng.permutation(pool)[:count]
        if plausible[np.arange(count), hand[:count]].all():
            return hand
    raise AssertionError("no consistent hand was drawn")


def test_redealt_decks_are_in_random_order():
    rules = HanabiRules()
    state = rules_of.deal(rules, np.repeat(np.arange(25), rules.full_counts))
    decks = jax.vmap(lambda key: rules_of.with_hand(rules, key, state, 0, state.hands[0]).deck)(
        jax.random.split(jax.random.key(0), 4000)
    )
    first = counted(rules, decks[:, state.position])
    rest = counted(rules, state.deck[state.position :])
    np.testing.assert_allclose(first / 4000, rest / rest.sum(), atol=0.02)
    np.testing.assert_array_equal(decks[:, :10], np.broadcast_to(state.deck[:10], (4000, 10)))


@pytest.mark.slow
def test_networks_learn_in_self_play():
    env, params = jrl.make("hanabi/tiny")
    config = jrl.agents.PPOConfig(
        num_envs=64, rollout_length=32, total_updates=120, discount=1.0, learning_rate=1e-3, ent_coef=0.01
    )
    run = jrl.train(jrl.agents.ppo(env, params, config), quick_compile=True)
    returns = run.metrics["episode/return"][0]
    assert returns[0] < 1.4
    assert returns[-10:].mean() > 2.2


@pytest.mark.slow
def test_more_than_two_play_themselves():
    env, params = jrl.make("hanabi/tiny", players=3)
    config = jrl.agents.PPOConfig(num_envs=4, rollout_length=8, total_updates=2, hidden_sizes=(16,))
    run = jrl.train(jrl.agents.ppo(env, params, config), quick_compile=True)
    assert np.isfinite(run.metrics["loss/policy"]).all()


def test_hands_by_number_of_players():
    assert [make("hanabi/standard", players=players).rules.hand_size for players in (2, 3, 4, 5)] == [5, 5, 4, 4]
    assert make("hanabi/7-card-4-hint", players=4).rules.hand_size == 7
    assert [HanabiRules(colors=1, ranks=r, hand_size=1).copies for r in (1, 2, 3)] == [(3,), (3, 1), (3, 2, 1)]


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("standart", {}, UnknownNameError, r"unknown Hanabi game 'standart': did you mean standard"),
        ("tiny", {"colours": 2}, UnknownNameError, r"unknown option of hanabi/tiny 'colours': did you mean colors"),
        ("standard", {"players": 6}, ConfigError, r"hanabi: players = 6: must be a whole number from 2 to 5"),
        ("standard", {"ranks": 2.0}, ConfigError, r"hanabi: ranks = 2.0: must be a whole number from 1 to 5"),
        ("standard", {"lives": 0}, ConfigError, r"hanabi: lives = 0: must be a whole number from 1 to 100"),
        ("standard", {"bomb_zero": 1}, ConfigError, r"hanabi: bomb_zero = 1: must be True or False"),
        ("tiny", {"hand_size": 5}, ConfigError, r"hand_size = 5: must be at most 4, with 8 cards for 2 players"),
    ],
)
def test_what_is_refused(name, options, error, message):
    with pytest.raises(error, match=message):
        jrl.make(f"hanabi/{name}", **options)
