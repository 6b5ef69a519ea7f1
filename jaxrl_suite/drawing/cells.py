"""Worlds of cells: gridworlds, tabular MDPs whose states have places, and gymnax's mazes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnax.environments.bsuite.catch import Catch
from gymnax.environments.bsuite.deep_sea import DeepSea
from gymnax.environments.misc.frozen_lake import FrozenLake
from gymnax.environments.misc.meta_maze import MetaMaze
from gymnax.environments.misc.rooms import FourRooms

from jaxrl_suite.drawing.canvas import BLUE, DEEP, GOLD, GREEN, ICE, LINE, PAPER, RED, SAND, STONE, WATER, Canvas, mixed
from jaxrl_suite.drawing.scenes import Kind, Scene, every
from jaxrl_suite.envs.gridworld_images import grid_image
from jaxrl_suite.envs.gridworlds import GridWorld
from jaxrl_suite.envs.robust_tabular import EAST, KernelEnv
from jaxrl_suite.envs.tabular import TabularEnv
from jaxrl_suite.envs.tabular_families import MAPS

Place = tuple[int, int]
"""(row, column), rows downwards."""

TILES = {".": PAPER, "#": STONE, "S": PAPER, "F": ICE, "H": DEEP, "G": GREEN, "~": WATER, "$": GOLD, "_": SAND}
"""Colours of cells by their characters: floor, wall, start, ice, hole, goal, sea, treasure, ground."""


def cells(colours: Any, agent: Place, colour: tuple[int, int, int] = RED) -> np.ndarray:
    """A board of coloured cells with the agent in one of them, uint8 [H n, W n, 3], n pixels a cell.

    Args:
        colours: ints [H, W, 3].
    """
    colours = np.asarray(colours)
    rows, columns = colours.shape[:2]
    pixels = int(np.clip(400 // max(rows, columns), 8, 48))
    canvas = Canvas(0, columns, 0, rows, width=columns * pixels, background=LINE)
    for row, column in np.ndindex(rows, columns):
        red, green, blue = (int(x) for x in colours[row, column])
        bottom = rows - 1 - row
        canvas.rectangle(column + 0.02, bottom + 0.02, column + 0.98, bottom + 0.98, (red, green, blue))
    row, column = (int(x) for x in agent)
    canvas.disc((column + 0.5, rows - row - 0.5), 0.32, colour)
    return canvas.image()


def _tiles(rows: Any) -> np.ndarray:
    return np.array([[TILES[tile] for tile in row] for row in rows])


def _frozen_lake(scene: Scene) -> np.ndarray:
    rows = MAPS[int(np.sqrt(scene.params.num_states))]
    return cells(_tiles(rows), divmod(int(scene.state[0]), len(rows)))


def _sea(size: int, row: int, column: int) -> np.ndarray:
    """The stages downwards, and the ground that is reached at the end."""
    sea = ["~" * size for _ in range(size - 1)] + ["~" * (size - 1) + "$", "_" * size]
    return cells(_tiles(sea), (row, column))


def _deep_sea(scene: Scene) -> np.ndarray:
    column, stage = scene.state
    return _sea(scene.params.num_states, int(stage), int(column))


def _chain(scene: Scene) -> np.ndarray:
    row = "." * (scene.params.num_states - 1) + "$"
    return cells(_tiles([row]), (0, int(scene.state[0])))


def _windy_walk(scene: Scene) -> np.ndarray:
    """The bluer, the more often the wind of the kernel in force takes a step."""
    mdp = scene.params
    columns = mdp.num_states // 6
    place = np.arange(mdp.num_states)
    ends = np.all(np.asarray(mdp.rewards) == 0.0, axis=1)
    # Who goes east is blown to the cell before; nobody comes to another row by it.
    wind = np.asarray(mdp.transitions)[place, EAST, np.maximum(place - 1, 0)]
    colours = [mixed(PAPER, BLUE, 0.8 * float(w)) for w in wind]
    colours = [STONE if ends[s] else colour for s, colour in enumerate(colours)]
    colours[columns - 1] = GREEN
    return cells(np.reshape(colours, (6, columns, 3)), divmod(int(scene.state[0]), columns))


TABULAR: dict[str, Callable[[Scene], np.ndarray]] = {
    "tabular/frozen-lake": _frozen_lake,
    "tabular/deep-sea": _deep_sea,
    "tabular/chain": _chain,
    "robust/windy-walk": _windy_walk,
    "robust/windy-walk-long": _windy_walk,
}
"""Tabular MDPs whose states have places, by id."""

_PLACED = Kind(lambda scene: TABULAR[scene.env.id](scene), every(0.2), lambda env: env.id in TABULAR)


def _gymnax_lake(scene: Scene) -> np.ndarray:
    tiles = np.array([TILES[tile] for tile in "SFHG"])
    return cells(tiles[np.asarray(scene.env.desc)], divmod(int(scene.state.position), scene.env.ncol))


def _gymnax_sea(scene: Scene) -> np.ndarray:
    return _sea(scene.env.size, int(scene.state.row), int(scene.state.column))


def _maze(scene: Scene) -> np.ndarray:
    colours = np.where(np.asarray(scene.env.env_map)[..., None] > 0, PAPER, STONE)
    colours[tuple(np.asarray(scene.state.goal))] = GREEN
    return cells(colours, tuple(np.asarray(scene.state.pos)))


def _catch(scene: Scene) -> np.ndarray:
    colours = np.full((scene.env.rows, scene.env.columns, 3), PAPER)
    colours[int(scene.state.paddle_y), int(scene.state.paddle_x)] = BLUE
    return cells(colours, (scene.state.ball_y, scene.state.ball_x))


KINDS: dict[type, Kind] = {
    GridWorld: Kind(lambda scene: grid_image(scene.env, scene.state), every(0.2)),
    TabularEnv: _PLACED,
    KernelEnv: _PLACED,
    FrozenLake: Kind(_gymnax_lake, every(0.2)),
    DeepSea: Kind(_gymnax_sea, every(0.2)),
    FourRooms: Kind(_maze, every(0.2)),
    MetaMaze: Kind(_maze, every(0.2)),
    Catch: Kind(_catch, every(0.2)),
}
