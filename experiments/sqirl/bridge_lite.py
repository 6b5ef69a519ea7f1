"""BRIDGE-lite: who needs how many steps for which task, beside how far ahead of random play one has to plan."""

import functools
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl_suite import solvers
from jaxrl_suite.reproduction import Cell, Estimate, Item
from jaxrl_suite.reproduction import Training as AnyTraining
from jaxrl_suite.reproduction.loading import import_file
from jaxrl_suite.results.plots import saved
from jaxrl_suite.results.rankings import bound_quality, pairwise

tasks = sys.modules.get("jaxrl_experiments_sqirl_tasks") or import_file(
    Path(__file__).parent / "tasks.py", "jaxrl_experiments_sqirl_tasks"
)
# Two hundred programs that run for seconds.
Training = functools.partial(AnyTraining, quick_compile=True)
BUDGET = {"smoke": 10_240, "cpu": 100_000, "full": 5_000_000}
SEEDS = {"smoke": 2, "cpu": 5, "full": 5}
LEARNERS = ("PPO", "DQN", "SQIRL", "GORP")
SQIRL_SETTINGS = {
    "smoke": ((1, 10),),
    "cpu": ((1, 10), (1, 50), (2, 10)),
    "full": tuple((k, m) for k in (1, 2, 3) for m in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)),
}
"""(k, m)"""
POOLED_SETTINGS = {"smoke": ((1, 50),), "cpu": ((1, 50), (2, 50), (3, 50)), "full": SQIRL_SETTINGS["full"]}
GORP_SETTINGS = {"smoke": ((1, 10),), "cpu": ((1, 1), (1, 10)), "full": ((1, 1), (1, 10), (1, 100), (2, 1), (2, 10))}
LITE = (
    "BRIDGE-lite: own small tasks by MiniGrid's rules, DeepSea and FrozenLake, 100 steps an episode (DeepSea 8); not "
    "the 155 tasks of BRIDGE"
)
REMEMBERED = (
    "of the paper's tables no number could be verified. From memory, unverified, low confidence, of sticky BRIDGE: "
    "PPO, DQN, SQIRL and GORP solve 98, 78, 63 and 29 tasks; Spearman of SQIRL and PPO 0.81 at a median ratio "
    "of 1.19, of SQIRL and DQN about 0.56, of PPO and DQN 0.55. Second-hand: SQIRL does well in "
    "78 % of the cases in which PPO or DQN does"
)


def task_set(scale: str) -> tuple[Any, ...]:
    if scale != "smoke":
        return tasks.TASKS
    return tuple(task for task in tasks.TASKS if task.label == "empty-5")


def steps_to_solve(run: Any) -> np.ndarray:
    """Environment steps after which each seed's greedy policy was first judged to solve its task; inf if never."""
    steps = run.metrics["judge/solved_steps"].max(axis=-1).astype(np.float64)
    return np.where(steps > 0, steps, np.inf)


def slug(text: str) -> str:
    return text.replace(", ", "-").replace(" ", "-")


def trainings_of(task: Any, scale: str) -> dict[str, list[AnyTraining]]:
    """What is trained on a task, by learner; several settings are a search, of which the best counts."""
    budget, seeds = BUDGET[scale], SEEDS[scale]
    table_id, table_options = task.as_table()
    mlp = {"hidden_sizes": (64, 64), "activation": "relu", "discount": task.discount}

    def plain(name: str, agent: str, config: dict, every: int, records: int = 1) -> AnyTraining:
        return Training(
            f"{slug(task.label)}-{name}", agent, task.env, config, seeds, records, task.env_options, judge_every=every
        )

    def stopping(name: str, agent: str, config: dict, env: str, options: dict) -> AnyTraining:
        return Training(f"{slug(task.label)}-{name}", agent, env, config, seeds, 1, options, judge_every=1, stops=True)

    ppo = {
        **mlp,
        "num_envs": 8,
        "rollout_length": 128,
        "num_epochs": 4,
        "num_minibatches": 4,
        "learning_rate": 2.5e-4,
        "anneal_learning_rate": False,
        "clip_eps": 0.1,
        "clip_value_loss": False,
        "ent_coef": 0.01,
        "total_updates": math.ceil(budget / 1024),
    }
    dqn = {**mlp, "learning_rate": 1e-4, "total_updates": budget // 4}
    rounds = task.horizon + 11
    common = {"horizon": task.horizon, "discount": task.discount, "total_updates": rounds, "max_env_steps": budget}
    return {
        "PPO": [plain("ppo", "ppo", ppo, 1)],
        "DQN": [plain("dqn", "dqn", dqn, 250, 250)],
        "SQIRL": [
            stopping(f"sqirl-k{k}-m{m}", "sqirl", {**common, "depth": k, "episodes": m}, task.env, task.env_options)
            for k, m in SQIRL_SETTINGS[scale]
        ],
        "SQIRL, pooled table": [
            stopping(
                f"table-k{k}-m{m}",
                "sqirl",
                {**common, "depth": k, "episodes": m, "regressor": "table"},
                table_id,
                table_options,
            )
            for k, m in POOLED_SETTINGS[scale]
        ],
        "GORP": [
            stopping(
                f"gorp-k{k}-m{m}",
                "gorp",
                {"horizon": task.horizon, "depth": k, "episodes": m, "discount": task.discount},
                table_id,
                table_options,
            )
            for k, m in GORP_SETTINGS[scale]
        ],
    }


class Complexities:
    """Who needs how many steps for which task, from the scores of all trainings."""

    def __init__(self, scale: str):
        self.budget = BUDGET[scale]
        self.tasks = task_set(scale)
        # Compiling DQN would make the smallest scale longer than a minute.
        self.compared = tuple(x for x in LEARNERS if (scale, x) != ("smoke", "DQN"))
        self.learners = self.compared if scale == "smoke" else (*self.compared, "SQIRL, pooled table")
        self.by_task = {task.label: trainings_of(task, scale) for task in self.tasks}

    def names(self, learner: str, label: str | None = None) -> tuple[str, ...]:
        chosen = [label] if label else list(self.by_task)
        return tuple(t.name for task in chosen for t in self.by_task[task][learner])

    def of(self, scores: Any, learner: str, label: str) -> float:
        """The least median over seeds of any setting; inf beyond the budget."""
        medians = [float(np.median(scores[name])) for name in self.names(learner, label)]
        least = min(medians)
        return least if least <= self.budget else np.inf

    def all_of(self, scores: Any, learner: str, labels: Any) -> np.ndarray:
        return np.array([self.of(scores, learner, label) for label in labels])


def bridge_lite(scale: str) -> Item:
    """Sample complexities, solved counts, correlations, the histogram of depths, and bounds."""
    found = Complexities(scale)
    trainings = [t for by_learner in found.by_task.values() for learner in found.learners for t in by_learner[learner]]
    plain = [t.label for t in found.tasks if not t.is_sticky]
    sticky = [t.label for t in found.tasks if t.is_sticky]
    groups = {"plain tasks": plain, "sticky tasks": sticky}
    cells = [
        *complexity_cells(found),
        *solved_cells(found, {k: v for k, v in groups.items() if v}),
        *pair_cells(found),
        *(cell for group in (depth_cells, bound_cells) if scale != "smoke" for cell in group(found)),
    ]
    notes = [
        LITE,
        f"{BUDGET[scale]:,} environment steps, of the best setting of a search over {len(SQIRL_SETTINGS[scale])} "
        f"(k, m) for SQIRL, {len(POOLED_SETTINGS[scale])} for its pooled table, {len(GORP_SETTINGS[scale])} for GORP, "
        "1 for PPO and DQN; the search itself is not counted. The paper: 5 million steps, two settings of PPO and DQN",
        "steps are the median over seeds of the first judgement at which the exact value of the greedy policy lacks at "
        "most 1 % of what the best has over random play; judged every 1,024 steps of PPO, 1,000 of DQN, every round of "
        "SQIRL, every action of GORP",
        "tables and GORP run on the written-out task, networks see MiniGrid's symbols one-hot; nobody sees the action "
        "executed last, which the optimal return does",
        REMEMBERED,
    ]
    figure = functools.partial(scatter, found)
    return Item("bridge-lite", "Who needs how many steps", trainings, cells, 5, notes, figure, score=steps_to_solve)


def estimate(value: float, over: str) -> Estimate:
    return Estimate(float(value), math.nan, math.nan, over)


def complexity_cells(found: Complexities) -> list[Cell]:
    def cell(label: str, learner: str) -> Cell:
        names = found.names(learner, label)
        seeds = found.by_task[label][learner][0].seeds
        over = f"{seeds} seeds" + (f", best of {len(names)}" if len(names) > 1 else "")
        return Cell(
            label,
            f"steps, {learner}",
            names,
            lambda scores: estimate(found.of(scores, learner, label), over),
            digits=0,
        )

    return [cell(label, learner) for label in found.by_task for learner in found.learners]


def solved_cells(found: Complexities, groups: dict[str, list[str]]) -> list[Cell]:
    def cell(group: str, labels: list[str], learner: str) -> Cell:
        def count(scores: Any) -> Estimate:
            return estimate(np.isfinite(found.all_of(scores, learner, labels)).sum(), f"{len(labels)} tasks")

        return Cell(group, f"solved by {learner}", found.names(learner), count, digits=0)

    return [cell(group, labels, learner) for group, labels in groups.items() for learner in found.learners]


def pair_cells(found: Complexities) -> list[Cell]:
    labels = list(found.by_task)

    def cells(one: str, other: str) -> list[Cell]:
        names = (*found.names(one), *found.names(other))

        def pair(scores: Any) -> Any:
            return pairwise(found.all_of(scores, one, labels), found.all_of(scores, other, labels))

        def interval(name: str) -> Any:
            return lambda scores: Estimate(*getattr(pair(scores), name), f"{pair(scores).problems} tasks")

        def only(scores: Any) -> Estimate:
            solved = pair(scores).solved
            return estimate(solved.only_x + solved.only_y, f"{len(labels)} tasks")

        row = f"{one} and {other}"
        return [
            Cell(row, "Spearman, both solve", names, interval("spearman"), digits=2),
            Cell(row, "median ratio of steps", names, interval("ratio"), digits=2),
            Cell(row, "solved by one only", names, only, digits=0),
        ]

    pairs = [(one, other) for i, other in enumerate(found.compared) for one in found.compared[i + 1 :]]
    return [cell for pair in pairs for cell in cells(*pair)]


def depth_cells(found: Complexities) -> list[Cell]:
    """Sticky tasks by the least k at which greedy play on Q^k is good enough, and how many of them PPO solves."""

    def cell(depth: float, learner: str) -> Cell:
        def count(scores: Any) -> Estimate:
            labels = [
                t.label for t in found.tasks if t.is_sticky and tasks.analysis(t.name, True)["approximate k"] == depth
            ]
            return estimate(np.isfinite(found.all_of(scores, learner, labels)).sum(), f"{len(labels)} tasks")

        text = f"k = {depth:.0f}" if math.isfinite(depth) else "k > 5"
        return Cell(
            f"sticky tasks that greedy on Q^k solves at {text}",
            f"solved by {learner}",
            found.names(learner),
            count,
            digits=0,
        )

    return [cell(depth, learner) for depth in (1, 2, math.inf) for learner in ("PPO", "SQIRL")]


BOUNDS = {
    "worst case": solvers.worst_case_steps,
    "covering length": lambda mdp: float(solvers.covering_length(mdp)[0]),
    "planning window": solvers.planning_window_bound,
    "effective horizon, simple bound": solvers.effective_horizon_bound,
}


def bound_cells(found: Complexities) -> list[Cell]:
    """Bounds beside what learners needed, over deterministic tasks."""
    chosen = [t for t in found.tasks if t.is_deterministic]

    def cell(name: str, learner: str, measure: str) -> Cell:
        def quality(scores: Any) -> Estimate:
            bounds = [BOUNDS[name](tasks.table(task)) for task in chosen]
            steps = found.all_of(scores, learner, [task.label for task in chosen])
            judged = bound_quality(bounds, steps, found.budget)
            value = getattr(judged, measure)
            value = math.log10(value) if measure == "tightness" else value
            return estimate(value, f"{judged.solved if measure == 'tightness' else judged.problems} tasks")

        column = {"spearman": "Spearman", "tightness": "log10 of bound over steps", "accuracy": "accuracy"}[measure]
        return Cell(f"bound: {name}", f"{column}, {learner}", found.names(learner), quality, digits=2)

    measures = ("spearman", "tightness", "accuracy")
    return [cell(name, learner, measure) for name in BOUNDS for learner in ("PPO", "DQN") for measure in measures]


def scatter(found: Complexities, runs: Any, path: Path) -> None:
    """Steps of SQIRL and DQN against those of PPO, a point a task; never solved lies on the upper and right edge."""
    import matplotlib.pyplot as plt

    scores = {name: steps_to_solve(run) for name, run in runs.items()}
    drawn = [learner for learner in ("SQIRL", "DQN") if learner in found.compared]
    size = (4.5 * len(drawn), 4.2)
    figure, (axes,) = plt.subplots(
        1, len(drawn), figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    never, labels = 3 * found.budget, list(found.by_task)
    x = np.minimum(found.all_of(scores, "PPO", labels), never)
    for axis, learner in zip(axes, drawn, strict=True):
        y = np.minimum(found.all_of(scores, learner, labels), never)
        for is_sticky, marker in ((False, "o"), (True, "s")):
            chosen = np.array([task.is_sticky == is_sticky for task in found.tasks])
            axis.scatter(x[chosen], y[chosen], marker=marker, label="sticky" if is_sticky else "plain", alpha=0.7)
        for at in (axis.axhline, axis.axvline):
            at(found.budget, color="0.7", linewidth=0.8, linestyle="--")
        axis.plot([100, never], [100, never], color="0.8", linewidth=0.8, zorder=0)
        axis.set(xscale="log", yscale="log", xlabel="steps, PPO", ylabel=f"steps, {learner}")
        axis.set_title(f"{learner} and PPO; beyond the dashed lines: never")
    axes[0].legend(loc="lower right")
    saved(figure, path)
    plt.close(figure)
