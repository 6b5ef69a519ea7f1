"""The runner. Names load on first use."""

import importlib
from typing import TYPE_CHECKING, Any

_NAMES = {
    "Evaluation": "evaluation",
    "Options": "options",
    "Run": "run",
    "Seconds": "run",
    "evaluate": "evaluation",
    "load": "saved_runs",
    "parse_budget": "options",
    "plan_run": "planning",
    "resume": "runner",
    "sweep": "runner",
    "train": "runner",
    "use_cores": "placement",
}

__all__ = [
    "Evaluation",
    "Options",
    "Run",
    "Seconds",
    "evaluate",
    "load",
    "parse_budget",
    "plan_run",
    "resume",
    "sweep",
    "train",
    "use_cores",
]

if TYPE_CHECKING:
    from jaxrl_suite.training.evaluation import Evaluation, evaluate
    from jaxrl_suite.training.options import Options, parse_budget
    from jaxrl_suite.training.placement import use_cores
    from jaxrl_suite.training.planning import plan_run
    from jaxrl_suite.training.run import Run, Seconds
    from jaxrl_suite.training.runner import resume, sweep, train
    from jaxrl_suite.training.saved_runs import load


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'jaxrl_suite.training' has no attribute {name!r}")
    return getattr(importlib.import_module(f"jaxrl_suite.training.{_NAMES[name]}"), name)
