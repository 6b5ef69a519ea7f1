"""Times SQIRL's seeds together and one after another: pooled tables on KeyCorridor, the network on an empty room.

`jaxrl bench sqirl` runs it. Speeds are environment steps a second of running, compilation left out; both ways are
compiled before either is timed, and take turns. One after another, a sample of the seeds is timed.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CASES = {
    "table, KeyCorridor, k = 1, m = 5": ("table/grid/key-corridor", 64, {"depth": 1, "episodes": 5}),
    "table, KeyCorridor, k = 1, m = 50": ("table/grid/key-corridor", 64, {"depth": 1, "episodes": 50}),
    "table, KeyCorridor, k = 3, m = 5": ("table/grid/key-corridor", 64, {"depth": 3, "episodes": 5}),
    "network, Empty-5, k = 1, m = 5": ("grid/empty-5", 16, {"depth": 1, "episodes": 5}),
    "network, Empty-5, k = 2, m = 5": ("grid/empty-5", 16, {"depth": 2, "episodes": 5}),
}
ROUNDS = {"table": 50, "network": 15}
ALONE = 4
"""Seeds that are timed one after another."""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "sqirl_speed.json")
    parser.add_argument("--case", choices=CASES)
    arguments = parser.parse_args(argv)
    if arguments.case:
        print(json.dumps(measure(arguments.case, arguments.pairs)))
        return 0
    from jaxrl_suite.training.provenance import provenance

    made_with = provenance()
    rows = []
    for case in CASES:
        command = [sys.executable, __file__, "--case", case, "--pairs", str(arguments.pairs)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(json.dumps(rows[-1]))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({"rows": rows, "provenance": made_with}, indent=1) + "\n")
    return 0


def measure(case: str, pairs: int) -> dict:
    import jaxrl_suite as jrl

    jrl.use_cores()
    env_id, seeds, settings = CASES[case]
    regressor = case.partition(",")[0]
    options = {"observation": "raw"} if regressor == "table" else {}
    env, params = jrl.make(env_id, sticky_actions=0.25, **options)
    config = jrl.agents.SQIRLConfig(
        regressor=regressor, discount=0.99, total_updates=ROUNDS[regressor], max_env_steps=10**9, **settings
    )
    agent = jrl.agents.sqirl(env, params, config)
    together, alone = [], []
    compile_seconds = [jrl.train(agent, seeds=chosen).seconds.compile for chosen in (seeds, 1)]
    for pair in range(pairs):
        run = jrl.train(agent, seeds=seeds)
        together.append(speed([run]))
        alone.append(speed([jrl.train(agent, seeds=[pair * ALONE + i]) for i in range(ALONE)]))
    ratios = [a / b for a, b in zip(together, alone, strict=True)]
    return {
        "case": case,
        "seeds": seeds,
        "rounds": ROUNDS[regressor],
        "steps_per_second": {"together": statistics.median(together), "one_by_one": statistics.median(alone)},
        "ratio": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)},
        "compile_seconds": {"together": compile_seconds[0], "one": compile_seconds[1]},
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def speed(runs: list) -> float:
    """Steps that the runs really took, a second."""
    return float(sum(r.metrics["steps/count"].sum() for r in runs) / sum(r.seconds.run for r in runs))


if __name__ == "__main__":
    raise SystemExit(main())
