"""Deep IWOCS on classic control with uncertain physics, beside DQN: nominal, randomised, trained by an adversary.

Not the paper's tasks: those are six of MuJoCo, with SAC. All learn from as many steps; searches are not counted, as
in the paper. What IWOCS's default policy reaches alone is a row of its own: it is domain randomisation with a quarter
of the budget.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl_suite.agents import kernel_returns
from jaxrl_suite.reproduction import Cell, Item, Training

LEARNER: dict[str, Any] = {
    "num_envs": 8,
    "train_frequency": 4,
    "gradient_steps": 2,
    "batch_size": 128,
    "buffer_size": 100_000,
    "learning_rate": 1e-3,
    "anneal_learning_rate": True,
    "learning_starts": 1000,
    "target_period": 8000,
    "exploration_fraction": 0.3,
    "final_epsilon": 0.05,
    "double": True,
}
"""DQN's, in all: this suite's own. Step size and target period chosen by training returns of plain DQN on CartPole,
nominal and randomised: with a target copied eight times as often all of them collapse."""

SEARCH: dict[str, Any] = {"population": 32, "generations": 6, "search_episodes": 2}
UPDATES = {"smoke": 25, "cpu": 250, "full": 250}
"""Of DQN in a block."""

TASKS: dict[str, tuple[str, dict[str, Any], tuple[float, ...]]] = {
    "cartpole": ("robust/CartPole-v1", {}, (0.02, 0.05, 0.1, 0.2, 0.4)),
    "pendulum": ("robust/Pendulum-v1", {"levels": 5}, (0.05, 0.1, 0.2, 0.4, 0.8)),
}
"""Environment, its options, and the thresholds of IWOCS, which are in the units of its observations."""

BLOCKS = {"smoke": 1, "cpu": 8, "full": 24}
"""Of the default policy, and of each of three kernels."""

KERNELS = 3
POINTS = {"smoke": 3, "cpu": 10, "full": 10}
EPISODES = {"smoke": 1, "cpu": 10, "full": 30}
SEEDS = {"smoke": 2, "cpu": 8, "full": 10}


def trainings(task: str, scale: str) -> dict[str, Training]:
    """By name of the method."""
    env, options, thresholds = TASKS[task]
    blocks, updates = BLOCKS[scale], UPDATES[scale]
    total = (1 + KERNELS) * blocks
    by_blocks = LEARNER | SEARCH | {"total_updates": total, "block_updates": updates}
    iwocs = by_blocks | {"default_blocks": blocks, "kernels": KERNELS, "thresholds": thresholds}
    plain, every = LEARNER | {"total_updates": total * updates}, updates
    found = {
        "nominal DQN": ("dqn", plain, options, every),
        "domain-randomised DQN": ("dqn", plain, options | {"randomness": 1.0}, every),
        "adversarial DQN": ("adversarial_dqn", by_blocks, options, 1),
        "IWOCS": ("deep_iwocs", iwocs, options, 1),
        "IWOCS, grid": ("deep_iwocs", iwocs | {"search": "grid"}, options, 1),
        "IWOCS, by action": ("deep_iwocs", iwocs | {"selection": "action"}, options, 1),
    }
    if scale == "smoke":
        found = {name: found[name] for name in ("nominal DQN", "IWOCS")}
    if scale == "cpu":
        found = {name: found[name] for name in list(found)[:4]}
    return {
        name: Training(f"{task}-{slug(name)}", agent, env, config, SEEDS[scale], every, options)
        for name, (agent, config, options, every) in found.items()
    }


def slug(name: str) -> str:
    return name.lower().replace(",", "").replace(" ", "-")


_RETURNS: dict[Any, np.ndarray] = {}


def returns_of(run: Any, ends: str, points: int, episodes: int, is_default: bool = False) -> np.ndarray:
    """Mean returns [seed, points^2] over a grid of kernels; played once for all cells and figures."""
    asked = (run.path, ends, points, episodes, is_default)
    if asked not in _RETURNS:
        env, params = run.agent.info.env, run.agent.info.env_params
        # The default policy alone is the candidate that uses no kernel.
        state = run.state.replace(best=np.zeros_like(run.state.best)) if is_default else run.state
        grid = env.grid(params, points, ends)
        _RETURNS[asked] = kernel_returns(run.agent, state, run.seeds, grid, episodes).mean(axis=-1)
    return _RETURNS[asked]


MEASURES = {
    "worst, both ends": ("both", np.min),
    "worst, without upper ends": ("lower", np.min),
    "average, both ends": ("both", np.mean),
}


def score(column: str, scale: str, is_default: bool, run: Any) -> np.ndarray:
    """Worst or mean return over the grid, [seed]."""
    ends, reduce = MEASURES[column]
    return reduce(returns_of(run, ends, POINTS[scale], EPISODES[scale], is_default), axis=-1)


def part_with_the_least_threshold(run: Any) -> np.ndarray:
    """Of the kernels, [seed]."""
    is_kernel = np.isfinite(run.metrics["iwocs/valid"])
    is_least = np.isclose(run.metrics["worst/threshold"], min(run.agent.info.config.thresholds))
    return (is_least & is_kernel).sum(axis=1) / is_kernel.sum(axis=1)


SEQUENCE: dict[str, Callable[[Any], np.ndarray]] = {
    "kernels in the best candidate": lambda run: np.asarray(run.state.best, float),
    "part of own kernel's steps that count": lambda run: np.nanmean(run.metrics["iwocs/valid"], axis=1),
    "part of kernels with the least threshold": part_with_the_least_threshold,
}
"""What became of the kernels, [seed]."""


def item(task: str, scale: str, title: str, notes: list[str]) -> Item:
    trained, cells = trainings(task, scale), []
    for name, training in trained.items():
        rows = {name: False} | ({f"{name}: default alone": True} if name == "IWOCS" else {})
        for row, is_default in rows.items():
            for column in MEASURES:
                measure = functools.partial(score, column, scale, is_default)
                cells.append(Cell(row, column, training.name, measure, digits=1))
    for column, measure in SEQUENCE.items():
        cells.append(Cell("IWOCS", column, trained["IWOCS"].name, measure, digits=2))
    total = (1 + KERNELS) * BLOCKS[scale] * UPDATES[scale] * LEARNER["num_envs"] * LEARNER["train_frequency"]
    common = [
        f"{total:,} steps a seed; IWOCS: a quarter for the default policy, a quarter for each of {KERNELS} kernels; "
        "its best candidate by the search's worst return",
        f"greedy policies, {POINTS[scale]} points an axis, {EPISODES[scale]} episodes a point, the same starts for "
        "all; the worst is the least mean over these episodes; without upper ends: the paper's grid",
        "deviations: DQN for SAC, a predictor of its own, thresholds in units of the task; smaller searches (192 "
        "candidates a threshold, two episodes each)",
        "adversarial DQN: RARL's alternation with a kernel found by search; this suite's own",
    ]
    return Item(task, title, list(trained.values()), cells, 5, notes + common, functools.partial(maps, task, scale))


def maps(task: str, scale: str, runs: Any, path: Path) -> None:
    """Mean return over the kernels, one map a method."""
    import matplotlib.pyplot as plt

    shown = {name: training.name for name, training in trainings(task, scale).items()}
    figure, axes = plt.subplots(1, len(shown), figsize=(2.6 * len(shown), 3.0), sharey=True, layout="constrained")
    found = {}
    for name, training in shown.items():
        returns = returns_of(runs[training], "both", POINTS[scale], EPISODES[scale]).mean(axis=0)
        found[name] = returns.reshape(POINTS[scale], POINTS[scale])
    info = runs[next(iter(shown.values()))].agent.info
    (low, high), (row, column) = info.env.bounds(info.env_params), info.env.names
    limits = {"vmin": min(x.min() for x in found.values()), "vmax": max(x.max() for x in found.values())}
    for place, (name, returns) in zip(axes, found.items(), strict=True):
        extent = (low[1], high[1], low[0], high[0])
        image = place.imshow(returns, origin="lower", aspect="auto", extent=extent, cmap="viridis", **limits)
        place.set(title=name, xlabel=column)
        place.title.set_fontsize(9)
    axes[0].set_ylabel(row)
    figure.colorbar(image, ax=axes, label="mean return")
    for suffix in (".svg", ".png"):
        figure.savefig(path.with_suffix(suffix))
    plt.close(figure)


def cartpole(scale: str) -> Item:
    """The pole's mass in [0.05, 1] and half its length in [0.25, 2], the cart's and the pole's total with them."""
    notes = ["masspole in [0.05, 1], length in [0.25, 2], total_mass and polemass_length with them; returns up to 500"]
    return item("cartpole", scale, "CartPole over 100 kernels", notes)


def pendulum(scale: str) -> Item | None:
    """The pendulum's mass in [0.5, 2] and length in [0.5, 1.5], five torques."""
    if scale == "smoke":  # CartPole shows there that all of it runs.
        return None
    notes = ["m in [0.5, 2], l in [0.5, 1.5]; five evenly spaced torques, a deviation from the continuous task"]
    return item("pendulum", scale, "Pendulum over 100 kernels", notes)
