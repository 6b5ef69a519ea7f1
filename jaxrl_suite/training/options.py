"""How to run, as opposed to what; and how long."""

import dataclasses
from pathlib import Path

from jaxrl_suite.agent import Agent
from jaxrl_suite.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Options:
    """How to run, as opposed to what: none of these changes a number beyond the last bits.

    Attributes:
        out: run directory; None keeps everything in memory.
        devices: how many to use (None: all that JAX shows). group: members batched together on a device (None: all).
        data: devices that share a member, where its config has `data_shards` (None: those that would be idle).
        chunk: the most updates a chunk (None: as many as take about a second, later up to 20).
        quick_compile: compile with fewer optimisations, in about a third of the time, and run up to half as fast: for
            runs of seconds.
        save_every: seconds between checkpoints.
        show: progress on the terminal. sinks: opened with the run's path, see `jaxrl_suite.results.sinks`.
    """

    out: Path | None = None
    devices: int | None = None
    group: int | None = None
    data: int | None = None
    chunk: int | None = None
    quick_compile: bool = False
    save_every: float = 30.0
    show: bool = False
    sinks: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises ConfigError for a value out of range. Devices and groups are `placement.make_plan`'s to check."""
        if self.chunk is not None and self.chunk < 1:
            raise ConfigError(f"chunk = {self.chunk}: must be >= 1")
        if not self.save_every >= 0:
            raise ConfigError(f"save_every = {self.save_every}: must be >= 0 seconds")


def parse_budget(
    agent: Agent, updates: int | None, env_steps: int | None, extend: bool = False, *, has_begun: bool = False
) -> int:
    """Updates to run; the agent's `total_updates` where neither `updates` nor `env_steps` is given.

    Args:
        extend: allows more than the schedules were made for.
        has_begun: the run exists, so its schedules can no longer be made longer.

    Raises:
        ConfigError: for a budget that is not whole, not positive, or beyond the schedules.
    """
    info = agent.info
    if updates is not None and env_steps is not None:
        raise ConfigError("updates, env_steps: give one of them")
    if env_steps is not None:
        updates = exact_updates(env_steps, info.env_steps_per_update)
    updates = info.total_updates if updates is None else updates
    if updates < 1:
        raise ConfigError(f"updates = {updates}: must be >= 1")
    if updates > info.total_updates and not extend:
        if has_begun:
            end, longer = f"the run's schedules end at update {info.total_updates}", "give"
        else:
            end, longer = f"the config's schedules end at total_updates = {info.total_updates}", "set total_updates, or"
        raise ConfigError(f"updates = {updates}: {end}; {longer} extend=True to run on at their final values")
    return updates


def exact_updates(env_steps: int, steps_per_update: int) -> int:
    """Updates in a budget of environment steps. Raises ConfigError, naming the nearest budgets, unless it divides."""
    updates, rest = divmod(env_steps, steps_per_update)
    if rest == 0 and updates > 0:
        return updates
    near = [n * steps_per_update for n in (updates, updates + 1) if n > 0]
    raise ConfigError(
        f"env_steps = {env_steps}: must be a multiple of {steps_per_update}, the steps of one update; "
        f"nearest: {' or '.join(map(str, near))}"
    )
