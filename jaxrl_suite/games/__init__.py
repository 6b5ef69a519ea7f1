"""Games of two players: rules in plain Python, written out as arrays once. Names load on first use.

game = load("leduc_poker")                              # list_games()
jaxrl_suite.solvers.exploitability(game, uniform_policy(game))
game = compile_game(MyRules())                          # your own: see `games.rules`
"""

from typing import TYPE_CHECKING

from jaxrl_suite.lazy import lazy_names

if TYPE_CHECKING:
    from jaxrl_suite.games.game import Game, compile_game
    from jaxrl_suite.games.markov import MarkovGame, markov_game, one_shot
    from jaxrl_suite.games.policies import check_policy, first_action_policy, random_policy, uniform_policy
    from jaxrl_suite.games.registry import list_games, load, matrix_game
    from jaxrl_suite.games.rules import CHANCE, END, Rules

_HOMES = {
    "CHANCE": "rules",
    "END": "rules",
    "Game": "game",
    "MarkovGame": "markov",
    "Rules": "rules",
    "check_policy": "policies",
    "compile_game": "game",
    "first_action_policy": "policies",
    "list_games": "registry",
    "load": "registry",
    "markov_game": "markov",
    "matrix_game": "registry",
    "one_shot": "markov",
    "random_policy": "policies",
    "uniform_policy": "policies",
}

__all__ = [
    "CHANCE",
    "END",
    "Game",
    "MarkovGame",
    "Rules",
    "check_policy",
    "compile_game",
    "first_action_policy",
    "list_games",
    "load",
    "markov_game",
    "matrix_game",
    "one_shot",
    "random_policy",
    "uniform_policy",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
