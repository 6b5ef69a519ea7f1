"""Liar's Dice with one die each."""

from typing import NamedTuple

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.games.rules import CHANCE, END


class DiceState(NamedTuple):
    dice: tuple[int, ...] = ()
    bids: tuple[int, ...] = ()


class LiarsDice:
    """Both roll one die of `sides` in secret; bids rise in turn until one is doubted.

    Bid b stands for b // sides + 1 dice of face b % sides + 1; the last face counts as any. Action 2 * sides is
    "liar", legal after a bid. Raises ConfigError for fewer than two sides.
    """

    def __init__(self, sides: int = 4):
        if sides < 2:
            raise ConfigError(f"sides = {sides}: must be >= 2")
        self.sides, self.liar = sides, 2 * sides
        self.num_actions = 2 * sides + 1

    def start(self) -> DiceState:
        return DiceState()

    def player(self, state: DiceState) -> int:
        if len(state.dice) < 2:
            return CHANCE
        return END if state.bids and state.bids[-1] == self.liar else len(state.bids) % 2

    def chances(self, state: DiceState) -> list[tuple[DiceState, float]]:
        return [(DiceState((*state.dice, face)), 1 / self.sides) for face in range(self.sides)]

    def actions(self, state: DiceState) -> range:
        # The one action beyond the bids, "liar", is higher than any, but needs one.
        return range(state.bids[-1] + 1, self.liar + 1) if state.bids else range(self.liar)

    def after(self, state: DiceState, action: int) -> DiceState:
        return state._replace(bids=(*state.bids, action))

    def information(self, state: DiceState) -> str:
        return f"{state.dice[self.player(state)] + 1}:{'-'.join(map(str, state.bids))}"

    def returns(self, state: DiceState) -> tuple[float, float]:
        bid = state.bids[-2]
        count, face = bid // self.sides + 1, bid % self.sides
        shown = sum(die in (face, self.sides - 1) for die in state.dice)
        bidder = len(state.bids) % 2
        value = 1.0 if (shown >= count) == (bidder == 0) else -1.0
        return value, -value
