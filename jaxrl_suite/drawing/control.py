"""gymnax's classic control, and its few tasks in the plane."""

from typing import Any

import numpy as np
from gymnax.environments.classic_control.acrobot import Acrobot
from gymnax.environments.classic_control.cartpole import CartPole
from gymnax.environments.classic_control.continuous_mountain_car import ContinuousMountainCar
from gymnax.environments.classic_control.mountain_car import MountainCar
from gymnax.environments.classic_control.pendulum import Pendulum
from gymnax.environments.misc.point_robot import PointRobot
from gymnax.environments.misc.reacher import Reacher
from gymnax.environments.misc.swimmer import Swimmer

from jaxrl_suite.drawing.bodies import cart_and_pole, links
from jaxrl_suite.drawing.canvas import BLUE, GREEN, INK, LINE, MIST, ORANGE, RED, STONE, Canvas, mixed
from jaxrl_suite.drawing.scenes import Kind, Scene, every


def _cart_pole(scene: Scene) -> np.ndarray:
    """The angle is measured from upright, to the right; the parameter `length` is half the pole's."""
    pole, half = 2.0 * float(scene.params.length), float(scene.params.x_threshold)
    top = max(1.15 * pole + 0.3, 1.7)
    # A very long pole is seen from further away, not in a higher picture.
    edge = max(half + 0.6, 0.5 * (top + 0.6))
    canvas = Canvas(-edge, edge, -0.6, top)
    cart_and_pole(canvas, scene.state.x, scene.state.theta, pole, half)
    return canvas.image()


def _pendulum(scene: Scene) -> np.ndarray:
    """The angle is measured from upright, to the left."""
    reach = float(scene.params.l)
    edge = 1.25 * reach
    canvas = Canvas(-edge, edge, -edge, edge, width=360)
    links(canvas, [-float(scene.state.theta)], [reach], 0.16 * reach, [RED])
    return canvas.image()


def _acrobot(scene: Scene) -> np.ndarray:
    """Angles are measured from hanging, the second from the first."""
    lengths = [float(scene.params.link_length_1), float(scene.params.link_length_2)]
    edge = 1.15 * sum(lengths)
    canvas = Canvas(-edge, edge, -edge, edge, width=360)
    # What is to be reached is told by links of length one: a height only if these are.
    if lengths == [1.0, 1.0]:
        canvas.line([(-edge, 1.0), (edge, 1.0)], 0.03, mixed(LINE, GREEN, 0.7))
    first = np.pi - float(scene.state.joint_angle1)
    links(canvas, [first, first - float(scene.state.joint_angle2)], lengths, 0.2, [BLUE, ORANGE])
    return canvas.image()


def _mountain_car(scene: Scene) -> np.ndarray:
    """The track is y = 0.45 sin(3 x), steeper than its physics has it."""
    params, at = scene.params, float(scene.state.position)
    left, right = float(params.min_position) - 0.1, float(params.max_position) + 0.1
    canvas = Canvas(left, right, -0.62, 0.78)

    def height(x: Any) -> Any:
        return 0.45 * np.sin(3.0 * x)

    x = np.linspace(left, right, 121)
    canvas.polygon([(left, -1.0), *zip(x, height(x), strict=True), (right, -1.0)], MIST)
    canvas.line(list(zip(x, height(x), strict=True)), 0.012, STONE)
    goal = float(params.goal_position)
    top = height(goal) + 0.24
    canvas.line([(goal, height(goal)), (goal, top)], 0.012, INK)
    canvas.polygon([(goal, top), (goal, top - 0.09), (goal + 0.11, top - 0.045)], GREEN)
    along = np.array([1.0, 1.35 * np.cos(3.0 * at)])
    along /= np.hypot(*along)
    up, place = np.array([-along[1], along[0]]), np.array([at, height(at)])
    body = [(-0.11, 0.04), (0.11, 0.04), (0.11, 0.085), (0.06, 0.09), (0.025, 0.135), (-0.06, 0.135), (-0.11, 0.09)]
    canvas.polygon([place + a * along + b * up for a, b in body], RED)
    for a in (-0.062, 0.062):
        canvas.disc(place + a * along + 0.036 * up, 0.036, INK)
    return canvas.image()


def _reacher(scene: Scene) -> np.ndarray:
    """Links of length one; every angle is its link's own, from the right, upwards."""
    angles = np.pi / 2 - np.asarray(scene.state.angles, float)
    edge = 1.5 * len(angles)
    canvas = Canvas(-edge, edge, -edge, edge, width=360)
    canvas.disc(scene.state.goal_xy, 0.16, GREEN)
    links(canvas, angles, [1.0] * len(angles), 0.2, [BLUE, ORANGE])
    return canvas.image()


def _swimmer(scene: Scene) -> np.ndarray:
    state = scene.state
    canvas = Canvas(-1.6, 1.6, -1.6, 1.6, width=360)
    canvas.disc(state.goal_xy, 0.08, GREEN)
    for urchin in np.asarray(state.urchin_xys):
        canvas.disc(urchin, 0.1, INK)
    canvas.disc(state.xy, 0.06, BLUE)
    return canvas.image()


def _point_robot(scene: Scene) -> np.ndarray:
    """Goals lie on a half circle, of which the agent is not told."""
    params, state = scene.params, scene.state
    radius = float(params.circle_radius)
    edge = 1.6 * radius
    canvas = Canvas(-edge, edge, -0.6 * radius, edge)
    turns = np.linspace(0.0, np.pi, 61)
    canvas.line(list(zip(radius * np.cos(turns), radius * np.sin(turns), strict=True)), 0.02 * radius, MIST)
    canvas.disc(state.goal, float(params.goal_radius), mixed(LINE, GREEN, 0.6))
    canvas.disc(state.pos, 0.05 * radius, BLUE)
    return canvas.image()


def _dt(env: Any, params: Any) -> float:
    return float(params.dt)


KINDS: dict[type, Kind] = {
    CartPole: Kind(_cart_pole, lambda env, params: float(params.tau)),
    Pendulum: Kind(_pendulum, _dt),
    Acrobot: Kind(_acrobot, _dt),
    MountainCar: Kind(_mountain_car, every(0.05)),
    ContinuousMountainCar: Kind(_mountain_car, every(0.05)),
    Reacher: Kind(_reacher, _dt),
    Swimmer: Kind(_swimmer, _dt),
    PointRobot: Kind(_point_robot, every(0.1)),
}
