"""Printing: tables for people, lines of JSON for programs. Results go to stdout, everything else to stderr."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

_WIDTH = 120
"""Of tables that go to a file or a pipe."""


def print_facts(title: str, facts: Mapping[str, str]) -> None:
    """A table of names and texts."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in facts.items():
        table.add_row(Text(name), Text(text))
    _console().print(table)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    _console().print(table)


def _console() -> Any:
    from rich.console import Console

    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else _WIDTH, highlight=False, markup=False)


def print_json(values: Mapping[str, Any]) -> None:
    """One line; NaN, which JSON does not have, becomes null."""
    print(json.dumps(_plain(values), allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(v) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def memory_text(count: float) -> str:
    return f"{count / 2**20:,.0f} MiB" if count >= 2**20 else f"{count / 2**10:,.0f} KiB"


def duration(seconds: float) -> str:
    """12.3 s, 4 min 10 s, 2 h 5 min."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60) if seconds >= 7200 else int(seconds // 60)
    return f"{minutes // 60} h {minutes % 60} min" if seconds >= 7200 else f"{minutes} min {seconds % 60:.0f} s"


def setting_text(setting: Mapping[str, float]) -> str:
    """learning-rate=0.0003 env.length=0.5, as typed."""
    return " ".join(f"{typed_name(name)}={value:g}" for name, value in setting.items())


def typed_name(name: str) -> str:
    """A setting's name as typed. Around a wrapped environment the runner calls its parameters env.env.NAME."""
    return name.replace("_", "-").replace("env.env.", "env.")
