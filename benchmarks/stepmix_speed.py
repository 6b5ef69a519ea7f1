"""Times StepMix on tabular instances beside a NumPy version vectorised over seeds, and how time grows with the sizes.

Each measurement is a process of its own, pairs alternate, and the ratio is a median over pairs. NumPy's episodes cost
the same all along, so it runs fewer of them (`--numpy-episodes`) and its rate is compared.

`jaxrl bench stepmix` runs it; called with `--worker` it is one measurement and prints a line of JSON.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import paired

HERE = Path(__file__).resolve().parent
GROWTH = [
    {"states": 10},
    {"states": 20},
    {"actions": 10},
    {"actions": 20},
    {"horizon": 6},
    {"horizon": 12},
    {"seeds": 1},
    {"seeds": 80},
    {"seeds": 320},
]
BASE = {"states": 5, "actions": 5, "horizon": 3, "seeds": 20}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--episodes", type=int, default=20_000)
    parser.add_argument("--numpy-episodes", type=int, default=2_000)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "stepmix_speed.json")
    parser.add_argument("--worker", choices=["ours", "numpy"])
    for name, value in BASE.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    arguments = parser.parse_args(argv)
    if arguments.worker:
        print(json.dumps(WORKERS[arguments.worker](arguments)))
        return 0
    paired.write(arguments.out, compare(arguments))
    return 0


def compare(arguments: argparse.Namespace) -> dict:
    from jaxrl_suite.training.provenance import provenance

    made_with, rows = provenance(), []
    for pair in range(arguments.pairs):
        for worker, episodes in (("ours", arguments.episodes), ("numpy", arguments.numpy_episodes)):
            rows.append({"pair": pair, "worker": worker, **measure(worker, episodes, BASE)})
    growth = [{**BASE, **change, **measure("ours", arguments.episodes, BASE | change)} for change in GROWTH]
    rate = {worker: [r["episodes_per_second"] for r in rows if r["worker"] == worker] for worker in WORKERS}
    summary = {
        "episodes_per_second": {worker: statistics.median(values) for worker, values in rate.items()},
        "ratio": paired.ratio(rows, "ours", "numpy"),
        "run_seconds": statistics.median(r["run_seconds"] for r in rows if r["worker"] == "ours"),
        "compile_seconds": statistics.median(r["compile_seconds"] for r in rows if r["worker"] == "ours"),
    }
    return {"summary": summary, "rows": rows, "growth": growth, "provenance": made_with}


def measure(worker: str, episodes: int, sizes: dict[str, int]) -> dict:
    return paired.measure(__file__, worker, {"episodes": episodes, **sizes})


def ours(arguments: argparse.Namespace) -> dict:
    import jaxrl_suite as jrl

    jrl.use_cores(1 if arguments.seeds == 1 else None)
    sizes = {name: getattr(arguments, name) for name in ("states", "actions", "horizon")}
    env, mdp = jrl.make("tabular/golden-ratio", **sizes)
    agent = jrl.agents.stepmix(env, mdp, jrl.agents.ConservativeConfig(total_updates=arguments.episodes))
    run = jrl.train(agent, seeds=arguments.seeds, record_every=100)
    regret = run.metrics["regret"].sum(axis=-1) * 100
    return {
        "run_seconds": run.seconds.run,
        "compile_seconds": run.seconds.compile,
        "episodes_per_second": arguments.seeds * arguments.episodes / run.seconds.run,
        "mean_regret": float(regret.mean()),
        "episodes": arguments.episodes,
    }


def numpy(arguments: argparse.Namespace) -> dict:
    import numpy as np
    from stepmix_numpy import train

    import jaxrl_suite as jrl
    from jaxrl_suite.agents.conservative_task import prepare

    sizes = {name: getattr(arguments, name) for name in ("states", "actions", "horizon")}
    mdp = jrl.make("tabular/golden-ratio", **sizes)[1]
    with jrl.float64():
        task = [np.asarray(x) for x in prepare(mdp, jrl.agents.ConservativeConfig())]
    baseline, _, threshold, best = task
    fixed = (mdp.transitions, mdp.rewards, baseline, threshold, best, arguments.seeds, arguments.episodes, 1e-3, 0.1)
    started = time.perf_counter()
    regret = train(*fixed, np.random.default_rng(0))
    seconds = time.perf_counter() - started
    return {
        "run_seconds": seconds,
        "episodes_per_second": arguments.seeds * arguments.episodes / seconds,
        "mean_regret": float(regret.mean()),
        "episodes": arguments.episodes,
    }


WORKERS = {"ours": ours, "numpy": numpy}

if __name__ == "__main__":
    raise SystemExit(main())
