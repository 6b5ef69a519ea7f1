"""Maps of the gridworlds, drawn as text, and what their characters mean.

    #  wall           .  empty                       G  goal
    ~  lava           > v < ^  where the agent starts, and where it looks
    k  yellow key     L  yellow door, locked         d  blue door, closed        o  purple ball, the target

Empty rooms and the key corridor are MiniGrid's own. The others follow the idea of the MiniGrid family they are named
after, but where walls, gaps, doors and keys lie is this suite's choice: MiniGrid draws them at random. They have names
of their own (no `MiniGrid-` and no `-v0`), and their values are not to be compared with numbers published for MiniGrid.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxrl_suite.errors import ConfigError

EMPTY, WALL, DOOR, KEY, BALL, GOAL, LAVA, AGENT = 1, 2, 4, 5, 6, 8, 9, 10
"""What can stand in a cell, by MiniGrid's numbers."""

RED, GREEN, BLUE, PURPLE, YELLOW, GREY = range(6)
"""Colours, by MiniGrid's numbers."""

OPEN, CLOSED, LOCKED = range(3)
"""States of a door, by MiniGrid's numbers."""


class Symbol(NamedTuple):
    """What a cell shows: kind, colour and state, as MiniGrid encodes them."""

    kind: int
    colour: int
    state: int


LEGEND = {
    "#": Symbol(WALL, GREY, 0),
    ".": Symbol(EMPTY, RED, 0),
    "G": Symbol(GOAL, GREEN, 0),
    "~": Symbol(LAVA, RED, 0),
    "k": Symbol(KEY, YELLOW, 0),
    "o": Symbol(BALL, PURPLE, 0),
    "d": Symbol(DOOR, BLUE, CLOSED),
    "L": Symbol(DOOR, YELLOW, LOCKED),
}
STARTS = {">": 0, "v": 1, "<": 2, "^": 3}
"""Directions in which an agent can look, by the character that draws it."""


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """A map as arrays. All are NumPy's, int32; cells are (x, y), x to the right and y downwards.

    Attributes:
        ground: [H, W, 3], the symbol of every cell without agent, objects and doors.
        start: [2], cell of the agent. direction: 0 right, 1 down, 2 left, 3 up.
        objects: [O, 2], cells of keys and balls. object_symbols: [O, 3].
        target: number of the object whose pick-up solves the map, -1 where a goal does.
        doors: [D, 2], cells of doors. door_symbols: [D, 3], with the state they start in.
        num_actions: 3 (turns and forward), or 6 (with pick-up, drop and toggle).
    """

    ground: np.ndarray
    start: np.ndarray
    direction: int
    objects: np.ndarray
    object_symbols: np.ndarray
    target: int
    doors: np.ndarray
    door_symbols: np.ndarray
    num_actions: int

    @property
    def aim(self) -> np.ndarray | None:
        """Cell of the goal, [2]; None where an object is the target."""
        return None if self.target >= 0 else np.argwhere(self.ground[..., 0] == GOAL)[0][::-1].astype(np.int32)


def parse(rows: Sequence[str], num_actions: int = 6) -> Layout:
    """The layout that a drawing shows.

    Args:
        rows: equally long lines of the characters above, with walls all around, one agent, and one goal or ball.

    Raises:
        ConfigError: if the drawing is not such a map.
    """
    _check_drawing(rows)
    cells = [(x, y, char) for y, row in enumerate(rows) for x, char in enumerate(row)]
    x, y, start = next(cell for cell in cells if cell[2] in STARTS)
    objects = [cell for cell in cells if cell[2] in "ko"]
    doors = [cell for cell in cells if cell[2] in "dL"]
    ground = [[LEGEND[char if char in "#G~" else "."] for char in row] for row in rows]
    targets = [number for number, cell in enumerate(objects) if cell[2] == "o"]
    return Layout(
        ground=np.array(ground, np.int32),
        start=np.array([x, y], np.int32),
        direction=STARTS[start],
        objects=_cells(objects),
        object_symbols=_symbols(objects),
        target=targets[0] if targets else -1,
        doors=_cells(doors),
        door_symbols=_symbols(doors),
        num_actions=num_actions,
    )


def _cells(things: Sequence[tuple[int, int, str]]) -> np.ndarray:
    return np.array([(x, y) for x, y, _ in things], np.int32).reshape(-1, 2)


def _symbols(things: Sequence[tuple[int, int, str]]) -> np.ndarray:
    return np.array([LEGEND[char] for _, _, char in things], np.int32).reshape(-1, 3)


def _check_drawing(rows: Sequence[str]) -> None:
    """Raises ConfigError unless `rows` is a map in which nothing can be left or seen beyond its border."""
    drawn = "".join(rows)
    unknown = sorted(set(drawn) - set(LEGEND) - set(STARTS))
    if unknown:
        raise ConfigError(f"map: {unknown[0]!r}: must be one of {' '.join((*LEGEND, *STARTS))}")
    if len({len(row) for row in rows}) != 1:
        raise ConfigError("map: rows of different lengths: must be a rectangle")
    border = rows[0] + rows[-1] + "".join(row[0] + row[-1] for row in rows)
    if set(border) != {"#"}:
        raise ConfigError("map: its border must be walls")
    for what, characters in (("agent", tuple(STARTS)), ("goal or target", ("G", "o"))):
        count = sum(drawn.count(char) for char in characters)
        if count != 1:
            raise ConfigError(f"map: {count} of {what}: must be one")


def empty(size: int) -> tuple[str, ...]:
    """A square room, start in the upper left and goal in the lower right corner."""
    inside = size - 2
    first, last = "#>" + "." * (inside - 1) + "#", "#" + "." * (inside - 1) + "G#"
    return ("#" * size, first, *["#" + "." * inside + "#"] * (inside - 2), last, "#" * size)


KEY_CORRIDOR = (
    "#######",
    "#kd^Lo#",
    "#######",
)
"""MiniGrid's KeyCorridorS3R1, as its seed 0 draws it."""

DOOR_KEY_5 = (
    "#####",
    "#>#.#",
    "#.L.#",
    "#k#G#",
    "#####",
)

DOOR_KEY_6 = (
    "######",
    "#.>#.#",
    "#..L.#",
    "#k.#.#",
    "#..#G#",
    "######",
)

DOOR_KEY_8 = (
    "########",
    "#>..#..#",
    "#...#..#",
    "#...L..#",
    "#...#..#",
    "#k..#..#",
    "#...#.G#",
    "########",
)

LAVA_GAP_5 = (
    "#####",
    "#>~.#",
    "#...#",
    "#.~G#",
    "#####",
)

LAVA_GAP_6 = (
    "######",
    "#>.~.#",
    "#..~.#",
    "#....#",
    "#..~G#",
    "######",
)

LAVA_GAP_7 = (
    "#######",
    "#>.~..#",
    "#..~..#",
    "#..~..#",
    "#.....#",
    "#..~.G#",
    "#######",
)

LAVA_CROSSING_9 = (
    "#########",
    "#>..~...#",
    "#...~...#",
    "#.......#",
    "#...~...#",
    "#...~...#",
    "#~~~~~.~#",
    "#...~..G#",
    "#########",
)

SIMPLE_CROSSING_9 = tuple(row.replace("~", "#") for row in LAVA_CROSSING_9)
"""The lava crossing with walls for lava."""

FOUR_ROOMS = (
    "###################",
    "#........#........#",
    "#........#........#",
    "#..>.....#........#",
    "#........#........#",
    "#.................#",
    "#........#........#",
    "#........#........#",
    "#........#........#",
    "####.########.#####",
    "#........#........#",
    "#........#........#",
    "#.................#",
    "#........#........#",
    "#........#........#",
    "#........#.....G..#",
    "#........#........#",
    "#........#........#",
    "###################",
)

LAYOUTS: dict[str, Layout] = {
    **{f"grid/empty-{size}": parse(empty(size), num_actions=3) for size in (5, 6, 8, 16)},
    "grid/key-corridor": parse(KEY_CORRIDOR),
    "grid/door-key-5": parse(DOOR_KEY_5),
    "grid/door-key-6": parse(DOOR_KEY_6),
    "grid/door-key-8": parse(DOOR_KEY_8),
    "grid/lava-gap-5": parse(LAVA_GAP_5),
    "grid/lava-gap-6": parse(LAVA_GAP_6),
    "grid/lava-gap-7": parse(LAVA_GAP_7),
    "grid/simple-crossing-9": parse(SIMPLE_CROSSING_9),
    "grid/lava-crossing-9": parse(LAVA_CROSSING_9),
    "grid/four-rooms": parse(FOUR_ROOMS),
}
"""Layouts by id."""
