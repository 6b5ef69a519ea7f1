"""A run's results in memory."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrl_suite.agent import Agent
from jaxrl_suite.errors import CheckpointError, ConfigError
from jaxrl_suite.training.members import setting_agent


class Seconds(NamedTuple):
    """Wall seconds: compiling, and running compiled updates. Saving and logging are in neither."""

    compile: float
    run: float


class Diverged(NamedTuple):
    """A member whose state turned NaN. update: the first whose loss was NaN, or the end of the chunk it was seen in."""

    seed: int
    setting: Mapping[str, float]
    update: int


class Run:
    """What training left.

    Attributes:
        agent: the agent (of the base setting, in a sweep).
        seeds: the seeds. settings: the settings of a sweep, one dict each; None for a plain run.
        metrics: by name, NumPy arrays [seed, record], in a sweep [setting, seed, record]; a record is an update unless
            `record_every` says otherwise.
        updates: int64 [record], the number of updates done after each. env_steps: int64 [record], likewise.
        state: every member's state, leading axis [seed] or [setting, seed]; None if there is no checkpoint, and for
            a run of several processes with a directory, where `load` finds it.
        seconds: compile and run, apart. diverged: members that turned NaN. path: run directory, if any.
        bytes_needed: the compiler's estimate of memory on one device. record_every: updates a record.
    """

    def __init__(
        self,
        agent: Agent,
        seeds: tuple[int, ...],
        settings: tuple[Mapping[str, float], ...] | None,
        metrics: dict[str, np.ndarray],
        updates: np.ndarray,
        state: Any,
        seconds: Seconds,
        diverged: tuple[Diverged, ...] = (),
        path: Path | None = None,
        plan: dict[str, Any] | None = None,
        bytes_needed: int = 0,
        record_every: int = 1,
    ):
        self.agent, self.seeds, self.settings = agent, seeds, settings
        self.metrics, self.updates, self.state = metrics, updates, state
        self.seconds, self.diverged, self.path = seconds, diverged, path
        self.plan, self.bytes_needed, self.record_every = plan or {}, bytes_needed, record_every

    @property
    def env_steps(self) -> np.ndarray:
        """int64 [record], environment steps of one member after each record."""
        return self.updates * self.agent.info.env_steps_per_update

    @property
    def steps_per_second(self) -> float:
        """Environment steps of all members a second of running."""
        members = len(self.seeds) * len(self.settings or ({},))
        steps = int(self.env_steps[-1]) if len(self.updates) else 0
        return members * steps / self.seconds.run if self.seconds.run > 0 else math.nan

    def final_returns(self) -> np.ndarray:
        """float64 [seed] or [setting, seed]: mean over all episodes that ended in the last tenth of the updates.

        NaN where none ended. Raises ConfigError for an agent that reports no episodes.
        """
        return final_returns(self.metrics, self.updates)

    def member(self, seed: int | None = None, setting: int | None = None) -> tuple[Agent, Any]:
        """(agent, state) of one member, to play with: the agent of its setting, the state without leading axes.

        Args:
            seed: one of `seeds`; None: the first. setting: of a sweep, an index of `settings`; None: the first.

        Raises:
            ConfigError: for a seed or a setting there is not, and for a member that diverged.
            CheckpointError: if the run has no state.
        """
        seed = self.seeds[0] if seed is None else seed
        if seed not in self.seeds:
            raise ConfigError(f"seed = {seed}: must be one of {', '.join(map(str, self.seeds))}")
        if setting is not None and setting not in range(len(self.settings or ())):
            allowed = f"must be 0 to {len(self.settings) - 1}" if self.settings else "only a sweep has settings"
            raise ConfigError(f"setting = {setting}: {allowed}")
        if self.state is None:
            raise CheckpointError(f"{self.path or self} has no checkpoint: there is nothing to play with")
        chosen = {} if self.settings is None else dict(self.settings[setting or 0])
        for diverged in self.diverged:
            if diverged.seed == seed and dict(diverged.setting) == chosen:
                raise ConfigError(f"seed = {seed}: diverged at update {diverged.update}; choose another")
        index = self.seeds.index(seed) if self.settings is None else (setting or 0, self.seeds.index(seed))
        agent = self.agent if self.settings is None else setting_agent(self.agent.info, chosen)
        return agent, jax.tree.map(lambda x: x[index], self.state)

    def save(self, path: Path | str) -> Path:
        """Writes the run to a new directory, as `train(out=...)` would have. Raises RunDirectoryError if it exists."""
        from jaxrl_suite.training.saved_runs import save

        return save(self, Path(path))

    def __repr__(self) -> str:
        info, total = self.agent.info, int(self.updates[-1]) if len(self.updates) else 0
        settings = f"{len(self.settings)} settings x " if self.settings else ""
        return f"Run({info.name} on {info.env_id}, {settings}{len(self.seeds)} seeds, {total} updates)"


def final_returns(metrics: Mapping[str, np.ndarray], updates: np.ndarray) -> np.ndarray:
    """See `Run.final_returns`. Metrics are [..., record], updates int64 [record]; returns float64 [...].

    Raises:
        ConfigError: if there is no `episode/return`.
    """
    if "episode/return" not in metrics:
        raise ConfigError("final returns: this agent reports no episode/return")
    total = int(updates[-1]) if len(updates) else 0
    is_last = updates > total - max(1, total // 10)
    returns = np.asarray(metrics["episode/return"], np.float64)[..., is_last]
    counts = np.asarray(metrics["episode/count"], np.float64)[..., is_last]
    ended = counts.sum(axis=-1)
    sums = np.where(counts > 0, returns, 0.0) * counts
    return np.divide(sums.sum(axis=-1), ended, out=np.full(ended.shape, np.nan), where=ended > 0)
