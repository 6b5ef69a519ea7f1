"""What a run was made with: versions, machine, flags, code."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

PACKAGES = ("jax", "jaxlib", "flax", "optax", "gymnax", "distrax", "orbax-checkpoint", "numpy", "scipy")


def versions() -> dict[str, str]:
    """Versions of Python, this package and what its numbers depend on."""
    found = {"python": platform.python_version()}
    for name in ("jaxrl-suite", *PACKAGES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


_RESULTS = (":(exclude,glob)experiments/*/results/**", ":(exclude,glob)benchmarks/results/**")
_CHANGES = ("status", "--porcelain", "--untracked-files=no", "--", *_RESULTS)


def commit() -> str:
    """Git commit of this package's checkout, with `+changes` if files differ from it; "" outside a checkout.

    Results do not count: of several experiments in a row the first would mark all that follow.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head + ("+changes" if head and _git(root, *_CHANGES) else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def device() -> dict[str, Any]:
    """Backend, kind and number of devices, processor and cores of this machine, and number of processes."""
    import jax

    devices = jax.devices()
    return {
        "backend": jax.default_backend(),
        "kind": devices[0].device_kind,
        "count": len(devices),
        "processor": processor(),
        "cores": os.cpu_count(),
        "processes": jax.process_count(),
    }


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def flags() -> dict[str, str]:
    """Settings that change numbers: XLA flags and the precision of matrix products."""
    import jax

    return {
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
        "default_matmul_precision": str(jax.config.jax_default_matmul_precision or "default"),
    }


def provenance() -> dict[str, Any]:
    """Everything above, for a manifest. `command`: the program and its arguments, absolute paths cut to their name."""
    command = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv]
    return {"versions": versions(), "commit": commit(), "device": device(), "flags": flags(), "command": command}
