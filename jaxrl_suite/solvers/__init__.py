"""Exact truth, in float64: what policies are worth, and the best there is. Names load on first use.

Functions take a `TabularMDP` (or anything with its fields), are pure, and may be vmapped over MDPs and policies under
`jaxrl_suite.float64()`. Called plainly they compile by themselves and return NumPy arrays.
"""

from typing import TYPE_CHECKING

from jaxrl_suite.lazy import lazy_names

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

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
