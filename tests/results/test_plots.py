import numpy as np
import pytest

from jaxrl_suite.errors import ConfigError, RunDirectoryError
from jaxrl_suite.results import learning_curves, performance_profiles

STEPS = np.arange(1, 101) * 10_000


def make_run(label="PPO", seeds=4, slope=1.0):
    noise = np.random.default_rng(0).normal(size=(seeds, 100))
    return label, STEPS, slope * np.arange(100) + noise


def test_one_line_and_band_for_each_run():
    figure = learning_curves([make_run("PPO"), make_run("DQN", slope=2.0)], window=1, repetitions=50)
    (axes,) = figure.axes
    assert len(axes.lines) == 2
    assert len(axes.collections) == 2
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), STEPS)
    # The best at the end is named first.
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["DQN (4 seeds)", "PPO (4 seeds)"]
    assert axes.get_xlabel().strip() == "environment steps"
    assert axes.get_ylabel() == "episode return"


def test_the_caption_states_the_smoothing():
    (axes,) = learning_curves([make_run()], window=7, repetitions=50).axes
    assert "95 % bootstrap interval; running mean over 7 updates" in axes.texts[0].get_text()
    (axes,) = learning_curves([make_run()], repetitions=50).axes
    assert "running mean over 2 updates" in axes.texts[0].get_text()
    (axes,) = learning_curves([make_run()], window=1, repetitions=50).axes
    assert "not smoothed" in axes.texts[0].get_text()


def test_seeds_are_drawn_on_request():
    (axes,) = learning_curves([make_run(seeds=5)], window=1, show_seeds=True, repetitions=50).axes
    assert len(axes.lines) == 6
    np.testing.assert_allclose(axes.lines[2].get_ydata(), make_run(seeds=5)[2][2], rtol=1e-9)


def test_logarithmic_axes():
    (axes,) = learning_curves([make_run()], repetitions=50, logarithmic=True).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    (axes,) = learning_curves([make_run()], repetitions=50).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "linear")


def test_levels_are_drawn_and_named():
    figure = learning_curves([make_run()], repetitions=50, levels={"threshold": 0.5}, xlabel="episodes")
    (axes,) = figure.axes
    assert axes.get_xlabel().strip() == "episodes"
    assert "threshold" in [text.get_text() for text in axes.texts]
    assert any(np.allclose(line.get_ydata(), 0.5) for line in axes.lines)


def test_values_are_weighted_by_the_episodes_behind_them():
    values, weights = np.array([[1.0, np.nan, 3.0, 9.0]]), np.array([[1, 0, 3, 0]])
    (axes,) = learning_curves([("a", [1, 2, 3, 4], values, weights)], window=3).axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [1.0, 1.0, 2.5, 3.0])


def test_left_out_seeds_are_counted_in_the_legend():
    label, steps, values = make_run()
    values[1, 50] = np.inf
    (axes,) = learning_curves([(label, steps, values)], repetitions=50).axes
    assert axes.get_legend().get_texts()[0].get_text() == "PPO (3 of 4 seeds)"
    assert "diverged seeds left out" in axes.texts[0].get_text()


def test_steps_are_written_for_people():
    (axes,) = learning_curves([make_run()], repetitions=50).axes
    write = axes.xaxis.get_major_formatter()
    assert [write(x) for x in (0, 500, 100_000, 250_000, 1_500_000, 2e9)] == ["0", "500", "100k", "250k", "1.5M", "2G"]


def test_twelve_runs_can_be_told_apart():
    lines = learning_curves([make_run(str(i), seeds=2) for i in range(12)], repetitions=10).axes[0].lines
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 12
    assert len({line.get_color() for line in lines}) == 10


def test_equal_data_give_equal_files(tmp_path):
    for folder in ("a", "b"):
        learning_curves([make_run()], path=tmp_path / folder / "v0.5", title="CartPole-v1", repetitions=50)
    for name in ("v0.5.svg", "v0.5.png"):
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("a", "b"))
        assert first == second
        assert len(first) > 5000
    assert b"<dc:date>" not in (tmp_path / "a" / "v0.5.svg").read_bytes()


def test_a_suffix_in_the_path_is_not_doubled(tmp_path):
    learning_curves([make_run()], path=tmp_path / "curves.png", repetitions=50)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["curves.png", "curves.svg"]


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirectoryError, match="cannot write"):
        learning_curves([make_run()], path=tmp_path / "file" / "curves", repetitions=50)


def test_nothing_to_draw():
    with pytest.raises(ConfigError, match="runs: none given"):
        learning_curves([])
    with pytest.raises(ConfigError, match="window = 0"):
        learning_curves([make_run()], window=0)
    with pytest.raises(ConfigError, match="scores: none given"):
        performance_profiles({})


def test_performance_profiles():
    scores = {"PPO": np.array([[1.0, 2.0], [3.0, 4.0]]), "DQN": np.array([0.0, 1.0, 2.0])}
    (axes,) = performance_profiles(scores, [0.0, 1.5, 4.0], repetitions=50).axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [1.0, 0.75, 0.0])
    np.testing.assert_allclose(axes.lines[1].get_ydata(), [2 / 3, 1 / 3, 0.0])
    assert len(axes.collections) == 2
    with pytest.raises(ConfigError, match="scores of PPO: NaN for seeds 0"):
        performance_profiles({"PPO": [np.nan, 1.0]})
