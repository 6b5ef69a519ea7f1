"""MuJoCo's six tasks in MJX, on Gymnasium's models, `make("mjx/hopper")`: needs the extra `brax`.

Rewards, terminations, observations and starts are those of Gymnasium's v5 tasks; the physics is MuJoCo's in float32.
Three things differ. MJX has no PGS solver, so HumanoidStandup is solved by Newton's method. And where a steep capsule
meets the floor, as Ant's shins and HumanoidStandup's limbs do, MJX turns the pyramid of friction otherwise than MuJoCo
in C, so that sideways forces differ; with a round cone they agree. Where masses are changed, HumanoidStandup observes
inertias, velocities and forces about the true centre of mass, in C about one of the nominal sum of masses. Beside
`brax/NAME` this is closer to the published numbers and slower.
"""

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.envs.physics import (
    PACKAGES,
    TASKS,
    Physics,
    PhysicsEnv,
    model_file,
    needs,
    nominal,
    quietly,
    task_of,
    with_friction,
)
from jaxrl_suite.errors import ConfigError


@struct.dataclass
class MjxState:
    """What a step of MuJoCo depends on, and what a reward looks back at.

    qpos [nq], qvel [nv]: joint positions and velocities. warm_start [nv]: accelerations that the solver begins with.
    torso [2]: x and y of body 1 as of the last evaluation of the kinematics. steps: int32, taken in this episode.
    """

    qpos: jax.Array
    qvel: jax.Array
    warm_start: jax.Array
    torso: jax.Array
    steps: jax.Array


@dataclasses.dataclass(frozen=True)
class Step:
    """What a reward is of. before: the state before the step; after: MJX's data after it; contact [B, 6]: external
    forces and torques on all bodies; seconds: of one control step; substep: of one physics step."""

    before: MjxState
    after: Any
    contact: jax.Array
    action: jax.Array
    seconds: float
    substep: float

    @property
    def forward(self) -> jax.Array:
        """Velocity of the root's x coordinate, m/s."""
        return (self.after.qpos[0] - self.before.qpos[0]) / self.seconds


def _cost(step: Step, weight: float) -> jax.Array:
    return weight * jnp.sum(jnp.square(step.action))


def _is_within(value: jax.Array, low: float, high: float) -> jax.Array:
    return jnp.all((low < value) & (value < high))


def _ant(step: Step) -> tuple[jax.Array, jax.Array]:
    forward = (step.after.xpos[1, 0] - step.before.torso[0]) / step.seconds
    qpos, qvel = step.after.qpos, step.after.qvel
    is_finite = jnp.all(jnp.isfinite(qpos)) & jnp.all(jnp.isfinite(qvel))
    is_healthy = is_finite & (qpos[2] >= 0.2) & (qpos[2] <= 1.0)
    impact = 5e-4 * jnp.sum(jnp.square(jnp.clip(step.contact, -1.0, 1.0)))
    return forward + is_healthy - _cost(step, 0.5) - impact, ~is_healthy


def _half_cheetah(step: Step) -> tuple[jax.Array, jax.Array]:
    return step.forward - _cost(step, 0.1), jnp.asarray(False)


def _hopper(step: Step) -> tuple[jax.Array, jax.Array]:
    qpos, qvel = step.after.qpos, step.after.qvel
    is_bounded = _is_within(qpos[2:], -100.0, 100.0) & _is_within(qvel, -100.0, 100.0)
    is_healthy = is_bounded & (qpos[1] > 0.7) & _is_within(qpos[2], -0.2, 0.2)
    return step.forward + is_healthy - _cost(step, 1e-3), ~is_healthy


def _humanoid_standup(step: Step) -> tuple[jax.Array, jax.Array]:
    impact = jnp.minimum(0.5e-6 * jnp.sum(jnp.square(step.contact)), 10.0)
    return step.after.qpos[2] / step.substep + 1.0 - _cost(step, 0.1) - impact, jnp.asarray(False)


def _inverted_pendulum(step: Step) -> tuple[jax.Array, jax.Array]:
    qpos, qvel = step.after.qpos, step.after.qvel
    is_up = jnp.all(jnp.isfinite(qpos)) & jnp.all(jnp.isfinite(qvel)) & (jnp.abs(qpos[1]) <= 0.2)
    return is_up.astype(jnp.float32), ~is_up


def _walker2d(step: Step) -> tuple[jax.Array, jax.Array]:
    qpos = step.after.qpos
    is_healthy = _is_within(qpos[1], 0.8, 2.0) & _is_within(qpos[2], -1.0, 1.0)
    return step.forward + is_healthy - _cost(step, 1e-3), ~is_healthy


def _joints(data: Any, contact: jax.Array) -> tuple[jax.Array, ...]:
    return data.qpos, data.qvel


def _planar(data: Any, contact: jax.Array) -> tuple[jax.Array, ...]:
    return data.qpos[1:], data.qvel


def _clipped(data: Any, contact: jax.Array) -> tuple[jax.Array, ...]:
    return data.qpos[1:], jnp.clip(data.qvel, -10.0, 10.0)


def _with_contact(data: Any, contact: jax.Array) -> tuple[jax.Array, ...]:
    return data.qpos[2:], data.qvel, jnp.clip(contact[1:], -1.0, 1.0)


def _whole_body(data: Any, contact: jax.Array) -> tuple[jax.Array, ...]:
    inertia = data._impl.cinert[1:]
    return data.qpos[2:], data.qvel, inertia, data.cvel[1:], data.qfrc_actuator[6:], contact[1:]


@dataclasses.dataclass(frozen=True)
class _Task:
    """file: Gymnasium's model. substeps: physics steps a control step. reward: step -> (reward, terminated). observe:
    (data, contact [B, 6]) -> parts of the observation. noise: of a start, half the width of the uniform one; velocities
    are normal with this standard deviation if `has_normal_speed`. has_contact: whether contact forces are needed."""

    file: str
    substeps: int
    reward: Callable[[Step], tuple[jax.Array, jax.Array]]
    observe: Callable[[Any, jax.Array], tuple[jax.Array, ...]]
    noise: float
    has_normal_speed: bool = False
    has_contact: bool = False


_TASKS = {
    "ant": _Task("ant", 5, _ant, _with_contact, 0.1, has_normal_speed=True, has_contact=True),
    "halfcheetah": _Task("half_cheetah", 5, _half_cheetah, _planar, 0.1, has_normal_speed=True),
    "hopper": _Task("hopper", 4, _hopper, _clipped, 5e-3),
    "humanoidstandup": _Task("humanoidstandup", 5, _humanoid_standup, _whole_body, 0.01, has_contact=True),
    "inverted_pendulum": _Task("inverted_pendulum", 2, _inverted_pendulum, _joints, 0.01),
    "walker2d": _Task("walker2d_v5", 4, _walker2d, _clipped, 5e-3),
}


class MjxEnv(PhysicsEnv):
    """One of the tasks in MJX. Made by `make("mjx/NAME")`, which keeps one a name.

    Attributes:
        model: the `mujoco.MjModel` as it is without any change of parameters.
    """

    def __init__(self, id: str, model: Any, mjx: Any):
        self.id, self.model, self._mjx = id, model, mjx
        name = task_of(id, "mjx")
        self.task, self._of = TASKS[name], _TASKS[name]
        self.default_params = nominal(self.task, model)
        self._model = mjx.put_model(model, impl="jax")
        self._blank = mjx.make_data(model, impl="jax")
        (self.observation_size,) = jax.eval_shape(self._reset, jax.random.key(0), self.default_params)[0].shape

    def action_space(self, params: Any) -> Any:
        from gymnax.environments import spaces

        low, high = jnp.asarray(self.model.actuator_ctrlrange, jnp.float32).T
        return spaces.Box(low, high, (self.model.nu,), jnp.float32)

    def written(self, params: Any) -> Any:
        return written(self.task, self._model, params)

    def _reset(self, key: jax.Array, params: Any) -> tuple[Any, MjxState]:
        of, (key_position, key_speed) = self._of, jax.random.split(key)
        qpos = jnp.asarray(self.model.qpos0, jnp.float32)
        qpos += jax.random.uniform(key_position, qpos.shape, minval=-of.noise, maxval=of.noise)
        if self.model.nq > self.model.nv:
            # The root is free: MuJoCo makes its orientation, a quaternion, a unit one again.
            qpos = qpos.at[3:7].divide(jnp.linalg.norm(qpos[3:7]))
        shape = (self.model.nv,)
        qvel = jax.random.uniform(key_speed, shape, minval=-of.noise, maxval=of.noise)
        if of.has_normal_speed:
            qvel = of.noise * jax.random.normal(key_speed, shape)
        data = self._blank.replace(qpos=qpos, qvel=qvel)
        if of.has_contact:
            # All that a first observation shows; forces are zero in it.
            model = self.written(params)
            data = self._mjx.com_vel(model, self._mjx.com_pos(model, self._mjx.kinematics(model, data)))
        contact = jnp.zeros((self.model.nbody, 6))
        state = MjxState(qpos, qvel, jnp.zeros(shape), data.xpos[1, :2], jnp.zeros((), jnp.int32))
        return self._observation(data, contact), state

    def _advance(self, key: jax.Array, state: MjxState, action: Any, params: Any) -> tuple[Any, ...]:
        model, action = self.written(params), jnp.asarray(action, jnp.float32)
        data = self._blank.replace(qpos=state.qpos, qvel=state.qvel, qacc_warmstart=state.warm_start, ctrl=action)
        data = jax.lax.fori_loop(0, self._of.substeps, lambda _, d: self._mjx.step(model, d), data)
        contact = self._contact(model, data)
        substep = float(self.model.opt.timestep)
        step = Step(state, data, contact, action, substep * self._of.substeps, substep)
        reward, terminated = self._of.reward(step)
        steps = state.steps + 1
        terminated, truncated = self._ended(terminated, steps, params)
        after = MjxState(data.qpos, data.qvel, data.qacc_warmstart, data.xpos[1, :2], steps)
        return self._observation(data, contact), after, reward, terminated, truncated, {}

    def _contact(self, model: Any, data: Any) -> jax.Array:
        if not self._of.has_contact:
            return jnp.zeros((self.model.nbody, 6))
        return self._mjx.rne_postconstraint(model, data)._impl.cfrc_ext

    def _observation(self, data: Any, contact: jax.Array) -> jax.Array:
        return jnp.concatenate([part.reshape(-1) for part in self._of.observe(data, contact)])


def written(task: Physics, model: Any, params: Any) -> Any:
    """MJX's model with these masses and this friction; all that follows from masses stays as it was."""
    masses = model.body_mass
    for name, body in task.bodies.items():
        masses = masses.at[body].set(getattr(params, name))
    return model.replace(
        body_mass=masses, geom_friction=with_friction(task, model.geom_friction, model.geom_bodyid, params)
    )


def load(id: str, package: str, file: str, iterations: int, line_search: int) -> tuple[Any, Any]:
    """(the `mujoco.MjModel` of a file that a package brings along, the module mujoco.mjx).

    Args:
        id: of the environment, for messages.
        iterations, line_search: at most so many iterations of the constraint solver, and steps of the search within
            each. MuJoCo's own are 100 and 50, but in float32 the solver seldom meets its tolerance and takes them all.

    Raises:
        ConfigError: without MJX or the file, or for less than one iteration.
    """
    needs(id, PACKAGES["mjx"])
    for argument, value in (("iterations", iterations), ("line_search", line_search)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"{id}: {argument} = {value!r}: must be a whole number >= 1")
    path = model_file(id, package, file)
    with quietly():
        mujoco, mjx = importlib.import_module("mujoco"), importlib.import_module("mujoco.mjx")
    model = mujoco.MjModel.from_xml_path(str(path))
    model.opt.iterations, model.opt.ls_iterations = iterations, line_search
    if model.opt.solver == mujoco.mjtSolver.mjSOL_PGS:
        model.opt.solver = mujoco.mjtSolver.mjSOL_NEWTON
    return model, mjx


def make(id: str, iterations: int = 20, line_search: int = 20) -> MjxEnv:
    """The environment `mjx/NAME`; iterations, line_search: as of `load`.

    Raises:
        UnknownNameError: for another name. ConfigError: as `load` does.
    """
    name = task_of(id, "mjx")
    return MjxEnv(id, *load(id, "gymnasium", f"envs/mujoco/assets/{_TASKS[name].file}.xml", iterations, line_search))
