"""An item's numbers as a table, figure and arrays, and what was written about them read back."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl_suite.config import to_dict
from jaxrl_suite.reproduction.experiment import KINDS, Cell, Estimate, Experiment, Item
from jaxrl_suite.results.statistics import aggregate
from jaxrl_suite.results.tables import csv_table, latex_table, markdown_table
from jaxrl_suite.results.verdicts import verdict

COLUMNS = ("row", "number", "seeds", "ours", "95 % interval", *KINDS, "margin", "verdict")


def measure(item: Item, runs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every cell of the item, measured: plain values for JSON."""
    scores = scores_of(item, runs)
    return [_measured(cell, item, runs, scores) for cell in item.cells]


def scores_of(item: Item, runs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """{training: float64 [seed]} where the item has a score."""
    score = item.score
    return {} if score is None else {name: np.asarray(score(run), np.float64) for name, run in runs.items()}


def _estimate(cell: Cell, runs: Mapping[str, Any], all_scores: Any) -> tuple[Estimate, list[float], bool]:
    """(the cell's number, the scores of its seeds if it is over seeds, whether so few seeds could decide anything)."""
    if cell.training is None:
        value = float(cell.measure())
        return Estimate(value, value, value, "exact"), [], False
    if isinstance(cell.training, tuple):
        return cell.measure({name: all_scores[name] for name in cell.training}), [], False
    scores = np.asarray(cell.measure(runs[cell.training]), np.float64)
    if cell.is_exact:
        value = float(scores[0])
        return Estimate(value, value, value, "exact"), scores.tolist(), False
    mean = aggregate(scores).mean
    return Estimate(mean.value, mean.low, mean.high, str(len(scores))), scores.tolist(), True


def _measured(cell: Cell, item: Item, runs: Mapping[str, Any], all_scores: Any) -> dict[str, Any]:
    found, scores, is_over_seeds = _estimate(cell, runs, all_scores)
    target = cell.target
    row: dict[str, Any] = {
        "row": cell.row,
        "column": cell.column,
        "training": cell.training,
        "scores": scores,
        "over": found.over,
        "mean": found.value,
        "interval": [found.low, found.high],
        "digits": cell.digits,
        "deviation": cell.deviation,
        "target": None,
        "verdict": "",
    }
    if target is not None:
        row["target"] = {"value": target.value, "margin": target.margin, "kind": target.kind, "source": target.source}
        seeds = len(scores) if is_over_seeds else item.least_seeds
        held = (found.low, found.high, target.value, target.margin, seeds, item.least_seeds, cell.deviation)
        row["verdict"] = verdict(*held)
    return row


def rows_of(cells: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The cells as a table with `COLUMNS`; published numbers and known answers have a column each."""
    return [_row(cell) for cell in cells]


def _row(cell: Mapping[str, Any]) -> list[str]:
    def number(value: float) -> str:
        if not math.isfinite(value):
            return "" if math.isnan(value) else "never"
        text = f"{value:,.{cell['digits']}f}"
        # A small number keeps four digits.
        return f"{value:.4g}" if value != 0 and float(text.replace(",", "")) == 0 and cell["over"] == "exact" else text

    target = cell["target"]
    beside = [number(target["value"]) if target and target["kind"] == kind else "" for kind in KINDS]
    margin = f"{target['margin']:.3g}" if target else ""
    low, high = cell["interval"]
    interval = "" if low == high or math.isnan(low) else f"[{number(low)}, {number(high)}]"
    return [cell["row"], cell["column"], cell["over"], number(cell["mean"]), interval, *beside, margin, cell["verdict"]]


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
            "grid": {name: list(values) for name, values in t.grid.items()},
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
        "scores": {name: scores.tolist() for name, scores in scores_of(item, runs).items()},
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
        f"{experiment.source_of(item.name)}. {experiment.claim}",
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
