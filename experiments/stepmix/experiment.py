"""StepMix and EpsMix on the golden-ratio instance: regret, violations, and what the bonuses' scale does."""

import math
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl_suite import results
from jaxrl_suite.reproduction import Cell, Experiment, Item, Target, Training, within_errors

KNOWN = tomllib.loads((Path(__file__).parent / "known_answers.toml").read_text())
REFERENCE = "independent float64 reference program"
AGENTS = ("baseline_only", "bpi_ucbvi", "stepmix", "epsmix", "budget_exploration")
BASELINES = {
    "eta=5": {"inverse_temperature": 5.0},
    "eta=10": {"inverse_temperature": 10.0},
    "det2": {"baseline": "second_best"},
}
EPISODES = 20_000
SEEDS = {"smoke": 5, "cpu": 100, "full": 100}
CPU_NOTE = "scale 0.001 of both confidence terms, delta 0.1, threshold 0.9 of the baseline's value, 20,000 episodes"


def regret(run: Any) -> np.ndarray:
    """Sum over episodes of V* minus the exact value of the policy played; a record is a mean over its episodes."""
    return run.metrics["regret"].sum(axis=-1) * run.record_every


def violations(run: Any) -> np.ndarray:
    return run.metrics["violation/count"].sum(axis=-1)


def first_exploration(run: Any) -> np.ndarray:
    return run.metrics["first_exploration"][:, -1]


def worst_value(run: Any) -> np.ndarray:
    return run.metrics["value/min"].min(axis=-1)


def last_value(run: Any) -> np.ndarray:
    """Mean value over the last 1000 episodes."""
    return run.metrics["value/policy"][:, -1000 // run.record_every :].mean(axis=-1)


def uncovered(run: Any) -> np.ndarray:
    return run.metrics["uncovered/count"].sum(axis=-1)


MEASURES = {"regret": regret, "violations": violations, "first_exploration": first_exploration}
NAMES = {
    "regret": "regret",
    "violations": "episodes below the threshold",
    "first_exploration": "first episode that is not the baseline's",
}


def held_against(known: list[float] | None, seeds: int, theirs: int) -> Target | None:
    """A mean of the reference program, printed with one digit."""
    return None if known is None else within_errors(*known, seeds, theirs, REFERENCE, printed=0.05)


def training(agent: str, baseline: str, scale: str, /, **changes: Any) -> Training:
    name = "-".join([agent, baseline.replace("=", ""), *(f"{k}{v:g}" for k, v in changes.items())])
    config = {"total_updates": EPISODES, **BASELINES[baseline], **changes}
    return Training(name, agent, "tabular/golden-ratio", config, SEEDS[scale], record_every=100)


def label(agent: str, baseline: str) -> str:
    return f"{agent}, {baseline}"


def table(scale: str) -> Item:
    """The main table: what each algorithm loses, and how often it breaks its promise."""
    baselines = ("eta=10",) if scale == "smoke" else tuple(BASELINES)
    judged = (("least value of an episode, mean over seeds", worst_value), ("value, last 1000", last_value))
    known = KNOWN["table"]
    trainings, cells = [], []
    for baseline in baselines:
        for agent in AGENTS:
            trained = training(agent, baseline, scale)
            trainings.append(trained)
            for name, function in MEASURES.items():
                numbers = known[name].get(agent, {}).get(baseline)
                if numbers is None:
                    continue
                target = held_against(numbers, trained.seeds, 20)
                cells.append(Cell(label(agent, baseline), NAMES[name], trained.name, function, target))
            row = label(agent, baseline)
            cells += [Cell(row, name, trained.name, function, digits=4) for name, function in judged]
            cells.append(Cell(row, "episodes with a failed bound", trained.name, uncovered))
    notes = [CPU_NOTE, "values are exact, of the policy played under the true transitions; EpsMix's, over its coin"]
    return Item("table", "StepMix and EpsMix on the golden-ratio instance", trainings, cells, 20, notes, curves)


def swept(field: str, values: str, letter: str, scale: str) -> tuple[list[Training], list[Cell]]:
    """StepMix and EpsMix over values of one field, held against `KNOWN[values]`."""
    trainings, cells = [], []
    for agent in ("stepmix", "epsmix"):
        for baseline in ("eta=10", "det2"):
            for text, numbers in KNOWN[values][agent][baseline].items():
                trained = training(agent, baseline, scale, **{field: float(text)})
                trainings.append(trained)
                row = f"{label(agent, baseline)}, {letter}={float(text):g}"
                cells.append(Cell(row, "regret", trained.name, regret, held_against(numbers, trained.seeds, 10)))
                cells.append(Cell(row, NAMES["violations"], trained.name, violations))
                cells.append(Cell(row, "episodes with a failed bound", trained.name, uncovered))
    return trainings, cells


def by_scale(scale: str) -> Item | None:
    """Regret by the scale of the bonuses."""
    if scale == "smoke":
        return None
    note = "delta 0.1, threshold 0.9 of the baseline's value, 20,000 episodes"
    return Item("scale", "What the scale of the bonuses costs", *swept("scale", "scale", "c", scale), 10, [note])


def by_threshold(scale: str) -> Item | None:
    """Regret by the threshold."""
    if scale == "smoke":
        return None
    note = "scale 0.001 of both confidence terms, delta 0.1, 20,000 episodes; f: threshold over the baseline's value"
    return Item("threshold", "What the promise costs", *swept("threshold", "threshold", "f", scale), 10, [note])


def offline(scale: str) -> Item | None:
    """StepMix when its baseline has to be learned from a dataset."""
    if scale == "smoke":
        return None
    trainings, cells = [], []
    for start, is_warm in (("warm", True), ("cold", False)):
        for text, numbers in KNOWN["offline"][start].items():
            options = {"offline_episodes": int(text), "warm_start": is_warm}
            trained = training("stepmix", "eta=5", scale, **options)
            trainings.append(trained)
            row = f"{start} start, {int(text):,} episodes of data"
            cells.append(Cell(row, "regret", trained.name, regret, held_against(numbers, trained.seeds, 10)))
            cells.append(Cell(row, NAMES["violations"], trained.name, violations))
            cells.append(Cell(row, NAMES["first_exploration"], trained.name, first_exploration))
    note = f"{CPU_NOTE}; the threshold is that of the policy that made the data, Boltzmann with eta=5"
    return Item("offline", "StepMix with a baseline learned from data", trainings, cells, 10, [note])


def theory(scale: str) -> Item | None:
    """How long the theory's own constants keep to the baseline: runs of millions of episodes."""
    if scale == "smoke":
        return None
    trainings, cells = [], []
    for baseline, episodes in KNOWN["theory"].items():
        mean = sum(episodes) / len(episodes)
        total = 10_000 * math.ceil(mean * 1.005 / 10_000)
        config = {"scale": 1.0, "threshold": 0.8, "total_updates": total, **BASELINES[baseline]}
        name = f"stepmix-theory-{baseline.replace('=', '')}"
        trainings.append(Training(name, "stepmix", "tabular/golden-ratio", config, 6, record_every=10_000))
        target = Target(mean, 0.001 * mean, "known answer", f"{REFERENCE}, first episodes {episodes}")
        row = label("stepmix", baseline)
        cells.append(Cell(row, NAMES["first_exploration"], name, first_exploration, target, digits=0))
        cells.append(Cell(row, NAMES["violations"], name, violations))
    note = "scale 1, delta 0.1, threshold 0.8 of the baseline's value; stopped soon after the first exploring episode"
    return Item("theory", "The theory's constants", trainings, cells, 5, [note])


def linear_programs(scale: str) -> Item | None:
    """Constrained MDPs by linear programs."""
    if scale == "smoke":
        return None
    trainings, cells = [], []
    for agent in ("dope", "opt_pess_lp"):
        for baseline in ("eta=10", "det2"):
            config = {"total_updates": EPISODES, **BASELINES[baseline]}
            name = f"{agent}-{baseline.replace('=', '')}"
            trainings.append(Training(name, agent, "tabular/golden-ratio", config, 5))
            known = KNOWN["linear_programs"].get(agent, {}).get(baseline)
            target = None
            if known:
                mean = sum(known) / len(known)
                target = Target(mean, 0.05 * mean, "known answer", f"{REFERENCE}, mean of {len(known)} seeds")
            row = label(agent, baseline)
            cells.append(Cell(row, "regret", name, regret, target))
            cells.append(Cell(row, NAMES["violations"], name, violations))
            cells.append(Cell(row, "value, last 1000", name, last_value, digits=4))
    notes = [CPU_NOTE, "solved again once episodes have grown by 5 %, not every episode; no initial baseline episodes"]
    return Item("linear-programs", "Constrained MDPs by linear programs", trainings, cells, 5, notes)


def curves(runs: Any, path: Path) -> None:
    """Exact value of the episode's policy over episodes, one line an algorithm, for the Boltzmann baseline of 10."""
    shown = {name.split("-")[0]: run for name, run in runs.items() if name.endswith("eta10")}
    lines = []
    for name, run in shown.items():
        episodes = np.arange(1, len(run.env_steps) + 1) * run.record_every
        lines.append(results.Curve(name, episodes, run.metrics["value/policy"]))
    task = shown["stepmix"].state.task
    results.learning_curves(
        lines,
        "value of the policy played",
        path,
        title="Golden-ratio instance, baseline eta=10",
        levels={"threshold": float(task.threshold[0]), "best": float(task.best[0])},
        xlabel="episodes",
    )


EXPERIMENT = Experiment(
    "stepmix",
    "Near-optimal Conservative Exploration in Reinforcement Learning under Episode-wise Constraints",
    "Li, Huang, Shen, Yang; ICML 2023, arXiv 2306.06265",
    "A re-implementation from the abstract and derivations, checked by exact invariants; no figure of the paper is "
    "claimed to be reproduced.",
    {
        "table": table,
        "scale": by_scale,
        "threshold": by_threshold,
        "offline": offline,
        "theory": theory,
        "linear-programs": linear_programs,
    },
)
