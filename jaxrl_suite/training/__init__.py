"""The runner. Names load on first use."""

from typing import TYPE_CHECKING

from jaxrl_suite.lazy import lazy_names

_HOMES = {
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

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
