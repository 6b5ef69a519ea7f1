"""One sweep of 4096 members of PPO on CartPole, as a user types it: its memory, and how soon its results can be read.

`jaxrl bench big-sweep` runs it. It fails if a metric of a member is missing, or memory or reading exceed what they may.
"""

import argparse
import json
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
UPDATES = 10
SEEDS, RATES = 256, 16
SWEEP = shlex.split(
    f"sweep ppo CartPole-v1 --seeds {SEEDS} --updates {UPDATES} --num-envs 4 --rollout-length 128 --hidden-sizes 64 64 "
    f"--grid learning-rate={','.join(f'{1e-4 * 1.3**i:.3g}' for i in range(RATES))}"
)
MOST_BYTES = 8 * 2**30
MOST_SECONDS = 5.0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "big_sweep.json")
    arguments = parser.parse_args(argv)
    from jaxrl_suite.training.provenance import provenance

    made_with = provenance()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        command = [sys.executable, "-m", "jaxrl_suite.cli", *SWEEP, "--out", f"{folder}/run", "--json", "--quiet"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        found = read(Path(folder) / "run")
    found |= {"command": " ".join(["jaxrl", *SWEEP]), "seconds": seconds, "peak_rss_bytes": peak}
    print(json.dumps(found, indent=1))
    arguments.out.write_text(json.dumps({"provenance": made_with, **found}, indent=1) + "\n")
    is_good = found["is_complete"] and peak <= MOST_BYTES and found["reading_seconds"] <= MOST_SECONDS
    return int(not is_good)


def read(path: Path) -> dict:
    """Everything that was recorded, and how long that took."""
    import numpy as np

    from jaxrl_suite.results import RunStore
    from jaxrl_suite.training.run import final_returns

    started = time.perf_counter()
    store = RunStore.open(path)
    metrics, updates = store.metrics(), store.updates() + 1
    returns = final_returns(metrics, updates)
    spent = time.perf_counter() - started
    shape = (RATES, SEEDS, UPDATES)
    is_complete = all(values.shape == shape for values in metrics.values())
    is_complete &= all(np.isfinite(values).all() for name, values in metrics.items() if name.startswith("loss/"))
    # In the last update alone no episode need end: good policies balance longer.
    is_complete &= bool((metrics["episode/count"].sum(axis=-1) > 0).all())
    return {
        "members": RATES * SEEDS,
        "metrics": len(metrics),
        "is_complete": bool(is_complete),
        "reading_seconds": spent,
        "bytes_on_disk": sum(f.stat().st_size for f in path.rglob("*") if f.is_file()),
        "plan": store.manifest["plan"],
        "run_seconds": store.manifest["run_seconds"],
        "compile_seconds": store.manifest["compile_seconds"],
        "best_setting": store.manifest["settings"][int(np.nanmean(returns, axis=1).argmax())],
    }


if __name__ == "__main__":
    raise SystemExit(main())
