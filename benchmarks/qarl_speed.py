"""Times QARL's iterations for eight seeds as one program beside one after the other, and the map of 121 kernels.

The cart-pole, with the networks, minibatches and episodes of the `cpu` scale. Each measurement is a process of its own,
workers take turns, and ratios are medians over pairs. `jaxrl bench qarl` runs it; called with `--worker` it is one
measurement and prints a line of JSON.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import paired
from worker_common import peak_rss_bytes

HERE = Path(__file__).resolve().parent
SEEDS = 8
NOTES = {
    "iterations_per_second": "of all seeds: both phases, fits of actors and critics in each, by the difference of a "
    "long and a short run of the same start.",
    "compile_seconds": "of the iterations, apart.",
    "map_seconds": "121 kernels, one episode each, by eight seeds: one call of `kernel_returns`, the second one. One "
    "after the other it is eight calls.",
    "peak_rss_bytes": "of the whole process, imports and compiler included.",
}
WORKERS = ("together", "alone")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=12)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "qarl_speed.json")
    parser.add_argument("--worker", choices=WORKERS)
    arguments = parser.parse_args(argv)
    if arguments.worker:
        print(json.dumps(measured(arguments.worker == "together", arguments.iterations)))
        return 0
    from jaxrl_suite.training.provenance import provenance

    size = {"iterations": arguments.iterations}
    rows = paired.in_turns(__file__, WORKERS, arguments.pairs, [size])
    found = paired.of_workers(rows, WORKERS, ("iterations_per_second", "compile_seconds", "map_seconds"))
    found["together over alone"] = paired.ratio(rows, "together", "alone", "iterations_per_second")
    found["maps, together over alone"] = paired.ratio(rows, "together", "alone", "maps_per_second")
    result = {"provenance": provenance(), "notes": NOTES, "summary": size | {"seeds": SEEDS} | found, "rows": rows}
    paired.write(arguments.out, result)
    return 0


def measured(is_together: bool, iterations: int) -> dict[str, Any]:
    import jaxrl_suite as jrl
    from jaxrl_suite.agents import QARLConfig, kernel_returns, qarl

    jrl.use_cores()
    env, params = jrl.make("pushed/cartpole-balance", params={"max_steps_in_episode": 250})
    config = QARLConfig(
        total_updates=iterations, episode_steps=250, buffer_size=1250 * iterations, hidden_sizes=(64, 64),
        batch_size=128, critic_starts=500, actor_starts=500, threshold=0.0,
    )  # fmt: skip
    agent, groups = qarl(env, params, config), [list(range(SEEDS))] if is_together else [[s] for s in range(SEEDS)]
    grid = env.grid(params, 11)
    compiled, seconds, mapped = 0.0, {}, 0.0
    for count in (2, iterations):
        runs = [jrl.train(agent, seeds=seeds, updates=count) for seeds in groups]
        seconds[count] = sum(run.seconds.run for run in runs)
        compiled += sum(run.seconds.compile for run in runs)
    for _ in range(2):
        started = time.perf_counter()
        for run in runs:
            kernel_returns(agent, run.state, run.seeds, grid, 1, greedy=False)
        mapped = time.perf_counter() - started
    return {
        "iterations_per_second": SEEDS * (iterations - 2) / (seconds[iterations] - seconds[2]),
        "compile_seconds": compiled,
        "map_seconds": mapped,
        "maps_per_second": 1.0 / mapped,
        "peak_rss_bytes": peak_rss_bytes(),
    }


if __name__ == "__main__":
    raise SystemExit(main())
