"""Times the analysis of the effective horizon: Empty-16 with sticky actions, and a random table of a million pairs.

`jaxrl bench effective-horizon` runs it. Each case is a process of its own, which compiles once and then takes the
median of several runs; peak memory is the process's. The table has 20 steps, the gridworlds 100.
"""

import resource
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cases import run_cases

CASES = ("empty-16-sticky", "key-corridor-sticky", "million-pairs")


def main(argv: list[str] | None = None) -> int:
    return run_cases(Path(__file__).resolve(), __doc__.splitlines()[0], CASES, measure, 3, argv)


def table(case: str):
    import numpy as np

    import jaxrl_suite as jrl

    if case.endswith("-sticky"):
        env, params = jrl.make(f"grid/{case.removesuffix('-sticky')}")
        return jrl.envs.enumerate_env(env, params, horizon=100).mdp.sticky(0.25)
    rng, states, actions = np.random.default_rng(0), 250_000, 4
    following = rng.integers(states, size=(states, actions))
    rewards = (rng.random((states, actions)) < 1e-4).astype(float)
    return jrl.envs.SuccessorMDP.from_table(following, rewards, horizon=20)


def measure(case: str, repetitions: int) -> dict:
    from jaxrl_suite import solvers

    mdp = table(case)

    def analyse() -> dict:
        return {
            "depth": int(solvers.solvable_depth(mdp)),
            "window": int(solvers.planning_window(mdp)),
            "greedy_returns": solvers.greedy_returns(mdp).tolist(),
            "gap": float(solvers.action_gaps(mdp)[0][0]),
        }

    started = time.perf_counter()
    found = analyse()
    first, seconds = time.perf_counter() - started, []
    for _ in range(repetitions):
        started = time.perf_counter()
        analyse()
        seconds.append(time.perf_counter() - started)
    return {
        "case": case,
        "states": mdp.num_states,
        "pairs": mdp.num_states * mdp.num_actions,
        "first_seconds": first,
        "seconds": {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds)},
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **found,
    }


if __name__ == "__main__":
    raise SystemExit(main())
