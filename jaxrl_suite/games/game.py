"""Games as arrays: the whole tree once, and what of it solvers and learners need.

I information sets of both players, sorted so that a player's own come after those it passed before; A actions; S = 2 +
I A sequences: 0 and 1 are the players' empty ones, 2 + i A + a is action a in information set i (legal or not).
A joint policy is one array [I, A], whose rows are distributions over legal actions.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from flax import struct

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.games.row_sums import RowSums, row_sums
from jaxrl_suite.games.rules import CHANCE, END, Rules

MOST_NODES = 2_000_000
"""Larger trees are refused: they would not fit into memory as lists of Python objects."""

MOST_DEPTH = 400
"""Deeper ones too: the walk is recursive."""


@struct.dataclass
class Nodes:
    """All nodes, in the order they were met; node 0 is the root.

    player: int32 [N], or CHANCE or END. infoset: int32 [N], at a player's turn. children: int32 [N, K], by legal action
    at a player's turn (the action's own number; 0 where illegal), by outcome at chance's. probability: float64 [N, K],
    of outcomes. returns: float64 [N, 2], at ends.
    """

    player: Any
    infoset: Any
    children: Any
    probability: Any
    returns: Any


class Names:
    """Texts of a game; equal only to itself, so that comparing programs stays cheap."""

    def __init__(self, id: str, infosets: Sequence[str]):
        self.id, self.infosets = id, tuple(infosets)

    def __repr__(self) -> str:
        return f"<{self.id}, {len(self.infosets)} information sets>"


@struct.dataclass
class Game:
    """A game of two players, whole.

    legal: bool [I, A]. player: int32 [I], whose information set it is. parent: int32 [I], the owner's sequence before
    it. gains: sparse [S + I, S], float64: with the reach x of all sequences, row s < S is the payoff of s's owner that
    ends right after s, weighed by chance and by the other's reach; row S + i is how likely chance and the other player
    let i happen. meets: sparse [S, I]: with the owner's reach of i, how likely i happens right after the other
    player's sequence s. children: one a level, sparse: sums of its information sets' values by the sequence before
    them. ends: float64 [Z, 2], payoffs; ends_chance: float64 [Z]; ends_sequence: int32 [Z, 2], both players' last
    sequences. levels: information sets i with levels[l] <= i < levels[l + 1] have l of their owner's before them.
    is_zero_sum: whether the payoffs of every end add up to nothing. longest: decisions of the longest play.
    chances_in_a_row: the most without a decision between.
    """

    legal: Any
    player: Any
    parent: Any
    gains: RowSums
    meets: RowSums
    children: tuple[RowSums, ...]
    ends: Any
    ends_chance: Any
    ends_sequence: Any
    nodes: Nodes
    levels: tuple[int, ...] = struct.field(pytree_node=False)
    is_zero_sum: bool = struct.field(pytree_node=False)
    longest: int = struct.field(pytree_node=False)
    chances_in_a_row: int = struct.field(pytree_node=False)
    names: Names = struct.field(pytree_node=False)

    @property
    def id(self) -> str:
        return self.names.id

    @property
    def num_infosets(self) -> int:
        return self.legal.shape[0]

    @property
    def num_actions(self) -> int:
        return self.legal.shape[1]

    @property
    def max_steps_in_episode(self) -> int:
        """Decisions of the longest play."""
        return self.longest

    def infoset(self, name: str, player: int | None = None) -> int:
        """The number of an information set.

        Raises:
            ConfigError: for a name there is not, or that both players have where no player is given.
        """
        found = [i for i, text in enumerate(self.names.infosets) if text == name and player in (None, self.player[i])]
        if not found:
            raise ConfigError(f"{self.id}: no information set {name!r}; the first are {self.names.infosets[:4]}")
        if len(found) > 1:
            raise ConfigError(f"{self.id}: both players have an information set {name!r}: give player=")
        return found[0]

    def __repr__(self) -> str:
        return f"<Game {self.id}, {self.num_infosets} information sets, {len(np.asarray(self.ends))} ends>"


def compile_game(rules: Rules, id: str = "mine", most_nodes: int = MOST_NODES) -> Game:
    """Writes a game out.

    Raises:
        ConfigError: for a game that is too large (it says how large), whose chances are no probabilities, that leaves
            a player without an action, or in which a player forgets what it did.
    """
    size = estimated_size(rules)
    if size == math.inf:
        raise ConfigError(f"{id}: does not end within {MOST_DEPTH} moves")
    if size > 3 * most_nodes:
        raise ConfigError(f"{id}: about {size:.1g} nodes: at most {most_nodes:,} can be written out")
    return _Writer(rules, id, most_nodes).game()


def estimated_size(rules: Rules, probes: int = 200) -> float:
    """Nodes of the tree, estimated by random descents (Knuth 1975): exact on average, often below for ragged trees.

    Infinite where a descent does not end within `MOST_DEPTH` nodes.
    """
    rng, total = np.random.default_rng(0), 0.0
    for _ in range(probes):
        state, ways = rules.start(), 1.0
        for _ in range(MOST_DEPTH):
            total += ways / probes
            following = _following(rules, state)
            if not following:
                break
            ways *= len(following)
            state = following[rng.integers(len(following))]
        else:
            return math.inf
    return total


def _following(rules: Rules, state: Any) -> list[Any]:
    player = rules.player(state)
    if player == END:
        return []
    if player == CHANCE:
        return [after for after, _ in rules.chances(state)]
    return [rules.after(state, action) for action in rules.actions(state)]


class _Writer:
    """One walk over the tree, which fills lists, and the arrays made of them."""

    def __init__(self, rules: Rules, id: str, most_nodes: int):
        self.rules, self.id, self.most_nodes = rules, id, most_nodes
        self.infosets: dict[tuple[int, Any], int] = {}
        self.before: list[tuple[int, int] | None] = []
        self.legal: list[tuple[int, ...]] = []
        self.owner: list[int] = []
        self.nodes: list[tuple[int, int, list[int], list[float], tuple[float, float]]] = []
        self.ends: list[tuple[tuple, float, tuple[float, float]]] = []
        self.visits: list[tuple[int, tuple, float]] = []
        self.longest = self.chances = 0

    def game(self) -> Game:
        self._walk(self.rules.start(), 1.0, (None, None), 0, 0)
        return self._arrays()

    def _walk(self, state: Any, chance: float, last: tuple, depth: int, chances: int) -> int:
        """Writes the subtree; returns its root's number.

        Args:
            last: each player's last (information set, action). depth: decisions so far. chances: those just before.
        """
        self.chances = max(self.chances, chances)
        number = len(self.nodes)
        if number >= self.most_nodes:
            raise ConfigError(f"{self.id}: more than {self.most_nodes:,} nodes: too large to be written out")
        player = self.rules.player(state)
        self.nodes.append((player, 0, [], [], (0.0, 0.0)))
        if player == END:
            self.longest = max(self.longest, depth)
            returns = self.rules.returns(state)
            self.ends.append((last, chance, returns))
            self.nodes[number] = (player, 0, [], [], returns)
        elif player == CHANCE:
            outcomes = self.rules.chances(state)
            likely = [probability for _, probability in outcomes]
            if not math.isclose(math.fsum(likely), 1.0, abs_tol=1e-9) or min(likely) < 0:
                raise ConfigError(f"{self.id}: chances at {state} are {likely}: must be probabilities that sum to 1")
            children = [self._walk(after, chance * p, last, depth, chances + 1) for after, p in outcomes]
            self.nodes[number] = (player, 0, children, likely, (0.0, 0.0))
        else:
            infoset = self._infoset(state, player, last[player])
            self.visits.append((infoset, last, chance))
            children = [0] * self.rules.num_actions
            for action in self.legal[infoset]:
                mine = (infoset, action)
                after = (mine, last[1]) if player == 0 else (last[0], mine)
                children[action] = self._walk(self.rules.after(state, action), chance, after, depth + 1, 0)
            self.nodes[number] = (player, infoset, children, [], (0.0, 0.0))
        return number

    def _infoset(self, state: Any, player: int, before: tuple[int, int] | None) -> int:
        key, actions = (player, self.rules.information(state)), tuple(self.rules.actions(state))
        if not actions or min(actions) < 0 or max(actions) >= self.rules.num_actions:
            raise ConfigError(
                f"{self.id}: actions {list(actions)} of player {player} at {key[1]!r}: must be some of 0 to "
                f"{self.rules.num_actions - 1}"
            )
        found = self.infosets.setdefault(key, len(self.infosets))
        if found == len(self.before):
            self.before.append(before)
            self.legal.append(actions)
            self.owner.append(player)
        if self.before[found] != before or self.legal[found] != actions:
            what = "came to it by another of its own actions" if self.legal[found] == actions else "may act otherwise"
            raise ConfigError(
                f"{self.id}: information set {key[1]!r} of player {player}: in another situation of it the player "
                f"{what}; information must tell them apart (perfect recall)"
            )
        return found

    def _arrays(self) -> Game:
        depth = np.zeros(len(self.before), int)
        for infoset, before in enumerate(self.before):
            # What comes before was met before.
            depth[infoset] = 0 if before is None else depth[before[0]] + 1
        order = np.argsort(depth, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        actions = self.rules.num_actions

        def sequence(player: int, last: tuple[int, int] | None) -> int:
            return player if last is None else 2 + int(place[last[0]]) * actions + last[1]

        owner = np.array(self.owner, np.int32)[order]
        legal = np.zeros((len(order), actions), bool)
        for infoset, those in enumerate(self.legal):
            legal[place[infoset], list(those)] = True
        parent = np.array([sequence(self.owner[i], self.before[i]) for i in order], np.int32)
        ends_sequence = np.array([[sequence(p, last[p]) for p in (0, 1)] for last, _, _ in self.ends], np.int32)
        ends_chance = np.array([chance for _, chance, _ in self.ends])
        ends = np.array([returns for _, _, returns in self.ends], np.float64)
        levels = np.searchsorted(depth[order], np.arange(depth.max() + 2))
        total = 2 + len(order) * actions
        texts = [str(information) for _, information in self.infosets]
        visited = np.array([place[i] for i, _, _ in self.visits])
        others = np.array([sequence(1 - self.owner[i], last[1 - self.owner[i]]) for i, last, _ in self.visits])
        chances = np.array([chance for _, _, chance in self.visits])
        rows = np.concatenate([ends_sequence[:, 0], ends_sequence[:, 1], total + visited])
        columns = np.concatenate([ends_sequence[:, 1], ends_sequence[:, 0], others])
        weights = np.concatenate([ends_chance * ends[:, 0], ends_chance * ends[:, 1], chances])
        return Game(
            legal=legal,
            player=owner,
            parent=parent,
            gains=row_sums(rows, columns, weights, (total + len(order), total)),
            meets=row_sums(others, visited, chances, (total, len(order))),
            children=tuple(self._children(parent, levels, level, actions) for level in range(len(levels) - 1)),
            ends=ends,
            ends_chance=ends_chance,
            ends_sequence=ends_sequence,
            nodes=self._nodes(place),
            levels=tuple(levels.tolist()),
            is_zero_sum=bool(np.allclose(ends.sum(axis=1), 0.0)),
            longest=self.longest,
            chances_in_a_row=self.chances,
            names=Names(self.id, [texts[i] for i in order]),
        )

    @staticmethod
    def _children(parent: np.ndarray, levels: np.ndarray, level: int, actions: int) -> RowSums:
        """Sums of the level's values by the sequences of the level above; for the first by the two empty ones."""
        start, end = levels[level], levels[level + 1]
        if level == 0:
            rows, above = parent[start:end], 2
        else:
            first = levels[level - 1]
            rows, above = parent[start:end] - (2 + first * actions), (start - first) * actions
        return row_sums(rows, np.arange(end - start), np.ones(end - start), (int(above), int(end - start)))

    def _nodes(self, place: np.ndarray) -> Nodes:
        width = max(len(children) for _, _, children, _, _ in self.nodes)
        count = len(self.nodes)
        children, probability = np.zeros((count, width), np.int32), np.zeros((count, width))
        for number, (_, _, following, likely, _) in enumerate(self.nodes):
            children[number, : len(following)] = following
            probability[number, : len(likely)] = likely
        player = np.array([p for p, *_ in self.nodes], np.int32)
        infoset = np.where(player >= 0, place[[i for _, i, *_ in self.nodes]], 0).astype(np.int32)
        returns = np.array([r for *_, r in self.nodes], np.float64)
        return Nodes(player, infoset, children, probability, returns)
