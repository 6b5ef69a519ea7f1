"""Board games in the dark against uniform play: what the spec lists, what the tree solvers say, and refusals."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.games import load, matrix_game, uniform_policy
from jaxrl_suite.games.boards import DarkHex, PhantomTicTacToe
from jaxrl_suite.solvers import best_response, dark_responses, dark_uniform_value, expected_returns
from jaxrl_suite.solvers.tree_games import action_values
from tests.known_answers.ledger import known_answer

TAUS = (1, 2, 5, 10, 20, 50, np.inf)
GAMES = {
    "abrupt dark hex": DarkHex(3, abrupt=True),
    "classical dark hex": DarkHex(3, abrupt=False),
    "abrupt tic-tac-toe": PhantomTicTacToe(abrupt=True),
    "classical tic-tac-toe": PhantomTicTacToe(abrupt=False),
}
UNIFORM = {
    "abrupt dark hex": 0.266925705467,
    "classical dark hex": 0.333333333333,
    "abrupt tic-tac-toe": 0.316274827832,
    "classical tic-tac-toe": 0.296825396825,
}
BEST = {
    "abrupt dark hex": (0.9080302028, 0.6171792328),
    "classical dark hex": (1.0, 0.8328042328),
    "abrupt tic-tac-toe": (0.8471395503, 0.3915288801),
    "classical tic-tac-toe": (0.953125, 0.6243386243),
}
SEARCHED = {
    "abrupt dark hex": (
        (0.406496, 0.522196, 0.727026, 0.848627, 0.895985, 0.906427, 0.906851),
        (-0.047255, 0.111649, 0.372651, 0.528960, 0.595549, 0.613390, 0.612935),
    ),
    "classical tic-tac-toe": (
        (0.431025, 0.542135, 0.749175, 0.876879, 0.923606, 0.929524, 0.929688),
        (-0.099298, 0.057463, 0.347705, 0.526401, 0.595545, 0.608276, 0.608466),
    ),
}
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in GAMES if name != "classical tic-tac-toe"]


def stepped(game, tau):
    """softmax(tau q) of uniform play, or the best actions alike, at all information sets."""
    with jrl.float64():
        q = np.asarray(action_values(game, jnp.asarray(uniform_policy(game))).q)
    behind = np.where(game.legal, q - np.where(game.legal, q, -np.inf).max(axis=1, keepdims=True), 0.0)
    weight = game.legal * (behind > -1e-9 if np.isinf(tau) else np.exp(tau * behind))
    return weight / weight.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("abrupt", [True, False])
@pytest.mark.parametrize("seat", [0, 1])
def test_small_games_are_worth_what_their_trees_say(abrupt, seat):
    game, taus = load("dark_hex", size=2, abrupt=abrupt), (0, 0.3, *TAUS)
    uniform, mine = uniform_policy(game), np.asarray(game.player)[:, None] == seat
    found = dark_responses(DarkHex(2, abrupt), seat, taus)
    assert found.uniform == pytest.approx(expected_returns(game, uniform)[seat], abs=1e-12)
    assert found.best == pytest.approx(best_response(game, uniform).value[seat], abs=1e-12)
    known = [expected_returns(game, np.where(mine, stepped(game, tau), uniform))[seat] for tau in taus]
    np.testing.assert_allclose(found.searched, known, atol=1e-12)


@known_answer("mirror_descent_search/dark-boards")
@pytest.mark.parametrize(("name", "known"), UNIFORM.items())
def test_uniform_against_uniform(name, known):
    assert dark_uniform_value(GAMES[name]) == pytest.approx(known, abs=1e-12)


@known_answer("mirror_descent_search/dark-boards")
@pytest.mark.parametrize("name", [*SLOW, pytest.param("classical tic-tac-toe", marks=pytest.mark.slow)])
def test_answers_to_uniform_play(name):
    for seat in (0, 1):
        found = dark_responses(GAMES[name], seat, (0, *TAUS))
        assert found.best == pytest.approx(BEST[name][seat], abs=1e-10)
        assert found.searched[0] == pytest.approx(found.uniform, abs=1e-12)
        assert (found.searched <= found.best + 1e-12).all()
        if name in SEARCHED:
            np.testing.assert_allclose(found.searched[1:], SEARCHED[name][seat], atol=6e-7)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dark_uniform_value(DarkHex(4)), r"rules.size = 4: must be one of \(2, 3\), at most 9 cells"),
        (lambda: dark_responses(DarkHex(1), 0), r"rules.size = 1: must be one of"),
        (lambda: dark_uniform_value(matrix_game([[1.0]])), r"rules = .*: must be a board game in the dark"),
        (lambda: dark_responses(DarkHex(2), 2), r"seat = 2: must be 0 or 1"),
        (lambda: dark_responses(DarkHex(2), 0, (1, -1)), r"taus: -1: must be >= 0"),
        (lambda: dark_responses(DarkHex(2), 0, (np.nan,)), r"taus: nan: must be >= 0"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
