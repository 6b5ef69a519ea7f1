"""Sample complexities over problems: two learners beside each other, or a bound beside a learner.

A complexity is the number of environment steps after which a problem was solved, `inf` where it never was within the
budget. Laidlaw et al. (NeurIPS 2023, arXiv 2304.09853; ICLR 2024, arXiv 2312.08369) compare learners over the problems
that both solve, and bounds with learners over all problems, those not solved tied as the largest. NumPy only.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxrl_suite.errors import ConfigError

FEWEST = 3
"""Problems below which there is no rank correlation and no interval."""

CHUNK = 256
"""Resampled sets that are ranked at once."""


class Interval(NamedTuple):
    """value: the statistic. low, high: ends of its percentile bootstrap interval over problems, NaN where there are too
    few of them or no resampled set has the statistic."""

    value: float
    low: float
    high: float


class Solved(NamedTuple):
    """How many problems x and y solve: both of them, only one, neither."""

    both: int
    only_x: int
    only_y: int
    neither: int


class Pairwise(NamedTuple):
    """Learner x beside learner y, over the problems that both solve.

    Attributes:
        problems: how many those are; the same as solved.both.
        spearman: rank correlation of the complexities, tied ones with their average rank.
        kendall: tau-b.
        ratio: median of x / y over the problems: below 1 if x needs fewer steps. NaN without any.
        solved: counts over all problems.
    """

    problems: int
    spearman: Interval
    kendall: Interval
    ratio: Interval
    solved: Solved


class BoundQuality(NamedTuple):
    """A bound beside what a learner needed.

    Attributes:
        spearman: rank correlation over all problems, those not solved tied as the largest. kendall: tau-b of the same.
            Both are NaN with fewer than 3 problems, or where one side is the same for all of them.
        tightness: geometric mean of bound / complexity over the problems solved: 1 is exact, more is loose. inf if the
            bound of one of them is, NaN without any.
        accuracy: share of problems on which the bound and the learner agree whether the budget is enough.
        problems: all of them. solved: those with a finite complexity, which tightness is over.
        within: problems that the bound (x) and the learner (y) put within the budget, which accuracy is over.
    """

    spearman: float
    kendall: float
    tightness: float
    accuracy: float
    problems: int
    solved: int
    within: Solved


def pairwise(
    x: ArrayLike, y: ArrayLike, *, repetitions: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Pairwise:
    """Two learners' sample complexities over the same problems, with percentile bootstrap intervals over problems.

    Problems are drawn with replacement from those that both solve. Resampled sets in which all ranks of a learner are
    tied have no correlation and are left out of its interval.

    Args:
        x, y: [problem], positive, `inf` where never solved.
        repetitions: number of resampled sets. seed: of the resampling. confidence: of the intervals, > 0 and < 1.

    Raises:
        ConfigError: for arrays that do not fit together, or values that are NaN or not positive.
    """
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence = {confidence!r}: must be > 0 and < 1")
    if isinstance(repetitions, bool) or not isinstance(repetitions, (int, np.integer)) or repetitions < 1:
        raise ConfigError(f"repetitions = {repetitions!r}: must be a whole number >= 1")
    x, y = _checked({"x": x, "y": y})
    solved = _counts(np.isfinite(x), np.isfinite(y))
    is_common = np.isfinite(x) & np.isfinite(y)
    x, y = x[is_common], y[is_common]
    ratio = float(np.median(x / y)) if len(x) else np.nan
    if len(x) < FEWEST:
        none = Interval(np.nan, np.nan, np.nan)
        return Pairwise(len(x), none, none, Interval(ratio, np.nan, np.nan), solved)
    drawn = np.random.default_rng(seed).integers(len(x), size=(repetitions, len(x)))
    chunks = [drawn[start : start + CHUNK] for start in range(0, repetitions, CHUNK)]
    correlations = np.concatenate([_correlations(x, y, _multiplicities(chunk)) for chunk in chunks], axis=1)
    ratios = np.median((x / y)[drawn], axis=1)
    spearman, kendall = _correlations(x, y, np.ones((1, len(x))))[:, 0]
    of_spearman, of_kendall, of_ratio = (_interval(sample, confidence) for sample in (*correlations, ratios))
    return Pairwise(
        problems=len(x),
        spearman=Interval(float(spearman), *of_spearman),
        kendall=Interval(float(kendall), *of_kendall),
        ratio=Interval(ratio, *of_ratio),
        solved=solved,
    )


def bound_quality(bound: ArrayLike, empirical: ArrayLike, budget: float) -> BoundQuality:
    """How well a bound on the sample complexity says what a learner needs.

    Args:
        bound: [problem], positive, may be `inf`. empirical: [problem], the learner's, `inf` where never solved.
        budget: environment steps, by which problems are told apart into solved and not.

    Raises:
        ConfigError: for arrays that do not fit together, or values that are NaN or not positive.
    """
    bound, empirical = _checked({"bound": bound, "empirical": empirical})
    if not budget > 0:
        raise ConfigError(f"budget = {budget!r}: must be > 0")
    spearman, kendall = np.nan, np.nan
    if len(bound) >= FEWEST:
        spearman, kendall = _correlations(bound, empirical, np.ones((1, len(bound))))[:, 0]
    is_solved = np.isfinite(empirical)
    logarithms = np.log(bound[is_solved]) - np.log(empirical[is_solved])
    with np.errstate(over="ignore"):
        tightness = float(np.exp(np.mean(logarithms))) if is_solved.any() else np.nan
    within = _counts(bound <= budget, empirical <= budget)
    accuracy = (within.both + within.neither) / len(bound)
    return BoundQuality(float(spearman), float(kendall), tightness, accuracy, len(bound), int(is_solved.sum()), within)


def _checked(arrays: dict[str, ArrayLike]) -> list[np.ndarray]:
    """The arrays in float64. Raises ConfigError for values that are no complexities, and for different lengths."""
    found = []
    for name, given in arrays.items():
        array = np.asarray(given, np.float64)
        if array.ndim != 1 or not len(array):
            raise ConfigError(f"{name}: shape {array.shape}: must be [problem], with at least one")
        is_bad = ~(array > 0)
        if is_bad.any():
            at = int(is_bad.argmax())
            raise ConfigError(f"{name} of problem {at} = {array[at]:g}: must be > 0, inf where never solved")
        found.append(array)
    (first, one), (second, other) = zip(arrays, found, strict=True)
    if len(one) != len(other):
        raise ConfigError(f"{first}, {second}: {len(one)} and {len(other)} problems: must be the same ones")
    return found


def _counts(by_x: np.ndarray, by_y: np.ndarray) -> Solved:
    pairs = (by_x & by_y, by_x & ~by_y, ~by_x & by_y, ~by_x & ~by_y)
    return Solved(*(int(pair.sum()) for pair in pairs))


def _multiplicities(drawn: np.ndarray) -> np.ndarray:
    """How often each problem was drawn, [set, problem], from the problems' numbers [set, draw]."""
    counts = np.zeros(drawn.shape)
    np.add.at(counts, (np.arange(len(drawn))[:, None], drawn), 1.0)
    return counts


def _correlations(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Spearman's rho and Kendall's tau-b [2, set] of the problems, each as often as `counts` [set, problem] says.

    Both follow from who is larger than whom: an average rank, less the mean of all ranks, is half of (the number of
    smaller ones - the number of larger ones).
    """
    order_x, order_y = _order(x), _order(y)
    rank_x, rank_y = counts @ order_x.T, counts @ order_y.T
    spearman = _cosine(counts, rank_x * rank_y, rank_x**2, rank_y**2)
    concordant, differ_x, differ_y = (counts @ pairs for pairs in (order_x * order_y, order_x**2, order_y**2))
    return np.stack([spearman, _cosine(counts, concordant, differ_x, differ_y)])


def _order(values: np.ndarray) -> np.ndarray:
    """1 where the first is larger than the second, -1 where smaller, 0 where tied: [problem, problem]."""
    return (values[:, None] > values).astype(float) - (values[:, None] < values)


def _cosine(counts: np.ndarray, product: np.ndarray, square_x: np.ndarray, square_y: np.ndarray) -> np.ndarray:
    both, of_x, of_y = ((counts * values).sum(axis=1) for values in (product, square_x, square_y))
    # Sums of whole numbers: exactly zero where all ranks are tied.
    with np.errstate(invalid="ignore"):
        return np.where((of_x > 0) & (of_y > 0), both / np.sqrt(of_x * of_y), np.nan)


def _interval(sample: np.ndarray, confidence: float) -> tuple[float, float]:
    sample = sample[~np.isnan(sample)]
    if not len(sample):
        return np.nan, np.nan
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(sample, [tail, 1.0 - tail])
    return float(low), float(high)
