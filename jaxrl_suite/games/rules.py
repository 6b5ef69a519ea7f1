"""What a game is: its rules, in plain Python. Everything else (arrays, judges, environments) is made from them."""

from collections.abc import Hashable, Sequence
from typing import Any, Protocol

CHANCE, END = -1, -2
"""What `Rules.player` says where a die is cast, and where the game is over."""


class Rules(Protocol):
    """A finite game of two players with perfect recall.

    States are hashable values of the rules' own. Players are 0 and 1. At a player's turn all it knows is `information`,
    which must not be the same for two situations that it could tell apart by what it saw and did before.

    Attributes:
        num_actions: actions are 0 to num_actions - 1, for both players.
    """

    num_actions: int

    def start(self) -> Any:
        """The state before anything has happened."""
        ...

    def player(self, state: Any) -> int:
        """Whose turn it is: 0, 1, CHANCE or END."""
        ...

    def chances(self, state: Any) -> Sequence[tuple[Any, float]]:
        """At chance's turn: what may follow, each with its probability."""
        ...

    def actions(self, state: Any) -> Sequence[int]:
        """At a player's turn: the legal actions."""
        ...

    def after(self, state: Any, action: int) -> Any:
        """The state that an action leads to."""
        ...

    def information(self, state: Any) -> Hashable:
        """At a player's turn: what that player knows. Its text names the information set."""
        ...

    def returns(self, state: Any) -> tuple[float, float]:
        """At the end: what each player gets."""
        ...


class NoChance:
    """What rules without chance moves inherit."""

    def chances(self, state: Any) -> Sequence[tuple[Any, float]]:
        raise NotImplementedError("there is no chance in it")
