"""Runs contestants of a benchmark in turns, each measurement a process of its own, and keeps what they measured.

What is compared is for the `..._throughput` scripts to say.
"""

import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import comparison
import peer_environments
from worker_common import ENV_IDS

from jaxrl_suite.errors import ConfigError, JaxrlError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PLAIN = "ours, no use_cores"


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of every side-by-side measurement.

    Attributes:
        members: how many seeds train at once; one block of rows each.
        updates: updates of the algorithm.
        pairs: how often each contestant runs, in turns.
        cores_as_ours: give each peer one more row with the devices and threads that ours has.
        ours: measure ours too; without it the peers alone.
        plain: one more row of ours, as it runs where nobody calls `use_cores`.
        devices: virtual CPU devices for ours and for the peers' additional rows.
        envs: folder of the peers' environments, built when missing.
        out: JSON file of raw rows, summaries and provenance.
        timeout: seconds after which one measurement counts as stuck.
    """

    members: tuple[int, ...] = (8, 32)
    updates: int = 976
    pairs: int = 5
    cores_as_ours: bool = True
    ours: bool = True
    plain: bool = False
    devices: int = os.cpu_count() or 1
    envs: Path = HERE / ".envs"
    out: Path = HERE / "results" / "throughput.json"
    timeout: float = 3600.0

    def check(self) -> None:
        for name in ("updates", "pairs", "devices"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: must be >= 1")
        if not self.members or min(self.members) < 1:
            raise ConfigError(f"members = {self.members}: must be one or more numbers >= 1")


@dataclasses.dataclass(frozen=True)
class ReplayOptions(Options):
    """Settings of measuring agents that replay, beside Rejax's.

    Attributes:
        buffer_size: transitions that each member keeps.
    """

    pairs: int = 3
    plain: bool = True
    buffer_size: int = 10_000

    def check_buffer(self, batch: int) -> None:
        super().check()
        if self.buffer_size < batch:
            raise ConfigError(f"buffer_size = {self.buffer_size}: must be >= {batch}, a minibatch")


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """What is measured. floor: the script that prints the floor. notes: what the numbers mean.
    purejaxrl_commit: of the checkout, where one takes part."""

    algorithm: str
    floor: str
    notes: dict[str, str]
    peers: tuple[str, ...]
    purejaxrl_commit: str | None = None


@dataclasses.dataclass(frozen=True)
class Contestant:
    """One row of the table: a worker script, the interpreter it runs under, its devices, and whether it has as many
    threads as those (as ours has by `use_cores`) instead of XLA's own number."""

    name: str
    script: str
    python: Path
    devices: int
    arguments: tuple[str, ...] = ()
    like_ours: bool = False


def contestants_of(
    algorithm: str, peers: dict[str, tuple[str, ...]], options: Options, arguments: tuple[str, ...] = ()
) -> list[Contestant]:
    """Ours first, then each peer with its own defaults and, if asked for, with our devices and threads.

    Args:
        peers: names, and each one's own arguments. arguments: every worker's.
    """
    found = []
    arguments = ("--algorithm", algorithm, *arguments)
    if options.ours:
        ours = ("worker_ours.py", Path(sys.executable))
        found.append(Contestant("ours", *ours, options.devices, arguments, like_ours=True))
        if options.plain:
            found.append(Contestant(PLAIN, *ours, 1, arguments))
    for peer, own in peers.items():
        worker = (f"worker_{peer}.py", peer_environments.python_of(peer, options.envs.resolve()))
        found.append(Contestant(peer, *worker, 1, (*arguments, *own)))
        if options.cores_as_ours:
            name = f"{peer}, cores as ours"
            found.append(Contestant(name, *worker, options.devices, (*arguments, *own), like_ours=True))
    return found


def clean_environment() -> dict[str, str]:
    """Ours without any flag that could favour a side: no XLA flags, no compilation cache, no devices or threads."""
    dropped = ("JAX_", "XLA_", "NPROC", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return kept | {name: os.environ[name] for name in ("JAX_PLATFORMS",) if name in os.environ}


def run_json(command: list[str], timeout: float) -> dict[str, Any]:
    """Runs a worker and reads the last line it printed.

    Raises:
        JaxrlError: if it fails, prints no JSON, or takes longer than `timeout` seconds.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=timeout, env=clean_environment()
        )
    except subprocess.TimeoutExpired:
        raise JaxrlError(f"{Path(command[1]).name} was still running after {timeout:g} s") from None
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise JaxrlError(f"{Path(command[1]).name} ended with status {done.returncode}: {last}")
    return json.loads(lines[-1])


def measure(contestant: Contestant, members: int, pair: int, options: Options) -> dict[str, Any]:
    """One measurement. Fewer members than devices, or no whole number of them a device, run on one device."""
    devices = contestant.devices if members % contestant.devices == 0 else 1
    command = [str(contestant.python), str(HERE / contestant.script), *contestant.arguments]
    settings = {"members": members, "updates": options.updates, "seed-start": pair * members, "devices": devices}
    settings |= {"threads": devices} if contestant.like_ours else {}
    for name, value in settings.items():
        command += [f"--{name}", str(value)]
    row = run_json(command, options.timeout)
    ours = importlib.metadata.version("jax")
    if row["jax"] != ours:
        raise JaxrlError(f"{contestant.name} ran on jax {row['jax']}, ours is {ours}: a comparison needs the same")
    return {"contestant": contestant.name, "pair": pair, **row}


def provenance(benchmark: Benchmark) -> dict[str, Any]:
    names = ("jaxrl-suite", "jax", "jaxlib", "flax", "optax", "gymnax", "numpy", "distrax", "flashbax")
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(git("status", "--porcelain")),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in names},
        "pins": {peer: (peer_environments.PINS / f"{peer}.txt").read_text().splitlines() for peer in benchmark.peers},
        "purejaxrl_commit": benchmark.purejaxrl_commit,
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "load_average_at_start": os.getloadavg(),
    }


def version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def save(result: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(result, indent=1) + "\n")
    unfinished.replace(path)


def run(benchmark: Benchmark, field: list[Contestant], options: Options) -> dict[str, Any]:
    """Measures everything and returns what is written to `options.out`, which is kept up to date after every pair."""
    from rich.console import Console

    console = Console(stderr=True)
    result: dict[str, Any] = {"provenance": provenance(benchmark), "notes": benchmark.notes, "rows": []}
    settings = dataclasses.asdict(options) | {"peers": benchmark.peers}
    names = ("members", "updates", "pairs", "peers", "devices", "buffer_size")
    result["settings"] = {name: settings[name] for name in names if name in settings}
    for members in options.members:
        for pair in range(options.pairs):
            for contestant in field:
                row = measure(contestant, members, pair, options)
                result["rows"].append(row)
                speed = comparison.steps_per_second(row)
                console.print(f"{members} members, pair {pair + 1}: {contestant.name} {speed:,.0f} steps/s")
            result["summary"] = comparison.summarise(result["rows"])
            save(result, options.out)
    floor = [sys.executable, str(HERE / benchmark.floor), "--devices", str(options.devices), "--members"]
    result["floor"] = run_json([*floor, *map(str, options.members)], options.timeout)
    save(result, options.out)
    return result


def floor_lines(floor: dict[str, Any], algorithm: str) -> list[str]:
    lines = [
        f"Floor: {floor['operations_per_env_step']:,.0f} operations of matrix products a step; at this machine's "
        f"{floor['peak_operations_per_second'] / 1e9:.0f} GFLOP/s (square products) at most "
        f"{floor['peak_steps_per_second']:,.0f} steps/s; Adam's traffic alone, from main memory, "
        f"{floor['memory_steps_per_second']:,.0f} steps/s."
    ]
    for row in floor["same_shapes"]:
        rate, steps = row["operations_per_second"] / 1e9, row["steps_per_second"]
        lines.append(
            f"  {row['members']} members, products of {algorithm}'s shapes: {rate:.0f} GFLOP/s, {steps:,.0f} steps/s"
        )
    return lines


def one_device_lines(rows: list[dict[str, Any]], members: tuple[int, ...]) -> list[str]:
    """Both on one device, with XLA's own number of threads, as they run where nobody asks for more."""
    lines = []
    for count in members:
        ratio = comparison.ratio_between(rows, count, PLAIN, "rejax")
        if ratio:
            numbers = "{median:.2f} ({min:.2f}-{max:.2f})".format(**ratio)
            lines.append(f"{count} members, one device each: ours / rejax {numbers}")
    return lines


def show(benchmark: Benchmark, result: dict[str, Any], options: Options, lines: list[str]) -> None:
    """Prints the table, `lines`, the floor, and where all is written."""
    from rich.console import Console

    name = benchmark.algorithm.upper()
    console = Console(width=max(Console().width, comparison.WIDTH))
    console.print(comparison.table(result["summary"], name, ENV_IDS[benchmark.algorithm]))
    for line in ("* evaluated after training, see notes in the JSON file", *lines, *floor_lines(result["floor"], name)):
        console.print(line, markup=False, highlight=False)
    console.print(f"written: {options.out}", markup=False)


def beside_rejax(algorithm: str, notes: dict[str, str], options: Any) -> int:
    """Ours beside Rejax's, of an agent that keeps `options.buffer_size` transitions. Returns the exit status."""
    benchmark = Benchmark(algorithm, f"{algorithm}_floor.py", notes, ("rejax",))
    try:
        options.check()
        field = contestants_of(algorithm, {"rejax": ()}, options, ("--buffer-size", str(options.buffer_size)))
        result = run(benchmark, field, options)
    except JaxrlError as error:
        return report_error(error)
    show(benchmark, result, options, one_device_lines(result["rows"], options.members))
    return 0


def report_error(error: JaxrlError) -> int:
    """Prints the error in one line and gives the exit status."""
    from rich.console import Console

    Console(stderr=True).print(f"error: {error}", markup=False)
    return error.exit_code
