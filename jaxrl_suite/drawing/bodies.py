"""What several environments have: a pole on a cart, and links that hang together."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from jaxrl_suite.drawing.canvas import INK, MIST, ORANGE, PAPER, STONE, Canvas, Colour


def cart_and_pole(canvas: Canvas, place: float, angle: float, length: float, rail: float) -> np.ndarray:
    """A cart on a rail from -rail to rail, y = 0, the pole hinged at its middle; returns the pole's middle, (x, y).

    Args:
        angle: of the pole from upright, to the right.
    """
    place = float(place)
    canvas.line([(-rail, 0.0), (rail, 0.0)], 0.03, MIST)
    for end in (-rail, rail):
        canvas.line([(end, -0.12), (end, 0.12)], 0.04, STONE)
    canvas.rectangle(place - 0.26, -0.15, place + 0.26, 0.15, INK)
    pole = length * np.array([np.sin(angle), np.cos(angle)])
    canvas.line([(place, 0.0), (place + pole[0], pole[1])], 0.1, ORANGE)
    canvas.disc((place, 0.0), 0.035, PAPER)
    return np.array([place, 0.0]) + 0.5 * pole


def links(
    canvas: Canvas, angles: ArrayLike, lengths: Sequence[float], width: float, colours: Sequence[Colour]
) -> np.ndarray:
    """Links one after another from (0, 0); returns where they begin and end, [L + 1, 2].

    Args:
        angles: of each from upright, to the right. colours: of each, repeated where there are fewer.
    """
    steps = [length * np.array([np.sin(a), np.cos(a)]) for a, length in zip(np.asarray(angles), lengths, strict=True)]
    joints = np.cumsum([np.zeros(2), *steps], axis=0)
    for number, (start, end) in enumerate(itertools.pairwise(joints)):
        canvas.line([start, end], width, colours[number % len(colours)])
    for joint in joints[:-1]:
        canvas.disc(joint, 0.3 * width, INK)
    return joints
