"""Seconds to compile every agent, without and with the programs kept from an earlier process, and their size.

Seconds are of a noisy machine; the size, in operations as the compiler gets them, is the same everywhere, and is what
`tests/benchmarks/test_compile_seconds.py` holds agents to. `jaxrl bench compile` measures all, each in two processes.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

HERE = Path(__file__).resolve().parent
MOST_GROWTH = 1.1
"""Of an agent's operations over those in the results, before it is an error."""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("agents", nargs="*", metavar="AGENT", help="default: all")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "compile_seconds.json")
    parser.add_argument("--worker", metavar="AGENT")
    arguments = parser.parse_args(argv)
    if arguments.worker:
        print(json.dumps(measured(arguments.worker)))
        return 0
    import every_agent

    from jaxrl_suite.training.provenance import provenance

    made_with, rows = provenance(), []
    for name in arguments.agents or every_agent.agents():
        if every_agent.small(name).info.host_stepped:
            continue
        with tempfile.TemporaryDirectory() as folder:
            cold, warm = (in_a_process(name, folder) for _ in range(2))
        rows.append({"agent": name, **cold, "seconds_kept": warm["seconds"]})
        print(json.dumps(rows[-1]), flush=True)
    notes = "two seeds on one device, networks of 16; seconds: trace and compile; seconds_kept: trace and read"
    arguments.out.write_text(json.dumps({"provenance": made_with, "notes": notes, "rows": rows}, indent=1) + "\n")
    return 0


def in_a_process(name: str, folder: str) -> dict[str, Any]:
    own = {"JAXRL_COMPILE_CACHE": folder, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    command = [sys.executable, __file__, "--worker", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | own)
    return json.loads(done.stdout.splitlines()[-1])


def measured(name: str) -> dict[str, Any]:
    with small_program(name) as program:
        return {"seconds": program.compile(), "operations": program.operations()}


def operations(name: str) -> int:
    """Of an agent's chunk of updates, as it is now."""
    with small_program(name) as program:
        return program.operations()


@contextlib.contextmanager
def small_program(name: str) -> Generator[Any]:
    """Two seeds of an agent, small, not compiled; within the block in the agent's precision."""
    import every_agent

    from jaxrl_suite.precision import precision
    from jaxrl_suite.training.members import single
    from jaxrl_suite.training.options import Options
    from jaxrl_suite.training.planning import make_program

    agent = every_agent.small(name)
    with precision(agent.info.precision):
        yield make_program(agent, single(agent.info, (0, 1)), Options(devices=1))


def committed() -> dict[str, int]:
    """Operations by agent, as last measured."""
    rows = json.loads((HERE / "results" / "compile_seconds.json").read_text())["rows"]
    return {row["agent"]: row["operations"] for row in rows}


if __name__ == "__main__":
    raise SystemExit(main())
