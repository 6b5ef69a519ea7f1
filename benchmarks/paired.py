"""Measurements taken in turns, each in a process of its own, so that both sides meet the same state of the machine."""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def measure(script: str, worker: str, options: dict[str, Any]) -> dict[str, Any]:
    """What `script --worker WORKER --NAME VALUE ...` prints as its last line, a line of JSON."""
    command = [sys.executable, script, "--worker", worker]
    command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def in_turns(script: str, workers: Iterable[str], pairs: int, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of so many pairs: each worker once for each case, which is its options."""
    return [
        {"pair": pair, "worker": worker, **options} | measure(script, worker, options)
        for pair in range(pairs)
        for options in cases
        for worker in workers
    ]


def of_workers(rows: list[dict[str, Any]], workers: Iterable[str], names: Iterable[str]) -> dict[str, Any]:
    """By worker: spreads of these measurements, and the median of the memory that it took."""
    found: dict[str, Any] = {}
    for worker in workers:
        of = [row for row in rows if row["worker"] == worker]
        found[worker] = {name: spread(row[name] for row in of) for name in names}
        found[worker]["peak_rss_bytes"] = spread(row["peak_rss_bytes"] for row in of)["median"]
    return found


def spread(values: Iterable[float]) -> dict[str, float]:
    found = list(values)
    return {"median": statistics.median(found), "min": min(found), "max": max(found)}


def ratio(rows: list[dict[str, Any]], ours: str, theirs: str, rate: str = "episodes_per_second") -> dict[str, float]:
    """Spread over pairs of one worker's rate over another's."""
    rates = [{r["pair"]: r[rate] for r in rows if r["worker"] == name} for name in (ours, theirs)]
    return spread(rates[0][pair] / rates[1][pair] for pair in rates[0])


def write(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["summary"], indent=1))
