"""What one player of a board game in the dark may see and not see, and what that is worth in uniform play: float64.

How it is written down, and computed, is this suite's own. The other player, whom the looked-at one (the responder)
cannot see, plays uniformly over the cells that are legal to it.

The responder's view is (mine, theirs): masks of its own stones, and of the other's that it ran into; the other cells
are open. What it does not see is one mask x: in open cells the other's stones, in its own cells those that the other
ran into. So the other may try the cells outside theirs and x, and every try adds its cell to x.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from jaxrl_suite.games.boards import EMPTY, DarkBoard

View = tuple[int, int]


class Node(NamedTuple):
    """A view at the responder's turn. cells: those open, one for each action of A. q: [X, A], expected return of an
    action and then uniform play. ends: [X, A], of it what comes of games that end before the responder's next turn."""

    cells: list[int]
    q: np.ndarray
    ends: np.ndarray


class Turn(NamedTuple):
    """A view at the other's turn. hidden: int [X]. moves: [X, Y], chances of the masks Y at the responder's next turn.
    ends: [X], expected return of games that end before."""

    hidden: np.ndarray
    moves: np.ndarray
    ends: np.ndarray


class Outcome(NamedTuple):
    """What may come of an action. rows: int [R], the masks with this outcome. view: the next one, None: the game is
    over. moves: [R, Y], chances of the masks there. ends: [R], expected return of games that end before."""

    rows: np.ndarray
    view: View | None
    moves: np.ndarray
    ends: np.ndarray


class Views:
    """What may happen from each view of one seat, and what it is worth in uniform play."""

    def __init__(self, rules: DarkBoard, seat: int):
        self.abrupt, self.seat, self.cells = rules.abrupt, seat, rules.num_actions
        self.full = (1 << self.cells) - 1
        self.i_win, self.they_win = wins = [_wins(rules, player) for player in (seat, 1 - seat)]
        self.like = _first_alike(rules.size, wins)
        self.node, self.turn = functools.cache(self._node), functools.cache(self._turn)
        self.hidden = functools.cache(self._hidden)

    def first_belief(self) -> np.ndarray:
        """[X], over the masks at the responder's first turn."""
        return self.turn((0, 0)).moves[0] if self.seat else np.ones(1)

    def uniform_value(self) -> float:
        """What the responder gets if it plays uniformly too."""
        return float(self.first_belief() @ self.node((0, 0)).q.mean(axis=1))

    def open(self, view: View) -> list[int]:
        return [cell for cell in range(self.cells) if not (view[0] | view[1]) >> cell & 1]

    def outcomes(self, view: View, cell: int) -> list[Outcome]:
        """What may come of trying a cell: a stone there, or a hidden one in the way."""
        (mine, theirs), hidden, bit = view, self.hidden(view), 1 << cell
        placed, blocked = np.flatnonzero(hidden & bit == 0), np.flatnonzero(hidden & bit)
        found = [self._placed(placed, hidden[placed], (mine | bit, theirs))] if len(placed) else []
        return found + ([self._blocked(blocked, hidden[blocked] & ~bit, (mine, theirs | bit))] if len(blocked) else [])

    def _placed(self, rows: np.ndarray, hidden: np.ndarray, view: View) -> Outcome:
        if self.i_win[view[0]]:
            return Outcome(rows, None, np.zeros((len(rows), 0)), np.ones(len(rows)))
        # A board that is full now is drawn, and worth 0.
        goes_on = self._goes_on(view, hidden)
        return self._handed_over(rows[goes_on], hidden[goes_on], view)

    def _blocked(self, rows: np.ndarray, hidden: np.ndarray, view: View) -> Outcome:
        if self.abrupt:
            return self._handed_over(rows, hidden, view)
        here = self.hidden(view)
        return Outcome(rows, view, (hidden[:, None] == here).astype(float), np.zeros(len(rows)))

    def _handed_over(self, rows: np.ndarray, hidden: np.ndarray, view: View) -> Outcome:
        turn = self.turn(view)
        at = np.searchsorted(turn.hidden, hidden)
        return Outcome(rows, view if turn.moves[at].any() else None, turn.moves[at], turn.ends[at])

    def _node(self, view: View) -> Node:
        hidden, cells = self.hidden(view), self.open(view)
        q, ends = np.zeros((2, len(hidden), len(cells)))
        for i, cell in enumerate(cells):
            for outcome in self.outcomes(view, cell):
                q[outcome.rows, i] = ends[outcome.rows, i] = outcome.ends
                if outcome.view is not None:
                    q[outcome.rows, i] += outcome.moves @ self.node(outcome.view).q.mean(axis=1)
        return Node(cells, q, ends)

    def _turn(self, view: View) -> Turn:
        tries = view[0].bit_count() - 1 + self.seat
        before, after = self._masks(view, tries), self._masks(view, tries + 1)
        before = before[self._goes_on(view, before)]
        new = np.bitwise_count(after & ~before[:, None])
        legal = np.bitwise_count(self.full & ~view[1] & ~before)
        moves = _chances(self.cells)[legal[:, None], new] * (before[:, None] & ~after == 0)
        lost = self.they_win[after & ~view[0] | view[1]]
        return Turn(before, moves[:, self._goes_on(view, after)], -moves[:, lost].sum(axis=1))

    def _hidden(self, view: View) -> np.ndarray:
        """Masks that the view allows at the responder's turn, int [X], in order."""
        hidden = self._masks(view, view[0].bit_count() + self.seat)
        return hidden[self._goes_on(view, hidden)]

    def _masks(self, view: View, tries: int) -> np.ndarray:
        """Masks after so many of the other's tries (abrupt) or stones (classical), lost and drawn boards too.

        Stones that the responder ran into are not in x any more. In the abrupt form each cost it a turn as well, so
        that the other's tries in x are as many as the responder's own stones tell.
        """
        mine, theirs = view
        masks = np.arange(self.full + 1)
        masks = masks[masks & theirs == 0]
        counted = np.bitwise_count(masks) if self.abrupt else np.bitwise_count(masks & ~mine) + theirs.bit_count()
        return masks[counted == tries]

    def _goes_on(self, view: View, hidden: np.ndarray) -> np.ndarray:
        """bool [X]: the other has not won, and there is an empty cell."""
        mine, theirs = view
        stones = hidden & ~mine | theirs
        return ~self.they_win[stones] & (stones | mine != self.full)


@functools.cache
def _chances(cells: int) -> np.ndarray:
    """[L + 1, n + 1]: chance that n tries, uniform among L legal cells without repeats, are a certain cell after n - 1
    certain others in any order."""
    table = np.zeros((cells + 1, cells + 1))
    for legal in range(1, cells + 1):
        for tries in range(1, legal + 1):
            ways = math.factorial(tries - 1) * math.factorial(legal - tries)
            table[legal, tries] = ways / math.factorial(legal)
    return table


def _wins(rules: DarkBoard, player: int) -> np.ndarray:
    """bool [2 ** cells]: does a player who has the stones of a mask win."""
    cells = range(rules.num_actions)
    boards = (tuple(player if mask >> c & 1 else EMPTY for c in cells) for mask in range(1 << rules.num_actions))
    return np.array([rules.winner(board) == player for board in boards])


def _first_alike(size: int, wins: list[np.ndarray]) -> list[int]:
    """Of each cell the first that a turn or reflection of the board, under which no win changes, takes it to."""
    grid = np.arange(size * size).reshape(size, size)
    turns = [np.rot90(side, k).ravel() for side in (grid, grid.T) for k in range(4)]
    bits = np.arange(1 << size * size)[:, None] >> np.arange(size * size) & 1
    kept = [turn for turn in turns if all((win[bits @ (1 << turn)] == win).all() for win in wins)]
    return np.min(kept, axis=0).tolist()
