"""What can be pushed, by name: `make("pushed/cartpole-swingup")`, and the others of `IDS`."""

import functools

from jaxrl_suite.envs import point_mass, pushed_control
from jaxrl_suite.envs.pushed import PushedEnv
from jaxrl_suite.envs.robust_control import Family, Ranges, RobustEnv, RobustParams, around
from jaxrl_suite.errors import UnknownNameError

_TASKS = {**pushed_control.TASKS, **point_mass.TASKS}
_FAMILIES = {name: Family(ranges) for name, (_, ranges) in _TASKS.items()}

IDS = tuple(f"pushed/{name}" for name in _TASKS)
"""Ids of all environments of this kind."""


def make(id: str, ranges: Ranges | None = None, randomness: float = 0.0) -> tuple[RobustEnv, RobustParams]:
    """The environment `id`, where nobody pushes, over its box of physical parameters.

    Args:
        ranges, randomness: and errors, as of `robust_control.around`.

    Raises:
        UnknownNameError: also for an id that does not exist.
    """
    name = id.removeprefix("pushed/")
    if name not in _TASKS:
        raise UnknownNameError("environment", id, IDS)
    return around(functools.partial(_made, name), id, _FAMILIES[name], ranges, None, randomness)


@functools.cache
def _made(name: str) -> PushedEnv:
    """One object a name, so that it compiles once."""
    return _TASKS[name][0](name)
