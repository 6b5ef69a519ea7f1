"""Logging to other tools while a run goes on. The store keeps everything anyway; sinks are optional and may thin.

A sink gets each recorded update's metrics as `[setting, seed]` arrays and keeps seeds apart. Values are placed on the
axis of environment steps. NaN (no episode ended) is left out. A metric with more axes is written component by
component up to 16 of them; larger ones are in the store only.
"""

import importlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from jaxrl_suite.errors import ConfigError, UnknownNameError

MAX_TENSORBOARD_MEMBERS = 256
"""TensorBoard needs an open file and a thread a member."""

_MAX_COMPONENTS = 16
_PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb"}


class Sink(Protocol):
    """Where metrics go while a run goes on."""

    def write(self, update: int, env_steps: int, metrics: dict[str, np.ndarray]) -> None:
        """Takes one update's metrics `[setting, seed, ...]`."""
        ...

    def close(self) -> None:
        """Flushes and lets go of everything; calling it again does nothing."""
        ...


def require_sinks(names: Sequence[str], members: int) -> None:
    """Checks what can be checked before a run begins; opens and writes nothing.

    Args:
        names: of "tensorboard" and "wandb".
        members: settings x seeds.

    Raises:
        UnknownNameError: a name that is not a sink.
        ConfigError: the sink's package is missing, or there are too many members for it.
    """
    _require_known(names)
    for name in names:
        if name == "tensorboard":
            _require_few(members)
        _import(_PACKAGES[name], name)


def _require_known(names: Sequence[str]) -> None:
    for name in names:
        if name not in _PACKAGES:
            raise UnknownNameError("sink", name, _PACKAGES)


def _require_few(members: int) -> None:
    if members > MAX_TENSORBOARD_MEMBERS:
        raise ConfigError(f"sink 'tensorboard': {members} members, must be <= {MAX_TENSORBOARD_MEMBERS}")


def open_sinks(
    names: Sequence[str], run_path: str | os.PathLike, manifest: dict[str, Any], *, from_env_steps: int = 0
) -> list[Sink]:
    """Opens sinks by name, writing below the run's directory.

    Args:
        names: of "tensorboard" and "wandb".
        run_path: the run's directory.
        manifest: `seeds` (list of ints), `settings` (their number, 1 where missing), `agent` and `env` are used.
        from_env_steps: where a resumed run goes on; TensorBoard forgets what a killed run had written beyond.

    Raises:
        UnknownNameError: a name that is not a sink.
        ConfigError: the sink's package is missing, or there are too many members for it.
    """
    _require_known(names)
    makers = {"tensorboard": _open_tensorboard, "wandb": _open_wandb}
    sinks: list[Sink] = []
    try:
        for name in names:
            sinks.append(makers[name](Path(run_path), manifest, from_env_steps))
    except BaseException:
        for sink in sinks:
            sink.close()
        raise
    return sinks


def _open_tensorboard(run: Path, manifest: dict[str, Any], from_env_steps: int) -> Sink:
    seeds, settings = manifest["seeds"], manifest.get("settings", 1)
    return TensorBoardSink(run / "tensorboard", seeds, settings, from_env_steps=from_env_steps)


def _open_wandb(run: Path, manifest: dict[str, Any], from_env_steps: int) -> Sink:
    del from_env_steps  # an offline wandb run cannot go on: a resumed run starts a new one in the same group
    return WandbSink(run, manifest["seeds"], manifest.get("settings", 1), group=run.name, config=manifest)


class TensorBoardSink:
    """One TensorBoard run (subdirectory) for each seed, or `setting_i/seed_j` where there are several settings."""

    def __init__(
        self,
        directory: str | os.PathLike,
        seeds: Sequence[int],
        settings: int = 1,
        *,
        from_env_steps: int = 0,
    ):
        """Raises ConfigError without tensorboardX, or with more members than TensorBoard can bear."""
        _require_few(settings * len(seeds))
        package = _import("tensorboardX", "tensorboard")
        purge = {"purge_step": from_env_steps + 1} if from_env_steps else {}
        self._writers = {
            (i, j): package.SummaryWriter(str(Path(directory) / _member(i, seed, settings)), **purge)
            for i in range(settings)
            for j, seed in enumerate(seeds)
        }

    def write(self, update: int, env_steps: int, metrics: dict[str, np.ndarray]) -> None:
        """See `Sink`. `update` is not needed: the axis is environment steps."""
        for (setting, seed), writer in self._writers.items():
            for name, values in _scalars(metrics):
                value = values[setting, seed]
                if not np.isnan(value):
                    writer.add_scalar(name, float(value), int(env_steps))

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}


class WandbSink:
    """Weights & Biases, offline unless asked: nothing leaves the machine before `wandb sync`.

    By default one wandb run a setting: each metric as `name/mean` over the seeds that have a value, `name/seeds` (how
    many those are) where some have none, and `name/seed_j`. With `per_seed`, one wandb run a seed and plain names.
    All of them are in one group.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        seeds: Sequence[int],
        settings: int = 1,
        *,
        group: str,
        project: str = "jaxrl",
        mode: str = "offline",
        per_seed: bool = False,
        config: dict[str, Any] | None = None,
    ):
        """Raises ConfigError without wandb, or for a mode it does not have."""
        if mode not in ("offline", "online", "disabled"):
            raise ConfigError(f"sink 'wandb': mode = {mode!r}, must be one of offline, online, disabled")
        package = _import("wandb", "wandb")
        self._seeds = tuple(seeds)
        members = [(i, j) for i in range(settings) for j in (range(len(seeds)) if per_seed else (None,))]
        self._runs = {}
        for setting, seed in members:
            run = package.init(
                project=project, group=group, mode=mode, dir=str(directory), config=config or {},
                name="/".join(filter(None, [group, _member(setting, None if seed is None else seeds[seed], settings)])),
                # Several runs live side by side in this process.
                reinit="create_new",
            )  # fmt: skip
            run.define_metric("*", step_metric="env_steps")
            self._runs[setting, seed] = run

    def write(self, update: int, env_steps: int, metrics: dict[str, np.ndarray]) -> None:
        """See `Sink`."""
        for (setting, seed), run in self._runs.items():
            row: dict[str, float] = {}
            for name, values in _scalars(metrics):
                row |= (
                    self._over_seeds(name, values[setting]) if seed is None else _present(name, values[setting, seed])
                )
            run.log({"update": int(update), "env_steps": int(env_steps), **row})

    def _over_seeds(self, name: str, values: np.ndarray) -> dict[str, float]:
        has_value = ~np.isnan(values)
        row: dict[str, float] = {}
        if has_value.any():
            row[f"{name}/mean"] = float(values[has_value].mean())
        if not has_value.all():
            row[f"{name}/seeds"] = int(has_value.sum())
        for seed, value in zip(self._seeds, values, strict=True):
            row |= _present(f"{name}/seed_{seed}", value)
        return row

    def close(self) -> None:
        for run in self._runs.values():
            run.finish()
        self._runs = {}


def _present(name: str, value: Any) -> dict[str, float]:
    return {} if np.isnan(value) else {name: float(value)}


def _member(setting: int, seed: int | None, settings: int) -> str:
    parts = [f"setting_{setting}"] if settings > 1 else []
    return "/".join(parts if seed is None else [*parts, f"seed_{seed}"])


def _scalars(metrics: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Metrics as float64 `[setting, seed]`, components of larger ones under numbered names."""
    for name, array in metrics.items():
        array = np.asarray(array, np.float64)
        if array.ndim == 2:
            yield name, array
            continue
        flat = array.reshape(*array.shape[:2], -1)
        if flat.shape[-1] <= _MAX_COMPONENTS:
            yield from ((f"{name}/{i}", flat[..., i]) for i in range(flat.shape[-1]))


def _import(package: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        advice = f"pip install 'jaxrl-suite[{extra}]'"
        raise ConfigError(f"sink {extra!r}: needs the package {package}, which is not installed: {advice}") from None
