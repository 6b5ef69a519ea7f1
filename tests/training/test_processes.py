"""Two real processes on one machine do what one does; where one dies the other says so, and a resume completes."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.errors import ConfigError, Interrupted
from jaxrl_suite.training import processes
from jaxrl_suite.training.checkpoints import Checkpoints
from tests.helpers import same, same_states, toy_agent, wait_for_checkpoint

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
import jaxrl_suite.cli as cli
from jaxrl_suite import agents
from tests.helpers import ToyConfig, toy

agents.agent_named = lambda name: toy
sys.exit(cli.main(sys.argv[1:]))
"""
UPDATES = 20_000
started: list[subprocess.Popen] = []
SEEDS = 3


def start(out: Path, port: int, process: int, save_every: str, command: str) -> subprocess.Popen:
    what = ["train", "toy", "probe/never-ending", "--seeds", str(SEEDS), "--updates", str(UPDATES), "--out", str(out)]
    words = what if command == "train" else ["resume", str(out)]
    how = [
        "--chunk",
        "50",
        "--save-every",
        save_every,
        "--quiet",
        "--distributed",
        "--coordinator",
        f"127.0.0.1:{port}",
    ]
    started.append(
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words, *how, "--processes", "2", "--process", str(process)],
            env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    )
    return started[-1]


@pytest.fixture(autouse=True)
def none_left():
    """What a failing test leaves running would fail others."""
    yield
    for process in started:
        process.kill()
        process.communicate()
    started.clear()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_both(out: Path, save_every: str, command: str = "train") -> list[subprocess.Popen]:
    port = free_port()
    return [start(out, port, process, save_every, command) for process in (0, 1)]


@pytest.mark.parametrize(
    ("killed", "save_every"),
    [(1, "0.3"), *(pytest.param(killed, "0", marks=pytest.mark.slow) for killed in (0, 1))],
)
def test_one_of_two_is_killed_and_a_resume_completes(killed, save_every, tmp_path):
    """While they train, or (where they save after every chunk) while they write.

    The last member is padded, so the checkpoint has more members than the run; it is read by two, then by one."""
    both = start_both(tmp_path / "run", save_every)
    wait_for_checkpoint(both, tmp_path / "run", 200)
    both[killed].send_signal(signal.SIGKILL)
    died = time.monotonic()
    _, errors = both[1 - killed].communicate(timeout=60)
    assert time.monotonic() - died < 60
    assert both[1 - killed].returncode not in (0, None)
    if "another of the 2 processes has ended" not in errors:
        # JAX' own watch is first where the dead process was the coordinator, or both were writing a checkpoint.
        assert "another task died" in errors or "heartbeat timeout" in errors, errors

    if killed == 1:
        again = start_both(tmp_path / "run", save_every, "resume")
        wait_for_checkpoint(again, tmp_path / "run", Checkpoints(tmp_path / "run/checkpoints").updates()[-1] + 200)
        for process in again:
            process.send_signal(signal.SIGTERM)
        said = [p.communicate(timeout=60)[1] for p in again]
        assert "all saved: go on with `jaxrl resume" in said[0], said
    agent = toy_agent(total_updates=UPDATES)
    resumed, unbroken = jrl.resume(tmp_path / "run", agent), jrl.train(agent, seeds=SEEDS)
    assert resumed.updates[-1] == UPDATES
    assert resumed.metrics["loss/toy"].shape == (SEEDS, UPDATES)
    assert all(same(resumed.metrics[name], unbroken.metrics[name]) for name in unbroken.metrics)
    assert same_states(resumed.state, unbroken.state)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((None, 2, None), "give all three"),
        (("127.0.0.1:1", 2, 2), "process = 2: must be between 0 and processes - 1 = 1"),
        ((None, None, None), "coordinator"),
    ],
)
def test_processes_that_cannot_join_say_why(given, message):
    with pytest.raises(ConfigError, match=message):
        processes.join(*given)


def test_alone_nothing_is_shared():
    assert processes.count() == 1
    assert processes.is_first()
    np.testing.assert_array_equal(processes.all_of([1.5, 2]), [[1.5, 2.0]])
    assert processes.first_does(lambda: 7) == 7


def test_a_signal_that_comes_while_the_others_are_asked_is_not_lost(monkeypatch, tmp_path):
    asked, all_of = [], processes.all_of

    def interrupted(numbers):
        asked.append(numbers)
        if len(asked) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return all_of(numbers)

    monkeypatch.setattr(processes, "all_of", interrupted)
    with pytest.raises(Interrupted, match="all saved: go on with"):
        jrl.train(toy_agent(), seeds=2, chunk=5, out=tmp_path / "run")
    assert 0 < Checkpoints(tmp_path / "run/checkpoints").updates()[-1] < 60
