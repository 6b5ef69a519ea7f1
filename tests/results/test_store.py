import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jaxrl_suite.errors import ConfigError, RunDirectoryError
from jaxrl_suite.results import RunStore, list_runs
from tests.results.stored import MANIFEST, append

# Making and opening


def test_create_then_open(store):
    opened = RunStore.open(store.path)
    assert opened.manifest == {**MANIFEST, "format": 1} == store.manifest
    assert opened.config == {"learning_rate": 0.00025} == store.config
    assert opened.metrics() == {}
    assert opened.times() == []
    assert opened.updates_done == 0
    assert opened.updates().shape == opened.env_steps().shape == (0,)
    assert len(opened.frame()) == 0


def test_a_run_is_not_overwritten(store):
    with pytest.raises(
        RunDirectoryError, match=rf"already holds a run: `jaxrl resume {store.path}`, or choose another"
    ):
        RunStore.create(store.path, {}, {})
    assert RunStore.open(store.path).config == store.config


def test_a_directory_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(RunDirectoryError, match=r"holds other files \(thesis.tex\)"):
        RunStore.create(tmp_path, {}, {})
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_create_that_was_killed_is_no_run_and_can_be_repeated(tmp_path, monkeypatch):
    write = os.replace

    def die_before_the_manifest(source, target):
        if Path(target).name == "manifest.json":
            raise KeyboardInterrupt
        write(source, target)

    monkeypatch.setattr(os, "replace", die_before_the_manifest)
    with pytest.raises(KeyboardInterrupt):
        RunStore.create(tmp_path / "run", MANIFEST, {})
    assert (tmp_path / "run" / "config.json").exists()
    with pytest.raises(RunDirectoryError, match="is not a run"):
        RunStore.open(tmp_path / "run")
    assert list_runs(tmp_path) == []
    monkeypatch.undo()
    assert RunStore.create(tmp_path / "run", MANIFEST, {}).manifest["agent"] == "ppo"


def test_values_from_numpy_are_stored_as_json(tmp_path):
    manifest = {"a": np.int64(3), "b": np.arange(2), "c": Path("x"), "d": np.float32(0.5), "e": (1, 2)}
    assert RunStore.create(tmp_path / "run", manifest, {}).manifest == {
        "a": 3, "b": [0, 1], "c": "x", "d": 0.5, "e": [1, 2], "format": 1,
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"config: <object .* of type object cannot be stored as JSON"):
        RunStore.create(tmp_path / "other", {}, {"a": object()})
    assert not (tmp_path / "other").exists()


def test_opening_what_is_not_a_run(tmp_path, store):
    with pytest.raises(RunDirectoryError, match="nowhere: no such directory"):
        RunStore.open(tmp_path / "nowhere")
    with pytest.raises(RunDirectoryError, match="is not a run"):
        RunStore.open(tmp_path)
    for content, reason in (("{", "not valid JSON"), ("[]", "holds a list"), ('{"format": 2}', "has format 2")):
        (store.path / "manifest.json").write_text(content)
        with pytest.raises(RunDirectoryError, match=reason):
            RunStore.open(store.path)


def test_a_path_below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirectoryError, match="cannot write"):
        RunStore.create(tmp_path / "file" / "run", {}, {})
    with pytest.raises(RunDirectoryError, match="Not a directory"):
        RunStore.create(tmp_path / "file", {}, {})


def test_update_manifest_keeps_what_others_wrote(store):
    RunStore.open(store.path).update_manifest(status="finished")
    store.update_manifest(seconds=1.5)
    assert RunStore.open(store.path).manifest == {**MANIFEST, "status": "finished", "seconds": 1.5, "format": 1}
    assert store.manifest["status"] == "finished"


# The lock


def test_a_second_holder_is_refused_also_in_the_same_process(store):
    message = f"in use by process {os.getpid()} on {socket.gethostname()}"
    with store.lock():
        with pytest.raises(RunDirectoryError, match=message), RunStore.open(store.path).lock():
            pass
        with pytest.raises(RunDirectoryError, match=message), store.lock():
            pass
    with store.lock():
        pass


def test_the_lock_is_given_back_after_an_error(store):
    with pytest.raises(ZeroDivisionError), store.lock():
        _ = 1 / 0
    with store.lock():
        pass


def test_the_lock_ends_with_a_killed_process(store):
    code = (
        "import sys, time; from jaxrl_suite.results import RunStore\n"
        "with RunStore.open(sys.argv[1]).lock(): print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(store.path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(RunDirectoryError, match=f"in use by process {holder.pid} on "), store.lock():
            pass
        assert list_runs(store.path)[0]["status"] == "running"
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert list_runs(store.path)[0]["status"] == "interrupted"
    with store.lock():
        pass


# Times


def test_times_are_lines(store):
    store.append_times({"seconds": 1.5, "update": np.int64(4)})
    store.append_times({"seconds": 2.5})
    assert store.times() == [{"seconds": 1.5, "update": 4}, {"seconds": 2.5}]
    assert len((store.path / "times.jsonl").read_text().splitlines()) == 2


def test_a_line_cut_by_a_kill_is_dropped(store):
    store.append_times({"update": 1})
    with open(store.path / "times.jsonl", "a") as file:
        file.write('{"update": ' + "9" * 5000)
    assert store.times() == [{"update": 1}]
    store.append_times({"update": 2})
    assert store.times() == [{"update": 1}, {"update": 2}]


def test_a_damaged_line_is_an_error(store):
    (store.path / "times.jsonl").write_text('oops\n{"update": 1}\n')
    with pytest.raises(RunDirectoryError, match=r"times.jsonl is damaged"):
        store.times()


# Many runs, many members


def test_list_runs_shows_each_and_survives_broken_ones(tmp_path):
    first = RunStore.create(tmp_path / "a" / "run", {**MANIFEST, "status": "finished"}, {})
    append(first, 0, 4)
    RunStore.create(tmp_path / "b", MANIFEST, {})
    RunStore.create(tmp_path / "c", {}, {})
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "manifest.json").write_text("{")
    (tmp_path / "e").mkdir()
    runs = {Path(run["path"]).relative_to(tmp_path).as_posix(): run for run in list_runs(tmp_path)}
    assert list(runs) == ["a/run", "b", "c", "d"]
    assert runs["a/run"] == {
        "path": str(first.path), "agent": "ppo", "env": "CartPole-v1", "seeds": 3, "status": "finished",
        "updates_done": 4, "total_updates": 100, "error": None,
    }  # fmt: skip
    assert runs["b"]["status"] == "interrupted"  # nobody holds it
    assert runs["c"]["status"] is None
    assert runs["d"]["status"] == "broken"
    assert "not valid JSON" in runs["d"]["error"]
    assert list_runs(first.path)[0] == runs["a/run"]
    with pytest.raises(RunDirectoryError, match="no such directory"):
        list_runs(tmp_path / "nowhere")


def test_four_thousand_members_are_read_in_seconds(store):
    metrics = {"episode/return": np.random.default_rng(0).normal(size=(250, 1, 4096)).astype(np.float32)}
    for start in range(0, 1000, 250):
        store.append(start, start + 250, metrics, 128, range(4096))
    started = time.process_time()
    assert store.metrics()["episode/return"].shape == (1, 4096, 1000)
    assert time.process_time() - started < 5


def test_the_files_are_ordinary(store):
    import pyarrow.parquet as pq

    append(store, 0, 2)
    assert pq.read_table(store.path / "metrics").num_rows == 12
    assert json.loads((store.path / "manifest.json").read_text())["agent"] == "ppo"
