"""Boards: games in the dark, pgx's, and Tetris on two rows. Player 0 has the dark stones, or crosses."""

from typing import Any

import numpy as np

from jaxrl_suite.drawing.canvas import BLUE, GOLD, INK, LINE, MIST, ORANGE, PAPER, RED, SAND, Canvas, Colour, mixed
from jaxrl_suite.drawing.scenes import Kind, Scene, every
from jaxrl_suite.envs.board_env import BoardEnv
from jaxrl_suite.envs.pgx_env import PgxEnv
from jaxrl_suite.envs.tetris import PIECES, Tetris
from jaxrl_suite.games.boards import DarkHex, PhantomTicTacToe

_WIDTH = 360
_FELT, _FRAME = (62, 132, 88), (52, 104, 178)


def crosses(stones: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """Tic-tac-toe: crosses and noughts, uint8 [H, W, 3].

    Args:
        stones: [R, C], -1 for an empty cell, else whose stone it is. known: bool [R, C], dots at these stones.
    """
    rows, columns = stones.shape
    canvas = Canvas(0, columns, 0, rows, _WIDTH)
    for line in range(1, columns):
        canvas.line([(line, 0.1), (line, rows - 0.1)], 0.03, MIST)
    for line in range(1, rows):
        canvas.line([(0.1, line), (columns - 0.1, line)], 0.03, MIST)
    for row, column in np.argwhere(stones >= 0):
        x, y = column + 0.5, rows - row - 0.5
        if stones[row, column] == 0:
            for side in (-1, 1):
                canvas.line([(x - 0.25, y - 0.25 * side), (x + 0.25, y + 0.25 * side)], 0.1, BLUE)
        else:
            canvas.ring((x, y), 0.32, 0.1, ORANGE)
        if known is not None and known[row, column]:
            canvas.disc((x + 0.38, y + 0.38), 0.06, RED)
    return canvas.image()


def discs(stones: np.ndarray, ground: Colour, colours: tuple[Colour, Colour], lines: str) -> np.ndarray:
    """Stones on a board, uint8 [H, W, 3].

    Args:
        stones: [R, C], as of `crosses`. lines: `between` the places of stones, `through` them, or `none`: round holes.
    """
    rows, columns = stones.shape
    canvas = Canvas(0, columns, 0, rows, _WIDTH, ground)
    if lines != "none":
        inset = 0.5 if lines == "through" else 0.0
        for x in np.arange(inset, columns + 0.1):
            canvas.line([(x, inset), (x, rows - inset)], 0.04, mixed(ground, INK, 0.4))
        for y in np.arange(inset, rows + 0.1):
            canvas.line([(inset, y), (columns - inset, y)], 0.04, mixed(ground, INK, 0.4))
    for row, column in np.ndindex(rows, columns):
        owner = int(stones[row, column])
        if owner >= 0 or lines == "none":
            canvas.disc((column + 0.5, rows - row - 0.5), 0.42, PAPER if owner < 0 else colours[owner])
    return canvas.image()


def hexagons(stones: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """Hex: player 0 joins top and bottom, player 1 left and right, edges in their colours. As of `crosses`."""
    size, up, right = len(stones), np.array([0.0, 0.28]), np.array([0.28, 0.0])
    step, rise = np.sqrt(3.0), 1.5
    turns = np.deg2rad(np.arange(30, 390, 60))
    centres = {(r, c): np.array([step * (c + 0.5 * r), -rise * r]) for r in range(size) for c in range(size)}
    canvas = Canvas(-1.4, centres[size - 1, size - 1][0] + 1.4, -rise * (size - 1) - 1.5, 1.5, 480)

    def tile(centre: np.ndarray, radius: float, colour: Colour) -> None:
        canvas.polygon([centre + radius * np.array([np.cos(t), np.sin(t)]) for t in turns], colour)

    for (row, column), centre in centres.items():
        edges = ((row == 0, up), (row == size - 1, -up), (column == 0, -right), (column == size - 1, right))
        for is_there, shift in edges:
            if is_there:
                tile(centre + shift, 1.0, INK if shift[0] == 0.0 else ORANGE)
    for (row, column), centre in centres.items():
        tile(centre, 1.0, MIST)
        tile(centre, 0.94, PAPER)
        if stones[row, column] >= 0:
            canvas.disc(centre, 0.58, (INK, ORANGE)[stones[row, column]])
        if known is not None and known[row, column]:
            canvas.disc(centre, 0.14, RED)
    return canvas.image()


def _dark_board(scene: Scene) -> np.ndarray:
    """Both players' stones; a red dot is on those that the other has run into."""
    rules, state = scene.env.rules, scene.state
    bits = np.arange(rules.num_actions)
    first, second = ((int(cells) >> bits & 1).astype(bool) for cells in state.stones)
    found = (int(state.found[0]) | int(state.found[1])) >> bits & 1
    shape = (rules.size, rules.size)
    stones = np.where(first, 0, np.where(second, 1, -1)).reshape(shape)
    return (hexagons if isinstance(rules, DarkHex) else crosses)(stones, found.astype(bool).reshape(shape))


PGX = {
    "tic_tac_toe": crosses,
    "connect_four": lambda stones: discs(stones, _FRAME, (RED, GOLD), "none"),
    "othello": lambda stones: discs(stones, _FELT, (INK, PAPER), "between"),
    "hex": hexagons,
    "go_9x9": lambda stones: discs(stones, SAND, (INK, PAPER), "through"),
    "go_19x19": lambda stones: discs(stones, SAND, (INK, PAPER), "through"),
}
"""pgx's games of stones on a board, by their names there: the first two planes are the mover's and the other's."""


def _pgx(scene: Scene) -> np.ndarray:
    state, first, _ = scene.state
    mine, theirs = np.moveaxis(np.asarray(state.observation)[..., :2], -1, 0).astype(bool)
    mover = int(state.current_player != first)
    return PGX[scene.env.game.id](np.where(mine, mover, np.where(theirs, 1 - mover, -1)))


def _tetris(scene: Scene) -> np.ndarray:
    """The two rows, and above them the piece that comes next; column 0 is on the right."""
    board, piece = int(scene.state[0]), int(PIECES[int(scene.state[1])])
    canvas = Canvas(-0.3, 6.3, -0.3, 4.8, _WIDTH)
    for row, column in np.ndindex(2, 6):
        _block(canvas, 5 - column, row, BLUE if board >> (6 * row + column) & 1 else LINE)
    for row, column in np.ndindex(2, 2):
        if piece >> (6 * row + column) & 1:
            _block(canvas, 3 - column, row + 2.5, ORANGE)
    return canvas.image()


def _block(canvas: Canvas, left: float, bottom: float, colour: Colour) -> None:
    canvas.rectangle(left + 0.04, bottom + 0.04, left + 0.96, bottom + 0.96, colour)


def _is_drawn(env: Any) -> bool:
    return env.game.id in PGX


KINDS: dict[type, Kind] = {
    BoardEnv: Kind(_dark_board, every(0.6), lambda env: isinstance(env.rules, (DarkHex, PhantomTicTacToe))),
    PgxEnv: Kind(_pgx, every(0.6), _is_drawn),
    Tetris: Kind(_tetris, every(0.6)),
}
