"""Point statistics of scores over seeds and tasks, in float64.

Scores are `[seed]` or `[seed, task]`, where every task has the same number of runs. The definitions are those of
Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS 2021. x64 is switched
on for the call only. Inside a JAX transformation the same functions take traced `[seed, task]` arrays.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxrl_suite.errors import ConfigError

Scalar = Any
"""A float; inside a JAX transformation a traced scalar."""

Statistic = Callable[..., Any]
"""`statistic(scores [seed, task], *arguments)` -> scalar or array, made of JAX operations."""


def check_scores(scores: ArrayLike, name: str = "scores", *, drop_nan: bool = False) -> tuple[np.ndarray, int]:
    """The scores as float64 `[seed, task]`, and how many seeds were dropped.

    Raises:
        ConfigError: no seed or no task, a wrong number of axes, not numbers, an infinite score, or (without
            `drop_nan`) a NaN; the message names the rows.
    """
    try:
        array = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"{name}: must be numbers in an array [seed] or [seed, task]") from None
    if array.ndim not in (1, 2):
        raise ConfigError(f"{name}: has shape {array.shape}, must be [seed] or [seed, task]")
    array = array.reshape(len(array), -1) if array.size else array
    if array.size == 0:
        raise ConfigError(f"{name}: is empty (shape {array.shape}), needs at least one seed and one task")
    if np.isinf(array).any():
        raise ConfigError(f"{name}: infinite for seeds {_rows(np.isinf(array))}")
    has_nan = np.isnan(array).any(axis=1)
    if has_nan.any() and not drop_nan:
        raise ConfigError(f"{name}: NaN for seeds {_rows(np.isnan(array))}; leave them out with drop_nan=True")
    if has_nan.all():
        raise ConfigError(f"{name}: NaN for all {len(array)} seeds, nothing is left to aggregate")
    return array[~has_nan], int(has_nan.sum())


def _rows(bad: np.ndarray) -> str:
    rows = np.flatnonzero(bad.any(axis=1)).tolist()
    return ", ".join(map(str, rows[:10])) + (f" and {len(rows) - 10} more" if len(rows) > 10 else "")


@functools.partial(jax.jit, static_argnums=0)
def call(function: Statistic, *arrays: jax.Array) -> Any:
    """`function(*arrays)`, compiled once a function and shapes."""
    return function(*arrays)


def _on_numbers(function: Statistic) -> Statistic:
    """Lets a JAX function of scores take plain numbers (checked, float64, returns a float) beside traced arrays."""

    @functools.wraps(function)
    def wrapper(scores: Any, *arguments: Any) -> Any:
        if isinstance(scores, jax.core.Tracer):
            return function(scores, *arguments)
        array, _ = check_scores(scores)
        with jax.enable_x64(True):
            value = call(function, array, *(np.asarray(a, np.float64) for a in arguments))
        return float(value) if value.ndim == 0 else np.asarray(value)

    return wrapper


@_on_numbers
def iqm(scores: ArrayLike) -> Scalar:
    """Interquartile mean over all entries: the mean after cutting `int(0.25 n)` of the `n` entries on each side.

    Args:
        scores: [seed] or [seed, task], float64.

    Raises:
        ConfigError: as `check_scores`.
    """
    ordered = jnp.sort(jnp.ravel(jnp.asarray(scores)))
    cut = int(0.25 * ordered.size)
    return ordered[cut : ordered.size - cut].mean()


@_on_numbers
def median(scores: ArrayLike) -> Scalar:
    """Median over tasks of each task's mean over seeds. With one task there is one mean, and this equals `mean`."""
    return jnp.median(_task_means(scores))


@_on_numbers
def mean(scores: ArrayLike) -> Scalar:
    """Mean over tasks of each task's mean over seeds."""
    return _task_means(scores).mean()


@_on_numbers
def optimality_gap(scores: ArrayLike, gamma: float = 1.0) -> Scalar:
    """How far the runs stay below the target `gamma` on average: mean of `max(0, gamma - score)`. Lower is better.

    The published form, `gamma` minus the mean of `min(score, gamma)`, is the same number.
    """
    return jnp.maximum(gamma - jnp.asarray(scores), 0.0).mean()


@_on_numbers
def performance_profile(scores: ArrayLike, thresholds: ArrayLike) -> np.ndarray | jax.Array:
    """Fraction of runs that score strictly above each threshold, averaged over tasks.

    Args:
        scores: [seed] or [seed, task], float64.
        thresholds: [threshold], float64.

    Returns:
        [threshold], float64.
    """
    ordered = jnp.sort(jnp.ravel(jnp.asarray(scores)))
    above = ordered.size - jnp.searchsorted(ordered, jnp.asarray(thresholds), side="right")
    return above.astype(ordered.dtype) / ordered.size


def _task_means(scores: Any) -> jax.Array:
    return jnp.reshape(scores, (len(scores), -1)).mean(axis=0)


def probability_of_improvement(x: ArrayLike, y: ArrayLike) -> float:
    """Chance that a run of `x` scores higher than a run of `y` on the same task (ties count half), averaged over tasks.

    Args:
        x: [seed] or [seed, task]; y: the same tasks, any number of seeds.

    Raises:
        ConfigError: as `check_scores`, or different numbers of tasks.
    """
    x, y = check_pair(x, y)
    with jax.enable_x64(True):
        return float(call(improvement, x, y))


def improvement(x: jax.Array, y: jax.Array) -> jax.Array:
    """`probability_of_improvement` of traced [seed, task] arrays: the Mann-Whitney U statistic over its maximum."""

    def one_task(x: jax.Array, y: jax.Array) -> jax.Array:
        ordered = jnp.sort(y)
        wins = jnp.searchsorted(ordered, x, side="left") + jnp.searchsorted(ordered, x, side="right")
        return wins.astype(x.dtype).sum() / (2 * x.size * y.size)

    return jax.vmap(one_task, in_axes=1)(x, y).mean()


def check_pair(x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 [seed, task]. Raises ConfigError as `check_scores`, or for different numbers of tasks."""
    (x, _), (y, _) = check_scores(x, "x"), check_scores(y, "y")
    if x.shape[1] != y.shape[1]:
        raise ConfigError(f"y: has {y.shape[1]} tasks where x has {x.shape[1]}, must have the same tasks")
    return x, y
