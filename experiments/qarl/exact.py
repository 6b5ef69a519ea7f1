"""What is known exactly: quantal response equilibria, soft values, the teacher's steps, mirror descent in the small."""

import functools
import tomllib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl_suite
from jaxrl_suite import results
from jaxrl_suite.envs import make
from jaxrl_suite.learning.rationality import teacher_step
from jaxrl_suite.reproduction import Cell, Item, Target, Training
from jaxrl_suite.solvers import independent_soft, matrix_quantal_response, shapley, soft_shapley
from jaxrl_suite.solvers.markov_games import nash_conv

UPDATES, RECORD = 20_000, 20
"""Of mirror descent in the small; updates a record."""

KNOWN = tomllib.loads((Path(__file__).parent / "known_answers.toml").read_text())
COLUMNS = ("value", "regularised", "nash_conv")


def known(value: float, margin: float = 1e-10) -> Target:
    return Target(value, margin, "known answer", KNOWN["source"])


def matrices(scale: str) -> Item:
    """Quantal response of two matrix games by both players' temperatures."""
    cells = []
    for answers in KNOWN["matrix"]:
        for index, (beta, alpha) in enumerate(zip(answers["beta"], answers["alpha"], strict=True)):
            row = f"{answers['game']}, beta={beta:g}, alpha={alpha:g}"
            solve = functools.partial(response, answers["game"], beta, alpha)
            for name in ("row", "column"):
                for i, answer in enumerate(answers[name][index]):
                    measure = functools.partial(lambda f, n, i: float(getattr(f(), n)[i]), solve, name, i)
                    cells.append(exactly(row, f"{'xy'[name == 'column']}_{i + 1}", measure, answer))
            for name in COLUMNS:
                measure = functools.partial(lambda f, n: getattr(f(), n), solve, name)
                cells.append(exactly(row, name.replace("_", " "), measure, answers[name][index]))
    notes = ["x, y: strategies of row and column; regularised: x' A y + beta H(x) - alpha H(y)"]
    return Item("matrix-games", "Quantal response in matrix games", [], cells, 1, notes)


@functools.cache
def response(game: str, beta: float, alpha: float) -> Any:
    return matrix_quantal_response(make(f"markov/{game}")[1].rewards[0], beta, alpha)


def exactly(row: str, column: str, measure: Any, answer: float, margin: float = 1e-10) -> Cell:
    return Cell(row, column, None, measure, known(answer, margin), digits=12)


def soft_values(scale: str) -> Item:
    """Both soft fixed points of a game of two states."""
    answers, cells = KNOWN["two-states"], []
    for state in (0, 1):
        for name, symbol in (("value", "V"), ("row", "x_1"), ("column", "y_1")):
            measure = functools.partial(lambda n, s: float(hard()[n][s]), name, state)
            cells.append(exactly("without entropy", f"{symbol}(s{state})", measure, answers[name][state], 1e-9))
    for index, (beta, alpha) in enumerate(zip(answers["beta"], answers["alpha"], strict=True)):
        temperatures = f"beta={beta:g}, alpha={alpha:g}"
        for kind, columns in (
            ("zero_sum", ("V(s0)", "V(s1)", "x_1(s0)", "y_1(s0)")),
            ("independent", ("V_P(s0)", "V_A(s0)", "x_1(s0)", "y_1(s0)")),
        ):
            row = f"{'one critic' if kind == 'zero_sum' else 'two critics'}, {temperatures}"
            for i, column in enumerate(columns):
                measure = functools.partial(lambda k, b, a, i: soft(k, b, a)[i], kind, beta, alpha, i)
                cells.append(exactly(row, column, measure, answers[kind][index][i], 1e-9))
    notes = [
        "one critic: the regularised zero-sum game's own value; two critics: what two soft learners find, "
        "whose critics know their own entropy only",
    ]
    return Item("soft-values", "Soft values of two states", [], cells, 1, notes)


@functools.cache
def hard() -> dict[str, np.ndarray]:
    """Values, and the first probability of each player, in both states, without entropy."""
    found = shapley(make("markov/two-states")[1])
    return {"value": found.value, "row": found.row[:, 0], "column": found.column[:, 0]}


@functools.cache
def soft(kind: str, beta: float, alpha: float) -> tuple[float, ...]:
    """The four numbers of a row."""
    game = make("markov/two-states")[1]
    if kind == "zero_sum":
        found = soft_shapley(game, beta, alpha)
        values = found.value
    else:
        found = independent_soft(game, beta, alpha)
        values = (found.value[0], found.adversary_value[0])
    return (*(float(v) for v in values), float(found.row[0, 0]), float(found.column[0, 0]))


def teacher(scale: str) -> Item:
    """The teacher's steps: the fastest curriculum, and thresholds that bind."""
    answers, cells = KNOWN["teacher"], []
    for step, answer in enumerate(answers["path"]):
        measure = functools.partial(lambda i: fastest(len(answers["path"]))[i], step)
        cells.append(exactly(f"step {step + 1}", "k, threshold met", measure, answer, 1e-9))
    for threshold, answer in zip(answers["thresholds"], answers["shapes"], strict=True):
        measure = functools.partial(lambda t: taught(50.0, t), threshold)
        cells.append(exactly(f"threshold {threshold}", "k, first step", measure, answer, 1e-9))
    notes = [
        "shape k of Gamma(k, 1000), from 50, at most a divergence of 0.5 a step; thresholds: five temperatures from "
        "0.042 to 0.058 with returns from 4 to 20",
    ]
    return Item("teacher", "The teacher's steps", [], cells, 1, notes)


def taught(shape: float, threshold: float) -> float:
    """k after a step from the known temperatures and returns."""
    answers = KNOWN["teacher"]
    with jaxrl_suite.float64():
        given = (jnp.asarray(x, jnp.float64) for x in (shape, answers["temperatures"], answers["returns"], threshold))
        return float(teacher_step(*given).shape)


@functools.cache
def fastest(steps: int) -> tuple[float, ...]:
    path, shape = [], 50.0
    for _ in range(steps):
        shape = taught(shape, -1e9)
        path.append(shape)
    return tuple(path)


def miniature(scale: str) -> Item:
    """Mirror descent on biased rock, paper, scissors: at one temperature, and cooling."""
    answers, total = KNOWN["miniature"], UPDATES
    starts = answers["starts"]
    trainings, cells = [], []

    def add(name: str, start: Any, temperature: float, first: float) -> str:
        both = {"protagonist_temperature": temperature, "adversary_temperature": temperature}
        firsts = {"first_row": np.array(start[0]), "first_column": np.array(start[1])}
        config = both | firsts | {"first_temperature": first, "total_updates": total}
        trainings.append(Training(name, "soft_pair", "markov/biased-rps", config, 1, RECORD))
        return name

    fixed = dict(answers["fixed"])
    for temperature in ("0", "0.01", "0.05", "0.1"):
        name = add(f"fixed-{temperature}", starts[0], float(temperature), 0.0)
        target = known(fixed[temperature]) if temperature in fixed else None
        cells.append(Cell(f"fixed at {temperature}", "NashConv", name, last, target, digits=10, is_exact=True))
    for index, start in enumerate(starts):
        name = add(f"annealed-{index}", start, 0.02, 0.5)
        target = known(answers["annealed"], 1e-9)
        cells.append(Cell(f"0.5 to 0.02, start {index + 1}", "NashConv", name, last, target, digits=10, is_exact=True))
    notes = [
        f"steps of 0.05, {total:,} of them, both players at once; starts: "
        + "; ".join(f"{index + 1}: x = {x}, y = {y}" for index, (x, y) in enumerate(starts)),
        "a fixed temperature of 0.01 converges with smaller steps: what cooling buys is a larger stable step",
    ]
    return Item("miniature", "A falling temperature in the small", trainings, cells, 1, notes, curves)


def last(run: Any) -> np.ndarray:
    """NashConv of the last policies, [seed]: records are means."""
    gains, row, column = (np.asarray(x) for x in (run.state.gains, run.state.log_row, run.state.log_column))
    with jaxrl_suite.float64():
        gaps = jax.vmap(jax.vmap(nash_conv))(*map(jnp.asarray, (gains, np.exp(row), np.exp(column))))
        return np.asarray(gaps).max(axis=1)


def curves(runs: Any, path: Any) -> None:
    """NashConv by update, means over those of a record."""
    records = np.unique(np.geomspace(1, UPDATES // RECORD, 300).astype(int))
    lines = [
        results.Curve(
            LABELS.get(name, name.replace("-", " at ")), RECORD * records, run.metrics["nash_conv"][:, records - 1]
        )
        for name, run in runs.items()
        if name not in ("annealed-1", "annealed-2")
    ]
    labels = {"path": path, "window": 1, "title": "Biased rock, paper, scissors", "xlabel": "updates"}
    results.learning_curves(lines, "nash_conv", logarithmic=True, **labels)


LABELS = {"annealed-0": "from 0.5 to 0.02"}
