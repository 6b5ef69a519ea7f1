"""`jaxrl watch` reads what a run has left so far."""

import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.cli import main
from jaxrl_suite.results import RunStore
from jaxrl_suite.results.watching import look, sparkline
from tests.helpers import toy_agent


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("watched") / "run"
    return jrl.train(toy_agent(), seeds=[4, 7, 9], updates=60, chunk=20, out=path)


def test_a_view_is_of_the_last_tenth(run):
    view = look(run.path)
    assert (view.status, view.done, view.total) == ("finished", 60, 60)
    np.testing.assert_allclose(view.now, run.final_returns(), rtol=1e-6)
    np.testing.assert_allclose(view.iqm, jrl.results.aggregate(view.now).iqm.value, rtol=1e-6)
    assert view.steps_per_second > 0
    assert view.labels == ["seed 4", "seed 7", "seed 9"]
    assert all(line.startswith("▁") and line.endswith("█") for line in view.lines)
    loss = look(run.path, "loss/toy", width=10)
    assert [len(line) for line in loss.lines] == [10, 10, 10]


def test_a_run_whose_process_is_gone_is_interrupted(run, tmp_path):
    import shutil

    shutil.copytree(run.path, tmp_path / "run")
    RunStore.open(tmp_path / "run").update_manifest(status="running")
    assert look(tmp_path / "run").status == "interrupted"
    for part in (tmp_path / "run/metrics").iterdir():
        part.unlink()
    fresh = look(tmp_path / "run")
    assert (fresh.done, fresh.lines) == (0, ["", "", ""])
    assert np.isnan(fresh.iqm)


def test_from_the_command_line(run, capsys):
    assert main(["watch", str(run.path), "--most", "2"]) == 0
    said = capsys.readouterr().out
    assert "toy on probe/never-ending, finished: 60/60 updates (100 %)" in said
    assert "  seed 4  ▁" in said
    assert "and 1 more" in said


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "RUN: none given"),
        (["nowhere"], 3, "no such directory"),
        (["RUN", "--metric", "episode/retrun"], 2, "did you mean episode/return"),
        (["RUN", "--every", "0"], 2, "--every = 0.0: must be > 0"),
    ],
)
def test_what_cannot_be_watched(words, status, message, run, capsys):
    assert main(["watch", *(str(run.path) if word == "RUN" else word for word in words)]) == status
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "width", "expected"),
    [
        ([], 5, ""),
        ([1.0], 5, "▁"),
        ([0.0, 7.0], 5, "▁█"),
        ([0.0, np.nan, 7.0], 5, "▁·█"),
        ([np.nan, np.nan], 5, "··"),
        (range(8), 8, "▁▂▃▄▅▆▇█"),
        ([0, 0, 4, 4, 8, 8], 3, "▁▄█"),
    ],
)
def test_lines(values, width, expected):
    assert sparkline(np.array(values, float), width) == expected
