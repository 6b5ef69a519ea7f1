"""Times SQIRL's seeds together and one after another: pooled tables on KeyCorridor, the network on Empty-5, sticky.

`jaxrl bench sqirl` runs it. Speeds are environment steps a second of running, compilation left out; both ways are
compiled before either is timed, and take turns. One after another, a sample of the seeds is timed.
"""

import resource
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cases import run_cases

CASES = {
    "table-k1-m5": ("table/grid/key-corridor", 64, {"depth": 1, "episodes": 5}),
    "table-k1-m20": ("table/grid/key-corridor", 64, {"depth": 1, "episodes": 20}),
    "table-k1-m50": ("table/grid/key-corridor", 64, {"depth": 1, "episodes": 50}),
    "table-k3-m5": ("table/grid/key-corridor", 64, {"depth": 3, "episodes": 5}),
    "table-k3-m50": ("table/grid/key-corridor", 64, {"depth": 3, "episodes": 50}),
    "network-k1-m5": ("grid/empty-5", 16, {"depth": 1, "episodes": 5}),
    "network-k2-m5": ("grid/empty-5", 16, {"depth": 2, "episodes": 5}),
}
ROUNDS = {"table": 50, "network": 15}
ALONE = 4
"""Seeds that are timed one after another."""


def main(argv: list[str] | None = None) -> int:
    return run_cases(Path(__file__).resolve(), __doc__.splitlines()[0], CASES, measure, 5, argv)


def measure(case: str, pairs: int) -> dict:
    import jaxrl_suite as jrl

    jrl.use_cores()
    env_id, seeds, settings = CASES[case]
    regressor = case.partition("-")[0]
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
