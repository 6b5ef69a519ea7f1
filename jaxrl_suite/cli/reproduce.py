"""`jaxrl reproduce`: a paper's tables and figures, re-measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxrl_suite.cli import common, tables
from jaxrl_suite.cli.options import Group, Option, parse
from jaxrl_suite.errors import ConfigError

_OPTIONS = (
    Option("what", str, (), "a paper, or one of its items as in stepmix/table", "PAPER[/ITEM]", positional=True),
    Option("scale", str, "smoke", "smoke: under a minute; cpu: an hour on two cores; full: the paper's", "SCALE"),
    Option("out", Path, None, "where tables go; default: experiments/PAPER/results, for smoke runs/reproduce", "DIR"),
    Option("quiet", bool, False, "no progress"),
    common.JSON,
)


def reproduce(words: Sequence[str]) -> None:
    about = "Trains what is missing, resumes what was cut off, skips what is done, and writes tables and figures."
    values = parse("jaxrl reproduce", about, [Group("", _OPTIONS)], words)
    if len(values["what"]) != 1:
        raise ConfigError(f"PAPER: {len(values['what'])} given, one is needed; `jaxrl list experiments` shows them")
    paper, _, name = values["what"][0].partition("/")
    common.use_cores()
    from jaxrl_suite.reproduction import load_experiment
    from jaxrl_suite.training.provenance import provenance

    root = (common.checkout() or Path()) / "experiments"
    experiment = load_experiment(root, paper)
    names = [name] if name else list(experiment.items)
    items = [item for item in (experiment.item(n, values["scale"]) for n in names) if item is not None]
    if not items:
        raise ConfigError(f"{values['what'][0]}: has nothing at --scale {values['scale']}")
    _check(items)
    default = root / paper / "results" if values["scale"] != "smoke" else common.RUNS / "reproduce" / paper
    # Taken before any result is written, which would count as a change of the checkout.
    made_with = provenance()
    for item in items:
        _reproduce(experiment, item, values, values["out"] or default, made_with)


def _check(items: Sequence[Any]) -> None:
    """Everything that can be refused is refused before anything trains."""
    from jaxrl_suite.reproduction.training import agent_of

    for item in items:
        for training in item.trainings:
            if not training.waits:
                agent_of(training)


def _reproduce(experiment: Any, item: Any, values: Any, folder: Path, made_with: dict[str, Any]) -> None:
    from jaxrl_suite.reproduction import report
    from jaxrl_suite.reproduction.training import run_trainings

    scale = values["scale"]
    show = not values["quiet"] and not values["json"]
    runs = run_trainings(item, common.RUNS / "reproduce" / experiment.paper / "trainings", show)
    cells = report.measure(item, runs)
    page = report.write(experiment, item, scale, cells, runs, made_with, folder)
    if values["json"]:
        for cell in cells:
            tables.print_json({"paper": experiment.paper, "item": item.name, "scale": scale, **cell})
        return
    tables.print_table(f"{item.title} ({scale})", report.COLUMNS, report.rows_of(cells))
    common.note(f"{experiment.claim} Written: {page} (and .json, .csv, .tex{', .svg' if item.figure else ''})")
