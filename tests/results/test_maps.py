"""Heat maps: what is drawn, and what is refused."""

import numpy as np
import pytest

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.results import heat_maps


def test_maps_share_a_scale_and_say_their_means(tmp_path):
    first, second = np.arange(6.0).reshape(2, 3), np.full((2, 3), 9.0)
    where = {"x": [0.1, 0.2], "y": [1, 2, 3]}
    figure = heat_maps({"QARL": first, "SAC": second}, **where, path=tmp_path / "map", xlabel="mass", unit="points")
    left, right, bar = figure.axes
    assert [axes.get_title(loc="left") for axes in (left, right)] == ["QARL, mean 2.5", "SAC, mean 9"]
    assert left.get_xlabel() == "mass"
    assert bar.get_ylabel() == "points"
    assert left.collections[0].get_clim() == right.collections[0].get_clim() == (0.0, 9.0)
    # Columns of the picture are x: the cell at (0.2, 1) is the second of the first row from below.
    np.testing.assert_array_equal(np.ravel(left.collections[0].get_array())[:2], [0.0, 3.0])
    assert {p.name for p in tmp_path.iterdir()} == {"map.svg", "map.png"}


def test_what_is_no_map_is_refused():
    with pytest.raises(ConfigError, match="none given"):
        heat_maps({}, [1], [1])
    with pytest.raises(ConfigError, match=r"map SAC: shape \(2, 2\): must be finite numbers \[2, 3\]"):
        heat_maps({"SAC": np.ones((2, 2))}, [1, 2], [1, 2, 3])
