"""Arrays without elements, which an environment without objects has in its state, past what cannot take them.

jax 0.11.2 crashes when it compiles a program that splits such arrays over devices, and orbax does not save them.
"""

from typing import Any

import jax
import numpy as np


def filled(tree: Any) -> Any:
    """The tree with a zero along every axis that has no elements."""

    def fill(x: Any) -> Any:
        return np.zeros([max(n, 1) for n in x.shape], x.dtype) if x.size == 0 else x

    return jax.tree.map(fill, tree)


def emptied(full: Any, like: Any) -> Any:
    """The inverse of `filled`: empty along the axes along which the arrays of `like` are."""

    def cut(x: Any, y: Any) -> Any:
        return x if y.size else x[tuple(slice(0 if n == 0 else None) for n in y.shape)]

    return jax.tree.map(cut, full, like)
