"""The runner. Names load on first use."""

from typing import TYPE_CHECKING

from jaxrl_suite.lazy import lazy_names

_HOMES = {
    "Cell": "work_list",
    "Episode": "episodes",
    "Evaluation": "evaluation",
    "Options": "options",
    "Run": "run",
    "Seconds": "run",
    "evaluate": "evaluation",
    "load": "saved_runs",
    "parse_budget": "options",
    "plan_run": "planning",
    "play_episode": "episodes",
    "resume": "runner",
    "successive_halving": "halving",
    "sweep": "runner",
    "train": "runner",
    "use_cores": "placement",
    "work": "work_list",
}

__all__ = [
    "Cell",
    "Episode",
    "Evaluation",
    "Options",
    "Run",
    "Seconds",
    "evaluate",
    "load",
    "parse_budget",
    "plan_run",
    "play_episode",
    "resume",
    "successive_halving",
    "sweep",
    "train",
    "use_cores",
    "work",
]

if TYPE_CHECKING:
    from jaxrl_suite.training.episodes import Episode, play_episode
    from jaxrl_suite.training.evaluation import Evaluation, evaluate
    from jaxrl_suite.training.halving import successive_halving
    from jaxrl_suite.training.options import Options, parse_budget
    from jaxrl_suite.training.placement import use_cores
    from jaxrl_suite.training.planning import plan_run
    from jaxrl_suite.training.run import Run, Seconds
    from jaxrl_suite.training.runner import resume, sweep, train
    from jaxrl_suite.training.saved_runs import load
    from jaxrl_suite.training.work_list import Cell, work

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
