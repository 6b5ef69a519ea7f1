"""Environments whose observation is an image: MinAtar's games, Pong, and any other [H, W, C]."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnax.environments.minatar.asterix import MinAsterix
from gymnax.environments.minatar.breakout import MinBreakout
from gymnax.environments.minatar.freeway import MinFreeway
from gymnax.environments.minatar.seaquest import MinSeaquest
from gymnax.environments.minatar.space_invaders import MinSpaceInvaders
from gymnax.environments.misc.pong import Pong

from jaxrl_suite.drawing.scenes import Kind, Scene, every
from jaxrl_suite.errors import ConfigError

Colours = Sequence[tuple[int, int, int]]

_WHITE, _GREY, _NIGHT = (244, 244, 240), (96, 104, 116), (22, 26, 34)
_BLUE, _SKY, _GREEN, _YELLOW, _ORANGE, _RED, _PINK = (
    (64, 132, 214), (120, 196, 240), (84, 190, 120), (240, 200, 64), (236, 146, 52), (222, 76, 60), (214, 120, 190)
)  # fmt: skip

GAMES: dict[type, Colours] = {
    # player, enemy, trail, gold
    MinAsterix: (_SKY, _RED, _GREY, _YELLOW),
    # paddle, ball, trail, brick
    MinBreakout: (_SKY, _WHITE, _GREY, _ORANGE),
    # chicken, car, and a car's trail by its speed, slowest first
    MinFreeway: (_YELLOW, _RED, (60, 40, 44), (84, 46, 48), (108, 52, 52), (132, 58, 56), (156, 64, 60)),
    # front, back, own bullet, trail, enemy's bullet, fish, enemy, oxygen, divers aboard, diver
    MinSeaquest: (_YELLOW, _ORANGE, _WHITE, _GREY, _PINK, _GREEN, _RED, _SKY, _BLUE, _BLUE),
    # cannon, alien, alien moving left, moving right, own bullet, alien's bullet
    MinSpaceInvaders: (_SKY, _GREEN, _GREEN, _GREEN, _WHITE, _RED),
    # paddles, ball, where the ball was
    Pong: (_SKY, _WHITE, _GREY),
}
"""Colours of a game's channels, in their order. Where several are in a cell, the first is seen."""

_MANY = (_WHITE, _SKY, _ORANGE, _GREEN, _RED, _YELLOW, _PINK, _BLUE, _GREY)
"""Of channels whose meaning is not known."""


def enlarged(image: np.ndarray, has_gaps: bool = False) -> np.ndarray:
    """An image with pixels so large that it is about 320 of them across, with narrow gaps between them if asked for."""
    times = max(1, round(320 / max(image.shape[:2])))
    large = image.repeat(times, axis=0).repeat(times, axis=1)
    if has_gaps and times >= 8:
        large[::times], large[:, ::times] = _NIGHT, _NIGHT
    return large


def coloured(observation: np.ndarray, colours: Colours) -> np.ndarray:
    """uint8 [H, W, 3] of what is where: [H, W, C], brightest where a channel is 1."""
    image = np.full((*observation.shape[:2], 3), _NIGHT, np.float64)
    for channel in reversed(range(observation.shape[2])):
        share = np.clip(observation[..., channel, None].astype(np.float64), 0.0, 1.0)
        image = (1.0 - share) * image + share * np.array(colours[channel % len(colours)])
    return np.rint(image).astype(np.uint8)


def _game(scene: Scene) -> np.ndarray:
    return enlarged(coloured(observation_of(scene), GAMES[type(scene.env)]), has_gaps=True)


def observed_image(env: Any, params: Any, observation: Any) -> np.ndarray:
    """An observation as a picture: one channel as grey, three as red, green and blue, others as what is where."""
    image = np.asarray(observation)
    if image.shape[2] not in (1, 3):
        return enlarged(coloured(image, _MANY))
    most = np.max(getattr(env.observation_space(params), "high", 1.0))
    whole = most if np.isfinite(most) and most > 1.0 else 1.0
    image = np.clip(image.astype(np.float64) / whole, 0.0, 1.0)
    return enlarged(np.rint(255.0 * np.broadcast_to(image, (*image.shape[:2], 3))).astype(np.uint8))


def shows_image(env: Any, params: Any) -> bool:
    """Whether observations are arrays [H, W, C]."""
    return len(getattr(env.observation_space(params), "shape", None) or ()) == 3


def observation_of(scene: Scene) -> np.ndarray:
    """What the environment showed. Raises ConfigError where it is not known."""
    if scene.observation is None:
        raise ConfigError(f"observation: {type(scene.env).__name__} is drawn from it; must be given")
    return np.asarray(scene.observation)


KINDS: dict[type, Kind] = {game: Kind(_game, every(0.05)) for game in GAMES}
