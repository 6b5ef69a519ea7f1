"""`jaxrl bench`: runs a benchmark of the checkout that this package is part of."""

from collections.abc import Callable, Sequence

from jaxrl_suite.cli import common
from jaxrl_suite.errors import ConfigError, UnknownNameError
from jaxrl_suite.reproduction.loading import import_file

BENCHMARKS = {
    "ppo": "ppo_throughput",
    "dqn": "dqn_throughput",
    "pqn": "pqn_throughput",
    "sac": "sac_throughput",
    "stepmix": "stepmix_speed",
    "effective-horizon": "effective_horizon",
    "sqirl": "sqirl_speed",
    "nora": "nora_speed",
    "games": "games_speed",
    "hanabi": "hanabi_speed",
    "search": "search_speed",
    "robust": "robust_speed",
    "worst-case": "worst_case_speed",
    "physics": "physics_speed",
    "qarl": "qarl_speed",
    "faults": "faults",
    "scaling": "scaling",
    "compile": "compile_seconds",
    "big-sweep": "big_sweep",
}
"""By name: the file in benchmarks/, whose `main(words)` returns the exit status."""

_HELP = f"""usage: jaxrl bench [NAME] [ARGUMENTS]

Runs a benchmark of this checkout; without NAME all of them. `jaxrl bench NAME --help` tells its arguments.

names: {", ".join(BENCHMARKS)}"""


def bench(words: Sequence[str]) -> None:
    if words and words[0] in ("-h", "--help"):
        print(_HELP)
        return
    names = [words[0]] if words else list(BENCHMARKS)
    for name in names:
        if name not in BENCHMARKS:
            raise UnknownNameError("benchmark", name, BENCHMARKS)
    for name in names:
        status = _main_of(BENCHMARKS[name])(list(words[1:]))
        if status:
            raise SystemExit(status)


def _main_of(name: str) -> Callable[[list[str]], int]:
    root = common.checkout()
    file = root / "benchmarks" / f"{name}.py" if root else None
    if file is None or not file.is_file():
        raise ConfigError(
            f"bench: needs a checkout of the source (there is no benchmarks/{name}.py beside the package)"
        )
    return import_file(file, f"benchmarks_{name}").main
