import numpy as np
import pytest
from scipy import stats

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.results.curves import Curve, iqm_interval, make_band, running_mean

NAN = np.nan


def test_running_mean_by_hand():
    np.testing.assert_allclose(running_mean([[1.0, 2.0, 3.0, 4.0]], None, 2), [[1.0, 1.5, 2.5, 3.5]])
    np.testing.assert_allclose(running_mean([[1.0, 2.0, 6.0]], [[1, 3, 1]], 2), [[1.0, 1.75, 3.0]])


def test_a_window_without_episodes_keeps_the_value_before_it():
    values, count = [[NAN, 4.0, NAN, NAN, 8.0]], [[0, 2, 0, 0, 1]]
    np.testing.assert_allclose(running_mean(values, count, 1), [[NAN, 4.0, 4.0, 4.0, 8.0]])
    np.testing.assert_allclose(running_mean(values, None, 1), [[NAN, 4.0, 4.0, 4.0, 8.0]])


def test_a_nan_with_weight_is_a_diverged_seed():
    np.testing.assert_allclose(running_mean([[1.0, NAN, 3.0]], [[1, 1, 1]], 1), [[1.0, NAN, NAN]])
    np.testing.assert_allclose(running_mean([[1.0, np.inf, 3.0]], None, 2), [[1.0, NAN, NAN]])


def test_a_longer_window_than_the_run_is_the_mean_so_far():
    np.testing.assert_allclose(running_mean([[2.0, 4.0, 6.0]], None, 99), [[2.0, 3.0, 4.0]])


@pytest.mark.parametrize("seeds", [2, 5, 8, 13])
def test_iqm_and_band_match_resampling_with_scipy(seeds):
    values = np.random.default_rng(0).normal(size=(seeds, 3))
    line, low, high = iqm_interval(values, 0.9, 20_000, 0)
    np.testing.assert_allclose(line, stats.trim_mean(values, 0.25), rtol=1e-12)
    rows = np.random.default_rng(1).integers(0, seeds, (20_000, seeds))
    expected = np.quantile(stats.trim_mean(values[rows], 0.25, axis=1), [0.05, 0.95], axis=0)
    np.testing.assert_allclose([low, high], expected, atol=0.05)


def test_one_seed_has_a_line_and_no_band():
    line, low, high = iqm_interval(np.array([[1.0, 2.0]]), 0.95, 100, 0)
    np.testing.assert_array_equal(line, [1.0, 2.0])
    assert np.isnan([low, high]).all()


def test_the_line_starts_where_every_seed_has_a_value():
    band = make_band(Curve("a", [10, 20, 30], [[1.0, 2.0, 3.0], [NAN, 4.0, 5.0]]), window=1)
    np.testing.assert_allclose(band.iqm, [NAN, 3.0, 4.0])
    assert band.excluded == 0


def test_diverged_seeds_are_left_out_and_counted():
    values = [[1.0, 2.0], [5.0, NAN], [3.0, 4.0], [NAN, NAN]]
    band = make_band(Curve("a", [1, 2], values, [[1, 1], [1, 1], [1, 1], [0, 0]]), window=1)
    assert band.excluded == 2
    np.testing.assert_allclose(band.iqm, [2.0, 3.0])


def test_long_curves_are_thinned_and_keep_their_ends():
    band = make_band(Curve("a", np.arange(1, 5001), np.tile(np.arange(5000.0), (2, 1))), window=1, repetitions=50)
    assert len(band.iqm) == 400
    assert (band.env_steps[0], band.env_steps[-1], band.iqm[-1]) == (1, 5000, 4999.0)


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        (Curve("a", [1, 2], np.ones(2)), r"curve 'a': values have shape \(2,\), must be \[seed, update\]"),
        (Curve("a", [1, 2, 3], np.ones((2, 2))), r"env_steps have shape \(3,\), must be \(2,\)"),
        (Curve("a", [1, 2], np.ones((2, 2)), np.ones(2)), r"weights have shape \(2,\), must be \(2, 2\)"),
        (Curve("a", [1, 2], np.full((3, 2), NAN)), "none of its 3 seeds has a finite value"),
    ],
)
def test_curves_that_cannot_be_drawn(curve, message):
    with pytest.raises(ConfigError, match=message):
        make_band(curve, window=1)
