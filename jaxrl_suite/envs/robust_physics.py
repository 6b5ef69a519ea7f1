"""MuJoCo's tasks with uncertain physics: `robust/brax/hopper`, `robust/mjx/hopper`, and so on.

The environments of `robust_control`, over the boxes of `physics.SETS`. By default two parameters are uncertain:

    env, params = make("robust/brax/hopper")                            # friction and torso mass
    env, params = make("robust/brax/hopper", ranges="3")                # a set by name, here with the thigh's mass
    env, params = make("robust/mjx/hopper", ranges={"torso_mass": (1.0, 6.0)})
"""

import functools
from typing import Any

from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.envs.physics import BRAX_IDS, MJX_IDS, PACKAGES, SETS, TASKS, PhysicsEnv
from jaxrl_suite.envs.registry import make as make_env
from jaxrl_suite.envs.robust_control import Family, Ranges, RobustEnv, RobustParams, around
from jaxrl_suite.errors import UnknownNameError

DEFAULT_SET = "2"

_FAMILIES = {
    task: Family(SETS[task][DEFAULT_SET], tuple(n for n in physics.names if n not in SETS[task][DEFAULT_SET]))
    for task, physics in TASKS.items()
}


def make(
    id: str,
    ranges: Ranges | str | None = None,
    levels: int | None = None,
    randomness: float = 0.0,
    **options: Any,
) -> tuple[RobustEnv, RobustParams]:
    """The family `robust/ID`, and the parameters of its nominal kernel.

    Args:
        ranges: as of `robust_control.around`, or the name of one of the task's `physics.SETS`; None: two parameters.
        levels, randomness: as of `around`.
        **options: of the environment itself: `backend`, with brax.

    Raises:
        UnknownNameError: for a set or a parameter that does not exist.
        ConfigError: as `around` does, or for a parameter that has no effect on the backend.
    """
    name = id.removeprefix("robust/")
    task = name.partition("/")[2]
    if isinstance(ranges, str):
        if ranges not in SETS[task]:
            raise UnknownNameError(f"set of {id}", ranges, SETS[task])
        ranges = SETS[task][ranges]

    family = _FAMILIES[task]
    uncertain = family.ranges if ranges is None else ranges

    def base() -> BaseEnv:
        env = make_env(name, **options)[0]
        if isinstance(env, PhysicsEnv):
            env.require_effect(uncertain)
        return env

    return around(base, id, family, ranges, levels, randomness)


FAMILIES = {
    id: functools.partial(make, id) for id in (f"robust/{prefix}/{task}" for prefix in PACKAGES for task in TASKS)
}
"""By id: (environment, its parameters), of `make`'s other arguments. Without the extra they say so when made."""

IDS = tuple(f"robust/{id}" for id in (*BRAX_IDS, *MJX_IDS))
"""Ids of those that can be made here."""
