"""`jaxrl watch`: runs in the terminal while they go on."""

import sys
import time
from collections.abc import Sequence
from typing import Any

from jaxrl_suite.cli import common
from jaxrl_suite.cli.options import Group, Option, parse
from jaxrl_suite.errors import ConfigError

_OPTIONS = (
    Option("runs", str, (), "run directories", "RUN...", positional=True),
    Option("metric", str, "episode/return", "what to show", "NAME"),
    Option("every", float, 2.0, "seconds between two looks", "S"),
    Option("most", int, 8, "lines of members a run; all are in its IQM", "N"),
    Option("once", bool, False, "look once and end; so it is where the output is no terminal"),
)


def watch(words: Sequence[str]) -> None:
    about = "Shows how far runs are, how fast, and the course of every seed, until all have ended. Reads files alone."
    values = parse("jaxrl watch", about, [Group("", _OPTIONS)], words)
    if not values["runs"]:
        raise ConfigError("RUN: none given; `jaxrl list runs` shows them")
    if not values["every"] > 0:
        raise ConfigError(f"--every = {values['every']}: must be > 0")
    if values["most"] < 0:
        raise ConfigError(f"--most = {values['most']}: must be >= 0")
    for path in values["runs"]:
        common.require_run(path)
    if values["once"] or not sys.stdout.isatty():
        print(_text(_look(values), values["most"]))
        return
    from rich.live import Live

    with Live(auto_refresh=False) as screen:
        while True:
            views = _look(values)
            screen.update(_text(views, values["most"]), refresh=True)
            if all(view.status != "running" for view in views):
                return
            time.sleep(values["every"])


def _look(values: Any) -> list[Any]:
    from jaxrl_suite.results.watching import look

    return [look(path, values["metric"]) for path in values["runs"]]


def _text(views: Sequence[Any], most: int) -> str:
    return "\n\n".join(_of_run(view, most) for view in views)


def _of_run(view: Any, most: int) -> str:
    share = 100 * view.done / max(view.total, 1)
    head = f"{view.path}  {view.name}, {view.status}: {view.done}/{view.total} updates ({share:.0f} %)"
    head += f", {view.steps_per_second:,.0f} steps/s, IQM of {len(view.now)} {view.iqm:.4g}"
    width = max(map(len, view.labels[:most]), default=0)
    shown = zip(view.labels[:most], view.lines, view.now, strict=False)
    lines = [f"  {label:<{width}}  {line}  {now:.4g}" for label, line, now in shown]
    rest = len(view.labels) - most
    return "\n".join([head, *lines, *([f"  and {rest} more"] if rest > 0 and most else [])])
