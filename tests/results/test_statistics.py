import warnings

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.results import (
    aggregate,
    bootstrap_interval,
    compare,
    iqm,
    mean,
    median,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
)

# Few shapes, so that property tests compile few programs.
scores_2d = st.sampled_from([(4, 1), (7, 3), (10, 2)]).flatmap(
    lambda shape: hnp.arrays(np.float64, shape, elements=st.floats(-1e3, 1e3, width=32))
)
quick = settings(max_examples=40, deadline=None)


@quick
@given(scores_2d)
def test_iqm_is_scipys_trimmed_mean(scores):
    np.testing.assert_allclose(iqm(scores), stats.trim_mean(scores.ravel(), 0.25), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("n", range(1, 10))
def test_iqm_cuts_a_whole_number_of_scores_on_each_side(n):
    scores = np.arange(n) ** 2.0
    assert iqm(scores) == pytest.approx(stats.trim_mean(scores, 0.25), abs=1e-12)


@quick
@given(scores_2d, st.floats(-100, 100), st.floats(0.01, 100))
def test_iqm_moves_and_scales_with_the_scores(scores, shift, scale):
    np.testing.assert_allclose(iqm(scale * scores + shift), scale * iqm(scores) + shift, rtol=1e-9, atol=1e-7)


@quick
@given(scores_2d, st.randoms(use_true_random=False))
def test_the_order_of_seeds_does_not_matter(scores, random):
    order = list(range(len(scores)))
    random.shuffle(order)
    for statistic in (iqm, mean, median, optimality_gap):
        np.testing.assert_allclose(statistic(scores[order]), statistic(scores), rtol=1e-12, atol=1e-9)


def test_values_by_hand():
    scores = np.array([[0.0, 10.0, 5.0], [2.0, 30.0, 5.0]])
    assert mean(scores) == 26 / 3
    assert median(scores) == 5.0  # of the task means 1, 20, 5
    assert iqm(scores) == (2 + 5 + 5 + 10) / 4
    assert median([1.0, 2.0, 9.0]) == 4.0  # one task: its mean
    assert optimality_gap([0.0, 0.5, 2.0]) == 0.5
    assert optimality_gap([0.0, 0.5, 2.0], 2.0) == pytest.approx(3.5 / 3)


def test_statistics_are_float64():
    assert mean([1.0, 1.0 + 2**-40]) == 1.0 + 2**-41


def test_performance_profile_counts_scores_strictly_above():
    profile = performance_profile([[1.0, 2.0], [3.0, 4.0]], [0.0, 1.0, 2.5, 4.0])
    np.testing.assert_array_equal(profile, [1.0, 0.75, 0.5, 0.0])
    assert profile.dtype == np.float64


def test_probability_of_improvement_by_hand():
    assert probability_of_improvement([1.0, 2.0, 3.0], [2.0, 2.0]) == 0.5
    assert probability_of_improvement([[3.0, 0.0]], [[1.0, 1.0]]) == 0.5  # wins one task, loses the other
    assert probability_of_improvement([2.0, 2.0], [2.0, 1.0]) == 0.75


@quick
@given(scores_2d)
def test_probability_of_improvement_is_mann_whitney(scores):
    x, y = scores, np.roll(scores, 1, axis=0)[:-1] + 1.0
    expected = [stats.mannwhitneyu(a, b).statistic / (a.size * b.size) for a, b in zip(x.T, y.T, strict=True)]
    assert probability_of_improvement(x, y) == pytest.approx(np.mean(expected), abs=1e-12)
    assert probability_of_improvement(x, y) + probability_of_improvement(y, x) == pytest.approx(1.0, abs=1e-12)


def test_the_key_decides_the_interval():
    scores = np.arange(12.0).reshape(6, 2) ** 2
    first = bootstrap_interval(iqm, scores, seed=3)
    assert first == bootstrap_interval(iqm, scores, seed=3)
    assert first == bootstrap_interval(iqm, scores, seed=jax.random.key(3))
    assert bootstrap_interval(mean, scores, seed=4, repetitions=50) != bootstrap_interval(
        mean, scores, seed=3, repetitions=50
    )


def test_the_bootstrap_matches_numpys():
    scores = np.random.default_rng(0).exponential(size=(12, 3))
    rows = np.random.default_rng(1).integers(0, 12, (20_000, 12, 3))
    resampled = np.take_along_axis(np.broadcast_to(scores, rows.shape), rows, axis=1)
    expected = np.quantile(stats.trim_mean(resampled.reshape(20_000, -1), 0.25, axis=1), [0.025, 0.975])
    ours = bootstrap_interval(iqm, scores, repetitions=20_000)
    np.testing.assert_allclose(ours, expected, atol=0.02 * np.ptp(expected))


def test_tasks_are_resampled_independently_and_never_mixed():
    # Each task is constant, so no resample of seeds within tasks can change anything.
    assert bootstrap_interval(mean, np.tile([[0.0, 100.0]], (5, 1))) == (50.0, 50.0)
    # Opposite tasks cancel only where the same seeds are drawn for both.
    low, high = bootstrap_interval(mean, np.array([[1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]]))
    assert low < -0.3
    assert high > 0.3


def test_many_repetitions_go_through_in_chunks(monkeypatch):
    scores = np.random.default_rng(0).normal(size=20)
    whole = bootstrap_interval(mean, scores, repetitions=3000)
    monkeypatch.setattr("jaxrl_suite.results.resampling._DRAWS_AT_ONCE", 20 * 700)
    np.testing.assert_allclose(bootstrap_interval(mean, scores, repetitions=3000), whole, atol=0.05)


@pytest.mark.parametrize("statistic", [iqm, mean])
def test_intervals_cover_the_truth_as_often_as_they_say(statistic):
    rng = np.random.default_rng(0)
    intervals = [bootstrap_interval(statistic, rng.normal(5.0, 2.0, 40), seed=i, repetitions=500) for i in range(300)]
    covered = np.mean([low <= 5.0 <= high for low, high in intervals])
    assert 0.89 <= covered <= 0.98


def test_a_statistic_may_be_an_array():
    low, high = bootstrap_interval(performance_profile, [1.0, 2.0, 3.0, 4.0], [0.0, 2.5, 9.0])
    np.testing.assert_array_equal(low[[0, 2]], [1.0, 0.0])
    assert low[1] < 0.5 < high[1]


def test_aggregate_holds_every_statistic_and_its_interval():
    scores = np.random.default_rng(0).normal(size=(8, 3))
    result = aggregate(scores, gamma=0.5)
    assert (result.seeds, result.tasks, result.dropped, result.confidence) == (8, 3, 0, 0.95)
    for name, statistic, arguments in (
        ("iqm", iqm, ()),
        ("mean", mean, ()),
        ("optimality_gap", optimality_gap, (0.5,)),
    ):
        estimate = getattr(result, name)
        assert estimate.value == pytest.approx(statistic(scores, *arguments), abs=1e-12)
        assert (estimate.low, estimate.high) == pytest.approx(bootstrap_interval(statistic, scores, *arguments))
        assert estimate.low < estimate.value < estimate.high
    assert result.as_dict()["iqm"] == {"value": result.iqm.value, "low": result.iqm.low, "high": result.iqm.high}
    assert aggregate(scores).optimality_gap is None


def test_a_higher_confidence_is_a_wider_interval():
    scores = np.random.default_rng(0).normal(size=12)
    narrow, wide = aggregate(scores, confidence=0.5).mean, aggregate(scores, confidence=0.99).mean
    assert wide.low < narrow.low < narrow.high < wide.high


def test_aggregate_prints_what_it_is():
    text = str(aggregate(np.arange(8.0), seed=1))
    assert text.startswith("8 seeds, 1 task; 95 % stratified-bootstrap intervals\n  IQM            3.5 [")
    assert "median" not in text
    assert "median" in str(aggregate(np.ones((2, 2))))


def test_nan_is_an_error_that_names_the_seeds():
    with pytest.raises(ConfigError, match="NaN for seeds 1, 3; leave them out with drop_nan=True"):
        aggregate([0.0, np.nan, 1.0, np.nan])
    result = aggregate([[0.0, 1.0], [np.nan, 5.0], [1.0, 2.0]], drop_nan=True)
    assert (result.dropped, result.seeds, result.mean.value) == (1, 2, 1.0)
    assert "1 seed left out (NaN)" in str(result)
    with pytest.raises(ConfigError, match="NaN for all 2 seeds"):
        aggregate([np.nan, np.nan], drop_nan=True)


def test_one_seed_has_no_interval():
    result = aggregate([3.0])
    assert result.iqm.value == 3.0
    assert np.isnan([result.iqm.low, result.iqm.high, result.mean.low]).all()
    assert "no interval from 1 seed" in str(result)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([], "is empty"),
        (np.zeros((3, 0)), "is empty"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\), must be \[seed\] or \[seed, task\]"),
        ([1.0, np.inf], "infinite for seeds 1"),
        (["a"], "must be numbers"),
    ],
)
def test_scores_that_cannot_be_aggregated(scores, message):
    with pytest.raises(ConfigError, match=message):
        aggregate(scores)


@pytest.mark.parametrize(
    "options", [{"confidence": 1.0}, {"confidence": 0.0}, {"repetitions": 0}, {"repetitions": 2.5}]
)
def test_options_that_make_no_sense(options):
    (name,) = options
    with pytest.raises(ConfigError, match=f"{name} = "):
        aggregate([1.0, 2.0], **options)


def test_compare():
    rng = np.random.default_rng(0)
    x, y = rng.normal(1.0, 1.0, (20, 2)), rng.normal(0.0, 1.0, (15, 2))
    result = compare(x, y)
    assert result.seeds == (20, 15)
    assert result.probability_of_improvement.value == pytest.approx(probability_of_improvement(x, y))
    assert result.iqm_difference.value == pytest.approx(iqm(x) - iqm(y))
    assert 0.5 < result.probability_of_improvement.low < result.probability_of_improvement.high < 1.0
    assert 0.0 < result.iqm_difference.low < 1.0 < result.iqm_difference.high
    assert "20 against 15 seeds, 2 tasks" in str(result)
    assert result.as_dict()["tasks"] == 2


def test_compare_resamples_both_sides():
    same = np.zeros(5)
    result = compare(same, np.array([-1.0, 1.0, -1.0, 1.0, 1.0]))
    assert result.iqm_difference.low < result.iqm_difference.high
    with pytest.raises(ConfigError, match="y: has 1 tasks where x has 2"):
        compare(np.ones((2, 2)), np.ones(2))
    with pytest.raises(ConfigError, match="y: NaN for seeds 1"):
        compare(same, [0.0, np.nan])


def test_nothing_warns_and_x64_stays_as_it_was():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        aggregate([1.0, 2.0, 4.0], gamma=1.0)
    assert jax.numpy.ones(1, float).dtype == np.float32
