"""The run directory: everything a run leaves behind, safe against kills, full disks and two writers.

    run/
      manifest.json    what ran: agent, env, seeds, versions, device, status (replaced as a whole, never edited)
      config.json      the agent's configuration, never changed
      metrics/         part-<start>-<stop>.parquet: rows for the updates start <= update < stop
      times.jsonl      one line a chunk: seconds, steps, memory
      checkpoints/     the runner's
      figures/
      .lock            held while the run is written

Seeds are never averaged when written. A directory is a run once its manifest exists; it is written last.
"""

import contextlib
import json
import os
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl_suite.errors import ConfigError, RunDirectoryError, UnknownNameError
from jaxrl_suite.results import files, parts

if TYPE_CHECKING:
    import pandas

FORMAT = 1
_OWN = {"config.json", "metrics", "checkpoints", "figures", "times.jsonl", ".lock"}


class RunStore:
    """A run's directory. Reading needs no lock; whoever writes holds `lock()`."""

    def __init__(self, path: Path, manifest: dict[str, Any], config: dict[str, Any]):
        """Not called directly: see `create` and `open`."""
        self._path = path
        self._manifest = manifest
        self._config = config

    @classmethod
    def create(cls, path: str | os.PathLike, manifest: dict[str, Any], config: dict[str, Any]) -> "RunStore":
        """Makes `path` a run.

        Args:
            path: a directory that does not exist, is empty, or holds what a killed `create` left.
            manifest: JSON values. `list_runs` shows `agent`, `env`, `seeds`, `status` and `total_updates`.
            config: JSON values, as from `jaxrl_suite.config.to_dict`.

        Raises:
            RunDirectoryError: `path` holds a run or other files, is in use, or cannot be written.
            ConfigError: a value that cannot be stored as JSON.
        """
        run = Path(path)
        manifest = {**manifest, "format": FORMAT}
        written = files.to_json("manifest", manifest), files.to_json("config", config)
        _require_free(run)
        with files.saving(run, run):
            for name in ("", "metrics", "figures"):
                (run / name).mkdir(parents=True, exist_ok=True)
        with files.exclusive(run / ".lock", run):
            _require_free(run)
            files.write_atomically(run / "config.json", written[1], run)
            files.write_atomically(run / "manifest.json", written[0], run)
        return cls(run, json.loads(written[0]), json.loads(written[1]))

    @classmethod
    def open(cls, path: str | os.PathLike) -> "RunStore":
        """Raises RunDirectoryError if `path` is missing, is not a run, is damaged or is of a newer format."""
        run = Path(path)
        if not run.is_dir():
            raise RunDirectoryError(f"{run}: no such directory")
        if not (run / "manifest.json").exists():
            raise RunDirectoryError(f"{run} is not a run (it has no manifest.json); `jaxrl list runs` shows the runs")
        manifest = files.read_json(run / "manifest.json")
        if manifest.get("format") != FORMAT:
            raise RunDirectoryError(f"{run} has format {manifest.get('format')!r}, this version reads format {FORMAT}")
        return cls(run, manifest, files.read_json(run / "config.json"))

    @property
    def path(self) -> Path:
        """The run directory."""
        return self._path

    @property
    def manifest(self) -> dict[str, Any]:
        """As last read or written by this object."""
        return self._manifest

    @property
    def status(self) -> str | None:
        """The manifest's, but "interrupted" for a run that calls itself running while its process is gone."""
        status = self._manifest.get("status")
        is_gone = status == "running" and not files.is_alive(files.lock_holder(self._path / ".lock"))
        return "interrupted" if is_gone else status

    @property
    def config(self) -> dict[str, Any]:
        """As written by `create`."""
        return self._config

    def update_manifest(self, **changes: Any) -> None:
        """Sets entries of the manifest on disk, all of them or (after a kill) none.

        Raises:
            RunDirectoryError: it cannot be read or written. ConfigError: no JSON value.
        """
        file = self._path / "manifest.json"
        content = files.to_json("manifest", {**files.read_json(file), **changes, "format": FORMAT})
        files.write_atomically(file, content, self._path)
        self._manifest = json.loads(content)

    @contextlib.contextmanager
    def lock(self) -> Generator[None]:
        """Holds the run for writing; released at the end of the block or of the process, even by `kill -9`.

        Raises:
            RunDirectoryError: "in use by process PID on HOST", also for a second holder in the same process.
        """
        with files.exclusive(self._path / ".lock", self._path):
            yield

    def append(
        self,
        start: int,
        stop: int,
        metrics: dict[str, np.ndarray],
        env_steps: int,
        seeds: Sequence[int],
        record_every: int = 1,
    ) -> None:
        """Saves the metrics of the updates `start <= update < stop` as one part, whole or not at all.

        Args:
            start: where the stored updates end (any number in an empty store). stop: greater than `start`.
            metrics: name -> [rows, settings, seeds, ...], where row i covers the `record_every` updates from
                `start + i * record_every` on, the last row only those before `stop`.
            env_steps: environment steps an update takes.
            seeds: the seeds' names, in the order of the metrics' third axis.
            record_every: updates a row covers.

        Raises:
            ConfigError: shapes, names or dtypes that cannot be stored; numbers that make no sense.
            RunDirectoryError: the updates do not continue what is stored, the metrics differ from the stored ones, or
                there is no space; what was stored before is intact.
        """
        if not 0 <= start < stop or record_every < 1:
            raise ConfigError(
                f"start = {start}, stop = {stop}, record_every = {record_every}: "
                "must have 0 <= start < stop and record_every >= 1"
            )
        updates = np.minimum(np.arange(start, stop, record_every, dtype=np.int64) + record_every, stop) - 1
        metrics = {name: np.asarray(array) for name, array in metrics.items()}
        layout = parts.layout_of(metrics, list(map(int, seeds)), len(updates))
        self._require_continues(start, layout)
        table = parts.build_table(layout, updates, (updates + 1) * int(env_steps), metrics)
        files.write_atomically(parts.part_file(self._metrics_path, start, stop), parts.encode(table), self._path)

    def truncate(self, update: int) -> None:
        """Forgets the updates from `update` on, and what killed writers left behind.

        A row that covers several updates goes if its last one does.

        Raises:
            RunDirectoryError: the part to be cut is damaged, or no space is left for its shorter copy.
        """
        files.remove_temporaries(self._path)
        files.remove_temporaries(self._metrics_path)
        found = parts.find_parts(self._metrics_path)
        cut = next((part for part in found if part.start < update < part.stop), None)
        # Last part first: whatever moment a kill hits, the parts that remain join without a gap.
        for part in reversed(found):
            if part.start >= update:
                part.file.unlink()
        if cut is not None:
            rows = parts.read_rows(cut)
            keep = rows.updates < update
            kept = {name: array[keep] for name, array in rows.metrics.items()}
            table = parts.build_table(rows.layout, rows.updates[keep], rows.env_steps[keep], kept)
            shorter = parts.part_file(self._metrics_path, cut.start, update)
            files.write_atomically(shorter, parts.encode(table), self._path)
            cut.file.unlink()
        self._remove_superseded()
        files.sync_directory(self._metrics_path)

    def metrics(self, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Every metric (or those named) as `[setting, seed, row, ...]`, of the dtype it was given, bit for bit.

        Raises:
            RunDirectoryError: a part is damaged. UnknownNameError: a name that was not recorded.
        """
        rows = self._rows(None if names is None else list(names))
        if not rows:
            return {}
        known = rows[0].layout.dtypes
        for name in names or ():
            if name not in known:
                raise UnknownNameError("metric", name, known)
        wanted = list(known) if names is None else list(names)
        return {name: _members_first([part.metrics[name] for part in rows]) for name in wanted}

    def updates(self) -> np.ndarray:
        """The last update that each row covers: [row], int64."""
        return np.concatenate([np.zeros(0, np.int64), *(rows.updates for rows in self._rows([]))])

    def env_steps(self) -> np.ndarray:
        """Environment steps that each member had taken after each row: [row], int64."""
        return np.concatenate([np.zeros(0, np.int64), *(rows.env_steps for rows in self._rows([]))])

    @property
    def updates_done(self) -> int:
        """Where the stored updates end; known from the files' names, nothing is read."""
        found = parts.find_parts(self._metrics_path)
        return found[-1].stop if found else 0

    def frame(self) -> "pandas.DataFrame":
        """One row for each recorded update, setting and seed; empty before the first part."""
        import pandas as pd
        import pyarrow as pa

        tables = [parts.read_table(part) for part in parts.find_parts(self._metrics_path)]
        if not tables:
            return pd.DataFrame({name: pd.Series(dtype=np.int64) for name in parts.INDEX})
        return pa.concat_tables(tables).replace_schema_metadata(None).to_pandas()

    def append_times(self, values: dict[str, Any]) -> None:
        """Adds one line to times.jsonl and flushes it to disk.

        Raises:
            RunDirectoryError: no space is left. ConfigError: no JSON value.
        """
        line = json.dumps(json.loads(files.to_json("times", values))).encode() + b"\n"
        file = self._path / "times.jsonl"
        with files.saving(file, self._path), open(file, "a+b") as handle:
            end = _end_of_last_line(handle)
            handle.truncate(end)
            try:
                handle.write(line)
                handle.flush()
                os.fsync(handle.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    os.truncate(file, end)
                raise

    def times(self) -> list[dict[str, Any]]:
        """The lines of times.jsonl. A last line that a kill cut short is left out.

        Raises:
            RunDirectoryError: an earlier line is damaged.
        """
        file = self._path / "times.jsonl"
        if not file.exists():
            return []
        *lines, _ = file.read_bytes().split(b"\n")
        try:
            return [json.loads(line) for line in lines]
        except ValueError as error:
            raise RunDirectoryError(f"{file} is damaged ({error})") from error

    @property
    def _metrics_path(self) -> Path:
        return self._path / "metrics"

    def _rows(self, names: list[str] | None) -> list[parts.Rows]:
        found = [parts.read_rows(part, names) for part in parts.find_parts(self._metrics_path)]
        for rows in found[1:]:
            difference = found[0].layout.difference(rows.layout)
            if difference is not None:
                raise RunDirectoryError(f"{self._path}: parts do not fit together, {difference}")
        return found

    def _require_continues(self, start: int, layout: parts.Layout) -> None:
        found = parts.find_parts(self._metrics_path)
        if not found:
            return
        if found[-1].stop != start:
            raise RunDirectoryError(f"{self._path} holds updates up to {found[-1].stop}, cannot go on at {start}")
        difference = parts.read_rows(found[-1], []).layout.difference(layout)
        if difference is not None:
            raise RunDirectoryError(f"{self._path}: {difference}")

    def _remove_superseded(self) -> None:
        current = {part.file for part in parts.find_parts(self._metrics_path)}
        for file in self._metrics_path.glob("part-*.parquet"):
            if file not in current:
                file.unlink()


def _require_free(run: Path) -> None:
    if (run / "manifest.json").exists():
        raise RunDirectoryError(f"{run} already holds a run: `jaxrl resume {run}`, or choose another directory")
    if not run.exists():
        return
    with files.saving(run, run):
        others = sorted(p.name for p in run.iterdir() if p.name not in _OWN and not p.name.endswith(".tmp"))
    if others:
        raise RunDirectoryError(f"{run} holds other files ({others[0]}), choose an empty or a new directory")


def _members_first(arrays: list[np.ndarray]) -> np.ndarray:
    joined = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return np.ascontiguousarray(np.moveaxis(joined, 0, 2))


def _end_of_last_line(handle: Any) -> int:
    """Where the last whole line ends; a kill may have cut the one after it."""
    position = handle.seek(0, os.SEEK_END)
    while position > 0:
        block = min(position, 4096)
        handle.seek(position - block)
        newline = handle.read(block).rfind(b"\n")
        if newline >= 0:
            return position - block + newline + 1
        position -= block
    return 0
