"""Compiled programs are kept between processes, by JAX' own cache, in a folder of the user's.

A program that was compiled before on this kind of processor, by this version of JAX, is read instead. Only what takes
a second or more to compile is kept. `JAXRL_COMPILE_CACHE=off` keeps nothing, another value is the folder; a folder
that JAX was given (`JAX_COMPILATION_CACHE_DIR`) stays.
"""

import hashlib
import os
from pathlib import Path

import jax

from jaxrl_suite.training.provenance import processor

VARIABLE = "JAXRL_COMPILE_CACHE"
MOST_BYTES = 2 * 2**30
"""When a process starts to use a folder that holds more, the oldest programs go."""


def keep_compiled() -> Path | None:
    """Tells JAX the folder, once a process. Returns it; None where nothing is kept, or JAX had a folder already."""
    wanted = os.environ.get(VARIABLE, "")
    if jax.config.jax_compilation_cache_dir is not None or wanted.lower() in ("off", "0", "no"):
        return None
    folder = Path(wanted).expanduser() if wanted else _default_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_oldest(folder)
    except OSError:
        # A home that cannot be written to is no reason not to train.
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    return folder


def _default_folder() -> Path:
    """One for each kind of processor, for a home may be shared and machine code is for one kind."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kind = hashlib.sha256(f"{processor()} {_instructions()}".encode()).hexdigest()[:12]
    return base / "jaxrl_suite" / "compiled" / kind


def _instructions() -> str:
    """The processor's instruction sets, which one name may differ in from machine to machine."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _remove_oldest(folder: Path) -> None:
    kept = sorted(((f.stat().st_mtime, f.stat().st_size, f) for f in folder.iterdir() if f.is_file()), reverse=True)
    total = 0
    for _, size, file in kept:
        total += size
        if total > MOST_BYTES:
            file.unlink(missing_ok=True)
