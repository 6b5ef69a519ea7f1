"""Statistics and the printed table of a side-by-side measurement; raw rows in, one summary a contestant out."""

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

EQUAL_MARGIN = 25.0
"""Final returns count as equal if the 95 % interval of their difference lies within this: 5 % of CartPole's 500."""


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and its 95 % Student interval; NaN bounds below two values, NaN everywhere if a value is NaN."""
    from scipy import stats

    scores = np.asarray(values, dtype=np.float64)
    if scores.size < 2:
        return (float(scores.mean()) if scores.size else float("nan"), float("nan"), float("nan"))
    half = stats.t.ppf(0.975, scores.size - 1) * scores.std(ddof=1) / scores.size**0.5
    return float(scores.mean()), float(scores.mean() - half), float(scores.mean() + half)


def difference_interval(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Mean of ours minus mean of theirs and its 95 % Welch interval; NaN bounds below two values a side."""
    from scipy import stats

    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if min(a.size, b.size) == 0:
        return float("nan"), float("nan"), float("nan")
    difference = float(a.mean() - b.mean())
    if min(a.size, b.size) < 2:
        return difference, float("nan"), float("nan")
    parts = a.var(ddof=1) / a.size, b.var(ddof=1) / b.size
    variance = sum(parts)
    if variance == 0:
        return difference, difference, difference
    freedom = variance**2 / (parts[0] ** 2 / (a.size - 1) + parts[1] ** 2 / (b.size - 1))
    half = float(stats.t.ppf(0.975, freedom)) * variance**0.5
    return difference, difference - half, difference + half


def verdict(interval: tuple[float, float, float]) -> str:
    """`equal` if the interval lies within the margin, `different` if it lies outside it, else `inconclusive`."""
    _, low, high = interval
    if low >= -EQUAL_MARGIN and high <= EQUAL_MARGIN:
        return "equal"
    return "different" if low > EQUAL_MARGIN or high < -EQUAL_MARGIN else "inconclusive"


def steps_per_second(row: dict[str, Any]) -> float:
    return row["env_steps"] / row["run_seconds"]


def scores(rows: list[dict[str, Any]], kind: str) -> list[float]:
    return [value for row in rows for value in row.get(kind, [])]


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One summary a (members, contestant), in the order of first appearance.

    Args:
        rows: measurements with `contestant`, `pair`, `members`, `env_steps`, `compile_seconds`, `run_seconds`,
            `peak_rss_bytes` and at least one of `final_returns` and `evaluated_returns`. The contestant `ours` is
            what the ratios are of; without it there are none.
    """
    groups: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["members"], row["contestant"]), []).append(row)
    return [_summary(name, group, groups.get((members, "ours"), [])) for (members, name), group in groups.items()]


def _summary(name: str, rows: list[dict[str, Any]], ours: list[dict[str, Any]]) -> dict[str, Any]:
    speeds = [steps_per_second(row) for row in rows]
    kind = "final_returns" if scores(rows, "final_returns") else "evaluated_returns"
    summary = {
        "members": rows[0]["members"],
        "contestant": name,
        "devices": rows[0]["devices"],
        "runs": len(rows),
        "steps_per_second": {"median": statistics.median(speeds), "min": min(speeds), "max": max(speeds)},
        "compile_seconds": statistics.median(row["compile_seconds"] for row in rows),
        "peak_rss_bytes": statistics.median(row["peak_rss_bytes"] for row in rows),
        "score": kind,
        "mean_return": mean_interval(scores(rows, kind)),
    }
    if ours and name != "ours":
        ratio = paired_ratio(ours, rows)
        difference = difference_interval(scores(ours, kind), scores(rows, kind))
        summary |= {"difference_of_returns": difference, "verdict": verdict(difference)}
        if ratio:
            summary["ratio"] = ratio
    return summary


def paired_ratio(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> dict[str, float] | None:
    """Our steps a second over theirs in the pairs that both have; None where there is none."""
    by_pair = {row["pair"]: steps_per_second(row) for row in theirs}
    ratios = [steps_per_second(row) / by_pair[row["pair"]] for row in ours if row["pair"] in by_pair]
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)} if ratios else None


def ratio_between(rows: list[dict[str, Any]], members: int, ours: str, theirs: str) -> dict[str, float] | None:
    """`paired_ratio` of two contestants by name, at one number of members."""
    named = [[row for row in rows if (row["members"], row["contestant"]) == (members, n)] for n in (ours, theirs)]
    return paired_ratio(*named)


def table(summaries: list[dict[str, Any]], algorithm: str, env_id: str) -> Any:
    """A rich table of `summarise`'s output."""
    from rich.table import Table

    view = Table(title=f"{algorithm} on {env_id}, environment steps a second")
    for name, justify in COLUMNS.items():
        view.add_column(name, justify=justify)
    last = None
    for summary in summaries:
        if last not in (None, summary["members"]):
            view.add_section()
        last = summary["members"]
        view.add_row(*_cells(summary))
    return view


WIDTH = 165
"""Columns of text below which the table's numbers would be cut."""

COLUMNS: dict[str, Any] = {
    "members": "right",
    "contestant": "left",
    "devices": "right",
    "steps/s (min-max)": "right",
    "ours / it (min-max)": "right",
    "compile s": "right",
    "peak MiB": "right",
    "return [95 %]": "right",
    "ours - it [95 %]": "right",
}


def _cells(summary: dict[str, Any]) -> list[str]:
    speed, ratio = summary["steps_per_second"], summary.get("ratio")
    difference = summary.get("difference_of_returns")
    return [
        str(summary["members"]),
        summary["contestant"],
        str(summary["devices"]),
        f"{speed['median']:,.0f} ({speed['min']:,.0f}-{speed['max']:,.0f})",
        f"{ratio['median']:.2f} ({ratio['min']:.2f}-{ratio['max']:.2f})" if ratio else "",
        f"{summary['compile_seconds']:.1f}",
        f"{summary['peak_rss_bytes'] / 2**20:,.0f}",
        _interval(summary["mean_return"]) + (" *" if summary["score"] == "evaluated_returns" else ""),
        f"{_interval(difference)} {summary['verdict']}" if difference else "",
    ]


def _interval(interval: tuple[float, float, float]) -> str:
    return "{:.1f} [{:.1f}, {:.1f}]".format(*interval)
