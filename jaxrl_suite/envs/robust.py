"""Environments whose dynamics are uncertain, by name: `make("robust/windy-walk")`, and the others of `IDS`.

Each module of `MODULES` has `FAMILIES`: {id: function of the keyword arguments -> (environment, its parameters)}.
"""

import importlib
from typing import Any

from jaxrl_suite.lookup import made

MODULES = ("jaxrl_suite.envs.robust_tabular", "jaxrl_suite.envs.robust_control")

FAMILIES = {id: family for name in MODULES for id, family in importlib.import_module(name).FAMILIES.items()}

IDS = tuple(FAMILIES)


def make(id: str, **parameters: Any) -> tuple[Any, Any]:
    """The environment called `id`, and its parameters.

    Raises:
        UnknownNameError: if there is no such family. ConfigError: for a parameter it does not have.
    """
    return made("environment", id, FAMILIES, **parameters)
