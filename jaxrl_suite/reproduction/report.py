"""An item's numbers as a table, figure and arrays, and what was written about them read back."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl_suite.config import to_dict
from jaxrl_suite.reproduction.experiment import KINDS, Cell, Experiment, Item
from jaxrl_suite.results.statistics import aggregate
from jaxrl_suite.results.tables import csv_table, latex_table, markdown_table
from jaxrl_suite.results.verdicts import verdict

COLUMNS = ("row", "number", "seeds", "ours", "95 % interval", *KINDS, "margin", "verdict")


def measure(item: Item, runs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every cell of the item, measured: plain values for JSON."""
    return [_measured(cell, item, runs[cell.training]) for cell in item.cells]


def _measured(cell: Cell, item: Item, run: Any) -> dict[str, Any]:
    scores = np.asarray(cell.measure(run), np.float64)
    mean = aggregate(scores).mean
    target = cell.target
    row: dict[str, Any] = {
        "row": cell.row,
        "column": cell.column,
        "training": cell.training,
        "scores": scores.tolist(),
        "mean": mean.value,
        "interval": [mean.low, mean.high],
        "digits": cell.digits,
        "deviation": cell.deviation,
        "target": None,
        "verdict": "",
    }
    if target is not None:
        row["target"] = {"value": target.value, "margin": target.margin, "kind": target.kind, "source": target.source}
        held = (mean.low, mean.high, target.value, target.margin, len(scores), item.least_seeds, cell.deviation)
        row["verdict"] = verdict(*held)
    return row


def rows_of(cells: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The cells as a table with `COLUMNS`; published numbers and known answers have a column each."""
    return [_row(cell) for cell in cells]


def _row(cell: Mapping[str, Any]) -> list[str]:
    def number(value: float) -> str:
        return f"{value:,.{cell['digits']}f}"

    target = cell["target"]
    beside = [number(target["value"]) if target and target["kind"] == kind else "" for kind in KINDS]
    margin = f"{target['margin']:.3g}" if target else ""
    low, high = cell["interval"]
    ours = [number(cell["mean"]), f"[{number(low)}, {number(high)}]"]
    return [cell["row"], cell["column"], str(len(cell["scores"])), *ours, *beside, margin, cell["verdict"]]


def write(
    experiment: Experiment,
    item: Item,
    scale: str,
    cells: list[dict[str, Any]],
    runs: Mapping[str, Any],
    made_with: dict[str, Any],
    folder: Path,
) -> Path:
    """Writes <item>-<scale>.json (all of it, with raw scores), .md, .csv, .tex and the figure; returns the .md."""
    folder.mkdir(parents=True, exist_ok=True)
    trainings = {
        t.name: {
            "agent": t.agent,
            "env": t.env,
            "env_options": dict(t.env_options),
            "config": to_dict(runs[t.name].agent.info.config),
            "seeds": list(runs[t.name].seeds),
            "updates": int(runs[t.name].updates[-1]),
            "env_steps": int(runs[t.name].env_steps[-1]),
            "seconds": runs[t.name].seconds._asdict(),
        }
        for t in item.trainings
    }
    base = folder / f"{item.name}-{scale}"
    everything = {
        "paper": experiment.paper,
        "item": item.name,
        "scale": scale,
        "title": item.title,
        "cells": cells,
        "trainings": trainings,
        "notes": list(item.notes),
        "provenance": made_with,
    }
    base.with_suffix(".json").write_text(json.dumps(everything, indent=1) + "\n")
    rows = rows_of(cells)
    base.with_suffix(".csv").write_text(csv_table(COLUMNS, rows))
    base.with_suffix(".tex").write_text(latex_table(COLUMNS, rows))
    if item.figure is not None:
        item.figure(runs, base)
    page = base.with_suffix(".md")
    page.write_text(markdown(experiment, item, scale, rows, figure=base.name if item.figure else None))
    return page


def markdown(experiment: Experiment, item: Item, scale: str, rows: list[list[str]], figure: str | None) -> str:
    """The item as a page."""
    sources = sorted({f"{c.target.kind}: {c.target.source}" for c in item.cells if c.target})
    lines = [
        f"# {item.title}",
        "",
        f"{experiment.title}. {experiment.source}. {experiment.claim}",
        "",
        f"Made by `jaxrl reproduce {experiment.paper}/{item.name} --scale {scale}`. Means over seeds with 95 %",
        f"bootstrap intervals; fewer than {item.least_seeds} seeds decide nothing.",
        *(f"{source[0].upper()}{source[1:]}." for source in sources),
        "",
        markdown_table(COLUMNS, rows),
        *(f"- {note}" for note in item.notes),
    ]
    if figure:
        lines += ["", f"![{item.title}]({figure}.svg)"]
    return "\n".join(lines).rstrip() + "\n"
