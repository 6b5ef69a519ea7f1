"""Times the MuJoCo tasks by engine: seconds to compile and steps a second of 64 copies under random actions.

Engines are brax's four backends and MJX with Gymnasium's models. Each measurement is a process of its own, in turns.
`jaxrl bench physics` runs it; called with `--worker` it is one measurement and prints a line of JSON. It needs the
extra brax.
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
NOTES = {
    "steps_per_second": "control steps of all copies, resets from a pool of one fresh start a step included. A control "
    "step is four to sixteen of the physics.",
    "compile_seconds": "tracing and compiling a rollout of 16 steps; by how XLA optimises by default.",
    "cpu_seconds_per_step": "processor time of all cores over control steps.",
    "mean_reward": "of a step, to see that it runs; NaN where the physics diverges.",
    "peak_rss_bytes": "of the whole process, imports and compiler included.",
}
ENGINES = ("brax-generalized", "brax-spring", "brax-positional", "brax-mjx", "mjx")
TASKS = ("inverted_pendulum", "hopper", "walker2d", "halfcheetah", "ant", "humanoidstandup")
COPIES, STEPS = 64, 16


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=1, help="how often to measure everything")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES)
    parser.add_argument("--seconds", type=float, default=5.0, help="that a measurement runs at least")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "physics_speed.json")
    parser.add_argument("--worker", choices=ENGINES)
    parser.add_argument("--task", choices=TASKS)
    arguments = parser.parse_args(argv)
    if arguments.worker:
        print(json.dumps(measured(arguments.worker, arguments.task, arguments.seconds)))
        return 0
    from jaxrl_suite.training.provenance import provenance

    made_with, rows = provenance(), []
    options = [{"task": task, "seconds": arguments.seconds} for task in arguments.tasks]
    for case in options:
        rows += paired.in_turns(__file__, arguments.engines, arguments.pairs, [case])
        result = {"provenance": made_with, "notes": NOTES, "summary": summary(rows), "rows": rows}
        # After each task: a later one may take long.
        paired.write(arguments.out, result)
    return 0


def summary(rows: list[dict]) -> dict:
    """By task and engine: median, least and greatest over pairs."""
    names = ("compile_seconds", "steps_per_second")
    found: dict = {}
    for task in dict.fromkeys(row["task"] for row in rows):
        of = [row for row in rows if row["task"] == task]
        found[task] = paired.of_workers(of, dict.fromkeys(row["worker"] for row in of), names)
    return found


def measured(engine: str, task: str, seconds: float) -> dict[str, Any]:
    """Of rollouts of all copies, again and again until so many seconds are over."""
    import jax
    import jax.numpy as jnp

    rollout, carry = rollout_of(engine, task)
    started = time.perf_counter()
    compiled = jax.jit(rollout).lower(jax.random.key(0), carry).compile()
    compile_seconds = time.perf_counter() - started
    jax.block_until_ready(compiled(jax.random.key(0), carry))
    started, cpu_started, count, rewards = time.perf_counter(), time.process_time(), 0, []
    while time.perf_counter() - started < seconds:
        count += 1
        carry, reward = jax.block_until_ready(compiled(jax.random.key(count), carry))
        rewards.append(reward)
    run, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    steps = COPIES * STEPS * count
    return {
        "compile_seconds": compile_seconds,
        "steps_per_second": steps / run,
        "cpu_seconds_per_step": cpu / steps,
        "mean_reward": float(jnp.mean(jnp.stack(rewards))),
        "peak_rss_bytes": peak_rss_bytes(),
    }


def rollout_of(engine: str, task: str) -> tuple[Any, Any]:
    """((key, carry) -> (carry, mean reward), first carry)."""
    import jax

    import jaxrl_suite as jrl
    from jaxrl_suite.envs.vector import play

    prefix, _, backend = engine.partition("-")
    env, params = jrl.make(f"{prefix}/{task}", **({"backend": backend} if backend else {}))
    vector = jrl.envs.VectorEnv(env, COPIES, reset_pool=1)
    sample = jax.vmap(env.action_space(params).sample)

    def rollout(key: Any, carry: Any) -> Any:
        key_noise, key_draw = jax.random.split(key)
        noise = jax.random.split(key_noise, (STEPS, COPIES))
        # Parameters as numbers that the program takes, as a sweep over them has it.
        inputs = vector.draw(key_draw, carry[1], STEPS)
        after, seen = play(vector, carry[1], lambda keys, _: sample(keys), carry[0], noise, inputs)
        return (after, carry[1]), seen.steps.reward.mean()

    traced = jax.tree.map(jax.numpy.asarray, params)
    observation, state = jax.jit(vector.reset)(jax.random.key(0), traced)
    return rollout, ((state, observation), traced)


if __name__ == "__main__":
    raise SystemExit(main())
