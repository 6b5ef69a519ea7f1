"""Our PPO beside PureJaxRL's own code: `python experiments/baselines/beside_purejaxrl.py --purejaxrl CHECKOUT`.

A tenth of the published budget cannot be compared with a published number, but with the same code at the same budget:
both train two MinAtar games for 1e6 steps on as many seeds, with equal settings and schedules that end there. The peer
runs unmodified in its own environment (gymnax 0.0.9), ours with `truncation_is_termination`, as the peer has it.
Writes results/beside-<game>.json and .png, and results/beside.md.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from settings import PPO_MINATAR

import jaxrl_suite as jrl
from jaxrl_suite.config import to_dict
from jaxrl_suite.errors import JaxrlError
from jaxrl_suite.training.provenance import provenance
from jaxrl_suite.training.run import final_returns

HERE = Path(__file__).parent
RESULTS = HERE / "results"
BENCHMARKS = HERE.parent.parent / "benchmarks"
GAMES = ("Breakout-MinAtar", "SpaceInvaders-MinAtar")
UPDATES, SEEDS = 122, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--purejaxrl", type=Path, required=True, help="root of a checkout at the pinned commit")
    parser.add_argument("--envs", type=Path, default=BENCHMARKS / ".envs", help="where the peer's environment is built")
    parser.add_argument("--only", nargs="+", choices=GAMES, default=list(GAMES))
    parser.add_argument("--updates", type=int, default=UPDATES)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    arguments = parser.parse_args()
    jrl.use_cores()
    # Taken before any result is written, which would count as a change of the checkout.
    made_with = provenance()
    RESULTS.mkdir(exist_ok=True)
    for game in arguments.only:
        row = beside(game, arguments) | {"provenance": made_with}
        (RESULTS / f"beside-{game}.json").write_text(json.dumps(row, indent=1) + "\n")
    rows = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("beside-*.json"))]
    (RESULTS / "beside.md").write_text(table(rows))
    print(table(rows))


def beside(game: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Both runs of a game: final returns, their means with intervals, and a picture of both curves."""
    config = jrl.agents.PPOConfig(
        **PPO_MINATAR | {"total_updates": arguments.updates, "truncation_is_termination": True}
    )
    run = jrl.train(jrl.agents.ppo(*jrl.make(game), config), seeds=arguments.seeds, show=True)
    peer = peer_curve(game, config, arguments)
    metrics = {"ours": run.metrics, "PureJaxRL": {f"episode/{name}": np.array(v) for name, v in peer.items()}}
    curves = [
        jrl.results.Curve(name, run.env_steps, values["episode/return"], values["episode/count"])
        for name, values in metrics.items()
    ]
    jrl.results.learning_curves(curves, path=RESULTS / f"beside-{game}", title=game)
    finals = {name: final_returns(values, run.updates) for name, values in metrics.items()}
    means = {name: jrl.results.aggregate(returns).mean for name, returns in finals.items()}
    return {
        "task": game,
        "config": to_dict(config),
        "seeds": arguments.seeds,
        "env_steps": int(run.env_steps[-1]),
        "final_returns": {name: returns.tolist() for name, returns in finals.items()},
        "mean": {name: [mean.value, mean.low, mean.high] for name, mean in means.items()},
    }


def peer_curve(game: str, config: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """{"return", "count"}: [seed][update] of PureJaxRL with our settings. Raises JaxrlError if it fails."""
    sys.path.insert(0, str(BENCHMARKS))
    import peer_environments

    peer_environments.check_purejaxrl(arguments.purejaxrl)
    python = peer_environments.python_of("purejaxrl", arguments.envs.resolve())
    worker = HERE / "purejaxrl_curve.py"
    command = [str(python), str(worker), str(arguments.purejaxrl.resolve()), game, json.dumps(to_dict(config))]
    command.append(str(arguments.seeds))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise JaxrlError(f"{worker.name}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def table(rows: list[dict[str, Any]]) -> str:
    """All games as Markdown."""
    columns = ["task", "seeds", "steps a seed", "ours", "PureJaxRL", "verdict"]
    lines = []
    for row in rows:
        means = row["mean"]["ours"], row["mean"]["PureJaxRL"]
        cells = [f"{value:.2f} [{low:.2f}, {high:.2f}]" for value, low, high in means]
        lines.append([row["task"], row["seeds"], f"{row['env_steps']:,}", *cells, verdict(*means)])
    head = (
        "Mean final return with a 95 % bootstrap interval over seeds, both run here; made by\n"
        "`python experiments/baselines/beside_purejaxrl.py --purejaxrl CHECKOUT`."
    )
    return f"{head}\n\n{jrl.results.markdown_table(columns, lines)}"


def verdict(ours: list[float], peer: list[float]) -> str:
    """How the intervals (value, low, high) lie to each other."""
    if ours[1] > peer[2]:
        return "ours higher"
    return "ours lower" if ours[2] < peer[1] else "intervals overlap"


if __name__ == "__main__":
    main()
