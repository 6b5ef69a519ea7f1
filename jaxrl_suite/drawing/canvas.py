"""A canvas in an environment's own units, y upwards: drawn three times as fine as it is shown, then averaged."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw

from jaxrl_suite.errors import ConfigError

Colour = tuple[int, int, int]

PAPER, LINE, MIST, STONE, INK = (250, 250, 248), (222, 222, 218), (196, 199, 204), (88, 92, 100), (40, 44, 52)
BLUE, ORANGE, GREEN, RED, GOLD = (1, 115, 178), (222, 143, 5), (46, 158, 104), (213, 64, 42), (236, 190, 52)
ICE, WATER, DEEP, SAND = (226, 240, 248), (150, 199, 226), (38, 70, 110), (232, 214, 170)

SAMPLES = 3
"""Points a pixel in each direction."""


class Canvas:
    """A picture under way.

    Args:
        left, right, bottom, top: what is seen.
        width: pixels; the height follows.
    """

    def __init__(
        self, left: float, right: float, bottom: float, top: float, width: int = 480, background: Colour = PAPER
    ):
        self._left, self._top = float(left), float(top)
        self._scale = SAMPLES * width / float(right - left)
        height = max(1, round(width * float(top - bottom) / float(right - left)))
        self._image = Image.new("RGB", (SAMPLES * width, SAMPLES * height), background)
        self._draw = ImageDraw.Draw(self._image)

    def polygon(self, points: Sequence[ArrayLike], colour: Colour) -> None:
        self._draw.polygon([self._at(point) for point in points], fill=colour)

    def rectangle(self, left: float, bottom: float, right: float, top: float, colour: Colour) -> None:
        self.polygon([(left, bottom), (right, bottom), (right, top), (left, top)], colour)

    def disc(self, centre: ArrayLike, radius: float, colour: Colour) -> None:
        (x, y), r = self._at(centre), float(radius) * self._scale
        self._draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def ring(self, centre: ArrayLike, radius: float, width: float, colour: Colour) -> None:
        (x, y), r = self._at(centre), float(radius) * self._scale
        self._draw.ellipse((x - r, y - r, x + r, y + r), outline=colour, width=round(width * self._scale))

    def line(self, points: Sequence[ArrayLike], width: float, colour: Colour) -> None:
        """Through all points, with round ends and corners."""
        for start, end in itertools.pairwise(points):
            along = np.subtract(end, start)
            length = float(np.hypot(*along))
            if length > 0:
                aside = 0.5 * width / length * np.array([-along[1], along[0]])
                corners = [np.add(p, s * aside) for p, s in ((start, 1), (end, 1), (end, -1), (start, -1))]
                self.polygon(corners, colour)
        for point in points:
            self.disc(point, 0.5 * width, colour)

    def arrow(self, start: ArrayLike, shift: ArrayLike, width: float, colour: Colour = RED) -> None:
        """From `start` to `start + shift`; nothing where the shift is next to nothing."""
        length = float(np.hypot(*np.asarray(shift, float)))
        if length < 0.25 * width:
            return
        ahead = np.asarray(shift, float) / length
        aside, tip = np.array([-ahead[1], ahead[0]]), np.add(start, shift)
        # A short arrow keeps the shape of its head, smaller.
        head = min(3.0 * width, length)
        neck = tip - head * ahead
        shaft = width * head / (3.0 * width)
        self.line([start, neck], shaft, colour)
        self.polygon([tip, neck + 0.6 * head * aside, neck - 0.6 * head * aside], colour)

    def image(self) -> np.ndarray:
        """uint8 [H, W, 3]."""
        return np.asarray(self._image.reduce(SAMPLES))

    def _at(self, point: ArrayLike) -> tuple[float, float]:
        """Where a point is in the fine picture. Raises ConfigError for one that is nowhere."""
        x, y = np.asarray(point, float).tolist()
        if not (np.isfinite(x) and np.isfinite(y)):
            raise ConfigError(f"draw: a point at ({x}, {y}): the state to draw is not finite")
        return (x - self._left) * self._scale, (self._top - y) * self._scale


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """The colour between two, `share` in [0, 1] of the other."""
    red, green, blue = (round((1.0 - share) * a + share * b) for a, b in zip(one, other, strict=True))
    return red, green, blue
