"""A point mass that goes through a gap in a wall while wind blows, and a quadratic game of one step.

Reddi et al. 2024 (arXiv 2311.01642): the point mass of their program. A square of 4 m, a wall across its middle with a
gap of 1 m; from (0, -1.5) to (0, 1.5). The wind blows in the last metre before the wall.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.envs.pushed import PushedEnv
from jaxrl_suite.envs.robust_control import Ranges

SUBSTEP, SUBSTEPS = 0.01, 10
EDGE, GAP, OFF_WALL, NEAR = 2.0, 0.5, 1e-4, 0.1
GOAL = (0.0, 1.5)
WINDS = {"both": 2, "horizontal": 1, "leftward": 1}
"""Numbers in a push by the kind of wind."""


@struct.dataclass
class PointMassParams:
    """mass: kg. friction: N s/m. force_limit: N, of each component of the wind."""

    mass: float = 5.0
    friction: float = 1.0
    force_limit: float = 10.0
    max_steps_in_episode: int = 500


class PointMass(PushedEnv):
    """Body and observation (x, x', y, y'), 0.1 s a step. Pays exp(-distance) - 1, and 0 at the goal, where it ends.

    Args:
        wind: both: of any direction; horizontal; leftward, which never blows to the right.
    """

    actions, observed = 2, 4
    default_params = PointMassParams()

    def __init__(self, id: str, wind: str):
        self.id, self.wind, self.pushes = id, wind, WINDS[wind]

    def _start(self, key: jax.Array, params: Any) -> jax.Array:
        return jnp.array([0.0, 0.0, -1.5, 0.0])

    def _force(self, push: jax.Array, params: Any) -> jax.Array:
        """(Fx, Fy)."""
        low = -1.0 if self.wind != "leftward" else jnp.array([-1.0])
        high = 1.0 if self.wind != "leftward" else jnp.array([0.0])
        force = params.force_limit * jnp.clip(push, low, high)
        return force if self.wind == "both" else jnp.append(force, 0.0)

    def _moved(self, body: jax.Array, action: jax.Array, force: jax.Array, params: Any) -> jax.Array:
        is_windy = (body[2] >= -1.0) & (body[2] <= 0.0)
        total = action + jnp.where(is_windy, force, 0.0)

        def substep(_: Any, body: jax.Array) -> jax.Array:
            place, speed = body[::2], body[1::2]
            moved = place + SUBSTEP * speed
            speed = speed + SUBSTEP * (total - params.friction * speed) / params.mass
            moved, speed = _walled(place, moved, speed)
            return jnp.stack([moved, speed], axis=1).ravel()

        return jax.lax.fori_loop(0, SUBSTEPS, substep, body)

    def _seen(self, body: jax.Array) -> jax.Array:
        return body

    def _reward(self, body: jax.Array, action: jax.Array, force: jax.Array, params: Any) -> jax.Array:
        return jnp.where(self._is_over(body), 0.0, jnp.exp(-_distance(body)) - 1.0)

    def _is_over(self, body: jax.Array) -> jax.Array:
        return _distance(body) <= NEAR


def _walled(place: jax.Array, moved: jax.Array, speed: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(place, speed) after a substep, stopped by the wall and by the square's edges; all [2]."""
    before, after = place[1], moved[1]
    share = -before / jnp.where(after == before, 1.0, after - before)
    crossing = share * moved[0] + (1.0 - share) * place[0]
    is_blocked = ((before < 0.0) != (after < 0.0)) & (jnp.abs(crossing) > GAP)
    at_wall = jnp.stack([crossing, jnp.where(before < 0.0, -OFF_WALL, OFF_WALL)])
    moved = jnp.where(is_blocked, at_wall, moved)
    speed = speed.at[1].set(jnp.where(is_blocked, 0.0, speed[1]))
    return jnp.clip(moved, -EDGE, EDGE), jnp.where(jnp.abs(moved) > EDGE, 0.0, speed)


def _distance(body: jax.Array) -> jax.Array:
    return jnp.hypot(body[0] - GOAL[0], body[2] - GOAL[1])


@struct.dataclass
class QuadraticParams:
    """r(a, o) = -p a^2 / 2 + q o^2 / 2 + c a o + b a + d o. force_limit: of o."""

    p: float = 2.0
    q: float = 1.0
    c: float = 1.0
    b: float = 0.3
    d: float = -0.2
    force_limit: float = 1.0
    max_steps_in_episode: int = 1


class Quadratic(PushedEnv):
    """A game of one step and nothing to see, whose quantal response equilibrium is known: with temperatures beta and
    alpha, a ~ N((b q - c d) / (p q + c^2), beta / p) and o ~ N(-(c b + d p) / (p q + c^2), alpha / q), were actions not
    bounded."""

    actions, pushes, observed = 1, 1, 1
    default_params = QuadraticParams()

    def __init__(self, id: str):
        self.id = id

    def _start(self, key: jax.Array, params: Any) -> jax.Array:
        return jnp.zeros(1)

    def _moved(self, body: jax.Array, action: jax.Array, force: jax.Array, params: Any) -> jax.Array:
        return body

    def _seen(self, body: jax.Array) -> jax.Array:
        return body

    def _reward(self, body: jax.Array, action: jax.Array, force: jax.Array, params: Any) -> jax.Array:
        a, o = action[0], force[0]
        own = -0.5 * params.p * a**2 + params.b * a
        return own + 0.5 * params.q * o**2 + params.c * a * o + params.d * o

    def _is_over(self, body: jax.Array) -> jax.Array:
        return jnp.asarray(True)


_BOX: Ranges = {"mass": (2.5, 7.5), "friction": (0.5, 1.5)}

TASKS: dict[str, tuple[Callable[[str], PushedEnv], Ranges]] = {
    "point-mass": (functools.partial(PointMass, wind="both"), _BOX),
    "point-mass-horizontal": (functools.partial(PointMass, wind="horizontal"), _BOX),
    "point-mass-leftward": (functools.partial(PointMass, wind="leftward"), _BOX),
    "quadratic": (Quadratic, {"p": (1.0, 3.0), "q": (0.5, 1.5)}),
}
"""By name: what makes it, and the two parameters that robustness is judged over; the ranges are this suite's."""
