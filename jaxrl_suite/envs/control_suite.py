"""Tasks of the DeepMind Control Suite on bodies that can be pushed: starts, observations and rewards.

Tassa et al. 2018 (arXiv 1801.00690) and its program; pushes, uncertain masses and friction as of Reddi et al. 2024
(arXiv 2311.01642), whose force limits and ranges these are. Where walkers stand, reward is the suite's own, not theirs,
which multiplies it by 1/6 wherever the walker moves backwards.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.envs.physics import Physics
from jaxrl_suite.envs.robust_control import Ranges
from jaxrl_suite.envs.tolerance import tolerance


@struct.dataclass
class LeggedParams:
    """torso_mass: kg. friction: sliding, of all geoms. force_limit: N, of each component."""

    torso_mass: float
    friction: float
    force_limit: float = 1.0
    max_steps_in_episode: int = 500


@struct.dataclass
class BallParams:
    """Masses in kg. force_limit: N, of each component on the ball."""

    ball_mass: float
    cup_mass: float
    force_limit: float = 0.005
    max_steps_in_episode: int = 500


@struct.dataclass
class ReacherParams:
    """Masses in kg. force_limit: N, of each component on the arm."""

    arm_mass: float
    hand_mass: float
    force_limit: float = 0.1
    max_steps_in_episode: int = 500


@struct.dataclass
class SuiteBody:
    """qpos [nq], qvel [nv]: joint positions and velocities. warm_start [nv]: accelerations that the solver begins with.
    target [2]: x and y of what a reacher is to reach; None for others. sensed: what its task reads off it, by name."""

    qpos: jax.Array
    qvel: jax.Array
    warm_start: jax.Array
    target: Any
    sensed: dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Task:
    """file: the suite's model. physics: what is uncertain. pushed: names of bodies; axes: of the world, of the forces
    on each. substeps: physics steps a control step. observed: numbers in an observation. settling: physics steps before
    an episode starts.

    start: (key, `mujoco.MjModel`) -> (qpos, target). sense: (model, MJX's data, target) -> what `observe`, body ->
    parts of an observation, and `reward`, (sensed, action) -> number, are of. has_speed, has_touch: whether `sense`
    reads the velocity of the torso's whole subtree, and touch sensors.
    """

    file: str
    physics: Physics
    pushed: tuple[str, ...]
    axes: tuple[int, int]
    substeps: int
    observed: int
    start: Callable[[jax.Array, Any], tuple[jax.Array, Any]]
    sense: Callable[[Any, Any, Any], dict[str, jax.Array]]
    observe: Callable[[SuiteBody], tuple[jax.Array, ...]]
    reward: Callable[[dict[str, jax.Array], jax.Array], jax.Array]
    settling: int = 0
    has_speed: bool = False
    has_touch: bool = False


def _joints(key: jax.Array, model: Any, turns: bool) -> jax.Array:
    """Joints with limits anywhere between them; hinges without at any angle, if `turns`; others as in the model."""
    is_limited = model.jnt_limited.astype(bool)
    hinge = 3  # mujoco.mjtJoint.mjJNT_HINGE
    is_turned = ~is_limited & (model.jnt_type == hinge) & turns
    bounds = [np.where(is_limited, model.jnt_range[:, end], model.qpos0) for end in (0, 1)]
    low, high = (np.where(is_turned, angle, bound) for angle, bound in zip((-np.pi, np.pi), bounds, strict=True))
    return jax.random.uniform(key, low.shape, minval=jnp.asarray(low), maxval=jnp.asarray(high))


def _start_legged(key: jax.Array, model: Any, turns: bool) -> tuple[jax.Array, Any]:
    return _joints(key, model, turns), None


def _start_reacher(key: jax.Array, model: Any) -> tuple[jax.Array, jax.Array]:
    key_joints, key_angle, key_radius = jax.random.split(key, 3)
    angle = jax.random.uniform(key_angle, maxval=2.0 * jnp.pi)
    radius = jax.random.uniform(key_radius, minval=0.05, maxval=0.2)
    return _joints(key_joints, model, True), radius * jnp.stack([jnp.sin(angle), jnp.cos(angle)])


def _start_ball(key: jax.Array, model: Any) -> tuple[jax.Array, Any]:
    """The ball anywhere in a square where it does not touch the cup."""
    first, along, width = _walls(model)
    reach = model.geom("ball").size[0] + width
    offset, low, high = jnp.asarray(model.body("ball").pos[::2]), jnp.array([-0.2, 0.2]), jnp.array([0.2, 0.5])

    def touches(place: jax.Array) -> jax.Array:
        away = place + offset - first
        share = jnp.clip(jnp.sum(away * along, 1) / jnp.sum(along**2, 1), 0.0, 1.0)
        return jnp.any(jnp.sum((away - share[:, None] * along) ** 2, 1) < reach**2)

    def again(drawn: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        key, key_place = jax.random.split(drawn[0])
        return key, jax.random.uniform(key_place, (2,), minval=low, maxval=high)

    _, place = jax.lax.while_loop(lambda drawn: touches(drawn[1]), again, again((key, low)))
    return jnp.concatenate([jnp.zeros(2), place]), None


def _walls(model: Any) -> tuple[jax.Array, jax.Array, float]:
    """The cup's capsules, in x and z: one end of each and the way to the other, both [P, 2], and their radius."""
    parts = np.flatnonzero(model.geom_bodyid == model.body("cup").id)
    w, x, y, z = model.geom_quat[parts].T
    half = model.geom_size[parts, 1:2] * np.stack([2.0 * (x * z + w * y), w**2 - x**2 - y**2 + z**2], axis=1)
    middle = model.body("cup").pos[::2] + model.geom_pos[parts][:, ::2]
    return jnp.asarray(middle - half), jnp.asarray(2.0 * half), float(model.geom_size[parts[0], 0])


def _torso_speed(data: Any) -> jax.Array:
    return data._impl.subtree_linvel[1, 0]


def _sense_cheetah(model: Any, data: Any, target: Any) -> dict[str, jax.Array]:
    return {"speed": _torso_speed(data)}


def _sense_hopper(model: Any, data: Any, target: Any) -> dict[str, jax.Array]:
    height = data.xipos[model.body("torso").id, 2] - data.xipos[model.body("foot").id, 2]
    touch = [data.sensordata[model.sensor(f"touch_{end}").adr[0]] for end in ("toe", "heel")]
    return {"height": height, "speed": _torso_speed(data), "touch": jnp.log1p(jnp.stack(touch))}


def _sense_walker(model: Any, data: Any, target: Any) -> dict[str, jax.Array]:
    torso = model.body("torso").id
    turned = data.xmat[1:].reshape(-1, 9)[:, jnp.array([0, 2])].ravel()
    return {
        "height": data.xpos[torso, 2],
        "upright": data.xmat[torso].reshape(9)[8],
        "speed": _torso_speed(data),
        "orientations": turned,
    }


def _sense_ball(model: Any, data: Any, target: Any) -> dict[str, jax.Array]:
    away = data.site_xpos[model.site("target").id] - data.xpos[model.body("ball").id]
    room = model.site("target").size - model.geom("ball").size[0]
    is_in = jnp.all(jnp.abs(away[::2]) < room[::2])
    return {"is_in": is_in.astype(away.dtype)}


def _sense_reacher(model: Any, data: Any, target: Any) -> dict[str, jax.Array]:
    return {"to_target": target - data.geom_xpos[model.geom("finger").id, :2]}


def _seen_cheetah(body: SuiteBody) -> tuple[jax.Array, ...]:
    return body.qpos[1:], body.qvel


def _seen_hopper(body: SuiteBody) -> tuple[jax.Array, ...]:
    return body.qpos[1:], body.qvel, body.sensed["touch"]


def _seen_walker(body: SuiteBody) -> tuple[jax.Array, ...]:
    return body.sensed["orientations"], body.sensed["height"][None], body.qvel


def _seen_ball(body: SuiteBody) -> tuple[jax.Array, ...]:
    return body.qpos, body.qvel


def _seen_reacher(body: SuiteBody) -> tuple[jax.Array, ...]:
    return body.qpos, body.sensed["to_target"], body.qvel


def run_cheetah(sensed: dict[str, jax.Array], action: jax.Array) -> jax.Array:
    return tolerance(sensed["speed"], 10.0, np.inf, margin=10.0, at_margin=0.0, shape="linear")


def stand_hopper(sensed: dict[str, jax.Array], action: jax.Array) -> jax.Array:
    calm = jnp.mean(tolerance(action, margin=1.0, at_margin=0.0, shape="quadratic"))
    return tolerance(sensed["height"], 0.6, 2.0) * (4.0 + calm) / 5.0


def hop_hopper(sensed: dict[str, jax.Array], action: jax.Array) -> jax.Array:
    hops = tolerance(sensed["speed"], 2.0, np.inf, margin=1.0, at_margin=0.5, shape="linear")
    return tolerance(sensed["height"], 0.6, 2.0) * hops


def stand_walker(sensed: dict[str, jax.Array], action: jax.Array) -> jax.Array:
    stands = tolerance(sensed["height"], 1.2, np.inf, margin=0.6)
    return (3.0 * stands + 0.5 * (1.0 + sensed["upright"])) / 4.0


def move_walker(sensed: dict[str, jax.Array], action: jax.Array, speed: float) -> jax.Array:
    moves = tolerance(sensed["speed"], speed, np.inf, margin=speed / 2.0, at_margin=0.5, shape="linear")
    return stand_walker(sensed, action) * (5.0 * moves + 1.0) / 6.0


def catch_ball(sensed: dict[str, jax.Array], action: jax.Array) -> jax.Array:
    return sensed["is_in"]


def reach(sensed: dict[str, jax.Array], action: jax.Array, size: float) -> jax.Array:
    """size: the target's radius; the finger's is 0.01."""
    return tolerance(jnp.linalg.norm(sensed["to_target"]), 0.0, size + 0.01)


_TORSO = {"torso_mass": 1}
_LEGGED = Physics(LeggedParams, _TORSO, "all")
_CHEETAH = Task("cheetah", _LEGGED, ("torso", "bfoot", "ffoot"), (0, 2), 1, 17,
                functools.partial(_start_legged, turns=False), _sense_cheetah, _seen_cheetah, run_cheetah,
                settling=200, has_speed=True)  # fmt: skip
_HOPPER = Task("hopper", _LEGGED, ("foot",), (0, 2), 4, 15, functools.partial(_start_legged, turns=True),
               _sense_hopper, _seen_hopper, stand_hopper, has_speed=True, has_touch=True)  # fmt: skip
_WALKER = Task("walker", _LEGGED, ("right_foot", "left_foot"), (0, 2), 10, 24,
               functools.partial(_start_legged, turns=True), _sense_walker, _seen_walker, stand_walker,
               has_speed=True)  # fmt: skip
_BALL = Task("ball_in_cup", Physics(BallParams, {"ball_mass": 2, "cup_mass": 1}), ("ball",), (0, 2), 10, 8,
             _start_ball, _sense_ball, _seen_ball, catch_ball)  # fmt: skip
_REACHER = Task("reacher", Physics(ReacherParams, {"arm_mass": 1, "hand_mass": 2}), ("arm",), (0, 1), 1, 6,
                _start_reacher, _sense_reacher, _seen_reacher, functools.partial(reach, size=0.05))  # fmt: skip


def _rewarded(task: Task, reward: Callable[..., jax.Array], **fixed: float) -> Task:
    return dataclasses.replace(task, reward=functools.partial(reward, **fixed))


_HOPPER_BOX: Ranges = {"torso_mass": (1.0, 9.0), "friction": (0.1, 1.9)}
_WALKER_BOX: Ranges = {"torso_mass": (5.0, 15.0), "friction": (0.1, 1.3)}
_REACHER_BOX: Ranges = {"arm_mass": (0.02, 0.06), "hand_mass": (0.02, 0.05)}

TASKS: dict[str, tuple[Task, Ranges]] = {
    "ball-in-cup-catch": (_BALL, {"ball_mass": (0.01, 0.11), "cup_mass": (0.01, 0.11)}),
    "cheetah-run": (_CHEETAH, {"torso_mass": (3.0, 9.0), "friction": (0.1, 1.9)}),
    "hopper-stand": (_HOPPER, _HOPPER_BOX),
    "hopper-hop": (_rewarded(_HOPPER, hop_hopper), _HOPPER_BOX),
    "reacher-easy": (_REACHER, _REACHER_BOX),
    "reacher-hard": (_rewarded(_REACHER, reach, size=0.015), _REACHER_BOX),
    "walker-stand": (_WALKER, _WALKER_BOX),
    "walker-walk": (_rewarded(_WALKER, move_walker, speed=1.0), _WALKER_BOX),
    "walker-run": (_rewarded(_WALKER, move_walker, speed=8.0), _WALKER_BOX),
}
"""By name, with the two parameters that robustness is judged over and the published ranges."""
