"""A benchmark of named cases, each measured in a process of its own, so that peak memory is the case's."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path


def run_cases(
    script: Path,
    about: str,
    cases: Iterable[str],
    measure: Callable[[str, int], dict],
    repetitions: int,
    argv: list | None,
) -> int:
    """The whole command line of such a benchmark: measures all cases, prints their rows and writes them with their
    provenance to results/<name of the script>.json. `measure` takes a case and how often to repeat it."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--repetitions", type=int, default=repetitions)
    parser.add_argument("--out", type=Path, default=script.parent / "results" / f"{script.stem}.json")
    parser.add_argument("--case", choices=list(cases))
    arguments = parser.parse_args(argv)
    if arguments.case:
        print(json.dumps(measure(arguments.case, arguments.repetitions)))
        return 0
    from jaxrl_suite.training.provenance import provenance

    made_with = provenance()
    rows = []
    for case in cases:
        command = [sys.executable, script, "--case", case, "--repetitions", str(arguments.repetitions)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(json.dumps(rows[-1]))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({"rows": rows, "provenance": made_with}, indent=1) + "\n")
    return 0
