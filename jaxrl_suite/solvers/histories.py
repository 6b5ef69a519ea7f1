"""Values that ask which history it is, not its information set alone: of beliefs, and of the other's next decision.

Sokota et al., The Update-Equivalence Framework for Decision-Time Planning, ICLR 2024 (arXiv 2304.13138), section 3.2:
belief fine-tuning and opponent updates. `tree_games.subgame_revision` is their third. Traced, in the caller's
precision.

A history is here a node at which somebody decides. An information set is of level l if a play passes at most l others,
of both players, on the way to it: whatever may have happened before is of earlier levels.
Symbols: I information sets, A actions; a level has L information sets, each with H histories or fewer.
"""

import graphlib
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.games.row_sums import RowSums, row_sums
from jaxrl_suite.games.rules import CHANCE, END
from jaxrl_suite.solvers.tree_games import Revise, action_values, per_visit


class Level(NamedTuple):
    """Sequences are numbered as in a game, but with its information sets in order of levels.

    infosets: int32 [L]. before: int32 [L], the owner's sequence before each. chance: float64 [L, H], how likely chance
    lets each history happen; 0 where there is none. other: int32 [L, H], the other player's sequence before. ends:
    float64 [2, L, H, A], payoffs right after an action, weighed by chance from there on, to the owner and to the other.
    following: sparse [L H A, 2 N], sums over the next histories, weighed likewise: N are in later levels, the last of
    them none; column c is history c with the same owner, N + c with the other.
    """

    infosets: np.ndarray
    before: np.ndarray
    chance: np.ndarray
    other: np.ndarray
    ends: np.ndarray
    following: RowSums


class Histories(NamedTuple):
    """levels: from the first decisions to the last. place: int32 [I], of each information set in order of levels."""

    levels: tuple[Level, ...]
    place: np.ndarray


_WRITTEN: weakref.WeakKeyDictionary[Any, Histories] = weakref.WeakKeyDictionary()
"""By a game's names, which only the game itself has; its arrays may be traced."""


def histories(game: Any) -> Histories:
    """A game's histories; written once a game, on the host.

    Raises:
        ConfigError: for a game in which of two information sets each may come before the other.
    """
    if game.names not in _WRITTEN:
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(game)):
            raise ConfigError(f"{game.id}: traced: must be given to histories(game) once before, outside jit and vmap")
        _WRITTEN[game.names] = _Writer(game).histories()
    return _WRITTEN[game.names]


def belief_revision(game: Any, policy: jax.Array, revise: Revise) -> tuple[jax.Array, jax.Array]:
    """(action values q [I, A], new policy [I, A]) of belief fine-tuning, from the first decisions to the last.

    How likely each history of an information set is follows from the new policies at all earlier decisions, what comes
    after it from the old ones.
    """
    return _from_the_first(game, _values(game, policy, policy)[0], revise)


def opponent_revision(game: Any, policy: jax.Array, revise: Revise) -> tuple[jax.Array, jax.Array]:
    """(action values q [I, A], new policy [I, A]) of opponent updates.

    At its next decision the other player follows what `revise` makes of plain action values; before, and at all later
    decisions, everybody follows the old policy.
    """
    expected = revise(action_values(game, policy).q, slice(None))
    q, _ = _from_the_first(game, _values(game, policy, expected)[1], lambda _, rows: policy[rows])
    return q, revise(q, slice(None))


def _values(game: Any, policy: jax.Array, expected: jax.Array) -> tuple[list[jax.Array], list[jax.Array]]:
    """What the owner of each history gets after each action, [L, H, A] a level, if all follow the policy; and if the
    other player does so but for its next decision, where it follows `expected`."""
    # What the owner of a later history and the other player get: by the policy; and each as it expects, its opponent's
    # next decision being another.
    own = other = owner_ahead = other_ahead = jnp.zeros(1)
    plain, ahead = [], []
    for level in reversed(histories(game).levels):
        old, new = (p[level.infosets][:, None] for p in (policy, expected))
        mine, theirs = _after(level, 0, own, other), _after(level, 1, other, own)
        plain.append(mine)
        ahead.append(_after(level, 0, owner_ahead, other_ahead))
        own, other = _joined(old * mine, own), _joined(old * theirs, other)
        owner_ahead, other_ahead = _joined(old * ahead[-1], owner_ahead), _joined(new * theirs, other_ahead)
    return plain[::-1], ahead[::-1]


def _after(level: Level, player: int, same: jax.Array, changed: jax.Array) -> jax.Array:
    """[L, H, A], to the owner (0) or the other (1), by values [N] of histories that have the same owner, or another."""
    ends = level.ends[player]
    return ends + (level.following @ jnp.concatenate([same, changed])).reshape(ends.shape)


def _joined(of_actions: jax.Array, later: jax.Array) -> jax.Array:
    """Values of a level's histories, sums over actions, before those of later levels."""
    return jnp.concatenate([jnp.sum(of_actions, axis=-1).reshape(-1), later])


def _from_the_first(game: Any, values: list[jax.Array], revise: Revise) -> tuple[jax.Array, jax.Array]:
    """Values of histories, [L, H, A] a level, averaged over those of each information set, which is then revised."""
    found, reach, revised = histories(game), jnp.ones(2), []
    for level, of_histories in zip(found.levels, values, strict=True):
        # Its owner reaches all histories of an information set alike.
        weight = level.chance * reach[level.other]
        q = per_visit(jnp.sum(weight[:, :, None] * of_histories, axis=1), jnp.sum(weight, axis=1))
        policy = revise(q, level.infosets)
        reach = jnp.concatenate([reach, (reach[level.before][:, None] * policy).reshape(-1)])
        revised.append((q, policy))
    assert len(reach) == 2 + game.num_infosets * game.num_actions
    q, policy = (jnp.concatenate(parts)[found.place] for parts in zip(*revised, strict=True))
    return q, policy


class _History(NamedTuple):
    """node: its number. chance: how likely chance lets it happen. last: each player's last information set, action."""

    node: int
    chance: float
    last: tuple[tuple[int, int] | None, tuple[int, int] | None]


class _Writer:
    """A walk over a game's nodes, and the arrays made of what it met."""

    def __init__(self, game: Any):
        self.game, self.legal = game, np.asarray(game.legal)
        self.nodes = jax.tree.map(np.asarray, game.nodes)
        # Of each information set its histories; of each history's node its number in order of levels.
        self.met: list[list[_History]] = [[] for _ in self.legal]
        self.number: dict[int, int] = {}
        self.place = np.empty(len(self.legal), np.int32)

    def histories(self) -> Histories:
        self._walk()
        levels = self._by_level()
        self.place[np.concatenate(levels)] = np.arange(len(self.legal))
        widths = [max(len(self.met[infoset]) for infoset in infosets) for infosets in levels]
        start, starts = 0, []
        for infosets, width in zip(levels, widths, strict=True):
            starts.append(start)
            for infoset in infosets:
                self.number |= {history.node: start + i for i, history in enumerate(self.met[infoset])}
                start += width
        # One more, which is none.
        starts.append(start)
        sizes = zip(levels, widths, starts[1:], strict=True)
        return Histories(tuple(self._level(*size, count=start + 1) for size in sizes), self.place)

    def _walk(self) -> None:
        ahead = [_History(0, 1.0, (None, None))]
        while ahead:
            before = ahead.pop()
            for node, probability in self._through_chance(before.node):
                player, infoset = self.nodes.player[node], int(self.nodes.infoset[node])
                if player == END:
                    continue
                here = before._replace(node=node, chance=before.chance * probability)
                self.met[infoset].append(here)
                for action in np.flatnonzero(self.legal[infoset]).tolist():
                    mine = (infoset, action)
                    last = (mine, here.last[1]) if player == 0 else (here.last[0], mine)
                    ahead.append(_History(int(self.nodes.children[node, action]), here.chance, last))

    def _through_chance(self, node: int) -> Iterator[tuple[int, float]]:
        """(node, probability) of what comes first that is not chance's."""
        if self.nodes.player[node] != CHANCE:
            yield node, 1.0
            return
        for child, probability in zip(self.nodes.children[node], self.nodes.probability[node], strict=True):
            # Rows are filled up with the root, which is nobody's child.
            if child:
                yield from ((after, probability * p) for after, p in self._through_chance(int(child)))

    def _by_level(self) -> list[np.ndarray]:
        """The information sets of each level."""
        earlier = {
            infoset: {last[0] for history in those for last in history.last if last is not None}
            for infoset, those in enumerate(self.met)
        }
        sorter, levels = graphlib.TopologicalSorter(earlier), []
        try:
            sorter.prepare()
        except graphlib.CycleError as error:
            first, then = (self.game.names.infosets[infoset] for infoset in error.args[1][:2])
            raise ConfigError(
                f"{self.game.id}: information set {first!r} may come before {then!r}, and after it: must be a game "
                "whose plays all pass its information sets in one order"
            ) from None
        while sorter.is_active():
            ready = sorter.get_ready()
            levels.append(np.array(sorted(ready), np.int32))
            sorter.done(*ready)
        return levels

    def _level(self, infosets: np.ndarray, width: int, first: int, count: int) -> Level:
        """width: H. first: the number of the first history of later levels. count: of all histories."""
        actions = self.legal.shape[1]
        chance = np.zeros((len(infosets), width))
        other, before = np.zeros(chance.shape, np.int32), np.zeros(len(infosets), np.int32)
        ends, following = np.zeros((2, *chance.shape, actions)), []
        for row, infoset in enumerate(infosets):
            owner = int(self.game.player[infoset])
            for column, here in enumerate(self.met[infoset]):
                before[row] = self._sequence(owner, here)
                chance[row, column], other[row, column] = here.chance, self._sequence(1 - owner, here)
                for action, node, probability in self._next(here.node, infoset):
                    if self.nodes.player[node] == END:
                        ends[:, row, column, action] += probability * self.nodes.returns[node, [owner, 1 - owner]]
                    else:
                        changed = (count - first) * (self.nodes.player[node] != owner)
                        place = (row * width + column) * actions + action
                        following.append((place, changed + self.number[node] - first, probability))
        rows, columns, weights = np.array(following).reshape(-1, 3).T
        sums = row_sums(rows.astype(int), columns.astype(int), weights, (ends[0].size, 2 * (count - first)))
        return Level(infosets, before, chance, other, ends, sums)

    def _next(self, node: int, infoset: int) -> Iterator[tuple[int, int, float]]:
        """(action, node, probability) of the next decisions and ends."""
        for action in np.flatnonzero(self.legal[infoset]).tolist():
            for after, probability in self._through_chance(int(self.nodes.children[node, action])):
                yield action, after, probability

    def _sequence(self, player: int, history: _History) -> int:
        last = history.last[player]
        return player if last is None else 2 + int(self.place[last[0]]) * self.legal.shape[1] + last[1]
