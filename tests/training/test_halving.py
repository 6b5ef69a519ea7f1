"""Settings that do badly are given up; those that go on do what they would have done anyway."""

import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.training import successive_halving
from jaxrl_suite.training.halving import rungs
from tests.helpers import ToyConfig, same, same_states, toy

GRID = {"rate": [0.1, 0.3, 0.2, 0.05, 0.25]}
BEST = {"rate": 0.3}


def halve(**options):
    env, params = jrl.make("probe/never-ending")
    return successive_halving(toy, (env, params), ToyConfig(), GRID, seeds=2, keep_one_in=2, **options)


@pytest.fixture(scope="module")
def plain():
    env, params = jrl.make("probe/never-ending")
    return jrl.sweep(toy, (env, params), ToyConfig(), GRID, seeds=2)


def check(found, plain):
    assert [len(run.settings) for run in found] == [5, 3, 2, 1]
    assert [run.updates[-1] for run in found] == [7, 15, 30, 60]
    assert found[-1].settings == (BEST,)
    index = plain.settings.index(BEST)
    ends = [0, *(run.updates[-1] for run in found)]
    for run, start, stop in zip(found, ends[:-1], ends[1:], strict=True):
        np.testing.assert_array_equal(run.updates, np.arange(start + 1, stop + 1))
        here = run.settings.index(BEST)
        for name, values in run.metrics.items():
            assert same(values[here], plain.metrics[name][index, :, start:stop]), name
    np.testing.assert_array_equal(found[-1].state.position[0], plain.state.position[index])


def test_the_best_go_on_as_in_a_plain_sweep(plain, capsys):
    check(halve(), plain)
    assert "rung 1 of 4: 3 of 5 settings go on" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["checkpoints_of", "execute"])
def test_what_was_cut_off_goes_on(place, plain, tmp_path, monkeypatch):
    """In the third rung, once its directory is made and before or after it holds the members it begins with."""
    from jaxrl_suite.training import runner

    whole = getattr(runner, place)

    def cut_off(*arguments):
        if (tmp_path / "study/rung-3").exists():
            raise KeyboardInterrupt
        return whole(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(runner, place, cut_off)
        with pytest.raises(KeyboardInterrupt):
            halve(out=tmp_path / "study")
    assert sorted(p.name for p in (tmp_path / "study").iterdir()) == ["rung-1", "rung-2", "rung-3"]
    found = halve(out=tmp_path / "study")
    check(found, plain)
    again = halve(out=tmp_path / "study")
    assert same_states(again[-1].state, found[-1].state)
    assert jrl.load(tmp_path / "study/rung-4").settings == (BEST,)


@pytest.mark.parametrize(
    ("settings", "updates", "eta", "expected"),
    [(9, 90, 3, [10, 30, 90]), (8, 60, 2, [7, 15, 30, 60]), (2, 5, 4, [1, 5])],
)
def test_rungs(settings, updates, eta, expected):
    assert rungs(settings, updates, eta) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((9, 90, 1), "keep_one_in = 1"), ((1, 90, 3), "at least 2"), ((9, 8, 3), "updates = 8: must be >= 9")],
)
def test_what_cannot_be_halved(arguments, message):
    with pytest.raises(ConfigError, match=message):
        rungs(*arguments)


def test_what_a_sweep_refuses_is_refused(tmp_path):
    for wrong, message in [({"sinks": ("no-such",)}, "no-such"), ({"save_every": -1.0}, "save_every = -1")]:
        with pytest.raises(ConfigError, match=message):
            halve(out=tmp_path / "study", **wrong)
    assert not (tmp_path / "study").exists()
