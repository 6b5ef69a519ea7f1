"""The runner. Names load on first use."""

import importlib
from typing import TYPE_CHECKING, Any

_NAMES = {
    "train": "runner",
    "sweep": "runner",
    "resume": "runner",
    "load": "runner",
    "Options": "runner",
    "Run": "run",
    "Seconds": "run",
    "evaluate": "evaluation",
    "Evaluation": "evaluation",
    "use_cores": "placement",
}

__all__ = list(_NAMES)

if TYPE_CHECKING:
    from jaxrl_suite.training.evaluation import Evaluation, evaluate
    from jaxrl_suite.training.placement import use_cores
    from jaxrl_suite.training.run import Run, Seconds
    from jaxrl_suite.training.runner import Options, load, resume, sweep, train


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'jaxrl_suite.training' has no attribute {name!r}")
    return getattr(importlib.import_module(f"jaxrl_suite.training.{_NAMES[name]}"), name)
