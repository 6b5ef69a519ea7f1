"""DeepSea of growing depth for agents with networks: deep NORA and its ablations beside the reference agents."""

from pathlib import Path
from typing import Any

import numpy as np

import jaxrl_suite as jrl
from jaxrl_suite.reproduction import Cell, Item, Training

ENVS, EPISODES = 4, 2000
DEPTHS = {"cpu": (8, 12, 16, 20), "full": (8, 12, 16, 20, 30, 40)}
SEEDS = {"cpu": 5, "full": 20}
NORA: dict[str, Any] = {"hidden_sizes": (64, 64), "gradient_steps": 8, "batch_size": 64}
DQN: dict[str, Any] = {"learning_rate": 1e-3, "batch_size": 64, "target_period": 64, "gradient_steps": 8}


def agents_at(depth: int) -> dict[str, tuple[str, dict[str, Any]]]:
    """By label: an agent and its settings. One update is an episode in each of four environments, for all of them."""
    updates = EPISODES // ENVS
    common = {"num_envs": ENVS, "total_updates": updates}
    # Room for every step of the run.
    replay = {"buffer_size": EPISODES * depth}
    nora = common | NORA | replay | {"rollout_length": depth}
    # One minibatch: there are few steps in an update.
    on_policy = common | {"rollout_length": depth}
    return {
        "deep NORA": ("nora_deep", nora),
        "deep NORA, no bonus": ("nora_deep", nora | {"bonus": 0.0}),
        "deep NORA, no priors": ("nora_deep", nora | {"prior_scale": 0.0}),
        "deep NORA, no reset": ("nora_deep", nora | {"resets": False}),
        "deep NORA, always fitted": ("nora_deep", nora | {"growth": 0.0}),
        "DQN": ("dqn", common | DQN | replay | {"train_frequency": depth}),
        "PQN": ("pqn", on_policy | {"num_minibatches": 1, "hidden_sizes": (64, 64)}),
        "PPO": ("ppo", on_policy | {"num_minibatches": 1}),
        "A2C": ("a2c", on_policy),
    }


def greedy_return(run: Any) -> np.ndarray:
    """Return of the last greedy policy, one episode a seed: nothing is random."""
    return np.asarray(jrl.evaluate(run.agent, run.state, seeds=run.seeds, episodes=1).returns)[:, 0]


def first_find(run: Any) -> np.ndarray:
    """Episodes played when the treasure was first found; beyond the last where it never was."""
    found = run.metrics["episode/return"] > 0
    first = np.where(found.any(axis=1), found.argmax(axis=1) + 1, found.shape[1] + 1)
    return ENVS * first.astype(np.float64)


def item(scale: str) -> Item | None:
    """The table of all of them."""
    if scale == "smoke":
        return None
    trainings, cells = [], []
    for depth in DEPTHS[scale]:
        for label, (agent, config) in agents_at(depth).items():
            name = name_of(depth, label)
            trained = Training(name, agent, "DeepSea-bsuite", config, SEEDS[scale], 1, {"size": depth})
            trainings.append(trained)
            cells += [
                Cell(f"depth {depth}, {label}", "greedy return", name, greedy_return, digits=3),
                Cell(f"depth {depth}, {label}", "first find", name, first_find, digits=0),
            ]
    notes = [
        f"{EPISODES:,} episodes a seed, {ENVS} environments; the best return is 0.99; uniform play finds the treasure "
        "in one episode of two to the power of the depth",
        "deep NORA is this suite's own, not an algorithm of the paper; its settings were first tried on depths 6 and 8"
        ", those of the others were not searched for",
    ]
    return Item("deep-sea-networks", "DeepSea of growing depth, networks", trainings, cells, 5, notes, depth_figure)


def name_of(depth: int, label: str) -> str:
    return f"depth{depth}-{label.lower().replace(', ', '-').replace(' ', '-')}"


def depth_figure(runs: Any, path: Path) -> None:
    """Episodes until the treasure is found over depth, one line an agent, ablations aside."""
    depths = [depth for depth in DEPTHS["full"] if name_of(depth, "PPO") in runs]
    lines = []
    for label in (label for label in agents_at(depths[0]) if "," not in label):
        values = np.stack([first_find(runs[name_of(depth, label)]) for depth in depths], axis=1)
        lines.append(jrl.results.Curve(label, np.array(depths), values))
    title, ylabel = f"DeepSea: {EPISODES + ENVS:,} is never", "episodes until the treasure is found"
    jrl.results.learning_curves(lines, ylabel, path, window=1, title=title, xlabel="depth")
