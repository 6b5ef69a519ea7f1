"""Gridworlds as pictures: NumPy arrays that any library shows (`matplotlib.pyplot.imshow`)."""

import functools
from typing import Any

import numpy as np

from jaxrl_suite.envs.gridworld_layouts import (
    AGENT,
    BALL,
    CLOSED,
    DOOR,
    GOAL,
    KEY,
    LAVA,
    OPEN,
    WALL,
    Symbol,
)
from jaxrl_suite.envs.gridworlds import LARGEST, GridWorld
from jaxrl_suite.errors import ConfigError

COLOURS = np.array(
    [[214, 69, 65], [64, 160, 92], [58, 110, 196], [138, 79, 181], [232, 186, 40], [110, 114, 122]], np.float64
)
"""RGB by MiniGrid's numbers of colours: red, green, blue, purple, yellow, grey."""

FLOOR, LINE, STONE, FIRE, CRUST = (
    np.array(rgb, np.float64)
    for rgb in ([248, 248, 246], [222, 222, 218], [88, 92, 100], [240, 128, 48], [196, 72, 30])
)
SAMPLES = 3
"""Points a pixel in each direction, over which it is averaged."""


def grid_image(env: GridWorld, state: Any = None, pixels: int = 32) -> np.ndarray:
    """The map as a picture: walls, goal, lava, doors, keys, balls, and the agent, which points where it looks.

    A closed door is a plain one with a knob; a locked one is filled and has a keyhole; of an open one the frame is
    left. A carried object is the one that is missing.

    Args:
        state: of the environment; None: the start. pixels: side of a cell, >= 8.

    Returns:
        uint8 [H pixels, W pixels, 3].

    Raises:
        ConfigError: for cells too small to tell what is in them.
    """
    if isinstance(pixels, bool) or not isinstance(pixels, (int, np.integer)) or pixels < 8:
        raise ConfigError(f"pixels = {pixels!r}: must be a whole number >= 8")
    import jax

    if state is None:
        _, state = env.reset(jax.random.key(0), env.default_params)
    cells = np.rint(np.asarray(env.observed_as("image")._observe(state)) * np.array(LARGEST)).astype(int)
    drawn = {symbol: _cell(Symbol(*symbol), int(pixels)) for symbol in {tuple(cell) for cell in cells.reshape(-1, 3)}}
    rows = [np.concatenate([drawn[tuple(cell)] for cell in row], axis=1) for row in cells]
    return np.concatenate(rows, axis=0)


@functools.lru_cache(maxsize=512)
def _cell(symbol: Symbol, pixels: int) -> np.ndarray:
    """uint8 [pixels, pixels, 3]."""
    at = (np.arange(pixels * SAMPLES) + 0.5) / (pixels * SAMPLES)
    x, y = np.meshgrid(at, at)  # from 0 to 1, y downwards
    image = np.where(((x < 0.03) | (y < 0.03))[..., None], LINE, FLOOR)
    for where, colour in _shapes(symbol, x, y):
        image = np.where(where[..., None], colour, image)
    image = image.reshape(pixels, SAMPLES, pixels, SAMPLES, 3).mean(axis=(1, 3))
    return np.rint(image).astype(np.uint8)


def _shapes(symbol: Symbol, x: np.ndarray, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """What is painted over the floor, one over the other: (bool, colour)."""
    colour = COLOURS[symbol.colour]
    everywhere = np.ones_like(x, bool)
    if symbol.kind == WALL:
        return [(everywhere, STONE)]
    if symbol.kind == GOAL:
        return [(everywhere, colour)]
    if symbol.kind == LAVA:
        waves = [np.abs(y - height - 0.05 * np.sin(4 * np.pi * x)) < 0.03 for height in (0.25, 0.5, 0.75)]
        return [(everywhere, FIRE), (np.any(waves, axis=0), CRUST)]
    if symbol.kind == DOOR:
        return _door(symbol, colour, x, y)
    if symbol.kind == KEY:
        ring = np.abs(np.hypot(x - 0.5, y - 0.3) - 0.13) < 0.05
        teeth = (x > 0.5) & (x < 0.68) & ((np.abs(y - 0.64) < 0.04) | (np.abs(y - 0.78) < 0.04))
        return [(ring | ((np.abs(x - 0.5) < 0.045) & (y > 0.42) & (y < 0.84)) | teeth, colour)]
    if symbol.kind == BALL:
        return [(np.hypot(x - 0.5, y - 0.5) < 0.31, colour)]
    if symbol.kind == AGENT:
        # Turned so that it looks to the right.
        turned = {0: (x, y), 1: (y, 1 - x), 2: (1 - x, y), 3: (1 - y, x)}[symbol.state]
        ahead, aside = turned[0], np.abs(turned[1] - 0.5)
        return [((ahead > 0.16) & (aside < 0.36 * (0.88 - ahead) / 0.72), colour)]
    return []


def _door(symbol: Symbol, colour: np.ndarray, x: np.ndarray, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    depth = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y))
    pale, dark = colour + 0.6 * (255 - colour), 0.45 * colour
    frame = (depth < 0.1, colour)
    if symbol.state == OPEN:
        return [frame]
    if symbol.state == CLOSED:
        return [(depth >= 0, pale), frame, (np.hypot(x - 0.75, y - 0.5) < 0.07, dark)]
    hole = (np.hypot(x - 0.5, y - 0.42) < 0.1) | ((np.abs(x - 0.5) < 0.045) & (y > 0.42) & (y < 0.68))
    return [(depth >= 0, colour), (depth < 0.1, dark), (hole, dark)]
