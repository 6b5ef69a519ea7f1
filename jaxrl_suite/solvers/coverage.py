"""How well data cover what a policy does: coefficients that hybrid and offline guarantees depend on. Float64."""

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


def feature_coverage(rows: Any, directions: Any = None) -> float:
    """1 over the least eigenvalue of sum phi phi' within a subspace: how badly data cover it in a linear MDP.

    As the released hybrid programs on two-row Tetris measure it; infinite where a direction has no data.

    Args:
        rows: features of the data, [M, d]. directions: an orthonormal basis of the subspace, [d, k]; None: all of it.

    Raises:
        ConfigError: for shapes that do not fit together.
    """
    rows = np.asarray(rows, np.float64)
    if rows.ndim != 2:
        raise ConfigError(f"rows: shape {rows.shape}: must be [M, d]")
    if directions is not None:
        directions = np.asarray(directions, np.float64)
        if directions.ndim != 2 or len(directions) != rows.shape[1]:
            raise ConfigError(f"directions: shape {directions.shape}: must be [{rows.shape[1]}, k]")
        rows = rows @ directions
    if len(rows) < rows.shape[1]:
        return float("inf")
    singular = np.linalg.svd(rows, compute_uv=False)
    is_covered = singular[-1] > singular[0] * np.finfo(np.float64).eps * max(rows.shape)
    return float(1.0 / singular[-1] ** 2) if is_covered else float("inf")


def feature_partition(rows: Any, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """(directions [d, k] in which the data's features are largest, the others [d, d - k]): orthonormal bases.

    The first is where offline data are trusted, the second is left to online learning.

    Args:
        rows: features of the offline data, [M, d]. dimension: k.

    Raises:
        ConfigError: for a dimension that is not between 0 and d.
    """
    rows = np.asarray(rows, np.float64)
    if not 0 <= dimension <= rows.shape[1]:
        raise ConfigError(f"dimension = {dimension}: must be between 0 and {rows.shape[1]}")
    basis = np.linalg.eigh(rows.T @ rows)[1][:, ::-1]
    return basis[:, :dimension], basis[:, dimension:]
