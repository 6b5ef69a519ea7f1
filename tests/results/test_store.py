import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl_suite.errors import ConfigError, RunDirectoryError, UnknownNameError
from jaxrl_suite.results import RunStore, list_runs

MANIFEST = {"agent": "ppo", "env": "CartPole-v1", "seeds": [0, 1, 2], "status": "running", "total_updates": 100}


@pytest.fixture
def store(tmp_path):
    return RunStore.create(tmp_path / "run", MANIFEST, {"learning_rate": 0.00025})


def make_metrics(updates, settings=2, seeds=3, offset=0):
    values = np.arange(updates * settings * seeds).reshape(updates, settings, seeds) + offset
    return {"episode/return": values.astype(np.float32), "finished": values % 2 == 0}


def append(store, start, stop, **options):
    metrics = make_metrics(stop - start, offset=6 * start)
    store.append(start, stop, metrics, env_steps=10, seeds=[5, 6, 7], **options)


def part_names(store):
    return sorted(file.name for file in (store.path / "metrics").iterdir())


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


# Metrics


def test_metrics_come_back_member_first(store):
    append(store, 0, 4)
    append(store, 4, 6)
    metrics = store.metrics()
    expected = np.arange(36).reshape(6, 2, 3)
    np.testing.assert_array_equal(metrics["episode/return"], expected.transpose(1, 2, 0))
    np.testing.assert_array_equal(metrics["finished"], expected.transpose(1, 2, 0) % 2 == 0)
    np.testing.assert_array_equal(store.updates(), np.arange(6))
    np.testing.assert_array_equal(store.env_steps(), 10 * np.arange(1, 7))
    assert store.updates().dtype == store.env_steps().dtype == np.int64
    assert store.updates_done == 6
    assert part_names(store) == ["part-000000000-000000004.parquet", "part-000000004-000000006.parquet"]


def test_metrics_by_name(store):
    append(store, 0, 2)
    assert list(store.metrics(["finished"])) == ["finished"]
    with pytest.raises(UnknownNameError, match="unknown metric 'finish': did you mean finished"):
        store.metrics(["finish"])


def test_every_dtype_comes_back_bit_for_bit(store):
    kinds = ("bool", "int8", "int32", "int64", "uint8", "uint32", "float32", "float64")
    rng = np.random.default_rng(0)
    metrics = {k: rng.integers(0, 2 if k == "bool" else 100, (4, 1, 3)).astype(k) for k in kinds}
    quiet_and_odd = np.array([0x7FC00000, 0x7FC12345, 0xFF800000, 0x80000000], np.uint32).view(np.float32)
    metrics["odd"] = np.broadcast_to(quiet_and_odd[:, None, None], (4, 1, 3))
    metrics["vector"] = rng.normal(size=(4, 1, 3, 2, 5)).astype(np.float32)
    metrics["mask"] = rng.random((4, 1, 3, 7)) < 0.5
    store.append(0, 3, {k: v[:3] for k, v in metrics.items()}, 1, [0, 1, 2])
    store.append(3, 4, {k: v[3:] for k, v in metrics.items()}, 1, [0, 1, 2])
    for name, array in store.metrics().items():
        wanted = np.moveaxis(metrics[name], 0, 2)
        assert array.dtype == wanted.dtype
        assert array.shape == wanted.shape
        assert array.tobytes() == wanted.tobytes()


def test_the_frame_is_tidy(store):
    append(store, 0, 2)
    append(store, 2, 3)
    frame = store.frame()
    assert list(frame.columns) == ["setting", "seed", "update", "env_steps", "episode/return", "finished"]
    assert [str(t) for t in frame.dtypes] == ["int32", "int32", "int64", "int64", "float32", "bool"]
    assert len(frame) == 3 * 2 * 3
    row = frame[(frame["update"] == 2) & (frame["setting"] == 1) & (frame["seed"] == 6)]
    assert row["episode/return"].item() == 12 + 3 + 1
    assert row["env_steps"].item() == 30


def test_rows_may_cover_several_updates(store):
    store.append(0, 10, make_metrics(4), env_steps=100, seeds=[0, 1, 2], record_every=3)
    np.testing.assert_array_equal(store.updates(), [2, 5, 8, 9])
    np.testing.assert_array_equal(store.env_steps(), [300, 600, 900, 1000])


def test_env_steps_do_not_overflow(store):
    store.append(0, 1, make_metrics(1), env_steps=3_000_000_000, seeds=[0, 1, 2])
    assert store.env_steps()[0] == 3_000_000_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": 3, "stop": 5}, "holds updates up to 2, cannot go on at 3"),
        ({"start": 1, "stop": 3}, "holds updates up to 2, cannot go on at 1"),
        ({"seeds": [1, 2, 3]}, r"seeds: 3 seeds \(1, 2, 3\) where the run has 3 seeds \(5, 6, 7\)"),
        ({"metrics": make_metrics(2, settings=1)}, "settings: 1 where the run has 2"),
        ({"metrics": {"new": np.zeros((2, 2, 3))}}, "metric 'episode/return': missing where the run has float32"),
        ({"metrics": {"episode/return": np.zeros((2, 2, 3))}}, "float64 .* where the run has float32"),
    ],
)
def test_what_does_not_continue_the_run_is_refused(store, change, message):
    append(store, 0, 2)
    given = {"start": 2, "stop": 4, "metrics": make_metrics(2), "env_steps": 1, "seeds": [5, 6, 7], **change}
    with pytest.raises(RunDirectoryError, match=message):
        store.append(**given)
    assert store.updates_done == 2


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({}, "none given"),
        ({"seed": np.zeros((2, 1, 3))}, "metric 'seed': the name is taken"),
        ({"a": np.zeros((1, 1, 3))}, r"metric 'a': has shape \[1, 1, 3\], must be \[2, 1, 3, ...\]"),
        ({"a": np.zeros(2)}, r"metric 'a': has shape \[2\]"),
        ({"a": np.zeros((2, 1, 3, 0))}, "not empty"),
        ({"a": np.zeros((2, 1, 3), complex)}, "metric 'a': has dtype complex128, must be one of bool"),
    ],
)
def test_metrics_that_cannot_be_stored(store, metrics, message):
    with pytest.raises(ConfigError, match=message):
        store.append(0, 2, metrics, 1, [0, 1, 2])
    with pytest.raises(ConfigError, match="start = 2, stop = 2"):
        store.append(2, 2, make_metrics(1), 1, [0, 1, 2])


# Truncating


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(1, 4), min_size=1, max_size=5), where=st.integers(0, 20))
def test_truncate_forgets_exactly_the_updates_from_there_on(cuts, where):
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore.create(Path(folder) / "run", {}, {})
        stops = np.cumsum(cuts).tolist()
        for start, stop in zip([0, *stops], stops, strict=False):
            append(store, start, stop)
        before = store.metrics()
        store.truncate(where)
        kept = min(where, stops[-1])
        assert store.updates_done == kept
        np.testing.assert_array_equal(store.updates(), np.arange(kept))
        for name, array in store.metrics().items():
            assert array.tobytes() == before[name][..., :kept].tobytes()
        append(store, kept, kept + 2)
        assert store.updates_done == kept + 2


def test_truncate_drops_a_row_that_reaches_beyond_and_the_run_goes_on_there(store):
    store.append(0, 10, make_metrics(2), 1, [0, 1, 2], record_every=5)
    store.append(10, 20, make_metrics(2), 1, [0, 1, 2], record_every=5)
    store.truncate(12)
    np.testing.assert_array_equal(store.updates(), [4, 9])
    store.append(12, 15, make_metrics(1), 1, [0, 1, 2], record_every=5)
    np.testing.assert_array_equal(store.updates(), [4, 9, 14])
    assert store.metrics()["finished"].shape == (2, 3, 3)
    assert len(store.frame()) == 18


def test_truncate_clears_what_killed_writers_left(store):
    append(store, 0, 2)
    (store.path / "metrics" / ".part-000000002-000000004.parquet.17.tmp").write_bytes(b"half")
    (store.path / ".manifest.json.17.tmp").write_bytes(b"half")
    assert store.updates_done == 2
    store.truncate(2)
    assert list(store.path.rglob("*.tmp")) == []
    assert store.updates_done == 2


def test_a_truncate_that_was_killed_leaves_a_run(store, monkeypatch):
    append(store, 0, 4)
    append(store, 4, 8)
    unlink = Path.unlink

    def die_at_the_cut_part(file, missing_ok=False):
        if file.name == "part-000000000-000000004.parquet":
            raise KeyboardInterrupt
        unlink(file, missing_ok)

    monkeypatch.setattr(Path, "unlink", die_at_the_cut_part)
    with pytest.raises(KeyboardInterrupt):
        store.truncate(3)
    monkeypatch.undo()
    assert len(part_names(store)) == 2
    np.testing.assert_array_equal(store.updates(), np.arange(3))
    store.truncate(3)
    assert part_names(store) == ["part-000000000-000000003.parquet"]


# Damage and full disks


@pytest.mark.parametrize("damage", [b"", b"PAR1 not really PAR1"])
def test_a_damaged_part_is_named(store, damage):
    append(store, 0, 2)
    append(store, 2, 4)
    file = store.path / "metrics" / "part-000000002-000000004.parquet"
    file.write_bytes(damage)
    for read in (store.metrics, store.updates, store.frame):
        with pytest.raises(RunDirectoryError, match=f"{file} is damaged") as caught:
            read()
        assert "\n" not in str(caught.value)
    store.truncate(2)
    assert store.metrics()["finished"].shape == (2, 3, 2)


def test_a_flipped_tail_is_damage(store):
    append(store, 0, 2)
    (file,) = (store.path / "metrics").iterdir()
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(RunDirectoryError, match="is damaged"):
        store.metrics()


def test_a_missing_part_is_noticed(store):
    for start in (0, 2, 4):
        append(store, start, start + 2)
    (store.path / "metrics" / "part-000000002-000000004.parquet").unlink()
    with pytest.raises(
        RunDirectoryError, match=r"updates are missing .* part-000000000-000000002.parquet is followed by"
    ):
        store.metrics()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("write", ["append", "update_manifest", "append_times", "truncate"])
def test_no_space_is_one_line_and_nothing_is_lost(store, monkeypatch, code, write):
    append(store, 0, 4)
    store.append_times({"seconds": 1})
    before = {file: file.read_bytes() for file in store.path.rglob("*") if file.is_file()}

    def full(_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    calls = {
        "append": lambda: append(store, 4, 6),
        "update_manifest": lambda: store.update_manifest(status="finished"),
        "append_times": lambda: store.append_times({"seconds": 2}),
        "truncate": lambda: store.truncate(3),
    }
    with pytest.raises(RunDirectoryError, match=r"no space left while writing .*; what was saved before") as caught:
        calls[write]()
    assert f"free space, then `jaxrl resume {store.path}`" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {file: file.read_bytes() for file in store.path.rglob("*") if file.is_file()} == before


def test_a_file_size_limit_of_the_system_is_no_space(store):
    append(store, 0, 2)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(RunDirectoryError, match="no space left while writing"):
            append(store, 2, 4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert store.updates_done == 2
    assert list(store.path.rglob("*.tmp")) == []


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
