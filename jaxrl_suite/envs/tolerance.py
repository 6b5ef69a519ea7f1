"""How near a number is to where it should be, in [0, 1]: the building block of the control suite's rewards.

Tassa et al. 2018 (arXiv 1801.00690), section 4: 1 within bounds, and outside falling with the distance from them.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np


def tolerance(
    x: Any, low: Any = 0.0, high: Any = 0.0, margin: float = 0.0, at_margin: float = 0.1, shape: str = "gaussian"
) -> Any:
    """1 where low <= x <= high; `at_margin` at a distance of `margin` from there; without a margin 0 outside.

    Args:
        shape: gaussian: exp(-(d s)^2 / 2); linear: 1 - d s, quadratic: 1 - (d s)^2, and 0 from where these are
            negative; d is the distance over the margin, and s makes it `at_margin` at 1.
    """
    inside = (low <= x) & (x <= high)
    if margin == 0.0:
        return jnp.where(inside, 1.0, 0.0)
    distance = jnp.where(x < low, low - x, x - high) / margin
    if shape == "gaussian":
        outside = jnp.exp(np.log(at_margin) * distance**2)
    else:
        outside = jnp.maximum(1.0 - (1.0 - at_margin) * (distance if shape == "linear" else distance**2), 0.0)
    return jnp.where(inside, 1.0, outside)
