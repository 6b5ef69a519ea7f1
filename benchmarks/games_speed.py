"""Times mirror descent and exploitability on Leduc poker beside OpenSpiel's, and many settings beside one.

OpenSpiel's `mmd_dilated` is the same algorithm, sequence-form magnetic mirror descent, in NumPy; its exploitability is
its Python one. Each measurement is a process of its own, workers take turns, and ratios are medians over pairs.
`jaxrl bench games` runs it; called with `--worker` it is one measurement and prints a line of JSON.
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
NOTES = {
    "ours-dilated, open-spiel-dilated": "sequence-form MMD, eta and alpha 1 / sqrt(t) from uniform play, iterations a "
    "second; exploitability: of the policy after 20 iterations, which must agree.",
    "ours-behavioural": "behavioural-form MMD, eta 1 / sqrt(t), alpha 5 / sqrt(t), iterations a second.",
    "ours-exploitability, open-spiel-exploitability": "of random policies, one after another, policies a second.",
    "settings": "behavioural-form MMD with so many step sizes in one program; rate: iterations of all a second.",
    "compile_seconds": "apart from the rate; building the tree is in neither.",
    "peak_rss_bytes": "of the whole process, imports and compiler included.",
}
CHECKED = 20


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--game", default="leduc_poker")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "games_speed.json")
    parser.add_argument("--worker", choices=list(WORKERS))
    arguments = parser.parse_args(argv)
    if arguments.worker:
        print(json.dumps(WORKERS[arguments.worker](arguments.game) | {"peak_rss_bytes": peak_rss_bytes()}))
        return 0
    from jaxrl_suite.training.provenance import provenance

    made_with = provenance()
    rows = paired.in_turns(__file__, WORKERS, arguments.pairs, [{"game": arguments.game}])
    paired.write(arguments.out, {"provenance": made_with, "notes": NOTES, "summary": summary(rows), "rows": rows})
    return 0


def summary(rows: list[dict]) -> dict:
    def of(worker: str, name: str) -> list[float]:
        return [row[name] for row in rows if row["worker"] == worker]

    found: dict = {}
    for worker in WORKERS:
        found[worker] = {"rate": paired.spread(of(worker, "rate"))}
        for name in ("compile_seconds", "peak_rss_bytes", "exploitability"):
            if name in rows[[row["worker"] for row in rows].index(worker)]:
                found[worker][name] = paired.spread(of(worker, name))["median"]
    found["dilated, ours over open-spiel"] = paired.ratio(rows, "ours-dilated", "open-spiel-dilated", "rate")
    pair = ("ours-exploitability", "open-spiel-exploitability")
    found["exploitability, ours over open-spiel"] = paired.ratio(rows, *pair, "rate")
    # Of all members together: time of 64 is 64 times that of one over it.
    for count in (8, 64):
        ratio = paired.ratio(rows, "settings-1", f"settings-{count}", "rate")
        found[f"time of {count} settings over one"] = {name: count * value for name, value in ratio.items()}
    return found


def ours_dilated(name: str) -> dict:

    config = {"step_size": 1.0, "temperature": 1.0, "decay": 0.5}
    run = _trained("mmd_sequence_form", name, config | {"total_updates": 3000, "judge_every": CHECKED})
    found = run.metrics["exploitability"][0, CHECKED - 1]
    return _rate(run, 3000) | {"exploitability": float(found)}


def ours_behavioural(name: str) -> dict:
    config = {"step_size": 1.0, "temperature": 5.0, "total_updates": 10_000, "judge_every": 10_000}
    return _rate(_trained("mmd", name, config), 10_000)


def _trained(agent: str, name: str, config: dict):
    import jaxrl_suite as jrl

    jrl.use_cores(1)
    env, game = jrl.make(f"game/{name}")
    factory = getattr(jrl.agents, agent)
    return jrl.train(factory(env, game, factory.config_class(**config)))


def _rate(run, iterations: int) -> dict:
    return {"rate": iterations / run.seconds.run, "compile_seconds": run.seconds.compile}


def settings(count: int):
    def worker(name: str) -> dict:
        import numpy as np

        import jaxrl_suite as jrl

        jrl.use_cores()
        env, game = jrl.make(f"game/{name}")
        config = jrl.agents.MMDConfig(total_updates=2000, temperature=5.0, judge_every=2000)
        grid = {"step_size": list(np.linspace(0.5, 2.0, count))}
        run = jrl.sweep(jrl.agents.mmd, (env, game), config, grid)
        return _rate(run, 2000 * count)

    return worker


def open_spiel_dilated(name: str) -> dict:
    import numpy as np
    import pyspiel
    from open_spiel.python.algorithms import exploitability, mmd_dilated

    game = pyspiel.load_game(name)
    learner = mmd_dilated.MMDDilatedEnt(game, 1.0, 1.0)
    started = time.perf_counter()
    for t in range(1, CHECKED + 1):
        learner.alpha = learner.stepsize = 1 / np.sqrt(t)
        learner.update_sequences()
    seconds = time.perf_counter() - started
    found = exploitability.exploitability(game, learner.get_policies())
    return {"rate": CHECKED / seconds, "compile_seconds": 0.0, "exploitability": float(found)}


def ours_exploitability(name: str) -> dict:
    import jax
    import jax.numpy as jnp
    import numpy as np

    import jaxrl_suite as jrl

    game = jrl.games.load(name)
    policies = np.stack([jrl.games.random_policy(game, seed) for seed in range(500)])
    with jrl.float64():
        each = jax.jit(lambda game, all_: jax.lax.map(lambda p: jrl.solvers.exploitability(game, p), all_))
        started = time.perf_counter()
        program = each.lower(game, jnp.asarray(policies)).compile()
        compiled = time.perf_counter()
        found = jax.block_until_ready(program(game, jnp.asarray(policies)))
        seconds = time.perf_counter() - compiled
    assert np.isfinite(found).all()
    return {"rate": len(policies) / seconds, "compile_seconds": compiled - started}


def open_spiel_exploitability(name: str) -> dict:
    import numpy as np
    import pyspiel
    from open_spiel.python import policy
    from open_spiel.python.algorithms import exploitability

    game, rng = pyspiel.load_game(name), np.random.default_rng(0)
    table = policy.TabularPolicy(game)
    seconds, count = 0.0, 10
    for _ in range(count):
        drawn = rng.gamma(1.0, size=table.action_probability_array.shape) * table.legal_actions_mask
        table.action_probability_array[:] = drawn / drawn.sum(axis=1, keepdims=True)
        started = time.perf_counter()
        exploitability.exploitability(game, table)
        seconds += time.perf_counter() - started
    return {"rate": count / seconds, "compile_seconds": 0.0}


WORKERS = {
    "ours-dilated": ours_dilated,
    "open-spiel-dilated": open_spiel_dilated,
    "ours-behavioural": ours_behavioural,
    "ours-exploitability": ours_exploitability,
    "open-spiel-exploitability": open_spiel_exploitability,
    "settings-1": settings(1),
    "settings-8": settings(8),
    "settings-64": settings(64),
}

if __name__ == "__main__":
    raise SystemExit(main())
