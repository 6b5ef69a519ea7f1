"""`jaxrl plot`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxrl_suite.cli import common, tables
from jaxrl_suite.cli.options import Group, Option, parse
from jaxrl_suite.errors import ConfigError

_OPTIONS = (
    Option("runs", str, (), "run directories", "RUN...", positional=True),
    Option("metric", str, "episode/return", "what to draw", "NAME"),
    Option("out", str, None, "figure (.png and .svg); default: RUN/figures/METRIC, or ./METRIC for several", "FILE"),
    Option("window", int, None, "updates of the running mean; default: a fiftieth of the longest run", "N"),
    Option("show_seeds", bool, False, "draw every seed as a faint line too"),
)
_SUFFIXES = ("", ".png", ".svg")


def plot(words: Sequence[str]) -> None:
    about = "Draws the IQM over seeds with its 95 % interval, one line a run (of a sweep: one a setting)."
    values = parse("jaxrl plot", about, [Group("", _OPTIONS)], words)
    paths = [Path(path) for path in values["runs"]]
    if not paths:
        raise ConfigError("RUN: none given; `jaxrl list runs` shows them")
    if values["window"] is not None and values["window"] < 1:
        raise ConfigError(f"--window = {values['window']}: must be >= 1")
    out = _figure_path(values["out"], values["metric"], paths)
    stores = [common.require_run(path) for path in paths]
    common.use_cores()
    from jaxrl_suite.results import learning_curves

    curves = [
        curve for store, label in zip(stores, _labels(paths), strict=True) for curve in _curves(store, values, label)
    ]
    options = {"window": values["window"], "show_seeds": values["show_seeds"]}
    learning_curves(curves, values["metric"], out, **options)
    for suffix in (".png", ".svg"):
        print(out.with_name(out.name + suffix))


def _figure_path(out: str | None, metric: str, paths: Sequence[Path]) -> Path:
    """Without suffix."""
    if out is None:
        name = common.file_safe(metric)
        return paths[0] / "figures" / name if len(paths) == 1 else Path(name)
    path = Path(out)
    if path.suffix in (".pdf", ".jpg", ".jpeg", ".eps", ".gif"):
        raise ConfigError(f"--out = {out}: must end in .png or .svg, or have no suffix; both are written")
    return path.with_suffix("") if path.suffix in _SUFFIXES[1:] else path


def _labels(paths: Sequence[Path]) -> list[str]:
    """The directories' names, or whole paths where names repeat. A run alone needs none beside its settings."""
    if len(paths) == 1:
        return [""]
    names = [path.resolve().name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _curves(store: Any, values: Any, label: str) -> list[Any]:
    from jaxrl_suite.cli.curves import named_curves

    settings = store.manifest.get("settings") or [{}]
    metrics = store.metrics()
    if not metrics:
        raise ConfigError(f"{store.path} has no records yet: nothing to draw")
    labels = [f"{label} {tables.setting_text(setting)}".strip() or store.path.name for setting in settings]
    return named_curves(metrics, values["metric"], store.env_steps(), labels)
