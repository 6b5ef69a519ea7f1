"""A list of runs to be made, by any number of workers, on one machine or many with a common disk.

A cell is one run with a directory of its own, which says all there is to know: what is finished is left alone, what was
cut off goes on, what another worker holds is passed over. Workers need nothing but the directory; one that dies leaves
its cell to the others.
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxrl_suite.agent import Agent
from jaxrl_suite.errors import CellsFailedError, ConfigError, Interrupted, JaxrlError, RunDirectoryError, RunInUseError
from jaxrl_suite.results.store import RunStore
from jaxrl_suite.training.members import parse_grid, parse_seeds
from jaxrl_suite.training.options import parse_budget
from jaxrl_suite.training.progress import say
from jaxrl_suite.training.rebuild import describe, digest
from jaxrl_suite.training.runner import resume, sweep, train

WAIT_SECONDS = 5.0
"""Between two looks at cells that others hold."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of a list. name: its directory's. grid: as in `sweep`, None for a plain run. updates: None for the
    agent's budget."""

    name: str
    agent: Agent
    seeds: int | tuple[int, ...] = 1
    grid: Mapping[str, Sequence[float]] | None = None
    updates: int | None = None


def work(cells: Sequence[Cell], out: Path | str, *, part: tuple[int, int] = (1, 1), **options: Any) -> list[str]:
    """Makes every run of the list that is not finished, and waits for those that others make.

    Args:
        out: the directory of the cells' directories. part: (i, n) takes only every n-th cell, from the i-th on, counted
            from 1: for workers that share no disk.
        **options: fields of `Options`, except `out`.

    Returns:
        the names of the cells that this call made or finished.

    Raises:
        ConfigError: for a list that cannot work, before anything runs.
        CellsFailedError: at the end, if some cells failed; the others are finished.
        Interrupted: after Ctrl-C or SIGTERM.
    """
    out, index, count = Path(out), *part
    if not 1 <= index <= count:
        raise ConfigError(f"part = {index}/{count}: must be between 1/{count} and {count}/{count}")
    _check(cells, out)
    waiting, made, failed = list(cells[index - 1 :: count]), [], {}
    while waiting:
        held = []
        for cell in waiting:
            try:
                state = _turn(cell, out / cell.name, options)
            except Interrupted:
                raise
            except JaxrlError as error:
                failed[cell.name] = str(error)
                say(f"{cell.name}: {error}")
                continue
            made += [cell.name] if state == "made" else []
            held += [cell] if state == "held" else []
        waiting = held
        if waiting:
            say(f"{len(waiting)} of {len(cells)} cells are being made by others: waiting for them")
            time.sleep(WAIT_SECONDS)
    if failed:
        raise CellsFailedError(f"{len(failed)} of {len(cells)} cells failed: {', '.join(failed)}; the others are done")
    return made


def _check(cells: Sequence[Cell], out: Path) -> None:
    names = [cell.name for cell in cells]
    if not cells:
        raise ConfigError("cells: must be at least one")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"cells: names must differ, {', '.join(twice)} do not")
    for cell in cells:
        parse_seeds(cell.seeds)
        parse_budget(cell.agent, cell.updates, None)
        if (out / cell.name / "manifest.json").exists():
            _require_same(cell, RunStore.open(out / cell.name))


def _require_same(cell: Cell, store: RunStore) -> None:
    """Raises ConfigError if the directory holds a run of other settings."""
    manifest = store.manifest
    settings = None if cell.grid is None else [dict(s) for s in parse_grid(cell.grid)]
    wanted = {
        "config_digest": digest(describe(cell.agent.info)),
        "seeds": list(parse_seeds(cell.seeds)),
        "settings": settings,
        "total_updates": parse_budget(cell.agent, cell.updates, None),
    }
    for key, value in wanted.items():
        if manifest[key] != value:
            raise ConfigError(f"{store.path}: holds a run of other {key}: choose another directory for this list")


def _turn(cell: Cell, path: Path, options: dict[str, Any]) -> str:
    """Makes the cell's run, unless it is "finished" or "held" by another worker."""
    try:
        if not (path / "manifest.json").exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            return _begin(cell, path, options)
        if RunStore.open(path).manifest["status"] == "finished":
            return "finished"
        resume(path, cell.agent, **options)
    except RunInUseError:
        return "held"
    return "made"


def _begin(cell: Cell, path: Path, options: dict[str, Any]) -> str:
    how: dict[str, Any] = {"updates": cell.updates, "out": path, **options}
    info = cell.agent.info
    try:
        if cell.grid is None:
            train(cell.agent, cell.seeds, **how)
        else:
            sweep(info.factory, (info.env, info.env_params), info.config, cell.grid, cell.seeds, **how)
    except RunInUseError:
        raise
    except RunDirectoryError:
        # Another worker may have been quicker, between the look and the attempt.
        if not (path / "manifest.json").exists():
            raise
        return "held"
    return "made"
