"""Aggregate statistics over seeds and tasks, with stratified-bootstrap intervals.

Scores are `[seed]` or `[seed, task]`, where every task has the same number of runs. The definitions are those of
Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS 2021. Everything here
is computed in float64 (jitted, x64 switched on for the call only), resampling included; all randomness comes from an
explicit seed or key.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.results.resampling import draws
from jaxrl_suite.results.scores import (
    Statistic,
    call,
    check_pair,
    check_scores,
    improvement,
    iqm,
    mean,
    median,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
)

__all__ = [
    "Aggregate",
    "Comparison",
    "Estimate",
    "aggregate",
    "bootstrap_interval",
    "compare",
    "iqm",
    "mean",
    "median",
    "optimality_gap",
    "performance_profile",
    "probability_of_improvement",
]


@functools.partial(jax.jit, static_argnums=0)
def _replicates(statistic: Statistic, samples: tuple, drawn: tuple, arguments: tuple) -> Any:
    """The statistic of every resampled data set: samples [seed, task], drawn [set, seed, task] -> [set, ...]."""

    def one(drawn: tuple) -> Any:
        pairs = zip(samples, drawn, strict=True)
        return statistic(*(jnp.take_along_axis(sample, rows, axis=0) for sample, rows in pairs), *arguments)

    return jax.vmap(one)(drawn)


def _intervals(
    statistic: Statistic,
    samples: tuple[np.ndarray, ...],
    arguments: tuple,
    seed: int | jax.Array,
    confidence: float,
    repetitions: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile intervals of `statistic(*samples, *arguments)`: (low, high), each of the statistic's shape."""
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence = {confidence!r}: must be > 0 and < 1")
    if isinstance(repetitions, bool) or not isinstance(repetitions, (int, np.integer)) or repetitions < 1:
        raise ConfigError(f"repetitions = {repetitions!r}: must be a whole number >= 1")
    arguments = tuple(np.asarray(a, np.float64) for a in arguments)
    with jax.enable_x64(True):
        if min(len(s) for s in samples) < 2:
            shape = jax.eval_shape(statistic, *samples, *arguments).shape
            return np.full(shape, np.nan), np.full(shape, np.nan)
        key = seed if isinstance(seed, jax.Array) else jax.random.key(seed)
        chunks = draws(key, int(repetitions), tuple(sample.shape for sample in samples))
        values = [np.asarray(_replicates(statistic, samples, drawn, arguments)) for drawn in chunks]
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(np.concatenate(values)[:repetitions], [tail, 1.0 - tail], axis=0)
    return low, high


def bootstrap_interval(
    statistic: Statistic,
    scores: ArrayLike,
    *arguments: ArrayLike,
    seed: int | jax.Array = 0,
    confidence: float = 0.95,
    repetitions: int = 2000,
) -> tuple[Any, Any]:
    """Percentile interval of `statistic(scores, *arguments)` under the stratified bootstrap, in float64.

    Each repetition draws, for every task independently, as many seeds as there are, with replacement. With few seeds
    the percentile method is too narrow: measured on normal scores, 95 % intervals of the mean cover the truth 91 % of
    the time with 10 seeds and 84 % with 5 (of the IQM 94 % and 90 %).

    Args:
        statistic: `iqm`, `mean`, ... or any JAX function of [seed, task]; compiled once a function object and shape.
        scores: [seed] or [seed, task].
        arguments: passed on to the statistic (a target, thresholds).
        seed: an integer, or a JAX key.
        confidence: of the interval, > 0 and < 1.
        repetitions: number of resampled data sets.

    Returns:
        (low, high): floats, or arrays where the statistic is one. NaN with fewer than 2 seeds.

    Raises:
        ConfigError: as `check_scores`; a confidence or a number of repetitions that makes no sense.
    """
    array, _ = check_scores(scores)
    low, high = _intervals(statistic, (array,), arguments, seed, confidence, repetitions)
    return (float(low), float(high)) if low.ndim == 0 else (low, high)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A statistic and the ends of its interval, which are NaN where there are too few seeds for one."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if np.isnan(self.low):
            return f"{self.value:.4g} [no interval from 1 seed]"
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


@dataclasses.dataclass(frozen=True)
class Aggregate:
    """Statistics of one algorithm's scores.

    Attributes:
        iqm, median, mean: see the functions of the same names.
        optimality_gap: None unless a target was given.
        seeds, tasks: how many were aggregated.
        dropped: how many seeds were left out because a score of theirs is NaN.
        confidence: of the intervals.
    """

    iqm: Estimate
    median: Estimate
    mean: Estimate
    optimality_gap: Estimate | None
    seeds: int
    tasks: int
    dropped: int
    confidence: float

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and dicts, ready for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        size = f"{_plural(self.seeds, 'seed')}, {_plural(self.tasks, 'task')}"
        left_out = f", {_plural(self.dropped, 'seed')} left out (NaN)" if self.dropped else ""
        lines = [f"{size}{left_out}; {100 * self.confidence:g} % stratified-bootstrap intervals"]
        # With one task the median over tasks only repeats the mean.
        rows = {"IQM": self.iqm, "mean": self.mean, "median": self.median if self.tasks > 1 else None}
        rows["optimality gap"] = self.optimality_gap
        return "\n".join([*lines, *(f"  {name:<15}{row}" for name, row in rows.items() if row is not None)])


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _all_statistics(scores: jax.Array, gamma: jax.Array) -> jax.Array:
    return jnp.stack([iqm(scores), median(scores), mean(scores), optimality_gap(scores, gamma)])


def aggregate(
    scores: ArrayLike,
    *,
    confidence: float = 0.95,
    repetitions: int = 2000,
    seed: int | jax.Array = 0,
    gamma: float | None = None,
    drop_nan: bool = False,
) -> Aggregate:
    """IQM, median over tasks and mean of `scores`, with stratified-bootstrap intervals; float64.

    Args:
        scores: [seed] or [seed, task].
        confidence, repetitions, seed: as `bootstrap_interval`, whose intervals these are.
        gamma: target score; adds the optimality gap.
        drop_nan: leave out seeds with a NaN (on any task) and report their number in `.dropped`. Without it a NaN
            is an error, never averaged away.

    Raises:
        ConfigError: as `check_scores` and `bootstrap_interval`.
    """
    array, dropped = check_scores(scores, drop_nan=drop_nan)
    target = np.asarray(0.0 if gamma is None else gamma, np.float64)
    low, high = _intervals(_all_statistics, (array,), (target,), seed, confidence, repetitions)
    with jax.enable_x64(True):
        values = np.asarray(call(_all_statistics, array, target))
    estimates: list[Any] = [Estimate(*map(float, row)) for row in zip(values, low, high, strict=True)]
    if gamma is None:
        estimates[3] = None
    return Aggregate(*estimates, seeds=array.shape[0], tasks=array.shape[1], dropped=dropped, confidence=confidence)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """`x` beside `y`.

    Attributes:
        probability_of_improvement: that a run of `x` beats a run of `y`.
        iqm_difference: IQM of `x` minus IQM of `y`.
        seeds: of `x` and of `y`. tasks: common to both. confidence: of the intervals.
    """

    probability_of_improvement: Estimate
    iqm_difference: Estimate
    seeds: tuple[int, int]
    tasks: int
    confidence: float

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and dicts, ready for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        size = f"{self.seeds[0]} against {self.seeds[1]} seeds, {_plural(self.tasks, 'task')}"
        return (
            f"{size}; {100 * self.confidence:g} % stratified-bootstrap intervals\n"
            f"  P(x > y)       {self.probability_of_improvement}\n"
            f"  IQM difference {self.iqm_difference}"
        )


def _pair_statistics(x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.stack([improvement(x, y), iqm(x) - iqm(y)])


def compare(
    x: ArrayLike,
    y: ArrayLike,
    *,
    confidence: float = 0.95,
    repetitions: int = 2000,
    seed: int | jax.Array = 0,
) -> Comparison:
    """Probability of improvement of `x` over `y` and the difference of their IQMs, each with an interval; float64.

    Runs are not paired: both are resampled independently, even where seeds have the same numbers.

    Args:
        x: [seed] or [seed, task]; y: the same tasks, any number of seeds.
        confidence, repetitions, seed: as `bootstrap_interval`.

    Raises:
        ConfigError: as `check_scores` and `bootstrap_interval`, or different numbers of tasks.
    """
    x, y = check_pair(x, y)
    low, high = _intervals(_pair_statistics, (x, y), (), seed, confidence, repetitions)
    with jax.enable_x64(True):
        values = np.asarray(call(_pair_statistics, x, y))
    probability, difference = (Estimate(*map(float, row)) for row in zip(values, low, high, strict=True))
    return Comparison(probability, difference, (len(x), len(y)), x.shape[1], confidence)
