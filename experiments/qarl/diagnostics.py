"""What moves QARL's outcome on a task: the force limit, the curriculum, and the budget."""

import copy
import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxrl_suite
from jaxrl_suite.envs import control_suite
from jaxrl_suite.reproduction import Cell, Item
from jaxrl_suite.reproduction.loading import import_file

control = import_file(Path(__file__).parent / "control.py", "jaxrl_experiments_qarl_control")

CURRICULA: dict[str, tuple[str, dict[str, Any]]] = {
    "reduced sampling": ("qarl", {"curriculum": "shared"}),
    "point": ("qarl", {"curriculum": "point"}),
    "linear": ("qarl", {"curriculum": "linear"}),
    "homogeneous": ("qarl", {"homogeneous": True}),
}
"""QARL with other curricula: the paper's ablations."""
FORCES = (1.0, 3.0, 10.0, 30.0)
"""Times a task's default, in the sweep that the rule asks for."""

WEAKER = (0.03, 0.1, 0.3)
"""And below it."""


def last_shape(scale: str, run: Any) -> np.ndarray:
    return np.asarray(run.state.shape, float)


MEASURES = {"undisturbed": control.undisturbed, "over the box": control.over_box}
BY_METHOD = {"SAC": MEASURES, "RARL": MEASURES, "QARL": MEASURES | {"shape k at the end": last_shape}}


def forces(scale: str) -> Item | None:
    """What robust adversarial RL loses by the adversary's limit: a limit is the least that costs it a tenth."""
    if scale == "smoke":
        return None
    trainings, cells = [], []
    for task in control.AT[scale]:
        base = default_force(task)
        plain, one = control.training(task, "SAC", scale), control.training(task, "RARL", scale)
        grid = {"env.env.force_limit": tuple(base * factor for factor in FORCES)}
        swept = dataclasses.replace(one, name=f"{one.name}-forces", grid=grid)
        trainings += [swept, plain]
        cells.append(Cell(f"{task}, SAC", "undisturbed", plain.name, functools.partial(control.undisturbed, scale)))
        for index, factor in enumerate(FORCES):
            measure = functools.partial(in_setting, control.undisturbed, index, scale)
            cells.append(Cell(f"{task}, RARL, {base * factor:g} N", "undisturbed", swept.name, measure))
    notes = [
        f"{control.SEEDS[scale]} seeds; undiscounted returns of {control.EPISODES[scale]} episodes; "
        + control.deviation(scale),
        "the rule: the least force with which RARL's mean is a tenth below SAC's, else the greatest",
    ]
    return Item("forces", "Force limits", trainings, cells, 5, notes)


def default_force(task: str) -> float:
    if task in control.IN_MJX:
        # Known without the packages that making it needs.
        return float(control_suite.TASKS[task][0].physics.params.force_limit)
    return float(jaxrl_suite.make(f"pushed/{task}")[0].env.default_params.force_limit)


def in_setting(measure: Any, index: int, scale: str, run: Any) -> np.ndarray:
    return measure(scale, at_setting(index, run))


def at_setting(index: int, run: Any) -> Any:
    """The run of one setting of a sweep."""
    one = copy.copy(run)
    one.path = f"{run.path}-{index}"
    one.state = jax.tree.map(lambda x: x[index], run.state)
    one.metrics = {name: values[index] for name, values in run.metrics.items()}
    return one


def curricula(task: str, scale: str) -> Item | None:
    """QARL beside its ablations on one task."""
    if scale == "smoke":
        return None
    known = control.METHODS | CURRICULA
    trained = {method: control.training(task, method, scale, more=known) for method in ("QARL", *CURRICULA)}
    cells = []
    for method, of in trained.items():
        cells += rows(method, of.name, scale, MEASURES | {"against its adversary": control.against})
    notes = [
        *control.notes_of(task, scale)[:3],
        "reduced sampling: one draw for all episodes of an iteration; point: one temperature, a step down while "
        "returns are above the threshold; linear: a fall in any case; homogeneous: the protagonist has it, too",
    ]
    return Item("curricula", f"{task}: curricula of rationality", list(trained.values()), cells, 5, notes)


def rows(label: str, training: str, scale: str, measures: Any) -> list[Cell]:
    return [
        Cell(label, column, training, functools.partial(measure, scale), digits=1)
        for column, measure in measures.items()
    ]


def limits(task: str, scale: str) -> Item | None:
    """RARL and QARL where the adversary is weaker than the rule's."""
    if scale == "smoke":
        return None
    base, plain = default_force(task), control.training(task, "SAC", scale)
    trained, cells = [plain], rows("SAC", plain.name, scale, MEASURES)
    for method in ("RARL", "QARL"):
        one = control.training(task, method, scale)
        grid = {"env.env.force_limit": tuple(base * factor for factor in WEAKER)}
        trained.append(dataclasses.replace(one, name=f"{one.name}-weaker", grid=grid))
        for index, factor in enumerate(WEAKER):
            measures = BY_METHOD[method].items()
            of = {column: functools.partial(in_setting, measure, index) for column, measure in measures}
            cells += rows(f"{method}, {base * factor:g} N", trained[-1].name, scale, of)
    notes = [*control.notes_of(task, scale)[:1], control.deviation(scale)]
    return Item("weaker-forces", f"{task}: weaker adversaries", trained, cells, 5, notes)


def doubled(task: str, scale: str) -> Item | None:
    """Three methods with twice the iterations."""
    if scale == "smoke":
        return None
    trained = {
        method: dataclasses.replace(one, name=f"{one.name}-doubled")
        for method in BY_METHOD
        for one in [control.training(task, method, scale, 2)]
    }
    cells = []
    for method, of in trained.items():
        cells += rows(method, of.name, scale, BY_METHOD[method])
    notes = [*control.notes_of(task, scale)[:2], f"twice the iterations of: {control.deviation(scale)}"]
    return Item("doubled", f"{task}: twice the budget", list(trained.values()), cells, 5, notes)
