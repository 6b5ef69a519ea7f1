"""Maps of a number over two parameters, side by side on one scale of colours."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.results.plots import saved, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def heat_maps(
    maps: Mapping[str, ArrayLike],
    x: ArrayLike,
    y: ArrayLike,
    path: str | os.PathLike | None = None,
    *,
    xlabel: str = "",
    ylabel: str = "",
    unit: str = "return",
    title: str | None = None,
) -> "Figure":
    """One map a label, its mean beside the label.

    Args:
        maps: label -> [x, y]. x, y: where the cells are.
        path: where to save, without suffix; writes `path.svg` and `path.png`.
        unit: of the numbers, at the scale.

    Raises:
        ConfigError: no maps, or one of another shape than [x, y], or with a number that is not finite.
        RunDirectoryError: the files cannot be written.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    arrays = {label: np.asarray(values, np.float64) for label, values in maps.items()}
    if not arrays:
        raise ConfigError("maps: none given, needs at least one")
    for label, values in arrays.items():
        if values.shape != (len(x), len(y)) or not np.isfinite(values).all():
            raise ConfigError(f"map {label}: shape {values.shape}: must be finite numbers [{len(x)}, {len(y)}]")
    least, most = (pick(values) for values, pick in ((np.stack(list(arrays.values())), f) for f in (np.min, np.max)))
    with styled({"axes.grid": False}):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(1.2 + 2.9 * len(arrays), 3.4), layout="constrained")
        panels = np.atleast_1d(figure.subplots(1, len(arrays), sharey=True))
        colours = {"vmin": least, "vmax": most, "cmap": "viridis", "shading": "nearest"}
        drawn = [axes.pcolormesh(x, y, map.T, **colours) for axes, map in zip(panels, arrays.values(), strict=True)]
        for axes, (label, values) in zip(panels, arrays.items(), strict=True):
            axes.set_title(f"{label}, mean {values.mean():.4g}", fontsize=11)
            axes.set_xlabel(xlabel)
        panels[0].set_ylabel(ylabel)
        figure.colorbar(drawn[0], ax=list(panels), label=unit)
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=13)
        return saved(figure, path)
