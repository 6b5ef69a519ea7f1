"""The six MuJoCo tasks with uncertain physics: what may be uncertain in each, in which sets, and how it is written.

Shared by `brax/NAME` and `mjx/NAME`, whose parameters are the same: masses of bodies in kg, and sliding friction. They
are written into the model as they are: inertia tensors and constants that follow from masses stay those of the nominal
model, as in the sets' origin (RRLS, M2TD3). Where two geoms touch, MuJoCo takes the larger of their frictions: the
floor's counts only where it exceeds the other's (2 for Hopper's foot, 1.9 for Walker2d's, .9 for other parts).
"""

import abc
import contextlib
import dataclasses
import importlib.metadata
import importlib.util
import io
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.errors import ConfigError, UnknownNameError

Ranges = Mapping[str, tuple[float, float]]


@struct.dataclass
class AntParams:
    """Masses in kg. front_left_ankle_mass: of what M2TD3's sets call the front right leg.

    max_steps_in_episode, here and below: steps after which an episode is truncated.
    """

    torso_mass: float
    front_left_leg_mass: float
    front_right_leg_mass: float
    front_left_ankle_mass: float
    max_steps_in_episode: int = 1000


@struct.dataclass
class HalfCheetahParams:
    """friction: of all geoms. Masses in kg."""

    friction: float
    torso_mass: float
    back_thigh_mass: float
    max_steps_in_episode: int = 1000


@struct.dataclass
class HopperParams:
    """friction: of the floor. Masses in kg."""

    friction: float
    torso_mass: float
    thigh_mass: float
    max_steps_in_episode: int = 1000


@struct.dataclass
class HumanoidStandupParams:
    """Masses in kg."""

    torso_mass: float
    left_thigh_mass: float
    right_foot_mass: float
    max_steps_in_episode: int = 1000


@struct.dataclass
class InvertedPendulumParams:
    """Masses in kg."""

    pole_mass: float
    cart_mass: float
    max_steps_in_episode: int = 1000


@struct.dataclass
class Walker2dParams:
    """friction: of the floor. Masses in kg; the thigh is the right one."""

    friction: float
    torso_mass: float
    thigh_mass: float
    max_steps_in_episode: int = 1000


@dataclasses.dataclass(frozen=True)
class Physics:
    """What is uncertain in a task.

    params: class of the parameters. bodies: by name of a mass, its body's index in MuJoCo's model, where the world is
    0. friction: the geoms that have it: `floor`, `all`, or `none` if it is not uncertain.
    """

    params: type
    bodies: Mapping[str, int]
    friction: str = "none"

    @property
    def names(self) -> tuple[str, ...]:
        """The uncertain parameters, those of the class but the time limit."""
        return tuple(f.name for f in dataclasses.fields(self.params) if f.name != "max_steps_in_episode")


TASKS = {
    "ant": Physics(
        AntParams,
        {"torso_mass": 1, "front_left_leg_mass": 2, "front_right_leg_mass": 5, "front_left_ankle_mass": 4},
    ),
    "halfcheetah": Physics(HalfCheetahParams, {"torso_mass": 1, "back_thigh_mass": 2}, "all"),
    "hopper": Physics(HopperParams, {"torso_mass": 1, "thigh_mass": 2}, "floor"),
    "humanoidstandup": Physics(HumanoidStandupParams, {"torso_mass": 1, "left_thigh_mass": 7, "right_foot_mass": 6}),
    "inverted_pendulum": Physics(InvertedPendulumParams, {"pole_mass": 2, "cart_mass": 1}),
    "walker2d": Physics(Walker2dParams, {"torso_mass": 1, "thigh_mass": 2}, "floor"),
}
"""By name of a task."""

_ANT_2 = {"torso_mass": (0.1, 3.0), "front_left_leg_mass": (0.01, 3.0)}
_CHEETAH_2 = {"friction": (0.1, 4.0), "torso_mass": (0.1, 7.0)}
_HOPPER_2 = {"friction": (0.1, 3.0), "torso_mass": (0.1, 3.0)}
_WALKER_2 = {"friction": (0.1, 4.0), "torso_mass": (0.1, 5.0)}
_STANDUP_2 = {"torso_mass": (0.1, 16.0), "right_foot_mass": (0.1, 8.0)}
_STANDUP_M2TD3 = {"torso_mass": (0.1, 16.0), "right_foot_mass": (0.1, 5.0), "left_thigh_mass": (0.1, 8.0)}

SETS: Mapping[str, Mapping[str, Ranges]] = {
    "ant": {
        "1": {"torso_mass": (0.1, 3.0)},
        "2": _ANT_2,
        "3": _ANT_2 | {"front_right_leg_mass": (0.01, 3.0)},
        "3-m2td3": _ANT_2 | {"front_left_ankle_mass": (0.01, 3.0)},
    },
    "halfcheetah": {
        "1": {"friction": (0.1, 3.0)},
        "2": _CHEETAH_2,
        "3": _CHEETAH_2 | {"back_thigh_mass": (0.1, 3.0)},
    },
    "hopper": {
        "1": {"friction": (0.1, 3.0)},
        "2": _HOPPER_2,
        "3": _HOPPER_2 | {"thigh_mass": (0.1, 4.0)},
    },
    "humanoidstandup": {
        "1": {"torso_mass": (0.1, 16.0)},
        "2": _STANDUP_2,
        "3": {"torso_mass": (0.1, 16.0), "left_thigh_mass": (0.1, 5.0), "right_foot_mass": (0.1, 8.0)},
        "3-m2td3": _STANDUP_M2TD3,
    },
    "inverted_pendulum": {
        "1": {"pole_mass": (1.0, 31.0)},
        "2": {"pole_mass": (1.0, 31.0), "cart_mass": (1.0, 11.0)},
    },
    "walker2d": {
        "1": {"friction": (0.1, 4.0)},
        "2": _WALKER_2,
        "3": _WALKER_2 | {"thigh_mass": (0.1, 6.0)},
    },
}
"""By task and name of a set: (low, high) by parameter. A name is the number of parameters, those of RRLS; `3-m2td3` is
M2TD3's where it differs: for Ant it writes another body, for HumanoidStandup it swaps two upper ends."""


def task_of(id: str, prefix: str) -> str:
    """The task of the id `prefix/TASK`.

    Raises:
        UnknownNameError: if there is none.
    """
    name = id.removeprefix(f"{prefix}/")
    if name not in TASKS:
        raise UnknownNameError("environment", id, [f"{prefix}/{task}" for task in TASKS])
    return name


def needs(id: str, package: str) -> None:
    """Raises ConfigError unless the package is installed, naming the extra that has it."""
    if not is_installed(package):
        raise ConfigError(f"{id}: needs {package}: install the extra brax")


def is_installed(package: str) -> bool:
    """Whether a distribution is installed; imports nothing."""
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def model_file(id: str, package: str, file: str) -> Path:
    """A file that an installed package brings along.

    Raises:
        ConfigError: naming the environment, if it is not there.
    """
    spec = importlib.util.find_spec(package)
    places = [] if spec is None else [Path(place) / file for place in spec.submodule_search_locations or ()]
    found = [place for place in places if place.is_file()]
    if not found:
        raise ConfigError(f"{id}: needs the model {file} of {package}, which is not there: install the extra brax")
    return found[0]


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """While brax and MuJoCo are imported: they print what else could be installed, and use what is deprecated."""
    with without_warnings(), contextlib.redirect_stdout(io.StringIO()):
        yield


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """While brax loads or is traced: it uses names that MJX deprecates, and says that it is no longer worked on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


PACKAGES = {"brax": "brax", "mjx": "mujoco-mjx"}
"""By prefix of the ids: the package it needs."""

BRAX_IDS, MJX_IDS = (
    tuple(f"{prefix}/{task}" for task in TASKS) if is_installed(package) else () for prefix, package in PACKAGES.items()
)
"""Ids of the environments that can be made here: none where the extra is not installed."""


def friction_geoms(task: Physics, geom_bodies: np.ndarray) -> np.ndarray:
    """Indices of the geoms whose friction is uncertain. geom_bodies [G]: index of each geom's body, 0 is the world."""
    bodies = np.asarray(geom_bodies)
    # No task with uncertain friction has another geom than the floor fixed to the world.
    return np.flatnonzero(bodies == 0 if task.friction == "floor" else np.full(bodies.shape, task.friction == "all"))


def with_friction(task: Physics, geom_friction: jax.Array, geom_bodies: np.ndarray, params: Any) -> jax.Array:
    """geom_friction [G, 3] with the uncertain sliding friction (column 0) written."""
    if task.friction == "none":
        return geom_friction
    return geom_friction.at[friction_geoms(task, geom_bodies), 0].set(params.friction)


def nominal(task: Physics, model: Any) -> Any:
    """The parameters of a MuJoCo model (`mujoco.MjModel`), as numbers that float32 holds exactly."""
    values = {name: float(np.float32(model.body_mass[body])) for name, body in task.bodies.items()}
    if task.friction != "none":
        geom = friction_geoms(task, model.geom_bodyid)[0]
        values["friction"] = float(np.float32(model.geom_friction[geom, 0]))
    return task.params(**values)


class PhysicsEnv(BaseEnv):
    """One of the tasks in some engine. A subclass sets the attributes and gives `written`, reset and step.

    Attributes:
        task: what is uncertain.
        observation_size: length of an observation, float32.
        without_effect: parameters that the engine ignores, which must stay nominal; and why.
    """

    task: Physics
    observation_size: int
    without_effect: tuple[str, ...] = ()
    without_effect_because: str = ""

    @abc.abstractmethod
    def written(self, params: Any) -> Any:
        """The engine's model under these parameters; all that they do not name is the nominal one's."""

    def observation_space(self, params: Any) -> Any:
        from gymnax.environments import spaces

        return spaces.Box(-jnp.inf, jnp.inf, (self.observation_size,), jnp.float32)

    def check_params(self, params: Any) -> None:
        super().check_params(params)
        self.require_effect(name for name in self.without_effect if self._is_changed(name, params))
        for name in self.task.names:
            value = np.asarray(getattr(params, name))
            if not np.all(np.isfinite(value) & (value > 0)):
                raise ConfigError(f"{self.id}: parameter {name} = {value}: must be a finite number > 0")

    def require_effect(self, names: Iterable[str]) -> None:
        """Raises ConfigError if the engine ignores one of these parameters."""
        for name in names:
            if name in self.without_effect:
                raise ConfigError(f"{self.id}: parameter {name} has no effect {self.without_effect_because}")

    def _is_changed(self, name: str, params: Any) -> bool:
        return bool(np.any(np.float32(getattr(params, name)) != np.float32(getattr(self.default_params, name))))

    @staticmethod
    def _ended(terminated: jax.Array, steps: jax.Array, params: Any) -> tuple[jax.Array, jax.Array]:
        """(terminated, truncated) after so many steps: an episode that terminates at the limit is not truncated."""
        return terminated, (steps >= params.max_steps_in_episode) & ~terminated
