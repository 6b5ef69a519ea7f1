"""Classic control with uncertain physics: `robust/ID` is gymnax's ID over a box of kernels T_psi.

psi are values of some of the environment's parameters, psi in Psi = [low_1, high_1] x ... x [low_d, high_d]. The box,
the kernel that is played and how much of it is drawn at random are numbers, never code: everything maps over them. psi
is drawn when an episode starts and lives in the state, where an adversary may overwrite it:

    env, params = make("robust/CartPole-v1")             # the nominal kernel
    params = env.at(params, psi)                         # one fixed kernel
    params = env.randomised(params)                      # domain randomisation: uniform over the box, at each reset
    state = env.with_kernel(state, psi)                  # an adversary's move within an episode

One psi drives all states and actions, so the set is not rectangular: robust values of dynamic programming are bounds.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.envs.registry import make as make_env
from jaxrl_suite.envs.wrappers import DiscretizedActions
from jaxrl_suite.errors import ConfigError, UnknownNameError
from jaxrl_suite.sampling import between

Ranges = Mapping[str, Sequence[float]]
"""By name of a parameter: (low, high)."""

ENDS = ("both", "lower")
"""Grids: with both ends of every axis, or without the upper one, as the paper's."""


@dataclasses.dataclass(frozen=True, eq=False)
class Family:
    """What may be uncertain in an environment. Hashes by identity.

    ranges: the default set. others: further parameters that may be uncertain. derived: parameters that follow from
    those, and from which; follow(base, params) -> params computes them.
    """

    ranges: Ranges
    others: tuple[str, ...] = ()
    derived: Mapping[str, str] = dataclasses.field(default_factory=dict)
    follow: Callable[[Any, Any], Any] = lambda base, params: params

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.ranges, *self.others)


def _cart_pole(base: Any, params: Any) -> Any:
    return params.replace(total_mass=params.masscart + params.masspole, polemass_length=params.masspole * params.length)


def _acrobot(base: Any, params: Any) -> Any:
    # Centres of mass keep their places along the links.
    return params.replace(
        link_com_pos_1=base.link_com_pos_1 * (params.link_length_1 / base.link_length_1),
        link_com_pos_2=base.link_com_pos_2 * (params.link_length_2 / base.link_length_2),
    )


_FAMILIES = {
    "CartPole-v1": Family(
        {"masspole": (0.05, 1.0), "length": (0.25, 2.0)},
        ("masscart", "gravity", "force_mag"),
        {"total_mass": "masscart + masspole", "polemass_length": "masspole * length"},
        _cart_pole,
    ),
    "Pendulum-v1": Family({"m": (0.5, 2.0), "l": (0.5, 1.5)}, ("g",)),
    "Acrobot-v1": Family(
        {"link_mass_2": (0.5, 2.0), "link_length_1": (0.5, 1.5)},
        ("link_mass_1", "link_length_2", "link_moi"),
        {"link_com_pos_1": "link_length_1", "link_com_pos_2": "link_length_2"},
        _acrobot,
    ),
    "MountainCar-v0": Family({"force": (0.0008, 0.0012), "gravity": (0.002, 0.003)}),
    "MountainCarContinuous-v0": Family({"power": (0.001, 0.002), "gravity": (0.002, 0.003)}),
}

IDS = tuple(f"robust/{name}" for name in _FAMILIES)
"""Ids of all families of this module."""


@struct.dataclass
class RobustParams:
    """env: the wrapped parameters. low, high: the box, by name; kernel: psi, by name, all > 0.

    randomness: in [0, 1]. An episode plays (1 - randomness) psi + randomness x, x uniform over the box: 0 is the fixed
    kernel, 1 domain randomisation.
    """

    env: Any
    low: dict[str, float]
    high: dict[str, float]
    kernel: dict[str, float]
    randomness: float = 0.0

    @property
    def max_steps_in_episode(self) -> Any:
        return self.env.max_steps_in_episode


@struct.dataclass
class RobustState:
    """env: the wrapped state. kernel: psi of this episode, float32 [d]."""

    env: Any
    kernel: jax.Array


class RobustEnv(BaseEnv):
    """An environment over a box of kernels. Made by `make("robust/...")`.

    Attributes:
        names: the uncertain parameters, d of them, in the order of all vectors psi [d].
    """

    def __init__(self, env: BaseEnv, id: str, family: Family, names: tuple[str, ...]):
        self.env, self.id, self.names, self._family = env, id, names, family
        self.default_params = self.wrap_params(env.default_params)

    def wrap_params(self, params: Any) -> RobustParams:
        ranges = {name: self._family.ranges.get(name) for name in self.names}
        low, high = ({n: float(r[end] if r else getattr(params, n)) for n, r in ranges.items()} for end in (0, 1))
        return RobustParams(params, low, high, {name: float(getattr(params, name)) for name in self.names})

    def check_params(self, params: Any) -> None:
        super().check_params(params)
        self.env.check_params(params.env)
        for name in self.names:
            _check_range(self.id, name, (params.low[name], params.high[name]))
            _check_positive(f"{self.id}: kernel {name}", params.kernel[name])
        randomness = np.asarray(params.randomness)
        if not np.all((randomness >= 0.0) & (randomness <= 1.0)):
            raise ConfigError(f"{self.id}: randomness = {params.randomness}: must be >= 0 and <= 1")

    def observation_space(self, params: RobustParams) -> Any:
        return self.env.observation_space(params.env)

    def action_space(self, params: RobustParams) -> Any:
        return self.env.action_space(params.env)

    def bounds(self, params: RobustParams) -> tuple[jax.Array, jax.Array]:
        """(low, high), float32 [d]."""
        return self._vector(params.low), self._vector(params.high)

    def at(self, params: RobustParams, psi: Any) -> RobustParams:
        """The parameters of one fixed kernel, psi [d]."""
        kernel = {name: psi[i] for i, name in enumerate(self.names)}
        return dataclasses.replace(params, kernel=kernel, randomness=0.0)  # type: ignore[type-var]

    def randomised(self, params: RobustParams) -> RobustParams:
        """The parameters under which every episode draws its kernel uniformly from the box."""
        return dataclasses.replace(params, randomness=1.0)  # type: ignore[type-var]

    def grid(self, params: RobustParams, points: int, ends: str = "both") -> jax.Array:
        """Kernels [points^d, d] on a grid over the box; `ends` and order as in `unit_grid`."""
        return between(*self.bounds(params), unit_grid(len(self.names), points, ends))

    def with_kernel(self, state: RobustState, psi: jax.Array) -> RobustState:
        """The state with another kernel from the next step on, psi [d]."""
        return RobustState(state.env, jnp.asarray(psi, state.kernel.dtype))

    def written(self, params: RobustParams, psi: jax.Array) -> Any:
        """The wrapped environment's parameters under the kernel psi [d], with all that follows from it."""
        changed = params.env.replace(**{name: psi[i] for i, name in enumerate(self.names)})
        return self._family.follow(params.env, changed)

    def _reset(self, key: jax.Array, params: RobustParams) -> tuple[Any, RobustState]:
        low, high = self.bounds(params)
        # A stream of its own: a fixed kernel starts as the wrapped environment does.
        drawn = between(low, high, jax.random.uniform(jax.random.fold_in(key, 1), low.shape))
        share = params.randomness
        psi = (1.0 - share) * self._vector(params.kernel) + share * drawn
        observation, state = self.env.reset(key, self.written(params, psi))
        return observation, RobustState(state, psi)

    def _advance(self, key: jax.Array, state: RobustState, action: Any, params: RobustParams) -> tuple[Any, ...]:
        written = self.written(params, state.kernel)
        observation, inner, *rest = self.env.advance(key, state.env, action, written)
        return observation, RobustState(inner, state.kernel), *rest

    def _vector(self, numbers: Mapping[str, Any]) -> jax.Array:
        return jnp.stack([jnp.asarray(numbers[name], jnp.float32) for name in self.names])


def unit_grid(dimensions: int, points: int, ends: str = "both") -> np.ndarray:
    """[points^d, d] in [0, 1]^d, the last coordinate varying fastest.

    Args:
        ends: `both`: k / (points - 1); `lower`: k / points, as in the paper: the upper end is no point.

    Raises:
        ConfigError: for other ends, or less than two points an axis (`lower`: one).
    """
    if ends not in ENDS:
        raise ConfigError(f"ends = {ends!r}: must be one of {', '.join(ENDS)}")
    least = 2 if ends == "both" else 1
    if isinstance(points, bool) or not isinstance(points, int) or points < least:
        raise ConfigError(f"points = {points!r}: must be a whole number >= {least} with ends = {ends!r}")
    axis = np.arange(points) / (points - 1 if ends == "both" else points)
    return np.array(list(itertools.product(axis, repeat=dimensions)), np.float32)


def make(
    id: str, ranges: Ranges | None = None, levels: int | None = None, randomness: float = 0.0
) -> tuple[RobustEnv, RobustParams]:
    """The family `robust/ID`, and the parameters of its nominal kernel; arguments and errors as of `around`.

    Raises:
        UnknownNameError: also for an id that does not exist.
    """
    name = id.removeprefix("robust/")
    if name not in _FAMILIES:
        raise UnknownNameError("environment", id, IDS)
    return around(lambda: make_env(name)[0], id, _FAMILIES[name], ranges, levels, randomness)


def around(
    base: Callable[[], BaseEnv],
    id: str,
    family: Family,
    ranges: Ranges | None = None,
    levels: int | None = None,
    randomness: float = 0.0,
) -> tuple[RobustEnv, RobustParams]:
    """An environment over a box of kernels, and the parameters of its nominal one.

    Args:
        base: gives the environment; called once the ranges are known to be good.
        id: name of what is made.
        ranges: (low, high) of every uncertain parameter by name; None: the family's own.
        randomness: as in `RobustParams`; 1 is domain randomisation.
        levels: if given, continuous actions become so many evenly spaced ones (`DiscretizedActions`).

    Raises:
        UnknownNameError: for a parameter that does not exist.
        ConfigError: for a range that is empty, inverted or not positive, or a parameter that follows from others.
    """
    ranges = family.ranges if ranges is None else ranges
    _check_ranges(id, family, ranges)
    env = base()
    env = env if levels is None else DiscretizedActions(env, levels)
    robust = _robust(env, id, family, tuple(ranges))
    low, high = ({name: float(limits[end]) for name, limits in ranges.items()} for end in (0, 1))
    params = dataclasses.replace(robust.default_params, low=low, high=high, randomness=randomness)
    robust.check_params(params)
    return robust, params


@functools.cache
def _robust(env: BaseEnv, id: str, family: Family, names: tuple[str, ...]) -> RobustEnv:
    return RobustEnv(env, id, family, names)


def _check_ranges(id: str, family: Family, ranges: Any) -> None:
    if not isinstance(ranges, Mapping) or not ranges:
        raise ConfigError(f"{id}: ranges = {ranges!r}: must be one or more names, each with (low, high)")
    for name, limits in ranges.items():
        if name in family.derived:
            raise ConfigError(f"{id}: ranges[{name!r}]: follows from {family.derived[name]}; give the range of these")
        if name not in family.names:
            raise UnknownNameError(f"uncertain parameter of {id}", str(name), family.names)
        if not isinstance(limits, Sequence) or isinstance(limits, str) or len(limits) != 2:
            raise ConfigError(f"{id}: ranges[{name!r}] = {limits!r}: must be (low, high)")
        _check_range(id, name, limits)


def _check_range(id: str, name: str, limits: Sequence[Any]) -> None:
    where = f"{id}: ranges[{name!r}]"
    for end, limit in zip(("low", "high"), limits, strict=True):
        _check_positive(f"{where} {end}", limit)
    low, high = (np.asarray(limit, np.float64) for limit in limits)
    if not np.all(low < high):
        raise ConfigError(f"{where} = ({low}, {high}): must have low < high")


def _check_positive(where: str, value: Any) -> None:
    is_number = not isinstance(value, (bool, str)) and (isinstance(value, (int, float)) or hasattr(value, "dtype"))
    if not is_number or not np.all(np.isfinite(value)) or not np.all(np.asarray(value) > 0):
        raise ConfigError(f"{where} = {value!r}: must be a finite number > 0")


FAMILIES = {id: functools.partial(make, id) for id in IDS}
"""By id: (environment, its parameters), of `make`'s other arguments."""
