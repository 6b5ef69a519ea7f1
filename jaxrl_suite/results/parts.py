"""One part of a run's metrics: a parquet file with one row for each recorded update, setting and seed.

Rows are in the order [update, setting, seed], so that a column is an array without sorting. Columns: `setting` and
`seed` (int32), `update` (int64, the last update the row covers), `env_steps` (int64, cumulative after that update),
then one for each metric, of the metric's own dtype; metrics with trailing axes are fixed-size lists.
"""

import dataclasses
import itertools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl_suite.errors import ConfigError, RunDirectoryError

if TYPE_CHECKING:
    import pyarrow

INDEX = ("setting", "seed", "update", "env_steps")
_NAME = re.compile(r"part-(\d{9,})-(\d{9,})\.parquet")
_ABOUT = b"jaxrl"
_KINDS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")


@dataclasses.dataclass(frozen=True, order=True)
class Part:
    """A file of rows for the updates `start <= update < stop`."""

    start: int
    stop: int
    file: Path = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True)
class Layout:
    """What all parts of a run have in common.

    Attributes:
        settings: their number. seeds: their names, in order.
        dtypes: of the metrics, by name. shapes: their trailing axes, by name.
    """

    settings: int
    seeds: tuple[int, ...]
    dtypes: dict[str, str]
    shapes: dict[str, tuple[int, ...]]

    def difference(self, other: "Layout") -> str | None:
        """The first thing in which `other` differs, in words."""
        if self.settings != other.settings:
            return f"settings: {other.settings} where the run has {self.settings}"
        if self.seeds != other.seeds:
            return f"seeds: {_few(other.seeds)} where the run has {_few(self.seeds)}"
        for name in sorted({*self.dtypes, *other.dtypes}):
            ours, theirs = (f"{o.dtypes.get(name, 'missing')} {o.shapes.get(name, '')}".strip() for o in (self, other))
            if ours != theirs:
                return f"metric {name!r}: {theirs} where the run has {ours}"
        return None


def _few(seeds: tuple[int, ...]) -> str:
    return f"{len(seeds)} seeds ({', '.join(map(str, seeds[:4]))}{', …' if len(seeds) > 4 else ''})"


def part_file(directory: Path, start: int, stop: int) -> Path:
    """Where the rows of the updates start <= update < stop are kept."""
    return directory / f"part-{start:09d}-{stop:09d}.parquet"


def find_parts(directory: Path) -> list[Part]:
    """All parts in `directory`, in order.

    Raises:
        RunDirectoryError: updates are missing between two parts, or two parts overlap.
    """
    matches = ((_NAME.fullmatch(file.name), file) for file in directory.glob("part-*.parquet"))
    found = sorted(Part(int(m[1]), int(m[2]), file) for m, file in matches if m)
    # A kill within `truncate` leaves a cut part beside the whole one of the same start; the cut is what was wanted.
    parts = [p for i, p in enumerate(found) if i == 0 or found[i - 1].start != p.start]
    for before, after in itertools.pairwise(parts):
        if before.stop != after.start:
            problem = "updates are missing" if before.stop < after.start else "the same updates are"
            raise RunDirectoryError(f"{problem} in {directory}: {before.file.name} is followed by {after.file.name}")
    return parts


def layout_of(metrics: dict[str, np.ndarray], seeds: list[int], rows: int) -> Layout:
    """Checks metrics `[rows, settings, seeds, ...]` and describes them.

    Raises:
        ConfigError: no metrics; a shape, dtype or name that cannot be stored.
    """
    if not metrics:
        raise ConfigError("metrics: none given, needs at least one")
    settings = max((m.shape[1] for m in metrics.values() if m.ndim > 1), default=0)
    for name, array in metrics.items():
        if name in INDEX:
            raise ConfigError(f"metric {name!r}: the name is taken by an index column ({', '.join(INDEX)})")
        if array.shape[:3] != (rows, settings, len(seeds)) or 0 in array.shape:
            wanted = f"[{rows}, {settings}, {len(seeds)}, ...]"
            raise ConfigError(f"metric {name!r}: has shape {list(array.shape)}, must be {wanted} and not empty")
        if array.dtype.name not in _KINDS:
            raise ConfigError(f"metric {name!r}: has dtype {array.dtype}, must be one of {', '.join(_KINDS)}")
    dtypes: dict[str, str] = {name: array.dtype.name for name, array in metrics.items()}
    return Layout(settings, tuple(seeds), dtypes, {name: array.shape[3:] for name, array in metrics.items()})


def build_table(
    layout: Layout, updates: np.ndarray, env_steps: np.ndarray, metrics: dict[str, np.ndarray]
) -> "pyarrow.Table":
    """Rows for `updates` [row] and `env_steps` [row] with metrics `[row, setting, seed, ...]`."""
    import pyarrow as pa

    shape = (len(updates), layout.settings, len(layout.seeds))

    def spread(values: Any, dtype: Any, axis: int) -> "pyarrow.Array":
        column = np.expand_dims(np.asarray(values, dtype), tuple(a for a in range(3) if a != axis))
        return pa.array(np.broadcast_to(column, shape).ravel())

    columns = {
        "setting": spread(range(layout.settings), np.int32, 1),
        "seed": spread(layout.seeds, np.int32, 2),
        "update": spread(updates, np.int64, 0),
        "env_steps": spread(env_steps, np.int64, 0),
    }
    for name, array in metrics.items():
        flat = pa.array(np.ascontiguousarray(array).reshape(-1))
        size = int(np.prod(layout.shapes[name], dtype=np.int64))
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, size) if layout.shapes[name] else flat
    about = json.dumps(dataclasses.asdict(layout) | {"updates": updates.tolist(), "env_steps": env_steps.tolist()})
    return pa.table(columns).replace_schema_metadata({_ABOUT: about.encode()})


def encode(table: "pyarrow.Table") -> memoryview:
    """The bytes of a parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    # Metrics hardly ever repeat: a dictionary of them would be built and thrown away.
    pq.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=list(INDEX))
    return memoryview(sink.getvalue())


@dataclasses.dataclass(frozen=True)
class Rows:
    """A part in memory: `updates` [row] and `env_steps` [row] (int64), metrics `[row, setting, seed, ...]`."""

    layout: Layout
    updates: np.ndarray
    env_steps: np.ndarray
    metrics: dict[str, np.ndarray]


def read_rows(part: Part, names: list[str] | None = None) -> Rows:
    """Reads a part; `names` picks metrics (None: all, []: only the index).

    Raises:
        RunDirectoryError: the file is damaged or was not written by this store; names it.
    """
    import pyarrow.parquet as pq

    try:
        # A buffer instead of a path keeps a failing read's error an OSError of this process.
        with open(part.file, "rb") as handle, pq.ParquetFile(handle) as file:
            about = json.loads(file.schema_arrow.metadata[_ABOUT])
            layout = _layout(about)
            wanted = [name for name in layout.dtypes if names is None or name in names]
            table = file.read(columns=wanted, use_threads=True)
            metrics = {name: _array(table, name, layout, len(about["updates"])) for name in wanted}
    except (OSError, ValueError, KeyError, TypeError) as error:
        # pyarrow's own errors are ValueErrors and OSErrors; a missing description is a TypeError or a KeyError.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunDirectoryError(f"{part.file} is damaged ({reason}); the other parts are intact") from error
    return Rows(layout, np.array(about["updates"], np.int64), np.array(about["env_steps"], np.int64), metrics)


def read_table(part: Part) -> "pyarrow.Table":
    """The whole part as a table. Raises RunDirectoryError as `read_rows`."""
    import pyarrow.parquet as pq

    try:
        with open(part.file, "rb") as handle:
            return pq.read_table(handle)
    except (OSError, ValueError) as error:
        raise RunDirectoryError(f"{part.file} is damaged ({error}); the other parts are intact") from error


def _layout(about: dict[str, Any]) -> Layout:
    shapes = {name: tuple(shape) for name, shape in about["shapes"].items()}
    return Layout(about["settings"], tuple(about["seeds"]), about["dtypes"], shapes)


def _array(table: "pyarrow.Table", name: str, layout: Layout, rows: int) -> np.ndarray:
    column = table.column(name).combine_chunks()
    if layout.shapes[name]:
        column = column.flatten()
    values = column.to_numpy(zero_copy_only=False)
    return values.reshape(rows, layout.settings, len(layout.seeds), *layout.shapes[name])
