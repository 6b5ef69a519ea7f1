"""Agents to plain data and back, so that a run directory can be resumed by name alone."""

import hashlib
import importlib
import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxrl_suite.agent import Agent, AgentInfo
from jaxrl_suite.config import from_dict, to_dict
from jaxrl_suite.errors import RunDirectoryError
from jaxrl_suite.training.members import path_name


def describe(info: AgentInfo) -> dict[str, Any]:
    """A run's config.json: everything that decides its numbers, apart from seeds and budget."""
    return {
        "agent": info.name,
        "factory": f"{info.factory.__module__}:{info.factory.__qualname__}",
        "env": {
            "id": info.env_id,
            "recipe": _plain_recipe(info.env),
            "params": env_values(info.env_params),
            "structure": _structure(info.env_params),
        },
        "config": to_dict(info.config),
    }


def _plain_recipe(env: Any) -> dict[str, Any] | None:
    """How `make` gives the environment again, if that can be written down."""
    recipe = getattr(env, "recipe", None)
    try:
        return json.loads(json.dumps(recipe))
    except TypeError:
        return None


def _structure(env_params: Any) -> str:
    """What is static in the parameters (a horizon, say), as text."""
    return str(jax.tree.structure(env_params))


WRITTEN_OUT = 1000
"""Larger arrays are not written out but fingerprinted: a game's tree would be megabytes a run."""


def env_values(env_params: Any) -> dict[str, Any]:
    """Environment parameters by name; large arrays as a fingerprint."""
    leaves = jax.tree_util.tree_flatten_with_path((env_params,))[0]
    return {path_name(path): _plain(np.asarray(leaf)) for path, leaf in leaves}


def _plain(array: np.ndarray) -> Any:
    if array.size <= WRITTEN_OUT:
        return array.tolist()
    content = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return {"shape": list(array.shape), "dtype": str(array.dtype), "sha256": content}


def digest(config: dict[str, Any]) -> str:
    """A fingerprint of config.json that shows whether it was changed."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]


def rebuild(config: dict[str, Any]) -> Agent:
    """The agent that `describe` described.

    Raises:
        RunDirectoryError: if it was made from parts that have no name to find them by; give the agent itself then.
    """
    factory = _find_factory(config["factory"])
    recipe = config["env"]["recipe"]
    if recipe is None:
        raise RunDirectoryError(f"environment {config['env']['id']} has no name to rebuild it by: give agent=…")
    make: Callable[..., Any] = importlib.import_module("jaxrl_suite.envs").make
    env, default_params = make(**recipe)
    if _structure(default_params) != config["env"].get("structure", _structure(default_params)):
        raise RunDirectoryError(f"environment {config['env']['id']} had other static parameters: give agent=…")
    settings = from_dict(factory.config_class, config["config"])  # type: ignore[attr-defined]
    return factory(env, _with_values(default_params, config["env"]["params"]), settings)


def _find_factory(name: str) -> Callable[..., Agent]:
    module, _, attribute = name.partition(":")
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError):
        raise RunDirectoryError(f"agent {name} cannot be imported here: give agent=…") from None
    if not hasattr(factory, "config_class"):
        raise RunDirectoryError(f"{name} is no agent factory: give agent=…")
    return factory


def _with_values(env_params: Any, values: dict[str, Any]) -> Any:
    leaves, structure = jax.tree_util.tree_flatten_with_path((env_params,))
    names = [path_name(path) for path, _ in leaves]
    if set(names) != set(values):
        odd = sorted(set(names) ^ set(values))
        raise RunDirectoryError(f"environment parameters differ from this version's: {', '.join(odd)}")
    restored = [_like(leaf, values[name], name) for name, (_, leaf) in zip(names, leaves, strict=True)]
    return jax.tree.unflatten(structure, restored)[0]


def _like(leaf: Any, value: Any, name: str) -> Any:
    if isinstance(value, dict):
        if _plain(np.asarray(leaf)) != value:
            raise RunDirectoryError(f"environment parameter {name} is another than the run was made with: give agent=…")
        return leaf
    return np.asarray(value, leaf.dtype) if hasattr(leaf, "dtype") else type(leaf)(value)
