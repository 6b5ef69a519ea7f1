"""Reproductions: an experiment is data (what to train, what to measure, what it is held against) and a page of code.

Experiments live in a checkout's `experiments/<paper>/experiment.py`; `jaxrl reproduce PAPER/ITEM` runs them.
"""

from jaxrl_suite.reproduction.experiment import (
    SCALES,
    Cell,
    Estimate,
    Experiment,
    Item,
    Target,
    Training,
    of_means,
    within_errors,
)
from jaxrl_suite.reproduction.loading import list_experiments, load_experiment

__all__ = [
    "SCALES",
    "Cell",
    "Estimate",
    "Experiment",
    "Item",
    "Target",
    "Training",
    "list_experiments",
    "load_experiment",
    "of_means",
    "within_errors",
]
