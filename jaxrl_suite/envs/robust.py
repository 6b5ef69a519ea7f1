"""Environments whose dynamics are uncertain, by name: `make("robust/windy-walk")`, and the others of `IDS`.

Each module of `MODULES` has `FAMILIES`: {id: function of the keyword arguments -> (environment, its parameters)}.
"""

import importlib
import inspect
from typing import Any

from jaxrl_suite.errors import ConfigError, UnknownNameError

MODULES = ("jaxrl_suite.envs.robust_tabular", "jaxrl_suite.envs.robust_control")

FAMILIES = {id: family for name in MODULES for id, family in importlib.import_module(name).FAMILIES.items()}

IDS = tuple(FAMILIES)


def make(id: str, **parameters: Any) -> tuple[Any, Any]:
    """The environment called `id`, and its parameters.

    Raises:
        UnknownNameError: if there is no such family. ConfigError: for a parameter it does not have.
    """
    if id not in FAMILIES:
        raise UnknownNameError("environment", id, IDS)
    try:
        inspect.signature(FAMILIES[id]).bind(**parameters)
    except TypeError as error:
        raise ConfigError(f"{id}: {error}") from None
    return FAMILIES[id](**parameters)
