"""Experiments of a checkout, found by name."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

from jaxrl_suite.errors import ConfigError, UnknownNameError
from jaxrl_suite.reproduction.experiment import Experiment


def list_experiments(root: Path) -> list[str]:
    """Names of the papers under `root`, a checkout's folder `experiments`."""
    return sorted(path.parent.name for path in root.glob("*/experiment.py"))


def load_experiment(root: Path, paper: str) -> Experiment:
    """The `EXPERIMENT` of experiments/<paper>/experiment.py.

    Raises:
        ConfigError: if there are no experiments under `root`. UnknownNameError: if this is none of them.
    """
    known = list_experiments(root)
    if not known:
        raise ConfigError("reproduce: needs a checkout of the source (there are no experiments beside the package)")
    if paper not in known:
        raise UnknownNameError("paper", paper, known)
    return import_file(root / paper / "experiment.py", f"jaxrl_experiments_{paper}").EXPERIMENT


def import_file(path: Path, name: str) -> Any:
    """The module in a file, under a name of its own; the same one each time, as with any import."""
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(path):
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
