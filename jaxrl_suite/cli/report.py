"""What is printed after training: final returns with intervals, costs, places; and the learning curve."""

import resource
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.cli import common, tables
from jaxrl_suite.cli.curves import named_curves
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.results import Estimate, aggregate, bootstrap_interval, learning_curves
from jaxrl_suite.training import processes

NO_VALUE = "–"


def seed_median(scores: jax.Array) -> jax.Array:
    """Median over seeds (`results.median` is over tasks)."""
    return jnp.median(scores)


class Summary:
    """Scores of one setting over seeds. Seeds without a finite score are left out of the estimates, and named.

    Attributes:
        estimates: "iqm", "mean", "median" with 95 % intervals; empty where no seed has a score.
        missing: the seeds left out. scores: [seed], NaN where missing.
    """

    def __init__(self, scores: np.ndarray, seeds: Sequence[int]):
        is_finite = np.isfinite(scores)
        self.scores = np.where(is_finite, scores, np.nan)
        self.missing = [s for s, ok in zip(seeds, is_finite, strict=True) if not ok]
        kept, self.estimates = self.scores[is_finite], {}
        if len(kept):
            found = aggregate(kept)
            median = Estimate(float(np.median(kept)), *bootstrap_interval(seed_median, kept))
            self.estimates: dict[str, Estimate] = {"iqm": found.iqm, "mean": found.mean, "median": median}

    def text(self, name: str) -> str:
        return str(self.estimates[name]) if name in self.estimates else NO_VALUE

    def missing_text(self) -> str:
        if not self.missing:
            return "none"
        return f"{len(self.missing)} of {len(self.scores)}, left out: {few(self.missing)}"

    def as_dict(self) -> dict[str, Any]:
        estimates = {n: {"value": e.value, "low": e.low, "high": e.high} for n, e in self.estimates.items()}
        return {"scores": self.scores.tolist(), **estimates, "missing_seeds": self.missing}


def few(items: Sequence[Any]) -> str:
    return ", ".join(map(str, items[:8])) + (f" and {len(items) - 8} more" if len(items) > 8 else "")


def report_run(run: Any, quiet: bool, as_json: bool, threshold: float | None = None) -> None:
    """Draws the learning curve and prints what a run came to. `run` is in a directory.

    threshold: a final return; the seeds below it are counted. Of several processes the first prints.
    """
    if not processes.is_first():
        return
    figure = _draw(run)
    if quiet:
        print(run.path)
        return
    summaries = _summaries(run)
    if as_json:
        for setting, summary in zip(run.settings or (None,), summaries, strict=True):
            tables.print_json({**_facts_json(run, figure), "setting": setting, "final_return": summary.as_dict()})
        return
    if run.settings is not None:
        _print_settings(run, summaries)
    tables.print_facts(_title(run), _facts(run, summaries, figure, threshold))


def _title(run: Any) -> str:
    return f"{run.agent.info.name} on {run.agent.info.env_id}"


def _summaries(run: Any) -> list[Summary]:
    """One for each setting. An agent that reports no episodes has no scores."""
    count = len(run.settings or ({},))
    if "episode/return" not in run.metrics:
        return [Summary(np.full(len(run.seeds), np.nan), run.seeds)] * count
    return [Summary(scores, run.seeds) for scores in run.final_returns().reshape(count, -1)]


def _draw(run: Any) -> str | None:
    """Path of the learning curve, without suffix; None where there is nothing to draw."""
    path = run.path / "figures" / "learning_curve"
    settings = [tables.setting_text(s) for s in run.settings] if run.settings is not None else [_title(run)]
    metrics = run.metrics if run.settings is not None else {name: v[None] for name, v in run.metrics.items()}
    try:
        learning_curves(named_curves(metrics, "episode/return", run.env_steps, settings), path=path)
    except ConfigError as error:
        common.note(f"no learning curve: {error}")
        return None
    return str(path)


def _steps(run: Any) -> int:
    return int(run.env_steps[-1]) if len(run.env_steps) else 0


def _facts(run: Any, summaries: Sequence[Summary], figure: str | None, threshold: float | None) -> dict[str, str]:
    seeds = f"{len(run.seeds)} ({few(run.seeds)})"
    facts = {"seeds": seeds, "environment steps": f"{_steps(run):,} each, {int(run.updates[-1]):,} updates"}
    if run.settings is None:
        names = {"iqm": "IQM", "mean": "mean", "median": "median"}
        facts |= {f"final return, {shown}": summaries[0].text(name) for name, shown in names.items()}
        if threshold is not None:
            below = int(np.sum(summaries[0].scores < threshold))
            facts[f"seeds below {threshold:g}"] = f"{below} of {len(run.seeds)}"
        facts["seeds without final return"] = summaries[0].missing_text()
    facts |= {
        "diverged": few([_diverged_text(d) for d in run.diverged]) or "none",
        "compile, run": f"{run.seconds.compile:.1f} s, {run.seconds.run:.1f} s",
        "speed": f"{run.steps_per_second:,.0f} environment steps/s (compiling aside)",
        "memory, estimated": f"{tables.memory_text(run.bytes_needed)} a device",
        "memory, peak": f"{tables.memory_text(peak_memory())}, of the whole process",
        "run directory": str(run.path),
        "learning curve": f"{figure}.png, {figure}.svg" if figure else NO_VALUE,
    }
    return facts


def _diverged_text(member: Any) -> str:
    setting = tables.setting_text(member.setting)
    return f"seed {member.seed}{f' ({setting})' if setting else ''} at update {member.update}"


def _print_settings(run: Any, summaries: Sequence[Summary]) -> None:
    names = list(run.settings[0])
    columns = [tables.typed_name(name) for name in names]
    columns += ["IQM", "mean", "median", "seeds without return", "diverged"]
    rows = []
    for setting, summary in zip(run.settings, summaries, strict=True):
        diverged = [d for d in run.diverged if dict(d.setting) == dict(setting)]
        texts = [summary.text(name) for name in ("iqm", "mean", "median")]
        values = [f"{setting[name]:g}" for name in names]
        rows.append([*values, *texts, summary.missing_text(), str(len(diverged) or "none")])
    tables.print_table("final return of each setting, 95 % intervals", columns, rows)


def _facts_json(run: Any, figure: str | None) -> Mapping[str, Any]:
    info = run.agent.info
    return {
        "run": str(run.path),
        "agent": info.name,
        "env": info.env_id,
        "seeds": list(run.seeds),
        "updates": int(run.updates[-1]),
        "env_steps": _steps(run),
        "diverged": [{"seed": d.seed, "setting": dict(d.setting), "update": d.update} for d in run.diverged],
        "compile_seconds": run.seconds.compile,
        "run_seconds": run.seconds.run,
        "steps_per_second": run.steps_per_second,
        "bytes_needed": run.bytes_needed,
        "peak_bytes": peak_memory(),
        "figure": figure,
    }


def peak_memory() -> int:
    """Peak resident memory of this process in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
