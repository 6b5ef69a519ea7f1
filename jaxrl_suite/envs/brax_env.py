"""brax's continuous control with uncertain physics, `make("brax/hopper")`: needs the extra `brax`.

Of brax an environment's reset and step are used, on a system into which the parameters are written each time; time
limits and resets are the suite's. Actions are in [-1, 1], as brax has them.

Parameters do not act alike on all backends. `spring` and `positional` raise masses to the power 1 - spring_mass_scale
of the task's file: 0 for Hopper and Ant, where every link weighs 1 and masses are refused; .7 for HalfCheetah. brax
joins bodies that cannot move against each other into one link (HumanoidStandup's foot and shin, Ant's torso and upper
legs); a change of such a body's mass is added at the link's centre of mass. Where an adversary moves masses within an
episode, the first physics step after it is still `generalized`'s with the mass matrix of before.
"""

import copy
import importlib
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.envs.physics import (
    TASKS,
    PhysicsEnv,
    model_file,
    needs,
    nominal,
    quietly,
    task_of,
    with_friction,
    without_warnings,
)
from jaxrl_suite.errors import ConfigError

BACKENDS = ("generalized", "spring", "positional", "mjx")
DEFAULT_BACKEND = "generalized"

_FILES = {"halfcheetah": "half_cheetah"}


@struct.dataclass
class BraxState:
    """pipeline: the backend's own state. steps: int32, taken in this episode."""

    pipeline: Any
    steps: jax.Array


class BraxEnv(PhysicsEnv):
    """One of brax's environments. Made by `make("brax/NAME")`, which keeps one a name and backend.

    Attributes:
        backend: name of the physics.
    """

    def __init__(self, id: str, simulator: Any, model: Any, backend: str):
        self.id, self.backend, self.task = id, backend, TASKS[task_of(id, "brax")]
        self.default_params = nominal(self.task, model)
        self._simulator = simulator
        self._whole = importlib.import_module("brax.envs.base").State
        self._links = _links(model)
        self._is_alone = {name: not _is_joined(self._links, body) for name, body in self.task.bodies.items()}
        if backend in ("spring", "positional") and float(simulator.sys.spring_mass_scale) == 1.0:
            self.without_effect = tuple(self.task.bodies)
            self.without_effect_because = (
                f"with backend = {backend!r}, where all masses are 1 in this task; must be generalized or mjx"
            )
        # brax's own observation_size runs a reset, operation by operation.
        with without_warnings():
            (self.observation_size,) = jax.eval_shape(simulator.reset, jax.random.key(0)).obs.shape

    def action_space(self, params: Any) -> Any:
        from gymnax.environments import spaces

        return spaces.Box(-1.0, 1.0, (self._simulator.action_size,), jnp.float32)

    def written(self, params: Any) -> Any:
        system = self._simulator.sys
        friction = with_friction(self.task, system.geom_friction, system.geom_bodyid, params)
        changes = {"geom_friction": friction}
        if self.backend == "mjx":
            changes["body_mass"] = self._with_masses(system.body_mass, 1, params)
        else:
            changes["link.inertia.mass"] = self._with_masses(system.link.inertia.mass, 0, params)
        return system.tree_replace(changes)

    def _with_masses(self, masses: jax.Array, first: int, params: Any) -> jax.Array:
        """masses [L] with those of the parameters; the first link is at index `first`."""
        for name, body in self.task.bodies.items():
            place, value = masses.at[self._links[body] + first], getattr(params, name)
            # In this order a nominal mass changes no bit.
            masses = place.set(value) if self._is_alone[name] else place.add(value - getattr(self.default_params, name))
        return masses

    def _under(self, params: Any) -> Any:
        simulator = copy.copy(self._simulator)
        simulator.sys = self.written(params)
        return simulator

    def _reset(self, key: jax.Array, params: Any) -> tuple[Any, BraxState]:
        with without_warnings():
            state = self._under(params).reset(key)
        return state.obs, BraxState(state.pipeline_state, jnp.zeros((), jnp.int32))

    def _advance(self, key: jax.Array, state: BraxState, action: Any, params: Any) -> tuple[Any, ...]:
        # brax's metrics and info are not read: what it writes there does not become part of the state.
        zero = jnp.zeros(())
        simulator = self._under(params)
        whole = self._whole(self._weighed(state.pipeline, simulator.sys), zero, zero, zero, {}, {})
        with without_warnings():
            after = simulator.step(whole, jnp.asarray(action, jnp.float32))
        steps = state.steps + 1
        terminated, truncated = self._ended(after.done > 0, steps, params)
        return after.obs, BraxState(after.pipeline_state, steps), after.reward, terminated, truncated, {}

    def _weighed(self, pipeline: Any, system: Any) -> Any:
        """The state as these masses have it: `spring` and `positional` keep those of the reset in theirs."""
        if self.backend not in ("spring", "positional"):
            return pipeline
        return pipeline.replace(mass=system.link.inertia.mass ** (1 - system.spring_mass_scale))


def make(id: str, backend: str = DEFAULT_BACKEND) -> BraxEnv:
    """The environment `brax/NAME`.

    Args:
        backend: `generalized` (joint coordinates; the default: the fastest on which every parameter acts),
            `spring` and `positional` (maximal coordinates, with masses and inertia altered; 9 and 3 times as fast on
            Hopper), or `mjx` (as fast as `generalized`, slower to compile).

    Raises:
        UnknownNameError: for another name. ConfigError: without brax, or for another backend.
    """
    name = task_of(id, "brax")
    needs(id, "brax")
    if backend not in BACKENDS:
        raise ConfigError(f"{id}: backend = {backend!r}: must be one of {', '.join(BACKENDS)}")
    with quietly():
        envs, mujoco = importlib.import_module("brax.envs"), importlib.import_module("mujoco")
        simulator = envs.get_environment(name, backend=backend)
        # As it is before bodies are joined.
        file = model_file(id, "brax", f"envs/assets/{_FILES.get(name, name)}.xml")
        model = mujoco.MjModel.from_xml_path(str(file))
    return BraxEnv(id, simulator, model, backend)


def _links(model: Any) -> list[int]:
    """By body: index of brax's link that it is part of; -1: the world."""
    links, count = [-1], 0
    for body in range(1, model.nbody):
        has_joints = model.body_jntnum[body] > 0
        links.append(count if has_joints else links[model.body_parentid[body]])
        count += has_joints
    return [int(link) for link in links]


def _is_joined(links: list[int], body: int) -> bool:
    return links.count(links[body]) > 1
