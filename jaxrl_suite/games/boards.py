"""Board games in the dark: each player sees its own stones, and those of the other that it has run into."""

import abc
import functools
from typing import NamedTuple

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.games.rules import END, NoChance

EMPTY = -1


class BoardState(NamedTuple):
    """stones: EMPTY, 0 or 1 of each cell. seen: what each player's own view has in each cell. attempts: of each player,
    what it tried in order. turn: whose turn it is."""

    stones: tuple[int, ...]
    seen: tuple[tuple[int, ...], tuple[int, ...]]
    attempts: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    turn: int = 0


class DarkBoard(NoChance, abc.ABC):
    """What both games share. Action: a cell, row by row, that is empty in the player's own view.

    A hidden stone of the other stops the move and is seen from then on; in the abrupt form the turn is lost too, in
    the classical one the player moves again.
    """

    def __init__(self, size: int, abrupt: bool):
        if size < 1:
            raise ConfigError(f"size = {size}: must be >= 1")
        self.size, self.abrupt, self.num_actions = size, abrupt, size * size

    def start(self) -> BoardState:
        none = (EMPTY,) * self.num_actions
        return BoardState(none, (none, none))

    def player(self, state: BoardState) -> int:
        return END if self.is_over(state.stones) else state.turn

    def actions(self, state: BoardState) -> list[int]:
        return [cell for cell, stone in enumerate(state.seen[state.turn]) if stone == EMPTY]

    def after(self, state: BoardState, action: int) -> BoardState:
        me, stones = state.turn, state.stones
        is_free = stones[action] == EMPTY
        if is_free:
            stones = _put(stones, action, me)
        seen = _put(state.seen, me, _put(state.seen[me], action, stones[action]))
        attempts = _put(state.attempts, me, (*state.attempts[me], action))
        return BoardState(stones, seen, attempts, 1 - me if is_free or self.abrupt else me)

    def information(self, state: BoardState) -> str:
        """What was tried in order, and what came of it: `4x` where a stone was in the way."""
        view = state.seen[state.turn]
        return " ".join(f"{cell}{'' if view[cell] == state.turn else 'x'}" for cell in state.attempts[state.turn])

    def is_over(self, stones: tuple[int, ...]) -> bool:
        return EMPTY not in stones or self.winner(stones) != EMPTY

    def returns(self, state: BoardState) -> tuple[float, float]:
        value = {EMPTY: 0.0, 0: 1.0, 1: -1.0}[self.winner(state.stones)]
        return value, -value

    @abc.abstractmethod
    def winner(self, stones: tuple[int, ...]) -> int:
        """0, 1 or EMPTY."""


class DarkHex(DarkBoard):
    """Dark hex: player 0 joins the first and last row, player 1 the first and last column. No draws."""

    def __init__(self, size: int = 2, abrupt: bool = True):
        super().__init__(size, abrupt)

    def winner(self, stones: tuple[int, ...]) -> int:
        return self._joined(stones)

    @functools.cache  # noqa: B019 (games live as long as the program)
    def _joined(self, stones: tuple[int, ...]) -> int:
        size = self.size
        for player in (0, 1):
            line = [cell if player == 0 else cell * size for cell in range(size)]
            reached, new = set(), {cell for cell in line if stones[cell] == player}
            while new:
                reached |= new
                new = {n for cell in new for n in self._neighbours(cell) if stones[n] == player} - reached
            if any((cell // size if player == 0 else cell % size) == size - 1 for cell in reached):
                return player
        return EMPTY

    def _neighbours(self, cell: int) -> list[int]:
        row, column = divmod(cell, self.size)
        around = ((-1, 0), (-1, 1), (0, 1), (1, 0), (1, -1), (0, -1))
        inside = [(row + r, column + c) for r, c in around]
        return [r * self.size + c for r, c in inside if 0 <= r < self.size and 0 <= c < self.size]


class PhantomTicTacToe(DarkBoard):
    """Tic-tac-toe in the dark. Three in a row win; a full board is a draw."""

    LINES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))

    def __init__(self, abrupt: bool = False):
        super().__init__(3, abrupt)

    def winner(self, stones: tuple[int, ...]) -> int:
        for a, b, c in self.LINES:
            if stones[a] == stones[b] == stones[c] != EMPTY:
                return stones[a]
        return EMPTY


def _put(values: tuple, index: int, value: object) -> tuple:
    return (*values[:index], value, *values[index + 1 :])
