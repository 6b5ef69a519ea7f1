"""Environments whose dynamics are uncertain, by name: `make("robust/windy-walk")`, and the others of `IDS`.

Each module of `MODULES` has `FAMILIES`: {id: function of the keyword arguments -> (environment, its parameters)}, and
`IDS`, those that can be made here.
"""

import importlib
from typing import Any

from jaxrl_suite.lookup import made

MODULES = (
    "jaxrl_suite.envs.robust_tabular",
    "jaxrl_suite.envs.robust_control",
    "jaxrl_suite.envs.robust_physics",
)

_MODULES = [importlib.import_module(name) for name in MODULES]

FAMILIES = {id: family for module in _MODULES for id, family in module.FAMILIES.items()}

IDS = tuple(id for module in _MODULES for id in module.IDS)


def make(id: str, **parameters: Any) -> tuple[Any, Any]:
    """The environment called `id`, and its parameters.

    Raises:
        UnknownNameError: if there is no such family. ConfigError: for a parameter it does not have.
    """
    return made("environment", id, FAMILIES, **parameters)
