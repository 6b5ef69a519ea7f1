"""Members a second as members and devices grow: PPO on CartPole.

Devices: one CPU device that may use all cores beside one device a core, as many members on each (weak scaling), in
turns. Members: one program of more and more of them, until the machine is full: the saturation curve, with its memory.
`jaxrl bench scaling` runs both; called with `--worker` it is one measurement and prints a line of JSON.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import paired
from worker_common import HIDDEN_SIZES, PPO_SETTINGS, peak_rss_bytes

HERE = Path(__file__).resolve().parent
WORKERS = ("one", "each")
MEMBERS = (1, 4, 16, 64, 256, 1024, 4096)
RECORDS = 2
"""Of a measurement; as few as that, for most memory is of the members' states, not of what they report."""

NOTES = {
    "one": "one device that may use every core", "each": "one device a core, with as many members on each",
    "members_per_second": "one update of 512 environment steps each, a second: compiling and the first call aside",
    "peak_rss_bytes": "of the whole process, imports and compiler included; on a GPU peak_device_bytes is its own",
    "bytes_needed": "the compiler's estimate for the chunk, on one device",
}  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--each", type=int, default=16, help="members on a device, where devices are compared")
    parser.add_argument("--most", type=int, default=MEMBERS[-1], help="members of the largest program")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "scaling.json")
    parser.add_argument("--worker", choices=(*WORKERS, "many"))
    parser.add_argument("--members", type=int, default=1)
    arguments = parser.parse_args(argv)
    if arguments.worker:
        print(json.dumps(measured(arguments.worker, arguments.members)))
        return 0
    from jaxrl_suite.training.placement import cores
    from jaxrl_suite.training.provenance import provenance

    rows = []
    for pair in range(arguments.pairs):
        for worker, devices in (("one", 1), ("each", cores())):
            rows += paired.in_turns(__file__, [worker], 1, [{"members": arguments.each * devices}])
            rows[-1]["pair"] = pair
    curve = paired.in_turns(__file__, ["many"], 1, [{"members": n} for n in MEMBERS if n <= arguments.most])
    names = ("members_per_second", "compile_seconds")
    summary = paired.of_workers(rows, WORKERS, names)
    summary["each over one"] = paired.ratio(rows, "each", "one", "members_per_second")
    kept = ("members", "group", "members_per_second", "compile_seconds", "peak_rss_bytes", "peak_device_bytes")
    summary["curve"] = [{name: row[name] for name in kept} for row in curve]
    result = {"provenance": provenance(), "notes": NOTES, "summary": summary, "rows": rows + curve}
    paired.write(arguments.out, result)
    return 0


def measured(worker: str, members: int) -> dict[str, Any]:
    import jax

    from jaxrl_suite.training.placement import cores

    if worker == "one":
        # A device and threads for all cores: what a user has who knows nothing of `use_cores`.
        os.environ["NPROC"] = str(cores())
    import jaxrl_suite as jrl

    if worker != "one":
        jrl.use_cores(min(cores(), members))
    from jaxrl_suite.training.members import single
    from jaxrl_suite.training.options import Options
    from jaxrl_suite.training.planning import plan_run

    env, params = jrl.make("CartPole-v1")
    settings = PPO_SETTINGS | {"hidden_sizes": HIDDEN_SIZES["ppo"], "total_updates": 10_000}
    agent = jrl.agents.ppo(env, params, jrl.agents.PPOConfig(**settings))
    program, compiled = plan_run(agent, single(agent.info, tuple(range(members))), Options())
    carry, done = program.run(program.init(), 0, RECORDS).carry, RECORDS
    seconds, updates = 0.0, 0
    while seconds < 3.0:
        started = time.perf_counter()
        carry = program.run(carry, done, done + RECORDS).carry
        seconds, updates, done = seconds + time.perf_counter() - started, updates + RECORDS, done + RECORDS
    stats = jax.local_devices()[0].memory_stats() or {}
    return {
        "devices": program.plan.devices,
        "group": program.plan.group,
        "members_per_second": members * updates / seconds,
        "updates_timed": updates,
        "compile_seconds": compiled,
        "bytes_needed": program.bytes_needed(),
        "peak_rss_bytes": peak_rss_bytes(),
        "peak_device_bytes": stats.get("peak_bytes_in_use"),
    }


if __name__ == "__main__":
    raise SystemExit(main())
