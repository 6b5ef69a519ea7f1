"""The reference agents beside returns that others published: classic control, and two MinAtar games."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np

import jaxrl_suite as jrl
from jaxrl_suite.reproduction import Cell, Experiment, Item, Target, Training
from jaxrl_suite.reproduction.loading import import_file

HERE = Path(__file__).parent
settings = import_file(HERE / "settings.py", "jaxrl_experiments_baselines_settings")
PUBLISHED = tomllib.loads((HERE / "published.toml").read_text())
SEEDS = {"smoke": 2, "cpu": 16, "full": 16}
LAST_TENTH = "return, last tenth"
TENTH = "a tenth of the published budget of 1e7 steps"

CONTROL: dict[str, tuple[str, dict[str, Any], int]] = {
    "PPO": ("ppo", {}, 1),
    "A2C": ("a2c", {}, 50),
    "DQN": ("dqn", settings.DQN_CONTROL, 250),
    "PQN": ("pqn", settings.PQN_CONTROL, 1),
}
"""Agent, settings, updates a record."""

PQN_AS_PUREJAXQL = "PQN, as purejaxql"

GAMES: dict[str, tuple[str, dict[str, Any], int]] = {
    "PPO": ("ppo", settings.PPO_MINATAR, 1),
    "A2C": ("a2c", settings.A2C_MINATAR, 25),
    "DQN": ("dqn", settings.DQN_MINATAR, 1250),
    "PQN": ("pqn", settings.PQN_MINATAR, 2),
    "deep NORA": ("nora_deep", settings.NORA_MINATAR, 18),
}


def last_tenth(run: Any) -> np.ndarray:
    """Mean return of the episodes that ended in the last tenth of the updates, exploration and all."""
    return run.final_returns()


def greedy(run: Any) -> np.ndarray:
    """Mean return of 32 episodes of the last greedy policy."""
    return np.asarray(jrl.evaluate(run.agent, run.state, seeds=run.seeds, episodes=32).returns).mean(axis=-1)


def target_of(task: str, label: str, column: str) -> Target | None:
    found = PUBLISHED.get(task, {}).get(label)
    if not found or found.get("column", LAST_TENTH) != column:
        return None
    return Target(found["value"], found["margin"], "published", found["source"])


def cells_of(task: str, label: str, trained: Training, deviation: str = "") -> list[Cell]:
    cells = []
    for column, measure in ((LAST_TENTH, last_tenth), ("greedy return", greedy)):
        target = target_of(task, label, column)
        cells.append(
            Cell(f"{task}, {label}", column, trained.name, measure, target, deviation if target else "", digits=2)
        )
    return cells


def name_of(task: str, label: str) -> str:
    """A training's: the task's, and the agent's in one word."""
    return f"{task}-{label.replace(',', '').replace(' ', '_')}".lower()


def control(scale: str) -> Item:
    """CartPole, Acrobot and Pendulum."""
    wanted = [(task, *row) for task in ("CartPole-v1", "Acrobot-v1") for row in CONTROL.items()]
    wanted.append(("CartPole-v1", PQN_AS_PUREJAXQL, ("pqn", {}, 1)))
    wanted.append(("Pendulum-v1", "PPO", ("ppo", settings.PPO_PENDULUM, 1)))
    deviation = ""
    if scale == "smoke":
        wanted, deviation = [("CartPole-v1", "PPO", ("ppo", {"total_updates": 40}, 1))], "a 25th of the budget"
    trainings, cells = [], []
    for task, label, (agent, config, record_every) in wanted:
        trainings.append(Training(name_of(task, label), agent, task, config, SEEDS[scale], record_every))
        cells += cells_of(task, label, trainings[-1], deviation)
    notes = [
        "5e5 environment steps a seed (1e6 on Pendulum); margins were set before the first run (`published.toml`)",
        "for A2C nothing published was found: the bar is 95 % of PPO's return on CartPole, held by a test",
        "PQN with CleanRL's settings, or with purejaxql's, whose figure shows greedy returns",
    ]
    return Item("control", "Classic control", trainings, cells, 8, notes, curves)


def minatar(scale: str) -> Item | None:
    """Two MinAtar games at a tenth of the published budget."""
    if scale == "smoke":
        return None
    factor, deviation = (10, "") if scale == "full" else (1, TENTH)
    trainings, cells = [], []
    for game in ("Breakout-MinAtar", "SpaceInvaders-MinAtar"):
        for label, (agent, config, record_every) in GAMES.items():
            budget = {"total_updates": factor * config["total_updates"]}
            # Pixels of one byte, as the games give them: a replay buffer of floats would be four times as large.
            raw = {"observation": "raw"}
            trained = Training(name_of(game, label), agent, game, config | budget, 5, record_every, raw)
            trainings.append(trained)
            cells += cells_of(game, label, trained, deviation)
    notes = [
        f"{factor}e6 environment steps a seed, minimal action sets, no sticky actions, episodes of at most 1000",
        "deep NORA is this suite's own, not an algorithm of the paper; no setting of any agent was searched for",
    ]
    return Item("minatar", "MinAtar", trainings, cells, 5, notes, curves)


def continuous(scale: str) -> Item:
    """SAC and TD3 on Pendulum; on two of MuJoCo's tasks at the published budget."""
    tasks = {"Pendulum-v1": ("Pendulum-v1", settings.OFF_POLICY_PENDULUM, 8)}
    if scale == "smoke":
        few = settings.OFF_POLICY_PENDULUM | {"total_updates": 600, "learning_starts": 400, "batch_size": 32}
        tasks = {"Pendulum-v1": ("Pendulum-v1", few, 2)}
    if scale == "full":
        tasks |= {task: (f"mjx/{task}", settings.OFF_POLICY_MUJOCO, 8) for task in ("hopper", "halfcheetah")}
    trainings, cells = [], []
    for task, (env, config, seeds) in tasks.items():
        deviation = "" if env == "Pendulum-v1" else "MJX on Gymnasium's v5 models in float32, there MuJoCo v4"
        for label, agent in (("SAC", "sac"), ("TD3", "td3")):
            trainings.append(Training(name_of(task, label), agent, env, config, seeds, 200))
            cells += cells_of(task, label, trainings[-1], deviation)
    steps = settings.OFF_POLICY_PENDULUM["total_updates"]
    notes = [
        f"Pendulum: {steps:,} steps a seed, one environment, a minibatch a step, settings of this suite; the bar is a "
        "greedy return of -250, held by a test",
    ]
    return Item("continuous", "Continuous control", trainings, cells, 8, notes)


def curves(runs: Any, path: Path) -> None:
    """Returns over steps, one line an agent, of the item's first task."""
    task = next(task for task in PUBLISHED if next(iter(runs)).startswith(task.lower()))
    shown = {label: runs[name_of(task, label)] for label in (*GAMES, PQN_AS_PUREJAXQL) if name_of(task, label) in runs}
    lines = [
        jrl.results.Curve(label, run.env_steps, run.metrics["episode/return"], run.metrics["episode/count"])
        for label, run in shown.items()
    ]
    jrl.results.learning_curves(lines, path=path, title=task)


EXPERIMENT = Experiment(
    "baselines",
    "Reference agents",
    "CleanRL, gymnax and the agents' papers",
    "Returns of the reference agents on gymnax beside numbers printed by other projects for other programs.",
    {"control": control, "minatar": minatar, "continuous": continuous},
)
