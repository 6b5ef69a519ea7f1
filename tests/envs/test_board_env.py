"""Board games in the dark, stepped by bits: the same games as their rules in plain Python."""

import jax
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.envs.board_env import winning_sets
from jaxrl_suite.errors import ConfigError, UnknownNameError
from jaxrl_suite.games import END
from jaxrl_suite.games.boards import DarkHex, PhantomTicTacToe
from tests.helpers import random_play

GAMES = [
    ("dark_hex", {}),
    ("dark_hex", {"abrupt": False}),
    ("dark_hex", {"size": 2}),
    ("phantom_tic_tac_toe", {}),
    ("phantom_tic_tac_toe", {"abrupt": True}),
]


@pytest.mark.parametrize(("name", "options"), GAMES)
def test_games_are_those_of_the_rules(name, options):
    """Random games side by side; and observations tell apart exactly what a player's information does."""
    env, params = jrl.make(f"board/{name}", **options)
    raw, _ = jrl.make(f"board/{name}", observation="raw", **options)
    rng, key = np.random.default_rng(0), jax.random.key(0)
    seen, known = {}, {}
    for _ in range(40):
        board = env.rules.start()
        observation, state = env.reset(key, params)
        steps = 0
        while env.rules.player(board) != END:
            numbers, player = raw.turns.observe(state, params), env.rules.player(board)
            legal = np.flatnonzero(env.turns.legal(observation, params))
            assert env.turns.player(observation, params) == player == raw.turns.player(numbers, params)
            assert legal.tolist() == env.rules.actions(board)
            np.testing.assert_array_equal(raw.turns.legal(numbers, params), env.turns.legal(observation, params))
            information = (player, env.rules.information(board))
            for shown, told in ((observation, seen), (numbers, known)):
                assert told.setdefault(np.asarray(shown).tobytes(), information) == information
            action = int(rng.choice(legal))
            observation, state, reward, is_over, is_cut = env.transition(key, state, action, params)
            board, steps = env.rules.after(board, action), steps + 1
            assert not is_cut
            assert bool(is_over) == (env.rules.player(board) == END)
            assert float(reward) == (env.rules.returns(board)[0] if is_over else 0.0)
            if not is_over:
                np.testing.assert_array_equal(observation, env.turns.observe(state, params))
        assert steps <= params.max_steps_in_episode
    for told in (seen, known):
        assert len(set(told.values())) == len(told)


def test_an_illegal_attempt_is_the_lowest_legal_one():
    env, params = jrl.make("board/dark_hex")
    _, state = env.reset(jax.random.key(0), params)
    for action in (0, 0):
        _, state, *_ = env.transition(jax.random.key(0), state, action, params)
    again = env.transition(jax.random.key(0), state, 0, params)[1]
    lowest = env.transition(jax.random.key(0), state, 1, params)[1]
    assert jax.tree.all(jax.tree.map(lambda x, y: bool((x == y).all()), again, lowest))


@pytest.mark.parametrize(
    ("name", "options", "value"),
    [
        ("dark_hex", {}, 0.266925705467),
        ("dark_hex", {"abrupt": False}, 1 / 3),
        ("phantom_tic_tac_toe", {}, 0.296825396825),
        ("phantom_tic_tac_toe", {"abrupt": True}, 0.316274827832),
    ],
)
def test_random_play_is_worth_what_it_is(name, options, value):
    env, params = jrl.make(f"board/{name}", **options)
    returns, ended = random_play(env, params, 20_000)
    assert ended.all()
    assert returns.mean() == pytest.approx(value, abs=4 * returns.std() / np.sqrt(returns.size))


def test_winning_sets():
    lines = [sum(1 << cell for cell in line) for line in PhantomTicTacToe.LINES]
    assert winning_sets(PhantomTicTacToe(), 0).tolist() == sorted(lines)
    downwards = set(winning_sets(DarkHex(3), 0).tolist())
    # Straight down, or down to the left; never down to the right: those cells do not touch.
    assert {0b001001001, 0b001010100} < downwards
    assert 0b100010001 not in downwards
    assert len(downwards) == len(winning_sets(DarkHex(3), 1)) == 11
    assert winning_sets(DarkHex(2), 0).tolist() == [0b0101, 0b0110, 0b1010]


@pytest.mark.slow
def test_larger_boards_play_too():
    env, params = jrl.make("board/dark_hex", size=4)
    returns, ended = random_play(env, params, 500)
    assert ended.all()
    assert set(np.unique(returns)) == {-1.0, 1.0}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: jrl.make("board/go"), UnknownNameError, r"unknown board game 'go'"),
        (lambda: jrl.make("board/dark_hex", size=5), ConfigError, r"board/dark_hex: size = 5: must be <= 4"),
        (lambda: jrl.make("board/dark_hex", size=0), ConfigError, r"size = 0: must be >= 1"),
        (lambda: jrl.make("board/phantom_tic_tac_toe", size=3), ConfigError, r"board/phantom_tic_tac_toe: .*size"),
        (lambda: jrl.make("board/dark_hex", observation="one_hot"), ConfigError, r"observation = 'one_hot'"),
    ],
)
def test_errors_say_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()
