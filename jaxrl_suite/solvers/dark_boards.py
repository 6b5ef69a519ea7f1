"""Board games in the dark against uniform play: exact values where the tree is too large to be written out.

One player, the responder, is looked at; the other plays uniformly over the cells that are legal to it. The search is
that of Sokota et al., The Update-Equivalence Framework for Decision-Time Planning, ICLR 2024 (arXiv 2304.13138), in its
limit of infinitely many particles. How it is computed here is this suite's own.

An information set is a view (see `dark_views`) and a belief over what is hidden, which depends on the order of the
responder's tries. Those of one view are computed together, as columns: beliefs are [X, N], with X masks that the view
allows and N information sets.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.games.boards import DarkBoard
from jaxrl_suite.solvers.dark_views import Outcome, View, Views

SIZES = (2, 3)
SETTLED = 2
"""With so many open cells the next move is the last choice: what follows is what follows in uniform play."""
TIE = 1e-10
"""Action values that differ by less are tied: equal ones differ by rounding."""


class DarkResponses(NamedTuple):
    """What a responder gets against uniform play, by what it plays itself.

    uniform: uniform play, float. best: its best response, float. searched: float64 [T], one step of search at every
    information set, by step size.
    """

    uniform: float
    best: float
    searched: np.ndarray


def dark_uniform_value(rules: DarkBoard) -> float:
    """What player 0 gets if both play uniformly over their legal cells, float64.

    Args:
        rules: `DarkHex` of size 2 or 3, or `PhantomTicTacToe`.

    Raises:
        ConfigError: for another game or size.
    """
    return Views(_checked(rules), 0).uniform_value()


def dark_responses(rules: DarkBoard, seat: int, taus: Sequence[float] = ()) -> DarkResponses:
    """Exact values of one player's answers to uniform play, to that player.

    Search plays softmax(tau q(h, .)) at every information set h, where q(h, a) is the expected return if it plays a and
    then both play uniformly: one step of magnetic mirror descent from uniform play towards a uniform magnet, tau =
    eta / (1 + eta alpha). At an infinite tau it plays uniformly over the best actions.

    A game of 3 x 3 cells takes a few seconds and less than half a gigabyte.

    Args:
        rules: `DarkHex` of size 2 or 3, or `PhantomTicTacToe`.
        seat: which player answers, 0 or 1.
        taus: [T] step sizes >= 0, which may be infinite.

    Raises:
        ConfigError: for another game, size or seat, and for a tau that is negative or no number.
    """
    if seat not in (0, 1):
        raise ConfigError(f"seat = {seat}: must be 0 or 1")
    for tau in taus:
        if not tau >= 0:
            raise ConfigError(f"taus: {tau}: must be >= 0, and may be infinite")
    views = Views(_checked(rules), seat)
    root = _Group(views, (0, 0), views.first_belief()[:, None], taus)
    # First moves that a symmetry of the board takes to each other are worth the same: one of each kind is followed.
    root.tried = [(cell, cell) for cell in sorted(set(views.like))]
    _fill([root], views, taus)
    root.following = root.following[:, views.like]
    *searched, best = root.values()[:, 0]
    return DarkResponses(views.uniform_value(), float(best), np.array(searched))


def _checked(rules: DarkBoard) -> DarkBoard:
    if not isinstance(rules, DarkBoard):
        raise ConfigError(f"rules = {rules!r}: must be a board game in the dark (DarkHex or PhantomTicTacToe)")
    if rules.size not in SIZES:
        raise ConfigError(f"rules.size = {rules.size}: must be one of {SIZES}, at most 9 cells")
    return rules


class _Group:
    """The information sets of one view.

    beliefs: [X, N], chances of the masks by the other's play alone. following: [T + 1, A, N], what each action is worth
    times the sum of those, by step size, and to the best response. tried: (action, cell) of those that are followed.
    """

    def __init__(self, views: Views, view: View, beliefs: np.ndarray, taus: Sequence[float]):
        self.view, self.node, self.beliefs, self.taus = view, views.node(view), beliefs, taus
        self.tried = list(enumerate(self.node.cells))
        self.following = np.repeat((self.node.ends.T @ beliefs)[None], len(taus) + 1, axis=0)

    def values(self) -> np.ndarray:
        """[T + 1, N]"""
        return _played(self.node.q.T @ self.beliefs, self.beliefs.sum(axis=0), self.following, self.taus)


class _Way(NamedTuple):
    """A way into a view: from which group, by which action, with what outcome."""

    group: _Group
    action: int
    outcome: Outcome


def _fill(groups: Iterable[_Group], views: Views, taus: Sequence[float]) -> None:
    """Works out `following` of all information sets after the same number of tries."""
    deeper = []
    for view, ways in _ways_on(groups, views).items():
        beliefs, kept = _gathered(ways)
        group = _Group(views, view, beliefs, taus)
        if len(group.tried) == SETTLED + 1:
            _add_settled(group, views)
            _send_back(group, ways, kept)
        else:
            deeper.append((group, ways, kept))
    if deeper:
        _fill([group for group, _, _ in deeper], views, taus)
    for group, ways, kept in deeper:
        _send_back(group, ways, kept)


def _ways_on(groups: Iterable[_Group], views: Views) -> dict[View, list[_Way]]:
    ways: dict[View, list[_Way]] = defaultdict(list)
    for group in groups:
        for action, cell in group.tried:
            for outcome in views.outcomes(group.view, cell):
                if outcome.view is not None:
                    ways[outcome.view].append(_Way(group, action, outcome))
    return ways


def _gathered(ways: list[_Way]) -> tuple[np.ndarray, list[np.ndarray]]:
    """(beliefs [X, N], of each way the information sets before from which it may happen at all)."""
    beliefs, kept = [], []
    for group, _, outcome in ways:
        after = outcome.moves.T @ group.beliefs[outcome.rows]
        kept.append(np.flatnonzero(after.any(axis=0)))
        beliefs.append(after[:, kept[-1]])
    return np.concatenate(beliefs, axis=1), kept


def _send_back(group: _Group, ways: list[_Way], kept: list[np.ndarray]) -> None:
    ends = np.cumsum([len(sets) for sets in kept])
    for way, sets, values in zip(ways, kept, np.split(group.values(), ends[:-1], axis=1), strict=True):
        way.group.following[:, way.action, sets] += values


def _add_settled(group: _Group, views: Views) -> None:
    """Adds what follows where the choice is the last one: no beliefs are needed there, all is linear in those here."""
    for _, action, outcome in itertools.chain(*_ways_on([group], views).values()):
        beliefs = group.beliefs[outcome.rows]
        q = (outcome.moves @ views.node(outcome.view).q).T @ beliefs
        mass = outcome.moves.sum(axis=1) @ beliefs
        group.following[:, action] += _played(q, mass, np.broadcast_to(q, (len(group.taus) + 1, *q.shape)), group.taus)


def _played(q: np.ndarray, mass: np.ndarray, following: np.ndarray, taus: Sequence[float]) -> np.ndarray:
    """[T + 1, N]: following [T + 1, A, N] averaged by softmax(tau q / mass), and at last its maximum. q: [A, N]."""
    behind = (q - q.max(axis=0)) / np.where(mass > 0, mass, 1.0)
    values = np.empty((len(taus) + 1, len(mass)))
    for t, tau in enumerate(taus):
        weight = np.exp(tau * behind) if math.isfinite(tau) else (behind >= -TIE).astype(float)
        values[t] = (weight * following[t]).sum(axis=0) / weight.sum(axis=0)
    values[-1] = following[-1].max(axis=0)
    return values
