"""Eight virtual devices, in a process of their own: JAX' number of devices cannot change once it runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_on_eight_devices(*which: str) -> None:
    """The tests of tests/eight_devices that are marked so."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/eight_devices", *which],
        cwd=ROOT,
        env=os.environ | {"JAX_NUM_CPU_DEVICES": "8"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_on_eight_devices():
    run_on_eight_devices("-m", "not slow")


@pytest.mark.slow
def test_every_agent_on_eight_devices():
    run_on_eight_devices("-m", "slow")
