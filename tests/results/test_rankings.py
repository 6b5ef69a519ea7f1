"""Complexities over problems: hand-computed tables, SciPy on plain cases, and what must not change the answer."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.results import bound_quality, pairwise

INF = math.inf


def test_two_learners_by_hand():
    """Ranks 1 2 3 4 and 2 1 3 4: the squared differences sum to 2, and one of six pairs is out of order."""
    x, y = [10, 20, 30, 40, INF, 7, INF], [10, 5, 60, 80, 3, INF, INF]
    found = pairwise(x, y)
    assert found.problems == 4
    assert found.solved == (4, 1, 1, 1)
    assert found.spearman.value == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert found.kendall.value == pytest.approx(4 / 6)
    assert found.ratio.value == pytest.approx(0.75)  # of 1, 4, 1/2, 1/2


def test_average_ranks_by_hand():
    """Ranks 1.5 1.5 3 and 1 2 3; of three pairs two are in order, one is tied on one side."""
    found = pairwise([5, 5, 9], [1, 2, 3])
    assert found.spearman.value == pytest.approx(1.5 / math.sqrt(1.5 * 2))
    assert found.kendall.value == pytest.approx(2 / math.sqrt(2 * 3))


def test_a_bound_by_hand():
    """Unsolved problems share rank 3.5: ranks 1 2 3 4 against 1 2 3.5 3.5."""
    found = bound_quality([20, 90, 1e4, 1e9], [10, 10.0001, INF, INF], budget=1e3)
    assert found.spearman == pytest.approx(4.5 / math.sqrt(5 * 4.5))
    assert found.kendall == pytest.approx(5 / math.sqrt(6 * 5))
    assert found.tightness == pytest.approx(math.sqrt(2 * 9), rel=1e-4)
    assert (found.accuracy, found.problems, found.solved, found.within) == (1.0, 4, 2, (2, 0, 0, 2))
    stricter = bound_quality([20, 90, 1e4, 1e9], [10, 10.0001, INF, 5e3], budget=50)
    assert (stricter.accuracy, stricter.solved, stricter.within) == (0.75, 3, (1, 0, 1, 2))


def test_an_endless_bound():
    found = bound_quality([INF, 5, INF], [10, 5, INF], budget=100)
    assert found.tightness == INF
    assert found.within == (1, 0, 1, 1)
    assert found.spearman == pytest.approx(stats.spearmanr([3, 1, 3], [2, 1, 3]).statistic)


def test_what_is_not_defined():
    short = pairwise([1, 2, INF], [2, 1, 5])
    assert (short.problems, short.ratio.value) == (2, 1.25)
    assert all(math.isnan(v) for v in (*short.spearman, *short.kendall, short.ratio.low, short.ratio.high))
    none = pairwise([INF, 1], [1, INF])
    assert none.problems == 0
    assert math.isnan(none.ratio.value)
    tied = pairwise([3, 3, 3, 3], [1, 2, 3, 4])
    assert all(math.isnan(v) for v in (*tied.spearman, *tied.kendall))
    assert tied.ratio.value == pytest.approx(1.25)
    assert tied.ratio.low < 1.25 < tied.ratio.high
    # Of three problems, every ninth resampled set has one thrice, and no correlation.
    assert pairwise([1, 2, 3], [4, 5, 6]).spearman == pytest.approx((1.0, 1.0, 1.0))
    unsolved = bound_quality([1, 2, 3], [INF, INF, INF], budget=10)
    assert all(math.isnan(v) for v in unsolved[:3])
    assert unsolved.accuracy == 0.0
    assert math.isnan(bound_quality([1, 2], [1, 2], budget=10).spearman)


def test_intervals_are_those_of_a_plain_bootstrap():
    """SciPy's statistics of the same resampled problems, one set at a time."""
    rng = np.random.default_rng(5)
    x = np.round(np.exp(rng.normal(size=12)), 1) + 0.1
    y = np.round(x * np.exp(rng.normal(size=12)), 1) + 0.1
    found = pairwise(x, y, repetitions=300, seed=9, confidence=0.9)
    drawn = np.random.default_rng(9).integers(12, size=(300, 12))
    for interval, statistic in (
        (found.spearman, lambda i: stats.spearmanr(x[i], y[i]).statistic),
        (found.kendall, lambda i: stats.kendalltau(x[i], y[i]).statistic),
        (found.ratio, lambda i: np.median(x[i] / y[i])),
    ):
        sample = [statistic(i) for i in drawn]
        assert interval.value == pytest.approx(statistic(np.arange(12)))
        assert interval[1:] == pytest.approx(np.quantile(sample, [0.05, 0.95]))
    assert pairwise(x, y, repetitions=300, seed=9) == pairwise(x, y, repetitions=300, seed=9)
    assert pairwise(x, y, repetitions=300, seed=8).ratio[1:] != found.ratio[1:]


def test_intervals_cover():
    """Of independent learners over 30 problems, about 95 % of the intervals of rho hold zero."""
    rng = np.random.default_rng(0)
    held = [
        low <= 0 <= high
        for _ in range(200)
        for _, low, high in [pairwise(*np.exp(rng.normal(size=(2, 30))), repetitions=200).spearman]
    ]
    assert 0.88 <= np.mean(held) <= 0.99


COMPLEXITY = st.one_of(st.integers(1, 6).map(float), st.just(INF))
PAIRS = st.lists(st.tuples(COMPLEXITY, COMPLEXITY), min_size=1, max_size=9)


@settings(max_examples=60, deadline=None)
@given(PAIRS)
def test_agreement_with_scipy(pairs):
    x, y = np.array(pairs).T
    found, quality = pairwise(x, y, repetitions=3), bound_quality(x, y, budget=3)
    is_common = np.isfinite(x) & np.isfinite(y)
    assert sum(found.solved) == len(pairs)
    for (rho, tau), (one, other) in (
        ((found.spearman.value, found.kendall.value), (x[is_common], y[is_common])),
        ((quality.spearman, quality.kendall), (np.minimum(x, 100), np.minimum(y, 100))),
    ):
        if len(one) < 3 or len(set(one)) == 1 or len(set(other)) == 1:
            assert all(math.isnan(v) for v in (rho, tau))
        else:
            expected = stats.spearmanr(one, other).statistic, stats.kendalltau(one, other).statistic
            assert (rho, tau) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(PAIRS, st.permutations(range(9)))
def test_what_changes_nothing(pairs, order):
    """Ranks do not know units or any other increasing transform; learners may change places, problems too."""
    x, y = np.array(pairs).T
    found = pairwise(x, y, repetitions=5)
    bent = pairwise(np.exp(x), 7 * y**3, repetitions=5)
    swapped = pairwise(y, x, repetitions=5)
    for name in ("spearman", "kendall"):
        np.testing.assert_allclose(getattr(bent, name), getattr(found, name))
        np.testing.assert_allclose(getattr(swapped, name), getattr(found, name))
    assert bent.solved == found.solved
    both, only_x, only_y, neither = found.solved
    assert swapped.solved == (both, only_y, only_x, neither)
    order = [i for i in order if i < len(x)]
    shuffled = pairwise(x[order], y[order], repetitions=5)
    np.testing.assert_allclose(
        [shuffled.spearman.value, shuffled.kendall.value, shuffled.ratio.value],
        [found.spearman.value, found.kendall.value, found.ratio.value],
    )
    scaled, plain = bound_quality(3 * x, 3 * y, 30), bound_quality(x, y, 10)
    np.testing.assert_allclose(scaled[:4], plain[:4])
    assert scaled[4:] == plain[4:]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pairwise([1, 2], [1]), r"x, y: 2 and 1 problems: must be the same ones"),
        (lambda: pairwise([1, np.nan], [1, 2]), r"x of problem 1 = nan: must be > 0, inf where never solved"),
        (lambda: pairwise([1, 2], [0, 2]), r"y of problem 0 = 0: must be > 0"),
        (lambda: pairwise([], []), r"x: shape \(0,\): must be \[problem\]"),
        (lambda: pairwise([1], [1], repetitions=0), r"repetitions = 0: must be a whole number >= 1"),
        (lambda: pairwise([1], [1], confidence=1.0), r"confidence = 1.0: must be > 0 and < 1"),
        (lambda: bound_quality([1, -2], [1, 2], 5), r"bound of problem 1 = -2: must be > 0"),
        (lambda: bound_quality([1], [1, 2], 5), r"bound, empirical: 1 and 2 problems"),
        (lambda: bound_quality([1], [1], math.nan), r"budget = nan: must be > 0"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


def test_no_jax_is_needed():
    code = "import sys; from jaxrl_suite.results import pairwise; print('jax' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "False"
