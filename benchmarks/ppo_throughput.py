"""Times our PPO beside Rejax's and, where a checkout is given, PureJaxRL's: same jax, same settings, in turns.

Every measurement is a process of its own in its own environment. Pair p of every contestant trains the same seeds, and
each pair has new ones. Compiling and running are timed apart; peak memory is the process's. Peers run as they are:
their code, their flags, `jit(vmap(train))`; a further row of each gives it the devices and threads that ours has, by
sharding keys and by XLA's own setting.

Callable as `main(argv)`; `jaxrl bench ppo` does so from a checkout.
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
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent))

import comparison
import peer_environments

from jaxrl_suite.errors import ConfigError, JaxrlError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
NOTES = {
    "ours": "final_returns: training episodes ended in the last tenth of the updates. Bootstraps through time limits. "
    "run_seconds: compiled updates only, as for the peers; train_wall_seconds: the whole call, compiling included.",
    "purejaxrl": "final_returns as ours, from the peer's metrics, which it keeps for every step (part of its memory).",
    "rejax": "evaluated_returns: 128 episodes of the final policy, actions sampled, untimed (marked * in the table; "
    "compared with the same of ours). No learning-rate annealing, other initialisation, gradients clipped by value.",
    "shuffle": "all: one permutation of all 512 samples an epoch, cut into 4 minibatches.",
    "memory": "peak resident memory of the whole process, imports and compiler included.",
    "floor": "matrix products and Adam's traffic only; neither tanh, nor random numbers, nor the environment.",
}


@dataclasses.dataclass(frozen=True)
class Options:
    """PPO throughput beside two public peers.

    Attributes:
        members: how many seeds train at once; one block of rows each.
        updates: PPO updates of 512 environment steps.
        pairs: how often each contestant runs, in turns.
        peers: whom we are measured beside; PureJaxRL only where `purejaxrl` is given.
        purejaxrl: root of a PureJaxRL checkout at the pinned commit.
        cores_as_ours: give each peer one more row with the devices and threads that ours has.
        ours: measure ours too; without it the peers alone.
        plain: one more row of ours, as it runs where nobody calls `use_cores`.
        devices: virtual CPU devices for ours and for the peers' additional rows.
        envs: folder of the peers' environments, built when missing.
        out: JSON file of raw rows, summaries and provenance.
        timeout: seconds after which one measurement counts as stuck.
    """

    members: tuple[int, ...] = (1, 8, 32, 128)
    updates: int = 976
    pairs: int = 5
    peers: tuple[Literal["rejax", "purejaxrl"], ...] = ("rejax", "purejaxrl")
    purejaxrl: Path | None = None
    cores_as_ours: bool = True
    ours: bool = True
    plain: bool = False
    devices: int = os.cpu_count() or 1
    envs: Path = HERE / ".envs"
    out: Path = HERE / "results" / "ppo_throughput.json"
    timeout: float = 3600.0

    def check(self) -> None:
        for name in ("updates", "pairs", "devices"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: must be >= 1")
        if not self.members or min(self.members) < 1:
            raise ConfigError(f"members = {self.members}: must be one or more numbers >= 1")


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


def contestants(options: Options) -> list[Contestant]:
    """Ours first, then each peer with its own defaults and, if asked for, with our devices and threads."""
    found = []
    if options.ours:
        ours = ("worker_ours.py", Path(sys.executable))
        found.append(Contestant("ours", *ours, options.devices, like_ours=True))
        if options.plain:
            found.append(Contestant("ours, no use_cores", *ours, 1))
    for peer in options.peers:
        arguments: tuple[str, ...] = ()
        if peer == "purejaxrl":
            if options.purejaxrl is None:
                continue
            peer_environments.check_purejaxrl(options.purejaxrl)
            arguments = ("--checkout", str(options.purejaxrl.resolve()))
        python = peer_environments.python_of(peer, options.envs.resolve())
        found.append(Contestant(peer, f"worker_{peer}.py", python, 1, arguments))
        if options.cores_as_ours:
            name = f"{peer}, cores as ours"
            found.append(Contestant(name, f"worker_{peer}.py", python, options.devices, arguments, like_ours=True))
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


def provenance(options: Options) -> dict[str, Any]:
    names = ("jaxrl-suite", "jax", "jaxlib", "flax", "optax", "gymnax", "numpy", "distrax")
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(git("status", "--porcelain")),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in names},
        "pins": {peer: (peer_environments.PINS / f"{peer}.txt").read_text().splitlines() for peer in options.peers},
        "purejaxrl_commit": peer_environments.PUREJAXRL_COMMIT if options.purejaxrl else None,
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


def run(options: Options) -> dict[str, Any]:
    """Measures everything and returns what is written to `options.out`, which is kept up to date after every pair."""
    from rich.console import Console

    options.check()
    console = Console(stderr=True)
    result: dict[str, Any] = {"provenance": provenance(options), "notes": NOTES, "rows": []}
    settings = dataclasses.asdict(options)
    result["settings"] = {name: settings[name] for name in ("members", "updates", "pairs", "peers", "devices")}
    field = contestants(options)
    for members in options.members:
        for pair in range(options.pairs):
            for contestant in field:
                row = measure(contestant, members, pair, options)
                result["rows"].append(row)
                speed = comparison.steps_per_second(row)
                console.print(f"{members} members, pair {pair + 1}: {contestant.name} {speed:,.0f} steps/s")
            result["summary"] = comparison.summarise(result["rows"])
            save(result, options.out)
    floor = [sys.executable, str(HERE / "ppo_floor.py"), "--devices", str(options.devices), "--members"]
    result["floor"] = run_json([*floor, *map(str, options.members)], options.timeout)
    save(result, options.out)
    return result


def floor_lines(floor: dict[str, Any]) -> list[str]:
    lines = [
        f"Floor: {floor['operations_per_env_step']:,} operations of matrix products a step; at this machine's "
        f"{floor['peak_operations_per_second'] / 1e9:.0f} GFLOP/s (square products) at most "
        f"{floor['peak_steps_per_second']:,.0f} steps/s; Adam's traffic alone, from main memory, "
        f"{floor['memory_steps_per_second']:,.0f} steps/s."
    ]
    for row in floor["same_shapes"]:
        rate, steps = row["operations_per_second"] / 1e9, row["steps_per_second"]
        lines.append(f"  {row['members']} members, products of PPO's shapes: {rate:.0f} GFLOP/s, {steps:,.0f} steps/s")
    return lines


def main(argv: list[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    import tyro
    from rich.console import Console

    options = tyro.cli(Options, args=argv, prog="ppo_throughput")
    try:
        result = run(options)
    except JaxrlError as error:
        Console(stderr=True).print(f"error: {error}", markup=False)
        return error.exit_code
    console = Console(width=max(Console().width, comparison.WIDTH))
    console.print(comparison.table(result["summary"]))
    console.print("* evaluated after training, see notes in the JSON file", markup=False)
    for line in floor_lines(result["floor"]):
        console.print(line, markup=False, highlight=False)
    console.print(f"written: {options.out}", markup=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
