"""Figures for papers and talks: learning curves and performance profiles.

Every figure is a plain matplotlib Figure (no global state), saved as .svg and .png; equal data give equal files.
"""

import contextlib
import io
import os
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.results import files
from jaxrl_suite.results.curves import Band, Curve, make_band
from jaxrl_suite.results.scores import check_scores
from jaxrl_suite.results.statistics import bootstrap_interval, performance_profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLE = {
    "font.size": 11,
    "axes.labelsize": 12,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "0.4",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.8,
    "xtick.color": "0.4",
    "ytick.color": "0.4",
    "xtick.labelcolor": "0.15",
    "ytick.labelcolor": "0.15",
    "legend.frameon": False,
    "legend.fontsize": 11,
    "lines.solid_capstyle": "round",
    # Without a fixed salt the ids inside an SVG are random, and equal figures would differ.
    "svg.hashsalt": "jaxrl",
}
# seaborn's "colorblind" palette; importing seaborn for ten colours would take seconds.
_COLORS = (
    "#0173B2", "#DE8F05", "#029E73", "#D55E00", "#CC78BC", "#CA9161", "#FBAFE4", "#949494", "#ECE133", "#56B4E9",
)  # fmt: skip
_DASHES = ("-", "--", ":", "-.")


def learning_curves(
    runs: Sequence[Curve | tuple[Any, ...]],
    metric: str = "episode/return",
    path: str | os.PathLike | None = None,
    *,
    window: int | None = None,
    show_seeds: bool = False,
    title: str | None = None,
    levels: Mapping[str, float] | None = None,
    xlabel: str = "environment steps",
    logarithmic: bool = False,
    confidence: float = 0.95,
    repetitions: int = 1000,
    seed: int = 0,
) -> "Figure":
    """One line for each run: the IQM over seeds of a running mean, in a bootstrap band, over environment steps.

    Args:
        runs: `Curve`s, or tuples (label, env_steps [update], values [seed, update], weights [seed, update] or nothing).
        metric: names the y axis.
        path: where to save, without suffix; writes `path.svg` and `path.png`.
        window: of the running mean, in updates; by default a fiftieth of the longest run. The caption states it.
        show_seeds: draw every seed as a faint line too.
        levels: thin lines across, by name: a threshold, the best value there is.
        xlabel: names the x axis, where a curve's steps are not the environment's.
        logarithmic: both axes.
        confidence, repetitions, seed: of the bootstrap.

    Raises:
        ConfigError: no runs, a window below 1, or a run whose arrays do not fit together or hold no finite value.
        RunDirectoryError: the files cannot be written.
    """
    rows: Sequence[tuple[Any, ...]] = runs
    curves = [Curve(*row) for row in rows]
    if not curves:
        raise ConfigError("runs: none given, needs at least one (label, env_steps, values)")
    if window is None:
        window = max(1, max(np.shape(curve.env_steps)[0] for curve in curves) // 50)
    if window < 1:
        raise ConfigError(f"window = {window}: must be a number of updates >= 1")
    options = {"confidence": confidence, "repetitions": repetitions, "seed": seed}
    bands = [make_band(curve, window, **options) for curve in curves]
    smoothing = f"running mean over {window} updates" if window > 1 else "not smoothed"
    left_out = "; diverged seeds left out" if any(band.excluded for band in bands) else ""
    with _canvas(title, f"IQM over seeds, band: {_interval(confidence)}; {smoothing}{left_out}") as (figure, axes):
        for band, (color, dash) in zip(bands, _looks(len(bands)), strict=True):
            _draw_band(axes, band, color, dash, show_seeds)
        for name, level in (levels or {}).items():
            axes.axhline(level, color="0.35", linestyle=(0, (4, 3)), linewidth=1)
            axes.annotate(name, (1, level), xycoords=("axes fraction", "data"), va="bottom", ha="right", color="0.35")
        if logarithmic:
            axes.set(xscale="log", yscale="log")
        else:
            _human_ticks(axes)
            axes.set_xlim(left=0)
        axes.set(xlabel=xlabel, ylabel=metric.replace("/", " ").replace("_", " "))
        # The legend reads from top to bottom as the lines end.
        _legend(axes, np.argsort([-np.nan_to_num(band.iqm[-1]) for band in bands], kind="stable"))
    return saved(figure, path)


def performance_profiles(
    scores: Mapping[str, ArrayLike],
    thresholds: ArrayLike | None = None,
    path: str | os.PathLike | None = None,
    *,
    xlabel: str = "score τ",
    title: str | None = None,
    confidence: float = 0.95,
    repetitions: int = 1000,
    seed: int = 0,
) -> "Figure":
    """For each algorithm the fraction of runs that score above τ, with a pointwise bootstrap band.

    Args:
        scores: label -> [seed] or [seed, task].
        thresholds: [threshold]; by default 201 even steps over the range of all scores.
        path, title, confidence, repetitions, seed: as `learning_curves`.

    Raises:
        ConfigError: no scores, or scores that `aggregate` would refuse.
        RunDirectoryError: the files cannot be written.
    """
    arrays = {label: check_scores(array, f"scores of {label}")[0] for label, array in scores.items()}
    if not arrays:
        raise ConfigError("scores: none given, needs at least one algorithm")
    if thresholds is None:
        thresholds = np.linspace(min(a.min() for a in arrays.values()), max(a.max() for a in arrays.values()), 201)
    thresholds = np.sort(np.asarray(thresholds, np.float64))
    options = {"confidence": confidence, "repetitions": repetitions, "seed": seed}
    with _canvas(title, f"band: {_interval(confidence)}") as (figure, axes):
        for (label, array), (color, dash) in zip(arrays.items(), _looks(len(arrays)), strict=True):
            profile = performance_profile(array, thresholds)
            low, high = bootstrap_interval(performance_profile, array, thresholds, **options)
            axes.fill_between(thresholds, low, high, color=color, alpha=0.2, linewidth=0)
            axes.plot(
                thresholds, profile, color=color, linestyle=dash, linewidth=2.2, label=_label(label, len(array), 0)
            )
        axes.set(xlabel=xlabel, ylabel="fraction of runs above τ", ylim=(0, 1.02))
        axes.set_xlim(thresholds[0], thresholds[-1])
        _legend(axes, range(len(arrays)))
    return saved(figure, path)


def _interval(confidence: float) -> str:
    return f"{100 * confidence:g} % bootstrap interval"


def _looks(count: int) -> list[tuple[Any, str]]:
    """A colour and a dash for each line; ten colours can be told apart, then the dash changes."""
    return [(_COLORS[i % 10], _DASHES[i // 10 % len(_DASHES)]) for i in range(count)]


def _label(name: str, seeds: int, excluded: int) -> str:
    if excluded:
        return f"{name} ({seeds} of {seeds + excluded} seeds)"
    return f"{name} ({seeds} {'seed' if seeds == 1 else 'seeds'})"


def _draw_band(axes: "Axes", band: Band, color: Any, dash: str, show_seeds: bool) -> None:
    if show_seeds:
        faint = min(0.35, max(0.08, 3 / len(band.seeds)))
        axes.plot(band.env_steps, band.seeds.T, color=color, alpha=faint, linewidth=0.8, zorder=1.5)
    if np.isfinite(band.low).any():
        axes.fill_between(band.env_steps, band.low, band.high, color=color, alpha=0.22, linewidth=0)
    label = _label(band.label, len(band.seeds), band.excluded)
    # A single point draws no line.
    marker = "o" if np.isfinite(band.iqm).sum() == 1 else None
    axes.plot(
        band.env_steps, band.iqm, color=color, linestyle=dash, linewidth=2.2, label=label, marker=marker, zorder=3
    )


@contextlib.contextmanager
def styled(changes: Mapping[str, Any] | None = None) -> Generator[None]:
    """Inside, figures look as all of ours do, but for some settings of matplotlib."""
    import matplotlib
    import matplotlib.pyplot  # lets notebooks show figures

    with matplotlib.rc_context(_STYLE | dict(changes or {})):
        yield


@contextlib.contextmanager
def _canvas(title: str | None, caption: str) -> Generator[tuple["Figure", "Axes"]]:
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(figsize=(8.0, 4.2), layout="constrained")
        axes = figure.subplots()
        if title:
            axes.set_title(title)
        yield figure, axes
        axes.set_xlabel(f"{axes.get_xlabel()}\n")
        axes.annotate(
            caption, (0, 0), (0, -44), "axes fraction", "offset points", color="0.4", fontsize=8.5, va="top", ha="left"
        )


def _legend(axes: "Axes", order: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        [handles[i] for i in order], [labels[i] for i in order], loc="upper left", bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0, handlelength=1.6, labelspacing=0.7,
    )  # fmt: skip


def _human_ticks(axes: "Axes") -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda steps, _: human_number(steps)))


def human_number(value: float) -> str:
    """12500 -> 12.5k, 1000000 -> 1M, 2e9 -> 2G."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def saved(figure: "Figure", path: str | os.PathLike | None) -> "Figure":
    """Writes the figure as SVG and PNG, whatever the ending of `path`; None writes nothing."""
    if path is None:
        return figure
    import matplotlib

    target = Path(path)
    if target.suffix in (".svg", ".png"):
        target = target.with_suffix("")
    with files.saving(target, None):
        target.parent.mkdir(parents=True, exist_ok=True)
    for kind, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
        content = io.BytesIO()
        with matplotlib.rc_context(_STYLE):
            figure.savefig(content, format=kind, dpi=200, metadata=metadata)
        files.write_atomically(target.with_name(f"{target.name}.{kind}"), content.getvalue(), None)
    return figure
