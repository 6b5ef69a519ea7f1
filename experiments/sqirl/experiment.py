"""SQIRL's paper: exact depths of small tasks, who needs how many steps for them, and the theory's form on a lock."""

import math
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl_suite.reproduction import Cell, Experiment, Item, Target
from jaxrl_suite.reproduction.loading import import_file

HERE = Path(__file__).parent
bridge = import_file(HERE / "bridge_lite.py", "jaxrl_experiments_sqirl_bridge_lite")
tasks, Training = bridge.tasks, bridge.Training
KNOWN = tomllib.loads((HERE / "known_answers.toml").read_text())
REFERENCE = "independent float64 program"


def share_optimal(run: Any) -> np.ndarray:
    """Whether each seed ended exactly optimal on the sticky lock: no action after the first may stick."""
    return (run.metrics["judge/return"][:, -1] >= (1.0 - tasks.STICKINESS) ** 4 - 1e-9).astype(np.float64)


def analysis(scale: str) -> Item:
    """Every task's exact numbers."""
    columns = ("optimal return", "random return", "min_k", "planning window W", "simple bound on the effective horizon")
    whole = ("min_k", "approximate k", "planning window W")
    cells = []
    for task in bridge.task_set(scale):
        known = KNOWN["sticky" if task.is_sticky else "plain"].get(task.name, [])
        targets = dict(zip(columns, known, strict=False))
        shaped = "shaped" in task.name
        for column in exact_columns(task):
            target = None
            if column in targets:
                margin = 0.0 if column in whole else (1e-6 if shaped else 1e-9)
                target = Target(float(targets[column]), margin, "known answer", REFERENCE)

            def exact(task: Any = task, column: str = column) -> float:
                return tasks.analysis(task.name, task.is_sticky)[column]

            cells.append(Cell(task.label, column, None, exact, target, digits=0 if column in whole else 6))
    notes = [
        bridge.LITE,
        "definitions as in the published program; min_k: the least k at which every policy greedy in Q^k is optimal; "
        "approximate k: at which the worst of them lacks at most 1 % of what the best has over random play",
        "effective horizon at k = 1: 1 + log_A of the least episodes with which GORP succeeds with probability 1/2",
    ]
    return Item("analysis", "How far ahead of random play one has to plan", [], cells, 5, notes)


def exact_columns(task: Any) -> list[str]:
    columns = [
        "optimal return",
        "random return",
        "min_k",
        "approximate k",
        "planning window W",
        "stochastic effective horizon",
        "J_1 over the optimal return",
        "J_2 over the optimal return",
    ]
    if task.is_deterministic:
        columns.append("simple bound on the effective horizon")
    if task.is_deterministic and "shaped" not in task.name and task.name != "deep-sea-8":
        columns.append("effective horizon at k = 1")
    return columns


def theory(scale: str) -> Item | None:
    """SQIRL as its theory has it, on a lock with sticky actions: how often it is exactly optimal."""
    if scale == "smoke":
        return None
    seeds, trainings, cells = 2000, [], []
    for text, known in KNOWN["sticky_lock"].items():
        name = f"lock-m{text}"
        config = {"episodes": int(text), "horizon": 5, "depth": 1}
        # The seed's code is 1, 0, 1, 0, 1.
        options = {"length": 5, "seed": 22, "sticky_actions": tasks.STICKINESS}
        trainings.append(Training(name, "sqirl_theory", "table/tabular/lock", config, seeds, 1, options, judge_every=1))
        margin = 3.0 * math.sqrt(known * (1 - known) * (1 / 2000 + 1 / seeds))
        target = Target(known, margin, "known answer", "independent NumPy program, 2000 seeds")
        cells.append(Cell(f"m = {text}", "share of seeds exactly optimal", name, share_optimal, target, digits=3))
    note = "sticky lock (1, 0, 1, 0, 1), k = 1, tabular oracle, ties at random; within three standard errors"
    return Item("theory", "SQIRL's theoretical form on a sticky lock", trainings, cells, 5, [note])


def pooled(scale: str) -> Item | None:
    """The pooled table on sticky gridworlds: how many seeds solve them."""
    if scale == "smoke":
        return None
    trainings, cells = [], []
    rows = {"empty-5": ((1, 5), (2, 5)), "empty-8": ((1, 50), (2, 50)), "key-corridor": ((1, 300), (2, 300), (3, 300))}
    for name, settings in rows.items():
        (task,) = (t for t in tasks.TASKS if t.name == name and t.is_sticky)
        table_id, options = task.as_table()
        for k, m in settings:
            training = f"{name}-k{k}-m{m}"
            config = {"regressor": "table", "depth": k, "episodes": m, "discount": 0.99, "max_env_steps": 900_000}
            trainings.append(Training(training, "sqirl", table_id, config, 20, 1, options, judge_every=1, stops=True))
            row = f"{task.label}, k = {k}, m = {m}"
            cells.append(
                Cell(
                    row,
                    "share of seeds that solve it",
                    training,
                    lambda run: np.isfinite(bridge.steps_to_solve(run)),
                    digits=2,
                )
            )
            cells.append(
                Cell(
                    row,
                    "median steps",
                    (training,),
                    lambda scores: bridge.estimate(np.median(next(iter(scores.values()))), "20 seeds"),
                    digits=0,
                )
            )
    note = (
        "pooled tables, discount 0.99, sticky actions, at most 900,000 steps. For orientation, another program "
        "with 3 to 5 seeds: empty-5 1,200 and 1,600 steps; empty-8 150,000 and 40,000; KeyCorridor "
        "solved at k = 3 only, 300,000"
    )
    return Item("pooled", "SQIRL with pooled tables", trainings, cells, 5, [note], score=bridge.steps_to_solve)


EXPERIMENT = Experiment(
    "sqirl",
    "The Effective Horizon Explains Deep RL Performance in Stochastic Environments",
    "Laidlaw, Zhu, Russell, Dragan; ICLR 2024, arXiv 2312.08369",
    "Re-implemented from the published program as described; a small study of own tasks, not the paper's BRIDGE.",
    {"analysis": analysis, "theory": theory, "pooled": pooled, "bridge-lite": bridge.bridge_lite},
)
