"""What a run has come to, from its directory alone: how far, how fast, and each seed's line in a few characters."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.results.store import RunStore

BARS = "▁▂▃▄▅▆▇█"
RECENT = 0.1
"""Of the updates done, what counts as now: the same as of a final return."""


@dataclasses.dataclass(frozen=True)
class View:
    """A run as it is now.

    Attributes:
        status: as in the manifest, "interrupted" if its process is gone. done, total: updates.
        steps_per_second: of all members, over the last chunks; NaN before the first.
        now: [member], each member's mean of the metric over the last tenth; iqm: over members, as of final returns.
        lines: [member] of text, the metric's course.
    """

    path: Path
    name: str
    status: str
    done: int
    total: int
    steps_per_second: float
    now: np.ndarray
    iqm: float
    lines: list[str]
    labels: list[str]


def look(path: Path | str, metric: str = "episode/return", width: int = 40) -> View:
    """Reads a run that may be being written.

    Args:
        metric: one that is a number a member. width: characters of a line.

    Raises:
        RunDirectoryError: if `path` is no run. UnknownNameError: for a metric it does not record. ConfigError: for one
            that is several numbers.
    """
    store = RunStore.open(path)
    manifest = store.manifest
    settings, seeds = manifest["settings"] or [{}], manifest["seeds"]
    courses = _courses(store, metric, len(settings) * len(seeds))
    updates = courses.shape[1]
    recent = courses[:, updates - max(1, int(updates * RECENT)) :] if updates else courses
    now = _mean(recent)
    return View(
        store.path,
        f"{manifest['agent']} on {manifest['env']}",
        store.status or "",
        store.updates_done,
        manifest["total_updates"],
        _speed(store, len(settings) * len(seeds)),
        now,
        _iqm(now),
        [sparkline(course, width) for course in courses],
        [_label(setting, seed) for setting in settings for seed in seeds],
    )


def _courses(store: RunStore, metric: str, members: int) -> np.ndarray:
    """float64 [member, record]."""
    if store.updates_done == 0:
        return np.zeros((members, 0))
    values = store.metrics([metric])[metric]
    if values.ndim != 3:
        raise ConfigError(f"metric = {metric}: must be one number a member, is {list(values.shape[3:])}")
    return values.reshape(members, -1).astype(np.float64)


def _label(setting: dict[str, Any], seed: int) -> str:
    return " ".join([*(f"{name}={value:g}" for name, value in setting.items()), f"seed {seed}"])


def _speed(store: RunStore, members: int) -> float:
    last = store.times()[-5:]
    seconds = sum(chunk["seconds"] for chunk in last)
    updates = sum(chunk["stop"] - chunk["start"] for chunk in last)
    return updates * store.manifest["env_steps_per_update"] * members / seconds if seconds else float("nan")


def _mean(values: np.ndarray) -> np.ndarray:
    """Along the last axis, without NaN; NaN where there is nothing else."""
    is_number = np.isfinite(values)
    count = is_number.sum(axis=-1)
    total = np.where(is_number, values, 0.0).sum(axis=-1)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)


def _iqm(scores: np.ndarray) -> float:
    from scipy.stats import trim_mean

    kept = scores[np.isfinite(scores)]
    return float(trim_mean(kept, 0.25)) if len(kept) else float("nan")


def sparkline(values: Sequence[float] | np.ndarray, width: int) -> str:
    """The course of values [record] in at most `width` characters, from the least to the greatest; a dot where none."""
    values = np.asarray(values, np.float64)
    if not len(values):
        return ""
    means = np.array([_mean(part) for part in np.array_split(values, min(width, len(values)))])
    low, high = (np.nanmin(means), np.nanmax(means)) if np.isfinite(means).any() else (0.0, 0.0)
    span = high - low if high > low else 1.0
    return "".join(BARS[int((m - low) / span * (len(BARS) - 1))] if np.isfinite(m) else "·" for m in means)
