"""Builds each peer's own environment from its pins, and checks that the peer is what the pins say."""

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

from jaxrl_suite.errors import ConfigError, JaxrlError

PINS = Path(__file__).parent / "peers"
PUREJAXRL_COMMIT = "31756b197773a52db763fdbe6d635e4b46522a73"


def python_of(peer: str, root: Path) -> Path:
    """The interpreter of the peer's environment under `root`, built now if it is missing or its pins have changed.

    Raises:
        ConfigError: if the pins name another jax than the one we run on, or uv is missing.
        JaxrlError: if the environment cannot be built; the message ends in uv's own last line.
    """
    pins = PINS / f"{peer}.txt"
    check_same_jax(pins)
    folder = root / peer
    python, stamp = folder / "bin" / "python", folder / "pins.sha256"
    wanted = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    uv = find_uv()
    _call([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
    install = [uv, "pip", "install", "--quiet", "--no-deps", "--compile-bytecode", "--python", str(python)]
    _call([*install, "--requirements", str(pins)])
    stamp.write_text(wanted)
    return python


def check_same_jax(pins: Path) -> None:
    ours = importlib.metadata.version("jax")
    if f"jax=={ours}" not in pins.read_text().splitlines():
        raise ConfigError(f"{pins.name}: must pin jax=={ours}, the version we run on; a comparison needs the same jax")


def find_uv() -> str:
    # Beside the interpreter, or where `make setup` puts the one that it fetches.
    places = (Path(sys.executable).with_name("uv"), PINS.parents[1] / ".tools" / "bin" / "uv")
    beside = next((str(path) for path in places if path.exists()), None)
    found = os.environ.get("UV") or shutil.which("uv") or beside
    if found is None:
        raise ConfigError("uv is needed to build the peers' environments: put it on PATH, or its path into UV")
    return found


def check_purejaxrl(checkout: Path) -> None:
    """Raises ConfigError unless `checkout` holds PureJaxRL's files exactly as the pinned commit has them."""
    for line in (PINS / "purejaxrl.sha256").read_text().splitlines():
        expected, name = line.split()
        path = checkout / name
        if not path.is_file():
            raise ConfigError(f"purejaxrl = {str(checkout)!r}: has no {name}; give the root of a checkout")
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise ConfigError(f"purejaxrl = {str(checkout)!r}: {name} is not that of commit {PUREJAXRL_COMMIT[:8]}")


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise JaxrlError(f"{' '.join(command[:3])} failed: {last}")
