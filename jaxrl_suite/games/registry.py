"""Games by name."""

import functools
from collections.abc import Callable
from typing import Any

from jaxrl_suite.games.boards import DarkHex
from jaxrl_suite.games.game import Game, compile_game
from jaxrl_suite.games.liars_dice import LiarsDice
from jaxrl_suite.games.poker import Kuhn, Leduc
from jaxrl_suite.games.small import PERTURBED_RPS, TINY_HANABI, Matrix, TinyHanabi
from jaxrl_suite.lookup import made

RULES: dict[str, Callable[..., Any]] = {
    "kuhn_poker": Kuhn,
    "leduc_poker": Leduc,
    "liars_dice": LiarsDice,
    "dark_hex": DarkHex,
    "perturbed_rps": functools.partial(Matrix, PERTURBED_RPS),
    **{f"tiny_hanabi_{name}": functools.partial(TinyHanabi, payoffs) for name, payoffs in TINY_HANABI.items()},
}


def list_games() -> list[str]:
    """Names that `load` takes."""
    return sorted(RULES)


def rules_of(name: str, **options: Any) -> Any:
    """The rules of a game. Raises UnknownNameError for another name, ConfigError for options it does not have."""
    return made("game", name, RULES, **options)


def load(name: str, **options: Any) -> Game:
    """A game, written out; the same arguments give the same object.

    Args:
        **options: of its rules: `sides` of liars_dice, `size` and `abrupt` of dark_hex.

    Raises:
        UnknownNameError: for another name. ConfigError: for options it does not have, or a game that is too large.
    """
    return _load(name, tuple(sorted(options.items())))


@functools.cache
def _load(name: str, options: tuple[tuple[str, Any], ...]) -> Game:
    shown = ", ".join(f"{key}={value}" for key, value in options)
    return compile_game(rules_of(name, **dict(options)), f"{name}({shown})" if shown else name)


def matrix_game(row_payoffs: Any, column_payoffs: Any = None, id: str = "matrix") -> Game:
    """A game in normal form; see `games.small.Matrix`."""
    return compile_game(Matrix(row_payoffs, column_payoffs), id)
