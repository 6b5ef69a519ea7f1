"""PPO beside published returns: `python experiments/baselines/ppo.py [--only ID …] [--seeds N]`.

Trains each task below, compares the final return (mean over all episodes that ended in the last tenth of the updates)
with published.toml, and writes results/ppo-<task>.json and .png, and results/ppo.md from all of them.
"""

import argparse
import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any

import jaxrl_suite as jrl
from jaxrl_suite.config import to_dict
from jaxrl_suite.training.provenance import provenance

HERE = Path(__file__).parent
RESULTS = HERE / "results"


@dataclasses.dataclass(frozen=True)
class Task:
    """settings: fields of PPOConfig; seeds: how many; updates: where to stop, if before the schedules end.

    deviation: why the published number cannot be compared, "" where it can.
    """

    settings: dict[str, Any]
    seeds: int
    updates: int | None = None
    deviation: str = ""


MINATAR = {
    "num_envs": 64,
    "rollout_length": 128,
    "num_minibatches": 8,
    "learning_rate": 5e-3,
    "activation": "relu",
    "total_updates": 1220,
}
PENDULUM = {
    "num_envs": 100,
    "rollout_length": 100,
    "num_epochs": 10,
    "num_minibatches": 10,
    "discount": 0.995,
    "learning_rate": 1e-3,
    "ent_coef": 0.0,
    "max_grad_norm": 0.5,
    "activation": "silu",
    "scale_rewards": True,
    "normalize_observations": True,
    "total_updates": 100,
}
TENTH = "stopped at a tenth of the published budget of 1e7 steps"

TASKS = {
    "CartPole-v1": Task({}, 8),
    "Acrobot-v1": Task({}, 8),
    "Pendulum-v1": Task(PENDULUM, 8),
    "Breakout-MinAtar": Task(MINATAR, 5, 122, TENTH),
    "SpaceInvaders-MinAtar": Task(MINATAR, 5, 122, TENTH),
}


def measure(
    env_id: str, task: Task, published: dict[str, Any], seeds: int, made_with: dict[str, Any]
) -> dict[str, Any]:
    """Trains the task and returns everything worth keeping; also draws its learning curve."""
    env, params = jrl.make(env_id)
    agent = jrl.agents.ppo(env, params, jrl.agents.PPOConfig(**task.settings))
    run = jrl.train(agent, seeds=seeds, updates=task.updates, show=True)
    returns = run.final_returns()
    mean = jrl.results.aggregate(returns).mean
    curve = jrl.results.Curve("ppo", run.env_steps, run.metrics["episode/return"], run.metrics["episode/count"])
    jrl.results.learning_curves([curve], path=RESULTS / f"ppo-{env_id}", title=env_id)
    target = published["value"], published["margin"]
    return {
        "task": env_id,
        "config": to_dict(agent.info.config),
        "seeds": list(run.seeds),
        "env_steps": int(run.env_steps[-1]),
        "final_returns": returns.tolist(),
        "mean": mean.value,
        "interval": [mean.low, mean.high],
        "published": published,
        "verdict": jrl.results.verdict(mean.low, mean.high, *target, seeds, published["seeds"], task.deviation),
        "seconds": run.seconds._asdict(),
        "provenance": made_with,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """All results as Markdown."""
    columns = ["task", "seeds", "steps a seed", "ours", "published", "source", "verdict"]
    lines = []
    for row in rows:
        published = row["published"]
        ours = f"{row['mean']:.2f} [{row['interval'][0]:.2f}, {row['interval'][1]:.2f}]"
        cells = [row["task"], len(row["seeds"]), f"{row['env_steps']:,}", ours, published["value"]]
        lines.append([*cells, f"{published['source']} ({published['mark']})", row["verdict"]])
    head = "Mean final return with a 95 % bootstrap interval over seeds; made by `python experiments/baselines/ppo.py`."
    return f"{head}\n\n{jrl.results.markdown_table(columns, lines)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", type=int, help="instead of each task's own number")
    arguments = parser.parse_args()
    jrl.use_cores()
    # Taken before any result is written, which would count as a change of the checkout.
    made_with = provenance()
    published = tomllib.loads((HERE / "published.toml").read_text())
    RESULTS.mkdir(exist_ok=True)
    for env_id in arguments.only:
        task = TASKS[env_id]
        row = measure(env_id, task, published[env_id], arguments.seeds or task.seeds, made_with)
        (RESULTS / f"ppo-{env_id}.json").write_text(json.dumps(row, indent=1) + "\n")
        print(table([row]))
    rows = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("ppo-*.json"))]
    (RESULTS / "ppo.md").write_text(table(rows))


if __name__ == "__main__":
    main()
