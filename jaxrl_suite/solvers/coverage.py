"""How well data cover what a policy does: coefficients that hybrid and offline guarantees depend on."""

from typing import Any

import numpy as np

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.solvers.dynamic_programming import occupancy


def concentrability(mdp: Any, policy: Any, data: Any) -> float:
    """Single-policy concentrability: max over stages, states and actions of d^pi_h(s,a) / mu_h(s,a).

    Bounds c*_off of a policy from above, whatever the critics (Tan, Fan, Wei, arXiv 2505.03710). Infinite where the
    policy goes where there are no data.

    Args:
        mdp: with a horizon. policy: as in `policy_evaluation`.
        data: how often they have each state and action, [H, S, A]: counts, or `occupancy` of the policy they are from.

    Raises:
        ConfigError: for data of another shape, or a stage without any.
    """
    met, data = occupancy(mdp, policy), np.asarray(data, np.float64)
    if data.shape != met.shape:
        raise ConfigError(f"data: shape {data.shape}: must be {list(met.shape)}")
    totals = data.sum(axis=(1, 2), keepdims=True)
    if not (totals > 0).all():
        raise ConfigError(f"data: none at stage {int(np.argmin(totals))}")
    share = data / totals
    ratio = np.divide(met, share, out=np.full_like(share, np.inf), where=share > 0)
    return float(np.max(np.where(met > 0, ratio, 0.0)))
