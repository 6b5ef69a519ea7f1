"""Choosing between whole pytrees, member by member."""

from typing import Any

import jax
import jax.numpy as jnp


def select(mask: jax.Array, on_true: Any, on_false: Any) -> Any:
    """Leaf by leaf `where`, the mask [B] broadcast over trailing axes. Works on typed keys too."""
    return jax.tree.map(lambda t, f: jnp.where(mask.reshape(mask.shape + (1,) * (f.ndim - 1)), t, f), on_true, on_false)
