import errno
import os
import resource
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl_suite.errors import ConfigError, RunDirectoryError, UnknownNameError
from jaxrl_suite.results import RunStore
from tests.results.stored import append, make_metrics, part_names

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
