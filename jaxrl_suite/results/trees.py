"""Games of two players as pictures of their trees: who moves where, who cannot tell what apart, how a policy plays."""

import itertools
import os
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.results.plots import saved, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NODES = 400
"""Nodes of a picture in which single ones can still be found."""

# Who moves at a node, in the numbers of a game's arrays; the last is this module's, for what `depth` leaves out.
CHANCE, END, HIDDEN = -1, -2, -3


class _Look(NamedTuple):
    """label: in the legend. marker: matplotlib's. edge, face: colours. size: of an end's, relative to a player's."""

    label: str
    marker: str
    edge: str
    face: str
    size: float


# Edges from seaborn's "colorblind" palette, faces light enough for dark text; shapes tell the same without colour.
_LOOKS = {
    CHANCE: _Look("chance", "D", "#949494", "#EDEDED", 0.6),
    0: _Look("player 0", "o", "#0173B2", "#CFE6F5", 1.0),
    1: _Look("player 1", "s", "#DE8F05", "#FBE6C5", 0.9),
    END: _Look("end", ".", "#333333", "#333333", 0.3),
    HIDDEN: _Look("more below", "v", "#949494", "#FFFFFF", 0.5),
}
_LEAF, _LEVEL = 0.45, 1.2  # inches: from a leaf to the next at least, and from a move to the next
_NARROWEST, _WIDEST = 6.0, 30.0  # inches; what is wider shrinks
_NODE, _LARGEST_NODE = 25.0, 50.0  # points across, for short and for long names
_TEXT, _SMALL = 9.5, 8.0  # points
_LETTER = 0.62  # width of a letter over its size
_THIN, _THICK = 0.7, 4.0  # points, of actions never and always taken
_FAINT = 0.35  # opacity of actions never taken
_PLAIN = 1.5  # points, where no policy is given
_ALONG = 0.64  # where texts stand on edges, from the upper end: siblings are farther apart below


class _Tree(NamedTuple):
    """What is drawn: M nodes from the root on, each before its children, left before right; and its L leaves.

    number: int [M], in the game's arrays. parent: int [M], a place in these arrays, -1 for the root. branch: int [M],
    the parent's action or outcome that leads here. mover: int [M], whose turn it is, END or HIDDEN. x: float [M], in
    leaves from the left. level: int [M], moves from the root.
    """

    number: np.ndarray
    parent: np.ndarray
    branch: np.ndarray
    mover: np.ndarray
    x: np.ndarray
    level: np.ndarray

    @property
    def place(self) -> np.ndarray:
        """Where nodes are drawn, float [M, 2]: the root is on top."""
        return np.stack([self.x, -self.level], axis=1)

    @property
    def num_leaves(self) -> int:
        """L: ends, and nodes whose children are left out."""
        return int(np.sum(self.mover <= END))


def game_tree(
    game: Any,
    policy: ArrayLike | None = None,
    depth: int | None = None,
    path: str | os.PathLike | None = None,
    *,
    actions: Sequence[str] | None = None,
    title: str | None = None,
) -> "Figure":
    """A game's tree, root on top: nodes by who moves, with the names of information sets in them.

    Nodes of one information set are joined by dotted lines. Edges have the colour of who moves; on them stand
    actions and chances. Ends show payoffs: of player 0 where the game is zero-sum, else of both. Collections of the
    figure's axes are labelled as in the legend ("player 0", "end", ...; "moves" for the edges, in the order of a walk
    from left to right that meets a node before its children).

    Args:
        game: of two players, written out (`jaxrl_suite.games.load`, or `compile_game` of rules of your own).
        policy: joint policy [I, A]: the more likely an action, the thicker and darker its edge. None: all alike.
        depth: moves drawn, chance's included; what comes later is a triangle. None: the whole game.
        path: where to save, without suffix; writes `path.svg` and `path.png`.
        actions: what actions are called, [A]; by default their numbers.

    Raises:
        ConfigError: for more than `MOST_NODES` nodes (it says which depth can be drawn), a depth below 1, a policy that
            is none of this game's, or another number of actions' names.
        RunDirectoryError: the files cannot be written.
    """
    _check_size(game, depth)
    tree = _tree(game.nodes, depth)
    chances = _chances(game, tree, policy)
    names = _names(game, actions)
    with styled({"axes.grid": False}):
        from matplotlib.figure import Figure

        wanted = _leaf_width(game, tree, names, policy is not None) * tree.num_leaves
        width = float(np.clip(wanted + 0.4, _NARROWEST, _WIDEST))
        figure = Figure(figsize=(width, _LEVEL * (tree.level.max() + 1) + 0.6), layout="constrained")
        axes = figure.subplots()
        axes.axis("off")
        axes.set(xlim=(-0.7, tree.num_leaves - 0.3), ylim=(-tree.level.max() - 0.45, 0.35))
        scale = min(1.0, width / wanted)
        _draw_infosets(axes, game, tree, scale)
        _draw_moves(axes, tree, chances, policy is not None, scale)
        _draw_chances(axes, tree, chances, names, policy is not None, scale)
        _draw_nodes(axes, game, tree, scale)
        _draw_payoffs(axes, game, tree, scale)
        _explain(axes, game, tree, policy is not None)
        if title:
            axes.set_title(title)
        return saved(figure, path)


def _check_size(game: Any, depth: int | None) -> None:
    """Raises ConfigError where the tree, down to `depth`, has too many nodes to be drawn."""
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, (int, np.integer)) or depth < 1):
        raise ConfigError(f"depth = {depth!r}: must be a whole number of moves >= 1")
    sizes = _sizes(np.asarray(game.nodes.children))
    drawn = sizes[-1] if depth is None else sizes[min(int(depth), len(sizes) - 1)]
    if drawn <= MOST_NODES:
        return
    deepest = int(np.sum(sizes <= MOST_NODES)) - 1
    advice = (
        f"depth={deepest} draws {sizes[deepest]}" if deepest else f"its first move alone has {sizes[1] - 1:,} branches"
    )
    raise ConfigError(f"{game.id}: {drawn:,} nodes: at most {MOST_NODES} can be drawn; {advice}")


def _sizes(children: np.ndarray) -> np.ndarray:
    """Nodes at most so many moves from the root, int [moves + 1]."""
    counts, level = [1], np.zeros(1, int)
    while len(level):
        following = children[level]
        # Nothing leads back to the root, so that 0 is no child.
        level = following[following > 0]
        counts.append(len(level))
    return np.cumsum(counts[:-1])


def _tree(nodes: Any, depth: int | None) -> _Tree:
    children, player = np.asarray(nodes.children), np.asarray(nodes.player)
    rows, movers, waiting = [], [], [(0, -1, 0, 0)]
    while waiting:
        number, _, _, level = row = waiting.pop()
        branches = np.flatnonzero(children[number])
        is_cut = depth is not None and level >= depth and len(branches) > 0
        movers.append(HIDDEN if is_cut else player[number])
        if not is_cut:
            # The last in is the first out: left before right.
            waiting += [(int(children[number, b]), len(rows), int(b), level + 1) for b in branches[::-1]]
        rows.append(row)
    number, parent, branch, level = np.array(rows).T
    mover = np.array(movers)
    return _Tree(number, parent, branch, mover, _across(parent, mover), level)


def _across(parent: np.ndarray, mover: np.ndarray) -> np.ndarray:
    """Leaves at 0, 1, 2, ... from the left, all others in the middle of their children: float [M]."""
    is_leaf = mover <= END
    x = np.cumsum(is_leaf) - 1.0
    left, right = np.full(len(x), np.inf), np.full(len(x), -np.inf)
    for place in range(len(x) - 1, 0, -1):
        if not is_leaf[place]:
            x[place] = (left[place] + right[place]) / 2
        left[parent[place]] = min(left[parent[place]], x[place])
        right[parent[place]] = max(right[parent[place]], x[place])
    if not is_leaf[0]:
        x[0] = (left[0] + right[0]) / 2
    return x


def _chances(game: Any, tree: _Tree, policy: ArrayLike | None) -> np.ndarray:
    """How likely each node's mover chooses the way to the next, float [M - 1]; NaN for players without a policy."""
    by_infoset = np.full(np.shape(game.legal), np.nan) if policy is None else _checked(game, policy)
    above, branch = tree.number[tree.parent[1:]], tree.branch[1:]
    is_chance = tree.mover[tree.parent[1:]] == CHANCE
    found = np.empty(len(above))
    found[is_chance] = np.asarray(game.nodes.probability)[above, branch][is_chance]
    infoset = np.asarray(game.nodes.infoset)[above[~is_chance]]
    found[~is_chance] = by_infoset[infoset, branch[~is_chance]]
    return found


def _checked(game: Any, policy: ArrayLike) -> np.ndarray:
    """The policy as float64 [I, A]. Raises ConfigError, naming the information set, for what is none."""
    numbers, legal = np.asarray(policy, np.float64), np.asarray(game.legal)
    if numbers.shape != legal.shape:
        raise ConfigError(f"policy of {game.id}: shape {numbers.shape}: must be {list(legal.shape)}")
    is_row = np.isfinite(numbers).all(axis=1) & (numbers >= 0).all(axis=1) & ((numbers == 0) | legal).all(axis=1)
    is_row &= np.abs(numbers.sum(axis=1) - 1.0) <= 1e-5  # float32 rows are no nearer
    if not is_row.all():
        row = int(np.argmin(is_row))
        shown = np.array2string(numbers[row], precision=6)
        raise ConfigError(
            f"policy of {game.id} at {game.names.infosets[row]!r} (row {row}) = {shown}: must be probabilities of "
            "legal actions that sum to 1"
        )
    return numbers


def _names(game: Any, actions: Sequence[str] | None) -> Sequence[str]:
    count = np.shape(game.legal)[1]
    if actions is None:
        return [str(action) for action in range(count)]
    if len(actions) != count:
        raise ConfigError(f"actions = {actions!r}: {len(actions)} names: {game.id} has {count} actions")
    return actions


def _leaf_width(game: Any, tree: _Tree, names: Sequence[str], has_policy: bool) -> float:
    """Inches from a leaf to the next, so that texts of neighbours stay apart."""
    on_edges = max([*map(len, names), 4 if has_policy else 0]) * _SMALL / _ALONG
    payoffs = np.asarray(game.nodes.returns)[tree.number[tree.mover == END]]
    at_ends = max((len(line) for row in payoffs for line in _payoffs(game, row)), default=0) * _TEXT
    return max(_LEAF, (_LETTER * max(on_edges, at_ends) + 3.0) / 72.0)


def _draw_moves(axes: "Axes", tree: _Tree, chances: np.ndarray, has_policy: bool, scale: float) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgba

    place = tree.place
    ends = np.stack([place[tree.parent[1:]], place[1:]], axis=1)
    colours = np.array([to_rgba(_LOOKS[int(mover)].edge) for mover in tree.mover[tree.parent[1:]]]).reshape(-1, 4)
    widths = np.full(len(ends), _PLAIN)
    if has_policy:
        widths = _THIN + (_THICK - _THIN) * chances
        colours[:, 3] = _FAINT + (1.0 - _FAINT) * chances
    axes.add_collection(
        LineCollection(list(ends), colors=colours, linewidths=widths * scale, zorder=2, label="moves"), autolim=False
    )


def _draw_chances(
    axes: "Axes", tree: _Tree, chances: np.ndarray, names: Sequence[str], has_policy: bool, scale: float
) -> None:
    """Texts on the edges."""
    place = tree.place
    for node, likely in enumerate(chances, start=1):
        above = tree.parent[node]
        is_chance = tree.mover[above] == CHANCE
        text = _fraction(likely) if is_chance else names[tree.branch[node]]
        if has_policy and not is_chance:
            text = f"{text}\n{likely:.2f}"
        x, y = (1.0 - _ALONG) * place[above] + _ALONG * place[node]
        axes.text(
            x, y, text, ha="center", va="center", fontsize=_SMALL * scale, color="0.25", linespacing=0.95, zorder=3,
            bbox={"boxstyle": "square,pad=0.12", "facecolor": "white", "edgecolor": "none"},
        )  # fmt: skip


def _fraction(likely: float) -> str:
    """1/3 where that is what it is, else two digits."""
    found = Fraction(float(likely)).limit_denominator(120)
    return str(found) if abs(float(found) - likely) < 1e-9 else f"{likely:.2g}"


def _draw_nodes(axes: "Axes", game: Any, tree: _Tree, scale: float) -> None:
    infosets = np.asarray(game.nodes.infoset)[tree.number]
    texts = [game.names.infosets[i] if mover >= 0 else "" for i, mover in zip(infosets, tree.mover, strict=True)]
    across = float(np.clip(_LETTER * _TEXT * max(map(len, texts)) + 10.0, _NODE, _LARGEST_NODE))
    for mover, look in _LOOKS.items():
        where = tree.place[tree.mover == mover]
        if len(where):
            axes.scatter(
                *where.T, s=(across * look.size * scale) ** 2, marker=look.marker, facecolors=look.face,
                edgecolors=look.edge, linewidths=1.8 * scale, zorder=4, label=look.label,
            )  # fmt: skip
    for (x, y), text in zip(tree.place, texts, strict=True):
        if text:
            size = min(_TEXT, (across - 8.0) / (_LETTER * len(text)))
            axes.text(x, y, text, ha="center", va="center", fontsize=size * scale, zorder=5)


def _draw_payoffs(axes: "Axes", game: Any, tree: _Tree, scale: float) -> None:
    returns = np.asarray(game.nodes.returns)[tree.number]
    for (x, y), of_both in zip(tree.place[tree.mover == END], returns[tree.mover == END], strict=True):
        axes.annotate(
            "\n".join(_payoffs(game, of_both)), (x, y), (0, -6 * scale), textcoords="offset points", ha="center",
            va="top", fontsize=_TEXT * scale, zorder=5,
        )  # fmt: skip


def _payoffs(game: Any, of_both: np.ndarray) -> list[str]:
    """Lines of text: what player 0 gets, signed, where that says all; else what each gets."""
    shown = [f"{value:+.3g}" for value in of_both[:1]] if game.is_zero_sum else [f"{value:.3g}" for value in of_both]
    return ["0" if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}") for text in shown]


def _draw_infosets(axes: "Axes", game: Any, tree: _Tree, scale: float) -> None:
    """Neighbours in an information set are joined by an arc, the flatter the nearer they are."""
    from matplotlib.collections import LineCollection

    infosets = np.where(tree.mover >= 0, np.asarray(game.nodes.infoset)[tree.number], -1)
    arcs, colours = [], []
    for infoset in np.unique(infosets[infosets >= 0]):
        members = np.flatnonzero(infosets == infoset)
        members = members[np.argsort(tree.x[members])]
        for one, other in itertools.pairwise(members):
            arcs.append(_arc(tree.place[one], tree.place[other], tree.num_leaves))
            colours.append(_LOOKS[int(tree.mover[one])].edge)
    if arcs:
        lines = LineCollection(
            arcs, colors=colours, linewidths=1.4 * scale, linestyles=":", zorder=1, label="information set"
        )
        axes.add_collection(lines, autolim=False)


def _arc(one: np.ndarray, other: np.ndarray, num_leaves: int) -> np.ndarray:
    """Points of a parabola over two nodes, [40, 2]: above them, as payoffs stand below."""
    t = np.linspace(0.0, 1.0, 40)[:, None]
    height = 0.55 * (abs(other[0] - one[0]) / num_leaves) ** 0.7
    return one + t * (other - one) + 4.0 * t * (1.0 - t) * np.array([0.0, height])


def _explain(axes: "Axes", game: Any, tree: _Tree, has_policy: bool) -> None:
    from matplotlib.lines import Line2D

    handles: list[Any] = [
        Line2D(
            [], [], linestyle="none", marker=look.marker, markersize=12 * max(look.size, 0.7), label=look.label,
            markerfacecolor=look.face, markeredgecolor=look.edge, markeredgewidth=1.8,
        )
        for mover, look in _LOOKS.items() if np.any(tree.mover == mover)
    ]  # fmt: skip
    if any(collection.get_label() == "information set" for collection in axes.collections):
        handles.append(Line2D([], [], linestyle=":", color="0.4", label="information set"))
    notes = ["payoffs: player 0's" if game.is_zero_sum else "payoffs: player 0's above player 1's"]
    if has_policy:
        notes.append("thick and dark: likely under the policy")
    legend = axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=len(handles), title="; ".join(notes),
        columnspacing=1.2, handletextpad=0.4, fontsize=9.5,
    )  # fmt: skip
    legend.get_title().set(fontsize=9, color="0.4")
