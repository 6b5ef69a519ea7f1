"""Every cell of a list is made once, by whoever comes first; what is cut off goes on, what fails is named."""

import dataclasses
import json
import threading

import pytest

import jaxrl_suite as jrl
from jaxrl_suite.errors import CellsFailedError, ConfigError, MemoryExceededError
from jaxrl_suite.results.store import RunStore
from jaxrl_suite.training import Cell, work, work_list
from tests.helpers import same, toy_agent


def cells(count=3, **settings):
    return [Cell(f"width-{width}", toy_agent(width=width, **settings), seeds=2) for width in range(1, count + 1)]


def status(path):
    return json.loads((path / "manifest.json").read_text())["status"]


def test_no_cell_is_made_twice(tmp_path, monkeypatch):
    assert work(cells(), tmp_path) == ["width-1", "width-2", "width-3"]
    monkeypatch.setattr(work_list, "train", lambda *a, **b: pytest.fail("made twice"))
    monkeypatch.setattr(work_list, "resume", lambda *a, **b: pytest.fail("made twice"))
    assert work(cells(), tmp_path) == []


@pytest.mark.parametrize("done", [30, 60])
def test_a_cell_that_was_cut_off_goes_on(tmp_path, done):
    """In the middle, or after its last checkpoint and before it was said to be finished."""
    agent = toy_agent(width=1)
    jrl.train(agent, seeds=2, updates=done, out=tmp_path / "width-1")
    RunStore.open(tmp_path / "width-1").update_manifest(status="running", total_updates=60)
    assert work(cells(1), tmp_path) == ["width-1"]
    assert status(tmp_path / "width-1") == "finished"
    assert same(jrl.load(tmp_path / "width-1", agent).metrics["loss/toy"], jrl.train(agent, 2).metrics["loss/toy"])


def test_what_another_holds_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(work_list, "WAIT_SECONDS", 0.1)
    jrl.train(toy_agent(width=2), seeds=2, out=tmp_path / "width-2")
    store = RunStore.open(tmp_path / "width-2")
    store.update_manifest(status="running")
    made = []
    with store.lock():
        worker = threading.Thread(target=lambda: made.extend(work(cells(), tmp_path)))
        worker.start()
        while not (tmp_path / "width-3/manifest.json").exists() or status(tmp_path / "width-3") != "finished":
            assert worker.is_alive()
        assert status(tmp_path / "width-2") == "running"
    worker.join(60)
    assert sorted(made) == ["width-1", "width-2", "width-3"]


def test_a_cell_that_another_began_a_moment_ago_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(work_list, "WAIT_SECONDS", 0.0)
    train, begun = jrl.train, []

    def too_late(agent, seeds, **how):
        if not begun:
            begun.append(train(agent, seeds, **how))
        return train(agent, seeds, **how)

    monkeypatch.setattr(work_list, "train", too_late)
    assert work(cells(1), tmp_path) == []
    assert len(begun) == 1


def test_a_cell_that_fails_does_not_stop_the_others(tmp_path, monkeypatch):
    train = jrl.train

    def failing(agent, seeds, **how):
        if agent.info.config.width == 2:
            raise MemoryExceededError("out of memory at update 0")
        return train(agent, seeds, **how)

    monkeypatch.setattr(work_list, "train", failing)
    with pytest.raises(CellsFailedError, match="1 of 3 cells failed: width-2"):
        work(cells(), tmp_path)
    assert [status(tmp_path / f"width-{w}") for w in (1, 3)] == ["finished", "finished"]


def test_parts_share_out_the_list(tmp_path):
    assert work(cells(), tmp_path, part=(1, 2)) == ["width-1", "width-3"]
    assert work(cells(), tmp_path, part=(2, 2)) == ["width-2"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: [dataclasses.replace(c[0], seeds=3)], "holds a run of other seeds"),
        (lambda c: [dataclasses.replace(c[0], updates=30)], "holds a run of other total_updates"),
        (lambda c: [Cell("width-1", toy_agent(width=5), 2)], "holds a run of other config_digest"),
        (lambda c: [c[0], c[0]], "names must differ, width-1 do not"),
        (lambda c: [], "at least one"),
        (lambda c: [dataclasses.replace(c[0], updates=0)], "updates = 0"),
    ],
)
def test_lists_that_cannot_be(change, message, tmp_path):
    work(cells(1), tmp_path)
    with pytest.raises(ConfigError, match=message):
        work(change(cells(1)), tmp_path)
    with pytest.raises(ConfigError, match="part = 3/2"):
        work(cells(1), tmp_path, part=(3, 2))
