"""What a run survives: killed over and over at random moments, one of two processes killed, a full disk, torn and
flipped checkpoints, clocks that jump, two runs in one directory, members that turn NaN, no network.

Every fault is done to real processes, `jaxrl` as a user starts it, and ends with the same question: are the numbers
those of a run that nothing happened to, bit for bit? `jaxrl bench faults` does all of them and writes what came of it.
"""

import argparse
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TRAIN = shlex.split(
    "train dqn CartPole-v1 --seeds 4 --updates 60000 --hidden-sizes 32 --num-envs 1 --buffer-size 2000 "
    "--learning-starts 500 --quick-compile --record-every 500 --devices 2"
)
"""DQN has a replay buffer: whatever is lost of it shows in what is learned."""


class Run:
    """A directory, and `jaxrl` as a process of its own on it."""

    def __init__(self, path: Path, log: Path):
        self.path, self.log = path, log

    def start(self, *more: str, under: tuple[str, ...] = (), **variables: str) -> subprocess.Popen:
        """Begins the run, or goes on with it."""
        if (self.path / "manifest.json").exists():
            words = ["resume", str(self.path)]
        else:
            words = [*TRAIN, "--out", str(self.path)]
        command = [*under, sys.executable, "-m", "jaxrl_suite.cli", *words, "--quiet", "--chunk", "2000", *more]
        with open(self.log, "a") as log:
            return subprocess.Popen(
                command, env=os.environ | variables, stdout=log, stderr=log, cwd=HERE.parent, start_new_session=True
            )

    def finish(self, *more: str, **options: Any) -> int:
        return self.start(*more, **options).wait()

    def errors(self) -> list[str]:
        """What `jaxrl` said was wrong."""
        return [line for line in self.log.read_text().splitlines() if "error:" in line]

    def done(self) -> int:
        """Updates that are in checkpoints."""
        saved = [int(p.name.split(".")[0]) for p in (self.path / "checkpoints").glob("*.digest.json")]
        return max(saved, default=0)

    def numbers(self) -> str:
        """A fingerprint of every metric and the whole state at the end, computed in a process of its own."""
        program = (
            "import hashlib, sys, jax, numpy as np, jaxrl_suite as jrl\n"
            "run = jrl.load(sys.argv[1])\n"
            "plain = [jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x\n"
            "         for x in jax.tree.leaves(run.state)]\n"
            "arrays = [run.updates, *(run.metrics[n] for n in sorted(run.metrics)), *plain]\n"
            "print(hashlib.sha256(b''.join(np.asarray(a).tobytes() for a in arrays)).hexdigest())\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(self.path)], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()


class Place:
    """Where the faults happen: an unbroken run to compare with, and directories for the broken ones."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.whole = self.run("unbroken")
        started = time.perf_counter()
        assert self.whole.finish() == 0, self.whole.log.read_text()
        self.seconds, self.expected = time.perf_counter() - started, self.whole.numbers()

    def run(self, name: str) -> Run:
        return Run(self.folder / name, self.folder / f"{name}.log")

    def is_as_expected(self, run: Run) -> bool:
        return run.finish() == 0 and run.numbers() == self.expected


def killed_at_random(place: Place, kills: int) -> dict[str, Any]:
    """kill -9, again and again, from the first second of the process on: while it starts, trains, or saves."""
    run, draw, at = place.run("killed"), random.Random(0), []
    finished_before = 0
    while len(at) < kills:
        process = run.start("--save-every", "0")
        try:
            process.wait(timeout=draw.uniform(0.5, 1.2 * place.seconds))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            at.append(run.done())
            continue
        # It was through before its time: the same again from the start.
        assert process.returncode == 0, run.log.read_text()[-2000:]
        assert run.numbers() == place.expected
        finished_before += 1
        shutil.rmtree(run.path)
    good = place.is_as_expected(run)
    return {"kills": len(at), "saved_updates_at_each": at, "finished_in_between": finished_before, "as_unbroken": good}


def disk_full(place: Place) -> dict[str, Any]:
    """No file may grow beyond 64 KiB: a checkpoint does not fit. Then the limit is gone."""
    run = place.run("full")
    status = run.finish(under=("bash", "-c", 'ulimit -f 64; trap "" XFSZ; exec "$@"', "bash"))
    return {"exit_status": status, "said": run.errors()[-1:], "as_unbroken": place.is_as_expected(run)}


def half_done(place: Place, name: str) -> Run:
    """A run that was stopped in the middle, with two checkpoints."""
    run = place.run(name)
    process = run.start("--save-every", "0")
    while run.done() < 20_000:
        assert process.poll() is None, run.log.read_text()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.wait()
    return run


def newest(run: Run) -> Path:
    return run.path / "checkpoints" / str(run.done())


def torn_checkpoint(place: Place) -> dict[str, Any]:
    """The newest checkpoint's largest file is cut in half."""
    return damaged(place, "torn", lambda content: content[: len(content) // 2])


def flipped_bit(place: Place) -> dict[str, Any]:
    """One bit in the middle of the newest checkpoint's largest file is another."""
    return damaged(
        place,
        "flipped",
        lambda content: content[: (middle := len(content) // 2)] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
    )


def damaged(place: Place, name: str, change: Callable[[bytes], bytes]) -> dict[str, Any]:
    run = half_done(place, name)
    largest = max((p for p in newest(run).rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    largest.write_bytes(change(largest.read_bytes()))
    good = place.is_as_expected(run)
    return {"said": [x for x in run.log.read_text().splitlines() if "damaged" in x], "as_unbroken": good}


def clock_jumps(place: Place) -> dict[str, Any]:
    """The clock of a resumed run is a year behind, then a year ahead: `date` is asked for nothing that decides."""
    shift = (
        "import sys, time; real, jump = time.time, float(sys.argv.pop(1)); time.time = lambda: real() + jump; "
        "gmtime = time.gmtime; time.gmtime = lambda s=None: gmtime(real() + jump if s is None else s); "
        "from jaxrl_suite.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    run, year = half_done(place, "clock"), 365 * 24 * 3600
    with open(run.log, "a") as log:
        for jump, more in ((-year, ["--updates", "40000"]), (year, ["--updates", "60000"])):
            command = [sys.executable, "-c", shift, str(jump), "resume", str(run.path), "--quiet", *more]
            subprocess.run(command, cwd=HERE.parent, stdout=log, stderr=log, check=True)
    return {"as_unbroken": run.numbers() == place.expected}


def two_in_one_directory(place: Place) -> dict[str, Any]:
    """A second process on a run that is being written: it is refused, the first notices nothing."""
    run = place.run("shared")
    first = run.start("--save-every", "0")
    while not run.done():
        time.sleep(0.05)
    second = run.finish()
    first.wait()
    good = run.numbers() == place.expected
    return {"exit_status_of_second": second, "said": run.errors()[-1:], "as_unbroken": good}


def nan_members(place: Place) -> dict[str, Any]:
    """Two of four seeds' weights are NaN in the checkpoint: it is said which, and the others are as if nothing was."""
    program = (
        "import sys, numpy as np, jax, jaxrl_suite as jrl\n"
        "from jaxrl_suite.results.store import RunStore\n"
        "from jaxrl_suite.training.options import Options\n"
        "from jaxrl_suite.training.saved_runs import open_job, agent_of\n"
        "from jaxrl_suite.training.job import checkpoints_of\n"
        "store = RunStore.open(sys.argv[1])\n"
        "job = open_job(store, agent_of(store, None), Options())\n"
        "done, host, _ = checkpoints_of(store).restore(job.program.template())\n"
        "spoil = lambda x: np.where(np.arange(4).reshape(-1, *[1] * (x.ndim - 1)) < 2, np.nan, x).astype(x.dtype)\n"
        "state = host.state.replace(params=jax.tree.map(spoil, host.state.params))\n"
        "checkpoints_of(store).save(done, host._replace(state=state))\n"
    )
    run = half_done(place, "nan")
    subprocess.run([sys.executable, "-c", program, str(run.path)], check=True)
    status = run.finish()
    compare = (
        "import sys, jax, numpy as np, jaxrl_suite as jrl\n"
        "a, b = (jrl.load(p) for p in sys.argv[1:])\n"
        "same = all(np.array_equal(a.metrics[n][2:], b.metrics[n][2:], equal_nan=True) for n in a.metrics)\n"
        "print(int(same and all(np.array_equal(x[2:], y[2:]) for x, y in zip(jax.tree.leaves(a.state.params),\n"
        "    jax.tree.leaves(b.state.params)))))\n"
    )
    command = [sys.executable, "-c", compare, str(run.path), str(place.whole.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = [line for line in run.log.read_text().splitlines() if "turned NaN" in line]
    return {"exit_status": status, "said": said, "the_others_as_unbroken": done.stdout.strip() == "1"}


def one_of_two_processes(place: Place) -> dict[str, Any]:
    """Two processes share the run's members; the second is killed. A single process finishes."""
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    run = place.run("two")
    shared = [
        "--distributed",
        "--coordinator",
        f"127.0.0.1:{port}",
        "--processes",
        "2",
        "--save-every",
        "0",
        "--chunk",
        "2000",
    ]
    train = TRAIN[:-2]
    both = []
    for process in (0, 1):
        command = [sys.executable, "-m", "jaxrl_suite.cli", *train, "--out", str(run.path), "--quiet", *shared]
        with open(run.log, "a") as log:
            both.append(
                subprocess.Popen(
                    [*command, "--process", str(process)],
                    env=os.environ | {"JAX_NUM_CPU_DEVICES": "1"}, stdout=log, stderr=log, cwd=HERE.parent,
                )
            )  # fmt: skip
    while not run.done():
        assert both[0].poll() is None, run.log.read_text()
        time.sleep(0.05)
    both[1].kill()
    died = time.perf_counter()
    status = both[0].wait(timeout=120)
    waited = time.perf_counter() - died
    both[1].wait()
    good = place.is_as_expected(run)
    return {"exit_status": status, "seconds": waited, "said": run.errors()[-1:], "as_unbroken": good}


def no_network(place: Place) -> dict[str, Any]:
    """In a network namespace of its own, with nothing in it, where the system allows that."""
    run = place.run("offline")
    under = ("unshare", "--net", "--map-root-user")
    if shutil.which("unshare") is None or subprocess.run([*under, "true"], capture_output=True).returncode:
        return {"left_out": "no network namespace can be made here"}
    status = run.finish(under=under)
    return {"exit_status": status, "as_unbroken": run.numbers() == place.expected}


FAULTS: dict[str, Callable[..., dict[str, Any]]] = {
    "killed": killed_at_random,
    "one-of-two-processes": one_of_two_processes,
    "disk-full": disk_full,
    "torn-checkpoint": torn_checkpoint,
    "flipped-bit": flipped_bit,
    "clock-jumps": clock_jumps,
    "two-in-one-directory": two_in_one_directory,
    "nan-members": nan_members,
    "no-network": no_network,
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"default: all of {', '.join(FAULTS)}")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "faults.json")
    arguments = parser.parse_args(argv)
    from jaxrl_suite.training.provenance import provenance

    made_with, results = provenance(), {}
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        for name in arguments.faults or FAULTS:
            more = {"kills": arguments.kills} if name == "killed" else {}
            results[name] = FAULTS[name](place, **more)
            print(name, json.dumps(results[name]), flush=True)
    unbroken = {"command": " ".join(["jaxrl", *TRAIN]), "seconds": place.seconds}
    text = json.dumps({"provenance": made_with, "unbroken": unbroken, "faults": results}, indent=1)
    arguments.out.write_text(text.replace(folder, "DIR") + "\n")
    return int(not all(value for result in results.values() for key, value in result.items() if "unbroken" in key))


if __name__ == "__main__":
    raise SystemExit(main())
