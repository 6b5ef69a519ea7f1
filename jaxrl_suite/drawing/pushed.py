"""The suite's bodies that can be pushed. A push is an arrow from where it acts, as long as it is strong."""

import numpy as np

from jaxrl_suite.drawing.bodies import cart_and_pole, links
from jaxrl_suite.drawing.canvas import BLUE, GREEN, ICE, LINE, ORANGE, PAPER, RED, STONE, Canvas, mixed
from jaxrl_suite.drawing.scenes import Kind, Scene, every
from jaxrl_suite.envs.point_mass import EDGE, GAP, GOAL, NEAR, PointMass
from jaxrl_suite.envs.pushed_control import RAIL, Acrobot, CartPole, Pendulum

_LIMIT = 0.7
"""Length of the arrow of the strongest push, in half widths of the picture."""


def _push(scene: Scene) -> np.ndarray:
    """(Fx, Fz) of the coming step, in units of the limit; nothing where pushes have no force."""
    limit = float(scene.params.force_limit)
    if not limit > 0.0:
        return np.zeros(2)
    return np.asarray(scene.env._force(scene.state.push, scene.params), float) / limit


def _cart_pole(scene: Scene) -> np.ndarray:
    place, angle = (float(x) for x in scene.state.body[:2])
    canvas = Canvas(-RAIL - 1.1, RAIL + 1.1, -1.2, 1.2)
    middle = cart_and_pole(canvas, place, angle, 1.0, RAIL)
    canvas.arrow(middle, _LIMIT * _push(scene), 0.06)
    return canvas.image()


def _pendulum(scene: Scene) -> np.ndarray:
    """The wedge is where it pays."""
    canvas = Canvas(-0.65, 0.65, -0.65, 0.65, width=360)
    edges = np.deg2rad(np.linspace(-8.0, 8.0, 9))
    rim = [(0.6 * np.sin(a), 0.6 * np.cos(a)) for a in edges]
    canvas.polygon([(0.0, 0.0), *rim], mixed(LINE, GREEN, 0.3))
    _, bob = links(canvas, [float(scene.state.body[0])], [0.5], 0.04, [STONE])
    canvas.disc(bob, 0.06, ORANGE)
    canvas.arrow(0.5 * bob, 0.5 * _LIMIT * _push(scene), 0.025)
    return canvas.image()


def _acrobot(scene: Scene) -> np.ndarray:
    """The tip is to reach the pale disc."""
    angle, bend = (float(x) for x in scene.state.body[:2])
    canvas = Canvas(-2.35, 2.35, -2.35, 2.35, width=360)
    canvas.disc((0.0, 2.0), 0.2, mixed(LINE, GREEN, 0.6))
    joints = links(canvas, [angle, angle + bend], [1.0, 1.0], 0.18, [BLUE, ORANGE])
    canvas.arrow(0.5 * joints[1], 2.0 * _LIMIT * _push(scene), 0.09)
    return canvas.image()


def _point_mass(scene: Scene) -> np.ndarray:
    """Pale is where the wind blows; the arrow is there only while it does."""
    x, _, y, _ = (float(x) for x in scene.state.body)
    edge = EDGE + 0.15
    canvas = Canvas(-edge, edge, -edge, edge, width=360, background=STONE)
    canvas.rectangle(-EDGE, -EDGE, EDGE, EDGE, PAPER)
    canvas.rectangle(-EDGE, -1.0, EDGE, 0.0, ICE)
    for side in (-1.0, 1.0):
        canvas.rectangle(side * GAP, -0.04, side * EDGE, 0.04, STONE)
    canvas.disc(GOAL, NEAR, GREEN)
    canvas.disc((x, y), 0.09, BLUE)
    if -1.0 <= y <= 0.0:
        canvas.arrow((x, y), 1.4 * _LIMIT * _push(scene), 0.06, RED)
    return canvas.image()


KINDS: dict[type, Kind] = {
    CartPole: Kind(_cart_pole, every(0.01)),
    Pendulum: Kind(_pendulum, every(0.02)),
    Acrobot: Kind(_acrobot, every(0.01)),
    PointMass: Kind(_point_mass, every(0.1)),
}
