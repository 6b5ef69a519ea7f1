"""The tasks of BRIDGE-lite: small problems with exact tables, plain and with sticky actions."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jaxrl_suite as jrl

STICKINESS = 0.25


@dataclasses.dataclass(frozen=True)
class Task:
    """name: as in tables. env, options: for `make`. is_sticky: with sticky actions. discount: for learners, where the
    published program has another one with sticky actions."""

    name: str
    env: str
    options: Mapping[str, Any]
    is_sticky: bool = False

    @property
    def label(self) -> str:
        return f"{self.name}, sticky" if self.is_sticky else self.name

    @property
    def discount(self) -> float:
        return 0.99 if self.is_sticky else 1.0

    @property
    def env_options(self) -> dict[str, Any]:
        return {**self.options, **({"sticky_actions": STICKINESS} if self.is_sticky else {})}

    @property
    def is_deterministic(self) -> bool:
        return not self.is_sticky and self.name != "frozen-lake"

    @property
    def horizon(self) -> int:
        return judge(self).mdp.horizon

    def as_table(self) -> tuple[str, dict[str, Any]]:
        """Id and options of the task written out, which shows the number of its state."""
        env = self.env if self.env.startswith("table/") else f"table/{self.env}"
        return env, {**self.env_options, "observation": "raw"}


GRIDS = (
    Task("empty-5", "grid/empty-5", {}),
    Task("empty-8", "grid/empty-8", {}),
    Task("empty-8, shaped", "grid/empty-8", {"shaping": "distance"}),
    Task("lava-gap-5", "grid/lava-gap-5", {}),
    Task("door-key-5", "grid/door-key-5", {}),
    Task("key-corridor", "grid/key-corridor", {}),
)
OTHERS = (
    Task("deep-sea-8", "table/DeepSea-bsuite", {"size": 8, "horizon": 8}),
    Task("frozen-lake", "table/tabular/frozen-lake", {}),
)
TASKS = (*GRIDS, *(dataclasses.replace(task, is_sticky=True) for task in GRIDS), *OTHERS)


def judge(task: Task) -> Any:
    return jrl.agents.judge_of(*jrl.make(task.env, **task.env_options))


def table(task: Task) -> Any:
    """The task's table, the action executed last being part of the state where actions stick."""
    found = judge(task)
    return found.mdp.sticky(found.repeat_probability) if task.is_sticky else found.mdp


@functools.cache
def analysis(name: str, is_sticky: bool) -> dict[str, float]:
    """The exact numbers of a task, by column."""
    import numpy as np

    from jaxrl_suite import solvers

    (task,) = (t for t in TASKS if (t.name, t.is_sticky) == (name, is_sticky))
    mdp, found = table(task), judge(task)
    returns = solvers.greedy_returns(mdp)
    enough = np.flatnonzero(returns >= found.threshold)
    numbers = {
        "optimal return": found.best,
        "random return": found.random,
        "min_k": int(solvers.solvable_depth(mdp)),
        "approximate k": enough[0] + 1 if len(enough) else np.inf,
        "planning window W": int(solvers.planning_window(mdp)),
        "stochastic effective horizon": float(np.min(solvers.stochastic_effective_horizons(mdp))),
        "J_1 over the optimal return": returns[0] / found.best,
        "J_2 over the optimal return": returns[1] / found.best,
    }
    if task.is_deterministic:
        numbers["simple bound on the effective horizon"] = float(solvers.simple_bound(mdp).horizon)
    if task.is_deterministic and set(np.unique(mdp.rewards)) <= {0.0, 1.0}:
        found_gorp = solvers.gorp_effective_horizon(mdp, (1,), "first")
        numbers["effective horizon at k = 1"] = found_gorp.horizon
    return numbers
