"""Times NORA on a combination lock beside NumPy vectorised over seeds, and beside what no program could leave out.

Two NumPy programs: one for any tabular MDP, as ours is, and one that knows of the lock. Each measurement is a process
of its own and trains new seeds, workers take turns, and ratios are medians over pairs. `jaxrl bench nora` runs it;
called with `--worker` it is one measurement and prints a line of JSON.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import comparison
import paired
from worker_common import peak_rss_bytes

HERE = Path(__file__).resolve().parent
LOCK = {"length": 10, "actions": 3}
NOTES = {
    "numpy-table": "any tabular MDP with a horizon, as ours; stages are walked one by one.",
    "numpy-lock": "knows that it plays a lock: no loop over stages but in the critic's fit, which is rare.",
    "floor": "random numbers of an episode and the softmax of one policy [H, S, A], compiled like ours; nothing else.",
    "compile_seconds": "apart from run_seconds; NumPy compiles nothing.",
    "peak_rss_bytes": "of the whole process, imports and compiler included; NumPy's holds jax too, to get the lock.",
    "difference": "mean regret of ours minus NumPy's with its 95 % interval, over the seeds of all pairs.",
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--episodes", type=int, default=3_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[20, 320])
    parser.add_argument("--first", type=int, default=0, help="of the seeds")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "nora_speed.json")
    parser.add_argument("--worker", choices=list(WORKERS))
    arguments = parser.parse_args(argv)
    if arguments.worker:
        seeds = arguments.seeds[0]
        row = WORKERS[arguments.worker](seeds, arguments.first, arguments.episodes)
        row |= {"episodes_per_second": seeds * arguments.episodes / row["run_seconds"]}
        print(json.dumps(row | {"peak_rss_bytes": peak_rss_bytes()}))
        return 0
    from jaxrl_suite.training.provenance import provenance

    result = {"provenance": provenance(), "notes": NOTES, "summary": [], "rows": []}
    for seeds in arguments.seeds:
        rows = measured(seeds, arguments.episodes, arguments.pairs)
        result["rows"] += rows
        result["summary"] += [summary(rows, worker) for worker in WORKERS]
    paired.write(arguments.out, result)
    return 0


def measured(seeds: int, episodes: int, pairs: int) -> list[dict]:
    rows = []
    for pair in range(pairs):
        options = {"seeds": seeds, "episodes": episodes, "first": pair * seeds}
        named = ({"pair": pair, "worker": worker, "seeds": seeds, "episodes": episodes} for worker in WORKERS)
        rows += [about | paired.measure(__file__, about["worker"], options) for about in named]
    return rows


def summary(rows: list[dict], worker: str) -> dict:
    of_worker = [row for row in rows if row["worker"] == worker]
    found = {
        "seeds": of_worker[0]["seeds"],
        "worker": worker,
        "episodes_per_second": paired.spread(row["episodes_per_second"] for row in of_worker),
        **{
            name: statistics.median(row[name] for row in of_worker)
            for name in ("run_seconds", "compile_seconds", "peak_rss_bytes")
        },
    }
    if worker != "ours":
        found["ours_over_it"] = paired.ratio(rows, "ours", worker)
    if worker != "floor":
        found["mean_regret"] = comparison.mean_interval(comparison.scores(of_worker, "regrets"))
    if worker not in ("ours", "floor"):
        of_ours = [row for row in rows if row["worker"] == "ours"]
        samples = (comparison.scores(group, "regrets") for group in (of_ours, of_worker))
        found["difference"] = comparison.difference_interval(*samples)
    return found


def ours(seeds: int, first: int, episodes: int) -> dict:
    import jaxrl_suite as jrl

    jrl.use_cores()
    env, mdp = jrl.make("tabular/lock", **LOCK)
    agent = jrl.agents.nora(env, mdp, jrl.agents.NORAConfig(total_updates=episodes))
    run = jrl.train(agent, seeds=range(first, first + seeds), record_every=100 if episodes % 100 == 0 else 1)
    return {
        "run_seconds": run.seconds.run,
        "compile_seconds": run.seconds.compile,
        "regrets": (run.metrics["regret"].sum(axis=-1) * run.record_every).round(3).tolist(),
        "switches": float(run.metrics["switch/count"].sum(axis=-1).mean()),
    }


def numpy(kind: str, seeds: int, first: int, episodes: int) -> dict:
    import numpy as np
    from nora_numpy import Lock, Table, train

    import jaxrl_suite as jrl

    _, mdp = jrl.make("tabular/lock", **LOCK)
    transitions, rewards, initial = (np.asarray(x) for x in (mdp.transitions, mdp.rewards, mdp.initial))
    code = transitions[:, 0, :, 0].argmax(axis=-1)
    task = Lock(code, LOCK["actions"], seeds) if kind == "lock" else Table(transitions, rewards, initial, seeds)
    config = jrl.agents.NORAConfig()
    started = time.perf_counter()
    regrets, switches = train(
        task, 1.0, seeds, episodes, config.step_size, config.bonus, np.random.default_rng([first, seeds])
    )
    return {
        "run_seconds": time.perf_counter() - started,
        "compile_seconds": 0.0,
        "regrets": regrets.round(3).tolist(),
        "switches": float(switches.mean()),
    }


def floor(seeds: int, first: int, episodes: int) -> dict:
    import jax
    import jax.numpy as jnp
    from worker_common import member_keys, time_batched

    import jaxrl_suite as jrl

    jrl.use_cores()
    shape = (LOCK["length"], 2, LOCK["actions"])

    def member(key):
        logits = jax.random.uniform(key, shape, jnp.float64)

        def episode(total, step):
            uniforms = jax.random.uniform(jax.random.fold_in(key, step), (2 * LOCK["length"] + 1,), jnp.float64)
            return total + jax.nn.softmax(logits * step, axis=-1).max() + uniforms.max(), None

        return jax.lax.scan(episode, 0.0, jnp.arange(episodes))[0]

    with jrl.float64():
        devices = jax.device_count() if seeds % jax.device_count() == 0 else 1
        return time_batched(member, member_keys(seeds, first, devices))[1]


WORKERS = {
    "ours": ours,
    "numpy-table": lambda *arguments: numpy("table", *arguments),
    "numpy-lock": lambda *arguments: numpy("lock", *arguments),
    "floor": floor,
}

if __name__ == "__main__":
    raise SystemExit(main())
