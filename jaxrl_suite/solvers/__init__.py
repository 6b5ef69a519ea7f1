"""Exact truth, in float64: what policies are worth, and the best there is. Names load on first use.

Functions take a `TabularMDP` (or anything with its fields), are pure, and may be vmapped over MDPs and policies under
`jaxrl_suite.float64()`. Called plainly they compile by themselves and return NumPy arrays.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxrl_suite.solvers.dynamic_programming import (
        Evaluation,
        Solution,
        occupancy,
        policy_evaluation,
        policy_iteration,
        value_iteration,
    )

_HOMES = {
    "Evaluation": "dynamic_programming",
    "Solution": "dynamic_programming",
    "occupancy": "dynamic_programming",
    "policy_evaluation": "dynamic_programming",
    "policy_iteration": "dynamic_programming",
    "value_iteration": "dynamic_programming",
}

__all__ = ["Evaluation", "Solution", "occupancy", "policy_evaluation", "policy_iteration", "value_iteration"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
