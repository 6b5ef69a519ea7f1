"""How well data cover: with one-hot features a coefficient is one over the least count, and bad input is refused."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays

from jaxrl_suite.envs import TabularMDP
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.solvers import concentrability, feature_coverage, feature_partition


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_with_one_hot_features_it_is_one_over_the_least_count(counts):
    rows = np.repeat(np.eye(len(counts)), counts, axis=0)
    assert feature_coverage(rows) == pytest.approx(1 / min(counts))
    directions = np.eye(len(counts))[:, :1]
    assert feature_coverage(rows, directions) == pytest.approx(1 / counts[0])


@given(arrays.arrays(float, (8, 4), elements=st.floats(-1, 1, width=16)), st.integers(1, 4))
def test_the_partition_splits_the_space_by_coverage(rows, dimension):
    offline, online = feature_partition(rows, dimension)
    basis = np.concatenate([offline, online], axis=1)
    np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-9)
    covered, rest = feature_coverage(rows, offline), feature_coverage(rows)
    # The well covered directions are covered no worse than the whole.
    assert covered <= rest * (1 + 1e-6)
    if dimension < 4 and np.isfinite(rest):
        assert feature_coverage(rows, online) == pytest.approx(rest, rel=1e-5)


def test_what_has_no_data_is_not_covered():
    assert feature_coverage(np.array([[1.0, 0.0], [2.0, 0.0]])) == np.inf
    assert feature_coverage(np.ones((1, 2))) == np.inf
    # Two stages, one state, two actions; the data know one action only.
    mdp = TabularMDP(np.ones((1, 2, 1)), np.zeros((1, 2)), np.ones(1), 2)
    data = np.array([[[3, 0]], [[1, 0]]])
    assert concentrability(mdp, np.array([[0], [0]]), data) == 1.0
    assert concentrability(mdp, np.array([[0], [1]]), data) == np.inf


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: feature_coverage(np.ones(3)), r"rows: shape \(3,\): must be \[M, d\]"),
        (lambda: feature_coverage(np.ones((3, 2)), np.ones((3, 1))), r"directions: shape \(3, 1\): must be \[2, k\]"),
        (lambda: feature_partition(np.ones((3, 2)), 3), r"dimension = 3: must be between 0 and 2"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
