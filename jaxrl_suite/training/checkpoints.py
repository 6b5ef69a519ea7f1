"""Checkpoints of a whole run's state, written with orbax and proven on reading.

Orbax makes a checkpoint appear all at once; a digest of every array, written after it, shows on reading whether what is
there is what was saved. A checkpoint without its digest or with another one is torn: the one before is used.
"""

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl_suite.errors import CheckpointError
from jaxrl_suite.training.empty_arrays import emptied, filled

KEPT = 2


def _digest(tree: Any) -> str:
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        array = np.ascontiguousarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


class Checkpoints:
    """The checkpoints of one run, each named by the number of updates done. Keeps the newest two.

    Raises:
        CheckpointError: from `save` if writing fails (those before stay as they are), from `restore` if none is sound.
    """

    def __init__(self, directory: Path | str):
        # Orbax insists on absolute paths.
        self.directory = Path(directory).absolute()

    def updates(self) -> list[int]:
        """Updates of all complete-looking checkpoints, oldest first."""
        if not self.directory.is_dir():
            return []
        return sorted(int(p.name) for p in self.directory.iterdir() if p.name.isdigit() and p.is_dir())

    def save(self, update: int, tree: Any) -> None:
        """Writes `tree` (NumPy leaves) as the checkpoint after `update` updates. Raises CheckpointError."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._remove(update)
            with _checkpointer() as checkpointer:
                checkpointer.save(self.directory / str(update), filled(tree))
                checkpointer.wait_until_finished()
            self._write_digest(update, _digest(tree))
        # Tensorstore reports a full disk as a ValueError, orbax's threads as a RuntimeError.
        except (OSError, ValueError, RuntimeError) as error:
            kept = [u for u in self.updates() if u != update]
            safe = f"the checkpoint at update {kept[-1]} is safe" if kept else "no checkpoint exists yet"
            raise CheckpointError(
                f"could not save the checkpoint at update {update} ({_reason(error)}); {safe}: free space, then resume"
            ) from error
        for old in self.updates()[:-KEPT]:
            self._remove(old)

    def restore(self, template: Any) -> tuple[int, Any, list[int]]:
        """The newest sound checkpoint. Raises CheckpointError if there is none.

        Returns:
            (updates done, tree like `template` with NumPy leaves, updates of the newer ones that are damaged).
        """
        damaged: list[int] = []
        for update in reversed(self.updates()):
            tree = self._read(update, template)
            if tree is not None:
                return update, tree, damaged
            damaged.append(update)
        found = f"all of {damaged} are damaged" if damaged else "there is none"
        raise CheckpointError(f"no usable checkpoint in {self.directory.name}: {found}; start the run anew")

    def _read(self, update: int, template: Any) -> Any | None:
        """The checkpoint's tree, or None if it is not what was saved."""
        try:
            expected = json.loads(self._digest_path(update).read_text())["sha256"]
            with _checkpointer() as checkpointer:
                tree = emptied(checkpointer.restore(self.directory / str(update), filled(template)), template)
        # A torn file can fail in any layer below, each with its own error.
        except (OSError, ValueError, KeyError, TypeError, RuntimeError):
            return None
        tree = jax.tree.map(np.asarray, tree)
        return tree if _digest(tree) == expected else None

    def remove_after(self, update: int) -> None:
        """Removes every checkpoint newer than `update` (damaged ones, once an older one is used)."""
        for newer in [u for u in self.updates() if u > update]:
            self._remove(newer)

    def _digest_path(self, update: int) -> Path:
        return self.directory / f"{update}.digest.json"

    def _write_digest(self, update: int, digest: str) -> None:
        temporary = self.directory / f".{update}.digest.tmp"
        with open(temporary, "w") as file:
            json.dump({"sha256": digest}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._digest_path(update))

    def _remove(self, update: int) -> None:
        import shutil

        self._digest_path(update).unlink(missing_ok=True)
        shutil.rmtree(self.directory / str(update), ignore_errors=True)


def _reason(error: Exception) -> str:
    text = str(error).strip().splitlines()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    for known in ("No space left on device", "File too large", "Disk quota exceeded", "Read-only file system"):
        if known in str(error):
            return known
    return text[0][:120] if text else type(error).__name__


def _checkpointer() -> Any:
    # Orbax warns through absl's logger of things that are as they should be here (no sharding files for host arrays).
    logging.getLogger("absl").setLevel(logging.ERROR)
    import orbax.checkpoint as ocp

    return ocp.StandardCheckpointer()
