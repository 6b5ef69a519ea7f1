"""`jaxrl compare`."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxrl_suite.cli import common, tables
from jaxrl_suite.cli.options import Group, Option, parse
from jaxrl_suite.errors import ConfigError

_OPTIONS = (
    Option("runs", str, (), "two runs; RUN#2 is the setting number 2 (from 0) of a sweep", "RUN", positional=True),
    common.JSON,
)


@dataclasses.dataclass(frozen=True)
class _Side:
    name: str
    env: str
    env_steps: int
    seeds: list[int]
    scores: np.ndarray


def compare(words: Sequence[str]) -> None:
    about = "Compares the final returns of two runs: probability of improvement and difference of IQMs."
    values = parse("jaxrl compare", about, [Group("", _OPTIONS)], words)
    if len(values["runs"]) != 2:
        raise ConfigError(f"RUN: {len(values['runs'])} given, `jaxrl compare RUN RUN` takes two")
    stores = [common.require_run(word.partition("#")[0]) for word in values["runs"]]
    common.use_cores()
    first, second = (_side(store, word) for store, word in zip(stores, values["runs"], strict=True))
    _report(first, second, values["json"])


def _side(store: Any, word: str) -> _Side:
    from jaxrl_suite.training.run import final_returns

    settings = store.manifest.get("settings") or [{}]
    index = _setting_index(word, settings)
    metrics = store.metrics()
    if not metrics:
        raise ConfigError(f"{store.path} has no records yet: nothing to compare")
    scores = final_returns(metrics, store.updates() + 1)[index]
    name = f"{store.path} {tables.setting_text(settings[index])}".strip()
    return _Side(name, store.manifest["env"], int(store.env_steps()[-1]), store.manifest["seeds"], scores)


def _setting_index(word: str, settings: Sequence[Any]) -> int:
    path, has_index, text = word.partition("#")
    if not has_index:
        if len(settings) > 1:
            raise ConfigError(f"{path} is a sweep of {len(settings)} settings: name one, as in {path}#0")
        return 0
    if not text.isdigit() or int(text) >= len(settings):
        raise ConfigError(f"{word}: the number of a setting must be between 0 and {len(settings) - 1}")
    return int(text)


def _report(first: _Side, second: _Side, as_json: bool) -> None:
    from jaxrl_suite.cli.report import Summary
    from jaxrl_suite.results import compare

    sides = (first, second)
    if first.env != second.env:
        common.note(f"these are different environments: {first.env} and {second.env}")
    if first.env_steps != second.env_steps:
        common.note(f"the budgets differ: {first.env_steps:,} and {second.env_steps:,} environment steps")
    summaries = [Summary(side.scores, side.seeds) for side in sides]
    for side, summary in zip(sides, summaries, strict=True):
        if not summary.estimates:
            raise ConfigError(f"{side.name}: no seed has a final return (no episode ended in the last tenth)")
    result = compare(*(summary.scores[np.isfinite(summary.scores)] for summary in summaries))
    if as_json:
        names = ("first", "second")
        about = {n: {"run": s.name, **u.as_dict()} for n, s, u in zip(names, sides, summaries, strict=True)}
        tables.print_json({**about, **result.as_dict()})
        return
    rows = [
        [side.name, str(len(side.seeds)), *(summary.text(n) for n in ("iqm", "mean")), summary.missing_text()]
        for side, summary in zip(sides, summaries, strict=True)
    ]
    columns = ["run", "seeds", "final return, IQM", "mean", "seeds without return"]
    tables.print_table("95 % stratified-bootstrap intervals", columns, rows)
    facts = {
        "probability that a seed of the first beats one of the second": str(result.probability_of_improvement),
        "IQM of the first minus IQM of the second": str(result.iqm_difference),
    }
    tables.print_facts("the first against the second", facts)
