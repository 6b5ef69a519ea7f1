"""Times robust value iteration in L1 balls beside NumPy: 1000 states, 10 actions, dense rows, float64.

Two NumPy programs: `numpy` sorts, gathers and sums up all rows at once, as one would write it; `numpy-walk` walks down
the best states as ours does. Each measurement is a process of its own, workers take turns, and ratios are medians over
pairs. `jaxrl bench robust` runs it; called with `--worker` it is one measurement and prints a line of JSON.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import paired
from worker_common import peak_rss_bytes

HERE = Path(__file__).resolve().parent
DISCOUNT = 0.95
NOTES = {
    "rate": "sweeps over all states a second: those of a long solve beyond the first, by the difference of two solves.",
    "fixed_seconds": "of a solve of one sweep. Ours checks its arguments and returns the worst row of every pair, "
    "which the NumPy programs do not.",
    "compile_seconds": "apart from both; NumPy compiles nothing.",
    "value": "of the first state after five sweeps, the same for all.",
    "peak_rss_bytes": "of the whole process, imports and compiler included.",
}
SWEEPS = {"ours": 201, "numpy": 11, "numpy-walk": 201}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--states", type=int, default=1000)
    parser.add_argument("--actions", type=int, default=10)
    parser.add_argument("--radius", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "robust_speed.json")
    parser.add_argument("--worker", choices=list(WORKERS))
    arguments = parser.parse_args(argv)
    if arguments.worker:
        task = problem(arguments.states, arguments.actions, arguments.seed)
        row = timed(WORKERS[arguments.worker](*task, arguments.radius), SWEEPS[arguments.worker])
        print(json.dumps(row | {"peak_rss_bytes": peak_rss_bytes()}))
        return 0
    from jaxrl_suite.training.provenance import provenance

    rows, size = [], {"states": arguments.states, "actions": arguments.actions, "radius": arguments.radius}
    for pair in range(arguments.pairs):
        for worker in WORKERS:
            options = {**size, "seed": pair}
            rows.append({"pair": pair, "worker": worker, **options} | paired.measure(__file__, worker, options))
    result = {"provenance": provenance(), "notes": NOTES, "summary": size | summary(rows), "rows": rows}
    paired.write(arguments.out, result)
    return 0


def summary(rows: list[dict]) -> dict:
    found: dict = {}
    for worker in WORKERS:
        of = [row for row in rows if row["worker"] == worker]
        names = ("rate", "fixed_seconds", "compile_seconds", "peak_rss_bytes")
        found[worker] = {name: paired.spread(row[name] for row in of) for name in names}
        if worker != "ours":
            found[f"ours over {worker}"] = paired.ratio(rows, "ours", worker, "rate")
    by_pair = [{row["value"] for row in rows if row["pair"] == pair} for pair in {row["pair"] for row in rows}]
    return found | {"largest difference of values": max(max(values) - min(values) for values in by_pair)}


def problem(states: int, actions: int, seed: int):
    """(transitions [S, A, S], rewards [S, A])."""
    import numpy as np

    generator = np.random.default_rng(seed)
    return generator.dirichlet(np.ones(states), (states, actions)), generator.random((states, actions))


def timed(solve, sweeps: int) -> dict:
    """Of `solve(sweeps) -> values [S]`."""
    started = time.perf_counter()
    solve(1)
    first = time.perf_counter() - started
    seconds = {}
    for count in (1, sweeps):
        started = time.perf_counter()
        solve(count)
        seconds[count] = time.perf_counter() - started
    rate = (sweeps - 1) / (seconds[sweeps] - seconds[1])
    compiled = max(first - seconds[1], 0.0) if solve.__name__ == "compiled" else 0.0
    return {"rate": rate, "fixed_seconds": seconds[1], "compile_seconds": compiled, "value": float(solve(5)[0])}


def ours(transitions, rewards, radius: float):
    from jaxrl_suite.envs import TabularMDP
    from jaxrl_suite.solvers import L1Ball, robust_value_iteration

    mdp = TabularMDP(transitions, rewards, 0, None, DISCOUNT)

    def compiled(sweeps: int):
        return robust_value_iteration(mdp, L1Ball(radius), 0.0, sweeps).value

    return compiled


def numpy(transitions, rewards, radius: float):
    import numpy as np

    def solve(sweeps: int):
        value = np.zeros(len(rewards))
        for _ in range(sweeps):
            order = np.argsort(-value)
            rows, v = transitions[:, :, order], value[order]
            moved = np.minimum(radius / 2, 1 - rows[:, :, -1])
            before = np.cumsum(rows, axis=-1) - rows
            taken = np.clip(moved[:, :, None] - before, 0.0, rows)
            worst = (rows - taken) @ v + taken.sum(axis=-1) * v[-1]
            value = (rewards + DISCOUNT * worst).max(axis=-1)
        return value

    return solve


def numpy_walk(transitions, rewards, radius: float):
    import numpy as np

    by_next = np.ascontiguousarray(np.moveaxis(transitions, -1, 0).reshape(len(rewards), -1))

    def solve(sweeps: int):
        value = np.zeros(len(rewards))
        for _ in range(sweeps):
            order = np.argsort(-value)
            left = np.minimum(radius / 2, 1 - by_next[order[-1]])
            lost = np.zeros_like(left)
            for state in order:
                taken = np.minimum(left, by_next[state])
                left -= taken
                lost += taken * (value[state] - value[order[-1]])
                if not left.any():
                    break
            worst = (value @ by_next - lost).reshape(rewards.shape)
            value = (rewards + DISCOUNT * worst).max(axis=-1)
        return value

    return solve


WORKERS = {"ours": ours, "numpy": numpy, "numpy-walk": numpy_walk}

if __name__ == "__main__":
    raise SystemExit(main())
