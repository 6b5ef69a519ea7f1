"""Rows of probabilities, checked on the host."""

from typing import Any

import numpy as np

from jaxrl_suite.errors import ConfigError

TOLERANCE = 1e-6
"""How far from one the probabilities of a row may sum; float32 arrays are no nearer."""


def check_rows(name: str, rows: np.ndarray, leading: str = "stage") -> None:
    """Raises ConfigError unless every row is a distribution, naming the first that is none.

    Args:
        rows: [..., S], [S, A, S] or [leading, S, A, S].
    """
    bad = np.argwhere(~np.isfinite(rows) | (rows < 0))
    if len(bad):
        at = where(bad[0][:-1], rows.ndim - 3, leading)
        raise ConfigError(f"{name}{at}: probability of state {bad[0][-1]} is {rows[tuple(bad[0])]}: must be >= 0")
    sums = rows.sum(axis=-1)
    off = np.argwhere(np.abs(sums - 1.0) > TOLERANCE)
    if len(off):
        at = where(off[0], rows.ndim - 3, leading)
        raise ConfigError(f"{name}{at}: probabilities sum to {float(sums[tuple(off[0])]):.9g}: must be 1")


def where(index: Any, leading_axes: int, leading: str = "stage") -> str:
    """` at stage 0, state 1, action 2` of an index; "" of none."""
    names = (leading,) * max(leading_axes, 0) + ("state", "action")
    named = [f"{name} {i}" for name, i in zip(names, index, strict=False)]
    return f" at {', '.join(named)}" if named else ""
