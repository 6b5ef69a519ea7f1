"""What an experiment is, as data."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxrl_suite.errors import ConfigError, UnknownNameError

SCALES = ("smoke", "cpu", "full")
"""smoke: under a minute, proves the plumbing. cpu: an hour on two cores. full: the paper's protocol."""

KINDS = ("published", "known answer")


@dataclasses.dataclass(frozen=True)
class Target:
    """A number that a measured one is held against; its margin is set before anything runs.

    kind: `published` (printed in the paper) or `known answer` (of a reference program, or derived). source: page and
    table, or whose program.
    """

    value: float
    margin: float
    kind: str
    source: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"Target.kind = {self.kind!r}: must be one of {', '.join(KINDS)}")
        if not self.margin >= 0:
            raise ConfigError(f"Target.margin = {self.margin}: must be >= 0")


def within_errors(mean: float, deviation: float, seeds: int, theirs: int, source: str, printed: float = 0.0) -> Target:
    """A known mean over seeds, equal within three standard errors of the difference of both means.

    Args:
        deviation: of a seed. seeds, theirs: how many we have, and they had. printed: what rounding to the printed
            digit may hide, added to the margin.
    """
    margin = 3.0 * deviation * math.sqrt(1 / theirs + 1 / seeds) + printed
    return Target(mean, margin, "known answer", f"{source}, {theirs} seeds")


@dataclasses.dataclass(frozen=True)
class Training:
    """What is trained once and measured in any number of cells.

    name: unique in the item, of letters, digits and `-._`. agent, env: names. config, env_options: changes to the
    agent's config, and arguments of `make`. seeds: how many. record_every: episodes or updates a record. judge_every:
    if positive, so many updates apart the greedy policy is evaluated exactly (`agents.judged`); stops: a seed ends once
    it is judged to have solved its task. quick_compile: as in the runner's `Options`. grid: if any, the training is a
    sweep over all combinations, one program; arrays of its run have the axes [setting, seed, record]. waits: its
    environment is made of what another training found, so making it may train that first.
    """

    name: str
    agent: str
    env: str
    config: Mapping[str, Any]
    seeds: int
    record_every: int = 1
    env_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    judge_every: int = 0
    stops: bool = False
    quick_compile: bool = False
    grid: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict)
    waits: bool = False


class Estimate(NamedTuple):
    """A number over something else than seeds: its 95 % interval, and over how many of what (`24 tasks`)."""

    value: float
    low: float
    high: float
    over: str


def of_means(number: Callable[[dict[str, Any]], Any], scores: dict[str, np.ndarray], over: str) -> Estimate:
    """A number that follows from several trainings' means over seeds, with a bootstrap interval over the seeds of each.

    Args:
        number: of means by name, floats or arrays of as many draws of seeds; NaN where it is not defined.
        scores: by name, [seed]; drawn 2000 times, independently of each other, in this order.
    """
    rng = np.random.default_rng(0)
    drawn = number({name: rng.choice(x, (2000, len(x))).mean(axis=1) for name, x in scores.items()})
    drawn = drawn[~np.isnan(drawn)]
    low, high = np.quantile(drawn, (0.025, 0.975)) if drawn.size else (np.nan, np.nan)
    value = number({name: x.mean() for name, x in scores.items()})
    return Estimate(float(value), float(low), float(high), over)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One number of a table.

    training: name of the training: the number is the mean over seeds of `measure(run)`, float64 [seed]. Of several
    trainings, a tuple of names: `measure({name: scores of its seeds})` gives an `Estimate`. None: `measure()` gives an
    exact number. target: what it is held against, if anything. deviation: how our protocol departs from the target's,
    with the reason; "" if it does not. digits: after the point, when printed.
    """

    row: str
    column: str
    training: str | tuple[str, ...] | None
    measure: Callable[..., Any]
    target: Target | None = None
    deviation: str = ""
    digits: int = 1
    is_exact: bool = False

    @property
    def trainings(self) -> tuple[str, ...]:
        """Names of all trainings it needs."""
        return (self.training,) if isinstance(self.training, str) else self.training or ()


@dataclasses.dataclass(frozen=True)
class Item:
    """A table or figure. least_seeds: with fewer a verdict is `inconclusive`. notes: printed below the table.

    figure: draws from `{training name: Run}` to a path without ending. score: a run's scores, float64 [seed], of which
    cells over several trainings are made.
    """

    name: str
    title: str
    trainings: Sequence[Training]
    cells: Sequence[Cell]
    least_seeds: int = 5
    notes: Sequence[str] = ()
    figure: Callable[[Mapping[str, Any], Any], None] | None = None
    score: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        names = [training.name for training in self.trainings]
        if len(set(names)) < len(names):
            raise ConfigError(f"{self.name}: two trainings have the same name")
        for cell in self.cells:
            for name in cell.trainings:
                if name not in names:
                    raise UnknownNameError("training", name, names)
            if isinstance(cell.training, tuple) and self.score is None:
                raise ConfigError(f"{self.name}: {cell.column} is over several trainings, which needs a score")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A paper's reproductions. claim: what may be said of them in one line. items: by name, a function of the scale,
    which may return None where an item has nothing at that scale. others: of items that belong to another paper, its
    title and source."""

    paper: str
    title: str
    source: str
    claim: str
    items: Mapping[str, Callable[[str], Item | None]]
    others: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.others:
            if name not in self.items:
                raise UnknownNameError(f"item of {self.paper}", name, self.items)

    def source_of(self, item: str) -> str:
        """Title and source of the paper that an item belongs to."""
        return self.others.get(item, f"{self.title}. {self.source}")

    def item(self, name: str, scale: str) -> Item | None:
        """Raises UnknownNameError for another name, ConfigError for another scale."""
        if name not in self.items:
            raise UnknownNameError(f"item of {self.paper}", name, self.items)
        if scale not in SCALES:
            raise ConfigError(f"--scale = {scale}: must be one of {', '.join(SCALES)}")
        return self.items[name](scale)
