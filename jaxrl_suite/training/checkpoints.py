"""Checkpoints of a whole run's state, written with orbax and proven on reading.

Orbax makes a checkpoint appear all at once; a digest of every array, written after it, shows on reading whether what is
there is what was saved. A checkpoint without its digest or with another one is torn: the one before is used. Of several
processes each writes the members that its devices hold, and has a digest of these; any number of them can read it.
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
from jaxrl_suite.training import processes
from jaxrl_suite.training.empty_arrays import emptied, filled

KEPT = 2


def _digests(tree: Any) -> list[tuple[int, int, str]]:
    """(first member, the one after the last, digest of these) for each process, in order."""
    if processes.count() == 1:
        members = jax.tree.leaves(tree)[0].shape[0]
        return [(0, members, _digest_of(tree, 0, members))]
    own = jax.tree.map(_rows_here, tree, is_leaf=lambda x: isinstance(x, jax.Array))
    start, stop = _span(jax.tree.leaves(tree)[0])
    entry = np.array(
        (start, stop, _digest_of(own, 0, stop - start)), [("start", int), ("stop", int), ("digest", "U64")]
    )
    return sorted(tuple(found.tolist()) for found in processes.all_of(entry))


def _span(x: jax.Array) -> tuple[int, int]:
    """The members, along the leading axis, that this process' devices hold."""
    slices = [shard.index[0] for shard in x.addressable_shards]
    return min(s.start or 0 for s in slices), max(x.shape[0] if s.stop is None else s.stop for s in slices)


def _rows_here(x: jax.Array) -> np.ndarray:
    start, stop = _span(x)
    rows = np.zeros((stop - start, *x.shape[1:]), x.dtype)
    for shard in x.addressable_shards:
        members, *rest = shard.index
        first = (members.start or 0) - start
        rows[first : first + shard.data.shape[0], *rest] = shard.data
    return rows


def _digest_of(tree: Any, start: int, stop: int) -> str:
    """Of the members from `start` to `stop` of every array."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        array = np.ascontiguousarray(leaf[start:stop])
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
        """Writes `tree` as the checkpoint after `update` updates.

        Args:
            tree: leaves [member, ...], in NumPy; with several processes arrays that are spread over their devices.

        Raises:
            CheckpointError: if writing fails. PeerLostError: if another process has ended.
        """
        try:
            processes.first_does(lambda: self._make_way(update))
            with _checkpointer() as checkpointer:
                checkpointer.save(self.directory / str(update), filled(tree))
                checkpointer.wait_until_finished()
            digests = _digests(tree)
            if processes.is_first():
                self._write_digests(update, digests)
        # Tensorstore reports a full disk as a ValueError, orbax's threads as a RuntimeError.
        except (OSError, ValueError, RuntimeError) as error:
            if processes.count() > 1 and not _is_of_disk(error):
                # Orbax' own waiting for the others ends as ours does.
                raise processes.lost(error) from error
            kept = [u for u in self.updates() if u != update]
            safe = f"the checkpoint at update {kept[-1]} is safe" if kept else "no checkpoint exists yet"
            raise CheckpointError(
                f"could not save the checkpoint at update {update} ({_reason(error)}); {safe}: free space, then resume"
            ) from error
        if processes.is_first():
            for old in self.updates()[:-KEPT]:
                self._remove(old)

    def _make_way(self, update: int) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._remove(update)

    def restore(self, template: Any) -> tuple[int, Any, list[int]]:
        """The newest sound checkpoint. Raises CheckpointError if there is none.

        Args:
            template: NumPy leaves [member, ...]. What was saved may have more members: copies of the last.

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
            digests = json.loads(self._digest_path(update).read_text())["sha256"]
            saved = jax.tree.map(lambda x: np.zeros((digests[-1][1], *x.shape[1:]), x.dtype), template)
            with _checkpointer() as checkpointer:
                tree = emptied(checkpointer.restore(self.directory / str(update), filled(saved)), saved)
        # A torn file can fail in any layer below, each with its own error.
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, IndexError):
            return None
        tree = jax.tree.map(np.asarray, tree)
        is_sound = all(_digest_of(tree, start, stop) == expected for start, stop, expected in digests)
        return jax.tree.map(lambda x, y: x[: y.shape[0]], tree, template) if is_sound else None

    def remove_after(self, update: int) -> None:
        """Removes every checkpoint newer than `update` (damaged ones, once an older one is used)."""
        for newer in [u for u in self.updates() if u > update]:
            self._remove(newer)

    def _digest_path(self, update: int) -> Path:
        return self.directory / f"{update}.digest.json"

    def _write_digests(self, update: int, digests: list[Any]) -> None:
        temporary = self.directory / f".{update}.digest.tmp"
        with open(temporary, "w") as file:
            json.dump({"sha256": digests}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._digest_path(update))

    def _remove(self, update: int) -> None:
        import shutil

        self._digest_path(update).unlink(missing_ok=True)
        shutil.rmtree(self.directory / str(update), ignore_errors=True)


OF_DISK = ("No space left on device", "File too large", "Disk quota exceeded", "Read-only file system")
"""What the layers below say of a disk that takes no more, in errors of any type."""


def _is_of_disk(error: Exception) -> bool:
    # A TimeoutError of orbax is an OSError, too, but none of the system's.
    from_system = isinstance(error, OSError) and error.errno is not None
    return from_system or any(known in str(error) for known in OF_DISK)


def _reason(error: Exception) -> str:
    text = str(error).strip().splitlines()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    for known in OF_DISK:
        if known in str(error):
            return known
    return text[0][:120] if text else type(error).__name__


def _checkpointer() -> Any:
    # Orbax warns through absl's logger of things that are as they should be here (no sharding files for host arrays).
    logging.getLogger("absl").setLevel(logging.ERROR)
    import orbax.checkpoint as ocp

    return ocp.StandardCheckpointer()
