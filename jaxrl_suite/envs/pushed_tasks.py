"""What can be pushed, by name: `make("pushed/cartpole-swingup")`, and the others of `IDS`."""

import functools
from typing import Any

from jaxrl_suite.envs import physics, point_mass, pushed_control, pushed_suite
from jaxrl_suite.envs.pushed import PushedEnv
from jaxrl_suite.envs.robust_control import Family, Ranges, RobustEnv, RobustParams, around
from jaxrl_suite.errors import ConfigError, UnknownNameError

_TASKS = {**pushed_control.TASKS, **point_mass.TASKS, **pushed_suite.TASKS}
_FAMILIES = {name: Family(ranges) for name, (_, ranges) in _TASKS.items()}

SUITE_IDS = tuple(f"pushed/{name}" for name in pushed_suite.TASKS)
"""Ids of those that need MJX and dm-control."""

_NEEDED = all(physics.is_installed(package) for package in pushed_suite.PACKAGES)
IDS = tuple(id for id in (f"pushed/{name}" for name in _TASKS) if _NEEDED or id not in SUITE_IDS)
"""Ids of all environments of this kind that can be made here."""


def make(
    id: str, ranges: Ranges | None = None, randomness: float = 0.0, **options: Any
) -> tuple[RobustEnv, RobustParams]:
    """The environment `id`, where nobody pushes, over its box of physical parameters.

    Args:
        ranges, randomness: and errors, as of `robust_control.around`.
        **options: of the control suite's in MJX: `pushed_suite.made`'s other arguments.

    Raises:
        UnknownNameError: also for an id that does not exist. ConfigError: also for options that it does not have, and
            without the packages it needs.
    """
    name = id.removeprefix("pushed/")
    if name not in _TASKS:
        raise UnknownNameError("environment", id, IDS)
    known = pushed_suite.OPTIONS if name in pushed_suite.TASKS else ()
    for option in options:
        if option not in known:
            raise ConfigError(f"{id}: has no argument {option!r}")
    return around(functools.partial(_made, name, **options), id, _FAMILIES[name], ranges, None, randomness)


@functools.cache
def _made(name: str, **options: Any) -> PushedEnv:
    """One object a name and options, so that it compiles once."""
    return _TASKS[name][0](name, **options)
