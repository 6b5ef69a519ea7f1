"""Cart-pole, pendulum and acrobot of the DeepMind Control Suite in plain JAX, with forces on a pole or an arm.

Tassa et al. 2018 (arXiv 1801.00690): masses, lengths, damping, starts, observations and rewards; the pendulum is that
of Reddi et al. 2024 (arXiv 2311.01642): a pole of mass 0.1 and a bob of mass 1. Angles are measured from upright, and a
link at angle a points along (sin a, cos a). Forces (Fx, Fz) in newtons act at a link's centre of mass. As there, a mass
that is changed changes no moment of inertia about a centre of mass.

Held against MuJoCo in C: accelerations agree to its last printed digits. Not MuJoCo's: the ends of the cart's rail, at
1.8 m, stop the cart at once, where its are springs.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.envs.pushed import PushedEnv, runge_kutta
from jaxrl_suite.envs.robust_control import Ranges
from jaxrl_suite.envs.tolerance import tolerance

GRAVITY = 9.81


def capsule_inertia(mass: float, length: float, radius: float) -> float:
    """About its centre, across its axis: a cylinder of that length with half a ball at each end."""
    ends = mass * 4.0 * radius / (4.0 * radius + 3.0 * length)
    middle = mass - ends
    of_ends = ends * (0.4 * radius**2 + 0.25 * length**2 + 0.375 * length * radius)
    return middle * (3.0 * radius**2 + length**2) / 12.0 + of_ends


@struct.dataclass
class CartPoleParams:
    """pole_mass, cart_mass: kg. force_limit: N, of each component on the pole."""

    pole_mass: float = 0.1
    cart_mass: float = 1.0
    force_limit: float = 2.0
    max_steps_in_episode: int = 500


class CartPole(PushedEnv):
    """A pole on a cart; body (x, angle, x', angle'), 0.01 s a step by Runge-Kutta. Observations: x, cos, sin, x',
    angle'.

    Args:
        swings_up: starts hanging, else nearly upright. is_sparse: pays 1 near the middle and upright, else nothing.
    """

    actions, pushes, observed = 1, 2, 5
    default_params = CartPoleParams()

    def __init__(self, id: str, swings_up: bool, is_sparse: bool):
        self.id, self.swings_up, self.is_sparse = id, swings_up, is_sparse

    def _start(self, key: jax.Array, params: Any) -> jax.Array:
        key_place, key_speed = jax.random.split(key)
        if self.swings_up:
            place = 0.01 * jax.random.normal(key_place, (2,)) + jnp.array([0.0, jnp.pi])
        else:
            place = jax.random.uniform(key_place, (2,), minval=-1.0) * jnp.array([0.1, 0.034])
        return jnp.concatenate([place, 0.01 * jax.random.normal(key_speed, (2,))])

    def acceleration(self, body: jax.Array, action: jax.Array, force: jax.Array, params: Any) -> jax.Array:
        """(x'', angle''), of the force (Fx, Fz) on the pole."""
        _, angle, speed, turn = body
        mass, arm, inertia = params.pole_mass, 0.5, POLE_INERTIA
        sin, cos = jnp.sin(angle), jnp.cos(angle)
        on_cart = 10.0 * action[0] + force[0] + mass * arm * turn**2 * sin - 5e-4 * speed
        on_pole = arm * (force[0] * cos - force[1] * sin) + mass * GRAVITY * arm * sin - 2e-6 * turn
        # Of the symmetric system [[total, across], [across, about]].
        total, across, about = params.cart_mass + mass, mass * arm * cos, inertia + mass * arm**2
        determinant = total * about - across**2
        return jnp.stack([about * on_cart - across * on_pole, total * on_pole - across * on_cart]) / determinant

    def _moved(self, body: jax.Array, action: jax.Array, force: jax.Array, params: Any) -> jax.Array:
        def slope(body: jax.Array) -> jax.Array:
            return jnp.concatenate([body[2:], self.acceleration(body, action, force, params)])

        moved = runge_kutta(slope, body, 0.01)
        is_out = (jnp.abs(moved[0]) >= RAIL) & (moved[0] * moved[2] > 0)
        stopped = moved.at[0].set(jnp.clip(moved[0], -RAIL, RAIL)).at[2].set(0.0)
        return jnp.where(is_out, stopped, moved)

    def _seen(self, body: jax.Array) -> jax.Array:
        return jnp.stack([body[0], jnp.cos(body[1]), jnp.sin(body[1]), body[2], body[3]])

    def _reward(self, body: jax.Array, action: jax.Array, force: jax.Array, params: Any) -> jax.Array:
        place, angle, _, turn = body
        if self.is_sparse:
            return tolerance(place, -0.25, 0.25) * tolerance(jnp.cos(angle), 0.995, 1.0)
        upright = 0.5 * (jnp.cos(angle) + 1.0)
        centred = 0.5 * (1.0 + tolerance(place, margin=2.0))
        calm = (4.0 + tolerance(action[0], margin=1.0, at_margin=0.0, shape="quadratic")) / 5.0
        return upright * centred * calm * 0.5 * (1.0 + tolerance(turn, margin=5.0))


POLE_INERTIA = capsule_inertia(0.1, 1.0, 0.045)
RAIL = 1.8


@struct.dataclass
class PendulumParams:
    """pole_mass, bob_mass: kg. force_limit: N, of each component on the pole."""

    pole_mass: float = 0.1
    bob_mass: float = 1.0
    force_limit: float = 1.0
    max_steps_in_episode: int = 500


class Pendulum(PushedEnv):
    """A pole of 0.5 m with a bob at its end; body (angle, angle'), 0.02 s a step, damping implicit. Observations: cos,
    sin, angle'. Pays 1 within 8 degrees of upright."""

    actions, pushes, observed = 1, 2, 3
    default_params = PendulumParams()

    def __init__(self, id: str):
        self.id = id

    def _start(self, key: jax.Array, params: Any) -> jax.Array:
        return jnp.stack([jax.random.uniform(key, minval=-jnp.pi, maxval=jnp.pi), jnp.zeros(())])

    def torque(self, body: jax.Array, action: jax.Array, force: jax.Array, params: Any) -> tuple[Any, Any]:
        """(torque, moment of inertia) about the hinge; the force (Fx, Fz) is on the middle of the pole."""
        angle, turn = body
        sin, cos = jnp.sin(angle), jnp.cos(angle)
        weight = GRAVITY * (params.pole_mass * 0.25 + params.bob_mass * 0.5) * sin
        pushed = 0.25 * (force[0] * cos - force[1] * sin)
        inertia = ROD_INERTIA + BOB_INERTIA + params.pole_mass * 0.25**2 + params.bob_mass * 0.5**2
        return action[0] + weight + pushed - DAMPING * turn, inertia

    def _moved(self, body: jax.Array, action: jax.Array, force: jax.Array, params: Any) -> jax.Array:
        torque, inertia = self.torque(body, action, force, params)
        turn = body[1] + 0.02 * torque / (inertia + 0.02 * DAMPING)
        return jnp.stack([body[0] + 0.02 * turn, turn])

    def _seen(self, body: jax.Array) -> jax.Array:
        return jnp.stack([jnp.cos(body[0]), jnp.sin(body[0]), body[1]])

    def _reward(self, body: jax.Array, action: jax.Array, force: jax.Array, params: Any) -> jax.Array:
        return tolerance(jnp.cos(body[0]), np.cos(np.deg2rad(8.0)), 1.0)


ROD_INERTIA = capsule_inertia(0.1, 0.5, 0.02)
BOB_INERTIA = 0.4 * 1.0 * 0.05**2
DAMPING = 0.1


@struct.dataclass
class AcrobotParams:
    """upper_mass, lower_mass: kg. force_limit: N, of each component on the upper arm."""

    upper_mass: float = 1.0
    lower_mass: float = 1.0
    force_limit: float = 1.0
    max_steps_in_episode: int = 500


class Acrobot(PushedEnv):
    """Two arms of 1 m with a motor between; body (angle, bend, angle', bend'), 0.01 s a step by Runge-Kutta.
    Observations: both arms' sin, both cos, angle', bend'. Pays for the tip's nearness to a ball of 0.2 m straight up.

    Args:
        is_sparse: pays 1 within the ball only.
    """

    actions, pushes, observed = 1, 2, 6
    default_params = AcrobotParams()

    def __init__(self, id: str, is_sparse: bool):
        self.id, self.is_sparse = id, is_sparse

    def _start(self, key: jax.Array, params: Any) -> jax.Array:
        angles = jax.random.uniform(key, (2,), minval=-jnp.pi, maxval=jnp.pi)
        return jnp.concatenate([angles, jnp.zeros(2)])

    def acceleration(self, body: jax.Array, action: jax.Array, force: jax.Array, params: Any) -> jax.Array:
        """(angle'', bend''), of the force (Fx, Fz) on the middle of the upper arm."""
        angle, bend, turn, bending = body
        upper, lower, half = params.upper_mass, params.lower_mass, 0.5
        across = lower * half * jnp.cos(bend)
        about_elbow = LOWER_INERTIA + lower * half**2
        about_shoulder = UPPER_INERTIA + upper * half**2 + lower + about_elbow + 2.0 * across
        twist = lower * half * jnp.sin(bend)
        on_lower = GRAVITY * lower * half * jnp.sin(angle + bend)
        on_upper = GRAVITY * (upper * half + lower) * jnp.sin(angle) + on_lower
        pushed = half * (force[0] * jnp.cos(angle) - force[1] * jnp.sin(angle))
        at_shoulder = on_upper + pushed + twist * (2.0 * turn * bending + bending**2) - 0.05 * turn
        at_elbow = 2.0 * action[0] + on_lower - twist * turn**2 - 0.05 * bending
        coupled = about_elbow + across
        determinant = about_shoulder * about_elbow - coupled**2
        return (
            jnp.stack(
                [about_elbow * at_shoulder - coupled * at_elbow, about_shoulder * at_elbow - coupled * at_shoulder]
            )
            / determinant
        )

    def _moved(self, body: jax.Array, action: jax.Array, force: jax.Array, params: Any) -> jax.Array:
        def slope(body: jax.Array) -> jax.Array:
            return jnp.concatenate([body[2:], self.acceleration(body, action, force, params)])

        return runge_kutta(slope, body, 0.01)

    def _seen(self, body: jax.Array) -> jax.Array:
        lower = body[0] + body[1]
        arms = [jnp.sin(body[0]), jnp.sin(lower), jnp.cos(body[0]), jnp.cos(lower)]
        return jnp.stack([*arms, body[2], body[3]])

    def _reward(self, body: jax.Array, action: jax.Array, force: jax.Array, params: Any) -> jax.Array:
        lower = body[0] + body[1]
        across = jnp.sin(body[0]) + jnp.sin(lower)
        short = 2.0 - jnp.cos(body[0]) - jnp.cos(lower)
        return tolerance(jnp.hypot(across, short), 0.0, 0.2, margin=0.0 if self.is_sparse else 1.0)


UPPER_INERTIA = capsule_inertia(1.0, 1.0, 0.05)
LOWER_INERTIA = capsule_inertia(1.0, 1.0, 0.049)

_BALANCED: Ranges = {"pole_mass": (1.0, 20.0), "cart_mass": (0.5, 1.5)}
_SWUNG: Ranges = {"pole_mass": (0.05, 0.15), "cart_mass": (0.5, 1.5)}
_ARMS: Ranges = {"upper_mass": (0.95, 1.05), "lower_mass": (0.95, 1.05)}

TASKS: dict[str, tuple[Callable[[str], PushedEnv], Ranges]] = {
    "cartpole-balance": (functools.partial(CartPole, swings_up=False, is_sparse=False), _BALANCED),
    "cartpole-balance-sparse": (functools.partial(CartPole, swings_up=False, is_sparse=True), _BALANCED),
    "cartpole-swingup": (functools.partial(CartPole, swings_up=True, is_sparse=False), _SWUNG),
    "cartpole-swingup-sparse": (functools.partial(CartPole, swings_up=True, is_sparse=True), _SWUNG),
    "pendulum-swingup": (Pendulum, {"pole_mass": (0.05, 0.15), "bob_mass": (0.5, 1.5)}),
    "acrobot-swingup": (functools.partial(Acrobot, is_sparse=False), _ARMS),
    "acrobot-swingup-sparse": (functools.partial(Acrobot, is_sparse=True), _ARMS),
}
"""By name: what makes it, and the two parameters that robustness is judged over, with the published ranges."""
