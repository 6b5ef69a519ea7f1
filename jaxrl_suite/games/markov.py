"""Zero-sum Markov games of two players who move at once, as arrays."""

from typing import Any

import numpy as np
from flax import struct

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.rows import check_rows


@struct.dataclass
class MarkovGame:
    """What the protagonist gets, the adversary loses. Made by `markov_game` or `one_shot`, which check it.

    transitions: P(s'|s,a,o), [S, A, O, S]. rewards: r(s,a,o) to the protagonist, [S, A, O]. initial: distribution of
    the first state, [S]. discount: gamma, in [0, 1). horizon: steps of an episode when it is played; None: it goes on.
    """

    transitions: Any
    rewards: Any
    initial: Any
    discount: Any
    horizon: int | None = struct.field(pytree_node=False, default=None)

    @property
    def num_states(self) -> int:
        """S."""
        return int(self.rewards.shape[-3])

    @property
    def num_actions(self) -> int:
        """A O, both players' choices in one: a O + o."""
        return int(self.rewards.shape[-2] * self.rewards.shape[-1])

    @property
    def max_steps_in_episode(self) -> int | None:
        return self.horizon


def markov_game(
    transitions: Any, rewards: Any, discount: float, initial: int = 0, horizon: int | None = None
) -> MarkovGame:
    """A game from its arrays, float64.

    Args:
        initial: the first state.

    Raises:
        ConfigError: for other shapes, rewards that are not finite, rows that are no distributions, a discount outside
            [0, 1), or a first state that there is not.
    """
    transitions, rewards = np.array(transitions, np.float64), np.array(rewards, np.float64)
    if rewards.ndim != 3 or 0 in rewards.shape or transitions.shape != (*rewards.shape, rewards.shape[0]):
        raise ConfigError(f"shapes {transitions.shape} and {rewards.shape}: must be [S, A, O, S] and [S, A, O]")
    if not np.isfinite(rewards).all():
        raise ConfigError("rewards: must be finite")
    check_rows("transitions", transitions)
    if not 0.0 <= discount < 1.0:
        raise ConfigError(f"discount = {discount}: must be >= 0 and < 1")
    if not 0 <= initial < len(rewards):
        raise ConfigError(f"initial = {initial}: must be a state between 0 and {len(rewards) - 1}")
    return MarkovGame(transitions, rewards, np.eye(len(rewards))[initial], np.float64(discount), horizon)


def one_shot(payoffs: Any) -> MarkovGame:
    """A matrix [rows, columns] of what the row gets, played once.

    Raises:
        ConfigError: for payoffs that are no finite matrix.
    """
    payoffs = checked_matrix(payoffs)
    return markov_game(np.ones((1, *payoffs.shape, 1)), payoffs[None], 0.0, horizon=1)


def checked_matrix(payoffs: Any) -> np.ndarray:
    """float64 [rows, columns].

    Raises:
        ConfigError: for payoffs that are no finite matrix.
    """
    payoffs = np.asarray(payoffs, np.float64)
    if payoffs.ndim != 2 or 0 in payoffs.shape or not np.isfinite(payoffs).all():
        raise ConfigError(f"payoffs of shape {payoffs.shape}: must be a finite matrix [rows, columns]")
    return payoffs


def tilted_pennies() -> MarkovGame:
    """Two by two with value 1/5, both players at (2/5, 3/5)."""
    return one_shot([[2, -1], [-1, 1]])


def biased_rock_paper_scissors() -> MarkovGame:
    """Rock, paper, scissors where one win counts double: value 1/12, at (1/4, 5/12, 1/3) and (1/3, 5/12, 1/4)."""
    return one_shot([[0, -1, 2], [1, 0, -1], [-1, 1, 0]])


def many_columns() -> MarkovGame:
    """A game of value 1 with one best row strategy and a line of best columns (t, 2t, 1 - 3t)."""
    return one_shot([[3, 0, 1], [-1, 2, 1]])


def two_states() -> MarkovGame:
    """Two states, two actions each, discount 0.9: soft values of one critic and of two are far apart on it."""
    second = np.array([[[0.8, 0.1], [0.3, 0.6]], [[0.2, 0.9], [0.5, 0.4]]])
    rewards = [[[1, 0], [0, 2]], [[0, 3], [1, -1]]]
    return markov_game(np.stack([1.0 - second, second], axis=-1), rewards, 0.9)


GAMES = {
    "markov/tilted-pennies": tilted_pennies,
    "markov/biased-rps": biased_rock_paper_scissors,
    "markov/many-columns": many_columns,
    "markov/two-states": two_states,
}

IDS = tuple(GAMES)
"""Ids of the games of this module, as environments."""
