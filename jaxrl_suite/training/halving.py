"""Successive halving (Jamieson, Talwalkar 2016, arXiv 1502.07943): settings that do badly early are given up.

All settings begin with a part of the budget; at each rung the best go on, from where they stand, with `keep_one_in`
times as many updates. What the survivors do is what they would have done in a plain sweep, for members do not know of
each other; schedules run over the whole budget from the start.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl_suite.agent import Agent
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.precision import precision
from jaxrl_suite.results.store import RunStore
from jaxrl_suite.training import processes
from jaxrl_suite.training.job import checkpoints_of
from jaxrl_suite.training.members import Setting, parse_grid, parse_seeds, swept
from jaxrl_suite.training.options import Options, parse_budget
from jaxrl_suite.training.program import Carry, to_plain
from jaxrl_suite.training.progress import say
from jaxrl_suite.training.run import Run
from jaxrl_suite.training.runner import begin, checked, held, resume
from jaxrl_suite.training.saved_runs import carry_of


def successive_halving(
    factory: Callable[..., Agent],
    environment: tuple[Any, Any],
    config: Any,
    grid: Mapping[str, Sequence[float]],
    seeds: int | Sequence[int] = 1,
    *,
    keep_one_in: int = 3,
    updates: int | None = None,
    out: Path | str | None = None,
    **options: Any,
) -> list[Run]:
    """Trains a grid of settings, fewer and fewer of them.

    Args:
        factory, environment, config, grid, seeds: as in `sweep`.
        keep_one_in: eta; of the settings of a rung one in so many goes on, by the mean of the seeds' final returns.
        updates: of the last rung; default: the agent's budget.
        out: a directory of the rungs' run directories, `rung-1`, ...; one that was cut off goes on.
        **options: fields of `Options`, except `out`.

    Returns:
        a Run for each rung, with the settings that took part and the updates since the rung before.

    Raises:
        ConfigError: for a grid of one setting, a rung without an update, or as `sweep`.
    """
    agent = factory(*environment, config)
    settings, target = parse_grid(grid), parse_budget(agent, updates, None)
    budgets = rungs(len(settings), target, keep_one_in)
    runs: list[Run] = []
    with precision(agent.info.precision):
        members = parse_seeds(seeds)
        for rung, budget in enumerate(budgets, start=1):
            path = None if out is None else Path(out) / f"rung-{rung}"
            before = runs[-1] if runs else None
            runs.append(_rung(agent, settings, members, budget, before, path, options))
            if rung < len(budgets):
                settings = _best(runs[-1], -(-len(settings) // keep_one_in))
                say(f"rung {rung} of {len(budgets)}: {len(settings)} of {len(runs[-1].settings or ())} settings go on")
    return runs


def rungs(settings: int, updates: int, keep_one_in: int) -> list[int]:
    """The updates at each rung's end.

    Raises:
        ConfigError: if there is nothing to choose from, or too little to do.
    """
    if keep_one_in < 2:
        raise ConfigError(f"keep_one_in = {keep_one_in}: must be >= 2")
    if settings < 2:
        raise ConfigError(f"grid: {settings} setting, must be at least 2 for some to be given up")
    count, left = 1, settings
    while left > 1:
        count, left = count + 1, -(-left // keep_one_in)
    budgets = [updates // keep_one_in**power for power in reversed(range(count))]
    if budgets[0] < 1:
        least = keep_one_in ** (count - 1)
        raise ConfigError(f"updates = {updates}: must be >= {least} for {count} rungs of {settings} settings")
    return budgets


def _best(run: Run, count: int) -> tuple[Setting, ...]:
    """The settings with the highest mean final returns, in their order; NaN is the worst."""
    assert run.settings is not None
    scores = np.nan_to_num(run.final_returns().mean(axis=1), nan=-np.inf)
    chosen = sorted(np.argsort(-scores, kind="stable")[:count])
    return tuple(dict(run.settings[i]) for i in chosen)


def _rung(
    agent: Agent,
    settings: tuple[Setting, ...],
    seeds: tuple[int, ...],
    target: int,
    before: Run | None,
    out: Path | None,
    options: Mapping[str, Any],
) -> Run:
    """These settings up to `target` updates, from where they stood at the end of `before`."""
    if out is not None and (out / "manifest.json").exists():
        if before is None or _has_begun(out):
            return resume(out, agent, **options)
        processes.first_does(lambda: shutil.rmtree(out))
    job = checked(agent, swept(agent.info, settings, seeds), True, target, Options(out=out, **options))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
    if before is None:
        return begin(job)
    job.first = job.done = int(before.updates[-1])
    return begin(job, _rows_of(before, settings))


def _has_begun(out: Path) -> bool:
    """Whether a later rung's directory holds its members: without, a resume would train them from update 0."""
    store = RunStore.open(out)
    with held(store):
        return bool(checkpoints_of(store).updates())


def _rows_of(run: Run, settings: tuple[Setting, ...]) -> Carry:
    """The members of these settings at the run's end, on the host."""
    assert run.settings is not None
    known, seeds = [dict(s) for s in run.settings], len(run.seeds)
    rows = np.concatenate([known.index(s) * seeds + np.arange(seeds) for s in settings])
    return jax.tree.map(lambda x: x[rows], to_plain(carry_of(run)))
