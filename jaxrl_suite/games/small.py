"""Games of one move each: matrices, and Tiny Hanabi."""

from typing import Any, NamedTuple

import numpy as np

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.games.rules import CHANCE, END, NoChance


class MoveState(NamedTuple):
    cards: tuple[int, ...] = ()
    actions: tuple[int, ...] = ()


class Matrix(NoChance):
    """Both choose at once. Player 0 the row.

    Args:
        row_payoffs: what player 0 gets, [rows, columns].
        column_payoffs: what player 1 gets; None: the opposite.

    Raises:
        ConfigError: for payoffs of other shapes, or that are not finite.
    """

    def __init__(self, row_payoffs: Any, column_payoffs: Any = None):
        rows = np.asarray(row_payoffs, np.float64)
        columns = -rows if column_payoffs is None else np.asarray(column_payoffs, np.float64)
        if rows.ndim != 2 or 0 in rows.shape or columns.shape != rows.shape:
            raise ConfigError(f"payoffs: shapes {rows.shape} and {columns.shape}: must be [rows, columns], both")
        if not (np.isfinite(rows).all() and np.isfinite(columns).all()):
            raise ConfigError("payoffs: must be finite")
        self.payoffs, self.num_actions = np.stack([rows, columns]), max(rows.shape)

    def start(self) -> MoveState:
        return MoveState()

    def player(self, state: MoveState) -> int:
        return END if len(state.actions) == 2 else len(state.actions)

    def actions(self, state: MoveState) -> range:
        return range(self.payoffs.shape[1 + len(state.actions)])

    def after(self, state: MoveState, action: int) -> MoveState:
        return state._replace(actions=(*state.actions, action))

    def information(self, state: MoveState) -> str:
        return "row" if self.player(state) == 0 else "column"

    def returns(self, state: MoveState) -> tuple[float, float]:
        first, second = self.payoffs[:, *state.actions]
        return float(first), float(second)


class TinyHanabi:
    """A card each, drawn with replacement; player 0 acts in sight of player 1, who then acts; both get the payoff.

    Args:
        payoffs: [cards, cards, actions, actions], of both cards and both actions.

    Raises:
        ConfigError: for payoffs of another shape.
    """

    def __init__(self, payoffs: Any):
        self.payoffs = np.asarray(payoffs, np.float64)
        shape = self.payoffs.shape
        if self.payoffs.ndim != 4 or shape[0] != shape[1] or shape[2] != shape[3]:
            raise ConfigError(f"payoffs: shape {shape}: must be [cards, cards, actions, actions]")
        self.num_cards, self.num_actions = shape[0], shape[2]

    def start(self) -> MoveState:
        return MoveState()

    def player(self, state: MoveState) -> int:
        if len(state.cards) < 2:
            return CHANCE
        return END if len(state.actions) == 2 else len(state.actions)

    def chances(self, state: MoveState) -> list[tuple[MoveState, float]]:
        return [(MoveState((*state.cards, card)), 1 / self.num_cards) for card in range(self.num_cards)]

    def actions(self, state: MoveState) -> range:
        return range(self.num_actions)

    def after(self, state: MoveState, action: int) -> MoveState:
        return state._replace(actions=(*state.actions, action))

    def information(self, state: MoveState) -> str:
        who = self.player(state)
        return f"{who}:{state.cards[who]}{''.join(map(str, state.actions))}"

    def returns(self, state: MoveState) -> tuple[float, float]:
        value = float(self.payoffs[*state.cards, *state.actions])
        return value, value


TINY_HANABI = {
    "A": [[[[0, 1], [0, 0]], [[0, 1], [3, 2]]], [[[3, 3], [3, 2]], [[2, 0], [3, 3]]]],
    "B": [[[[1, 0], [1, 0]], [[0, 1], [0, 1]]], [[[0, 1], [0, 0]], [[1, 0], [1, 0]]]],
    "C": [[[[3, 0], [0, 3]], [[2, 0], [3, 3]]], [[[2, 2], [3, 0]], [[0, 1], [0, 2]]]],
    "D": [[[[3, 0], [1, 3]], [[3, 0], [3, 0]]], [[[3, 2], [0, 2]], [[0, 1], [0, 0]]]],
    "E": [
        [[[10, 0, 0], [4, 8, 4], [10, 0, 0]], [[0, 0, 10], [4, 8, 4], [0, 0, 10]]],
        [[[0, 0, 10], [4, 8, 4], [0, 0, 0]], [[10, 0, 0], [4, 8, 4], [10, 0, 0]]],
    ],
    "F": [
        [[[0, 3], [3, 2]], [[0, 0], [0, 1]], [[3, 1], [2, 1]]],
        [[[0, 2], [0, 1]], [[1, 2], [1, 2]], [[0, 1], [0, 3]]],
        [[[1, 3], [1, 2]], [[0, 3], [2, 2]], [[3, 1], [3, 0]]],
    ],
}
"""Payoffs of the suite's six games, by player 0's card, player 1's card, player 0's action, player 1's action."""

PERTURBED_RPS = [[0.5, 0.0, 1.0], [1.0, 0.5, 1 / 3], [0.0, 2 / 3, 0.5]]
"""Rock, paper, scissors with unequal stakes, scaled to [0, 1]; Nash equilibrium (1/7, 3/7, 3/7)."""
