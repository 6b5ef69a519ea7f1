"""What the commands share: how to run, cores, places of runs."""

import contextlib
import itertools
import os
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from jaxrl_suite.cli.options import Option, Values
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.results.sinks import require_sinks

RUNS = Path("runs")
JSON = Option("json", bool, False, "print lines of JSON instead of a table")

HOW = (
    Option("devices", int, None, "how many devices to use; default: all that JAX shows (CPU: one a core)", "N"),
    Option("group", int, None, "members batched together on a device; default: all, or what fits the memory", "N"),
    Option("chunk", int, None, "the most updates between two looks at progress; default: about a second's worth", "N"),
    Option("quick_compile", bool, False, "compile with fewer optimisations: sooner ready, slower: for short runs"),
    Option("save_every", float, 30.0, "seconds between checkpoints", "S"),
    Option("data", int, None, "devices that share a member, where its --data-shards allow it", "N"),
    Option("sinks", str, "", "log to these too: tensorboard, wandb", "A,B"),
    Option("quiet", bool, False, "no progress and no table: print the run directory alone"),
    JSON,
)
"""How to run, as opposed to what: none of these changes a number beyond the last bits."""

TOGETHER = (
    Option("distributed", bool, False, "one of several processes that run this command; needs --out, on a shared disk"),
    Option("coordinator", str, None, "where the first of them listens; SLURM, Open MPI and the like know", "HOST:PORT"),
    Option("processes", int, None, "how many there are, likewise", "N"),
    Option("process", int, None, "which this is, from 0, likewise", "I"),
)
"""How several processes make one run."""


PLAY = (
    Option("greedy", bool, True, "play the policy's mode; --no-greedy: samples"),
    Option("max_steps", int, None, "limit on an episode's length; default: the environment's own", "N"),
)
"""How episodes are played with what was learned."""


def check_play(values: Values) -> None:
    """Raises ConfigError for no episodes, or none of any length."""
    for name in ("episodes", "max_steps"):
        if values[name] is not None and values[name] < 1:
            raise ConfigError(f"{name} = {values[name]}: must be >= 1")


def runner_options(values: Values) -> dict[str, Any]:
    """`HOW` as keyword arguments of `train`, `sweep` and `resume`.

    Raises:
        UnknownNameError: for a sink there is not. ConfigError: for one whose package is missing.
    """
    sinks = tuple(name.strip() for name in values["sinks"].split(",") if name.strip())
    require_sinks(sinks, members=1)
    names = ("devices", "group", "data", "chunk", "quick_compile", "save_every")
    return {name: values[name] for name in names} | {"sinks": sinks, "show": not values["quiet"]}


def join_processes(words: Sequence[str]) -> None:
    """Joins the other processes if the words say so. JAX must know of them before anything else is read.

    Raises:
        ConfigError: if they cannot be joined, or there is no directory that is theirs together.
    """
    if "--distributed" not in words:
        return
    from jaxrl_suite.cli.options import number
    from jaxrl_suite.training import processes

    typed = {name: typed_value(words, f"--{name}") for name in ("coordinator", "processes", "process", "out")}
    if words[0] != "resume" and typed["out"] is None:
        raise ConfigError("--distributed: needs --out, a directory that all processes see")
    counts = {name: number(text, int, f"--{name}") for name in ("processes", "process") if (text := typed[name])}
    processes.join(typed["coordinator"], counts.get("processes"), counts.get("process"))


def typed_value(words: Sequence[str], flag: str) -> str | None:
    """What follows a flag, before the words are read in full; None where it is not there."""
    found = None
    for word, after in itertools.pairwise([*words, ""]):
        name, equals, attached = word.partition("=")
        if name == flag:
            found = attached if equals else after
    return found


def use_cores(members: int | None = None) -> None:
    """One JAX device a CPU core, but no more than members, unless the environment says how many."""
    flags = os.environ.get("XLA_FLAGS", "")
    if "JAX_NUM_CPU_DEVICES" in os.environ or "xla_force_host_platform_device_count" in flags:
        return
    from jaxrl_suite.training import placement

    # JAX runs already where main() was called from a notebook, say; its devices are then what they are.
    with contextlib.suppress(ConfigError):
        placement.use_cores(placement.cores() if members is None else min(members, placement.cores()))


def parse_seeds(text: str) -> int | tuple[int, ...]:
    """`32` is how many, `0,5,7` (or `5,`) is which."""
    from jaxrl_suite.cli.options import number

    allowed = "(how many: 32) or several (which: 0,5,7)"
    seeds = tuple(number(part, int, "--seeds", allowed) for part in text.split(",") if part.strip())
    return seeds[0] if len(seeds) == 1 and "," not in text else seeds


def only(what: str, usage: str, words: Sequence[str], hint: str = "") -> str:
    """The only word of a kind. Raises ConfigError for none or several."""
    if len(words) != 1:
        raise ConfigError(f"{what}: {len(words)} given, `{usage}` takes one{hint}")
    return words[0]


def one_run(command: str, words: Sequence[str]) -> str:
    """The only run named. Raises ConfigError for none or several."""
    return only("RUN", f"jaxrl {command} RUN", words, "; `jaxrl list runs` shows them")


def require_run(path: str | Path) -> Any:
    """The run's store. Raises RunDirectoryError if `path` is no run; costs no JAX."""
    from jaxrl_suite.results import RunStore

    return RunStore.open(path)


@contextlib.contextmanager
def run_directory(out: str | None, agent: str, env_id: str) -> Generator[Path]:
    """`out`, or else the first free `runs/AGENT-ENV-N`, which disappears again if nothing came of it."""
    if out is not None:
        yield Path(out)
        return
    path = _reserve(agent, env_id)
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.rmdir()


def _reserve(agent: str, env_id: str) -> Path:
    """Makes the directory, so that of two commands started at once each gets its own."""
    name = f"{agent}-{file_safe(env_id)}"
    number = 1
    while True:
        path = RUNS / f"{name}-{number}"
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            number += 1
        except OSError as error:
            raise ConfigError(f"--out: the default {path} cannot be made ({error.strerror}); choose another") from None


def file_safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-._" else "-" for c in name).strip("-.")


def checkout() -> Path | None:
    """Root of the source tree that this package is part of, if it is one."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() else None


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
