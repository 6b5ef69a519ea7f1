"""Programs kept between processes give the same numbers, also where the file of one was torn."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from jaxrl_suite.training import compile_cache

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import hashlib, json
import jaxrl_suite as jrl
from tests.helpers import toy_agent
run = jrl.train(toy_agent(), seeds=3)
numbers = hashlib.sha256(b"".join(run.metrics[name].tobytes() for name in sorted(run.metrics))).hexdigest()
print(json.dumps([numbers, run.bytes_needed]))
"""


def train(folder: Path) -> list:
    # Otherwise only what takes a second to compile is kept.
    own = {"JAXRL_COMPILE_CACHE": str(folder), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=os.environ | own, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_a_kept_program_gives_the_same_numbers(tmp_path):
    first = train(tmp_path)
    kept = sorted(tmp_path.iterdir())
    assert any(file.name.startswith("jit_on_devices") for file in kept)
    assert train(tmp_path) == first
    assert sorted(tmp_path.iterdir()) == kept
    for file in kept:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert train(tmp_path) == first


@pytest.fixture
def no_folder(monkeypatch):
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setattr(compile_cache, "_remove_oldest", lambda folder: None)
    yield monkeypatch
    jax.config.update("jax_compilation_cache_dir", before)


def test_where_programs_are_kept(no_folder, tmp_path):
    no_folder.setenv(compile_cache.VARIABLE, "off")
    assert compile_cache.keep_compiled() is None
    no_folder.setenv(compile_cache.VARIABLE, "")
    no_folder.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = compile_cache.keep_compiled()
    assert folder is not None
    assert folder.parent == tmp_path / "jaxrl_suite" / "compiled"
    assert folder.stat().st_mode & 0o077 == 0
    assert compile_cache.keep_compiled() is None, "JAX has a folder now"


def test_a_home_that_cannot_be_written_to_keeps_nothing(no_folder, tmp_path):
    (tmp_path / "file").write_text("")
    no_folder.setenv(compile_cache.VARIABLE, str(tmp_path / "file" / "below"))
    assert compile_cache.keep_compiled() is None


def test_the_oldest_programs_go(monkeypatch, tmp_path):
    monkeypatch.setattr(compile_cache, "MOST_BYTES", 25)
    for age in range(4):
        file = tmp_path / f"{age}-cache"
        file.write_bytes(b"x" * 10)
        os.utime(file, (1000 - age, 1000 - age))
    compile_cache._remove_oldest(tmp_path)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["0-cache", "1-cache"]
