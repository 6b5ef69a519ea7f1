"""Trains what an item needs: skips what is done, resumes what was cut off, trains what is missing."""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jaxrl_suite
from jaxrl_suite.agents import agent_named, judge_of, judged
from jaxrl_suite.envs import make
from jaxrl_suite.reproduction.experiment import Item, Training
from jaxrl_suite.results.store import RunStore
from jaxrl_suite.training import load, resume, sweep, train
from jaxrl_suite.training.progress import say
from jaxrl_suite.training.provenance import versions
from jaxrl_suite.training.rebuild import describe, digest


class KeptRuns(Mapping[str, Any]):
    """{name: Run} of an item's trainings, in files; in memory is only the one asked for last.

    Replay buffers of dozens of trainings would not fit there.
    """

    def __init__(self, item: Item, root: Path, show: bool = False):
        self._trainings = {training.name: training for training in item.trainings}
        self._paths = {name: _kept(training, root, show) for name, training in self._trainings.items()}
        self._last: tuple[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        if self._last is None or self._last[0] != name:
            path = self._paths[name]
            self._last = None
            self._last = (name, load(path, agent_of(self._trainings[name])))
        return self._last[1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def _kept(training: Training, root: Path, show: bool) -> Path:
    return run_training(training, root, show).path


def run_trainings(item: Item, root: Path, show: bool = False) -> Mapping[str, Any]:
    """{name: Run} of all trainings of an item, kept under `root`."""
    return KeptRuns(item, root, show)


def agent_of(training: Training) -> Any:
    """The agent that a training is of. Raises ConfigError for settings that cannot work."""
    factory = agent_named(training.agent)
    env, params = make(training.env, **training.env_options)
    config = factory.config_class(**training.config)  # type: ignore[attr-defined]
    if training.judge_every:
        factory = judged(factory, judge_of(env, params), training.judge_every, training.stops)
    return factory(env, params, config)


def run_training(training: Training, root: Path, show: bool = False, seeds: Any = None) -> Any:
    """The finished run of a training. Its directory's name has a digest of all that decides its numbers.

    Args:
        seeds: other seeds than the training's own.
    """
    agent, seeds = agent_of(training), training.seeds if seeds is None else seeds
    what = {
        **describe(agent.info),
        "seeds": seeds,
        "record_every": training.record_every,
        "judge": [training.judge_every, training.stops],
        "grid": {name: list(values) for name, values in training.grid.items()},
        "code": _code(),
    }
    path = root / f"{training.name}-{digest(what)}"
    if not (path / "manifest.json").exists():
        options: dict[str, Any] = {"record_every": training.record_every, "quick_compile": training.quick_compile}
        options |= {"seeds": seeds, "out": path, "show": show}
        if training.grid:
            info = agent.info
            return sweep(info.factory, (info.env, info.env_params), info.config, training.grid, **options)
        return train(agent, **options)
    if RunStore.open(path).manifest["status"] == "finished":
        say(f"{training.name}: done before, kept in {path}")
        return load(path, agent)
    say(f"{training.name}: going on where it was cut off")
    return resume(path, agent, show=show)


@functools.cache
def _code() -> str:
    """Digest of the package's sources and the versions below it: results of other code are never taken for this one's,
    and a commit that changes no code makes nothing be done again."""
    package = Path(jaxrl_suite.__file__).parent
    sources = {str(p.relative_to(package)): p.read_text(encoding="utf-8") for p in sorted(package.rglob("*.py"))}
    return digest({"sources": sources, "versions": versions()})
