"""Environments by name: gymnax's, the suite's own families, and yours."""

import dataclasses
import importlib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from jaxrl_suite.envs.adapter import adapt
from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.envs.params import fingerprint, with_kinds_of
from jaxrl_suite.errors import ConfigError, UnknownNameError

Factory = Callable[..., Any]

_DOWNLOADS = {"MNISTBandit-bsuite": "MNIST (about 12 MB)"}


@dataclasses.dataclass(frozen=True)
class _Family:
    maker: str
    ids: Sequence[str] | str


_factories: dict[str, Factory] = {}
_families: dict[str, _Family] = {}
_made: dict[Any, tuple[BaseEnv, Any]] = {}


def register(id: str, factory: Factory) -> None:
    """Adds an environment under a name.

    Args:
        id: a new name.
        factory: called with `make`'s extra keyword arguments; returns an environment object, as `adapt` takes it, or
            a pair of one and its parameters.

    Raises:
        ConfigError: if the name is taken by something else.
    """
    if not callable(factory):
        raise ConfigError(f"register({id!r}): factory = {factory!r}: must be callable")
    if _factories.get(id) is factory:
        return
    if id in _factories or _family_of(id) is not None or id in _gymnax_ids():
        raise ConfigError(f"register({id!r}): this name is taken")
    _factories[id] = factory


def register_family(prefix: str, maker: str, ids: Sequence[str] | str = ()) -> None:
    """Adds all names `prefix/…`, made by a function that is imported when first needed.

    Args:
        prefix: the part of the name before the slash.
        maker: "module:function", called as `function(id, **kwargs)` with the whole name; returns as `register` says,
            and raises UnknownNameError for a name it does not have.
        ids: the names, as far as they can be listed, or "module:name" of the sequence of them.

    Raises:
        ConfigError: if the prefix is taken by another maker, or an argument is malformed.
    """
    if not prefix or "/" in prefix or ":" not in maker:
        raise ConfigError(
            f"register_family({prefix!r}, {maker!r}): must be a prefix without slash, and module:function"
        )
    family = _Family(maker, ids if isinstance(ids, str) else tuple(ids))
    if _families.setdefault(prefix, family).maker != maker:
        raise ConfigError(f"register_family({prefix!r}): this prefix is taken by {_families[prefix].maker}")


def list_envs() -> list[str]:
    """All names that `make` takes, sorted; of open families, those they list."""
    listed = (_resolve(family.ids) if isinstance(family.ids, str) else family.ids for family in _families.values())
    return sorted({*_gymnax_ids(), *_factories, *(id for ids in listed for id in ids)})


def make(
    id: str,
    *,
    observation: str = "auto",
    sticky_actions: float = 0.0,
    params: Mapping[str, Any] | None = None,
    allow_download: bool = False,
    **env_kwargs: Any,
) -> tuple[BaseEnv, Any]:
    """An environment and its parameters.

    Args:
        id: name, one of `list_envs()`.
        observation: encoding of observations, as in `adapt`.
        sticky_actions: if positive, probability of repeating the last action (`StickyActions`).
        params: parameters to change, by name; an unknown one is an error.
        allow_download: lets an environment that needs data from the network fetch it.
        **env_kwargs: arguments of the environment itself, such as `size` of DeepSea-bsuite.

    Returns:
        (env, params). The same arguments, `params` aside, give the same `env`, so it compiles once. `params` is the
        environment's frozen dataclass of plain numbers: print it, `.replace` it, pass it on.

    Raises:
        UnknownNameError: if there is no such environment or parameter; the message suggests near ones.
        ConfigError: if an argument cannot work.
    """
    cache_key = (id, observation, float(sticky_actions), fingerprint(env_kwargs, id))
    if cache_key not in _made:
        with jax.ensure_compile_time_eval():
            _made[cache_key] = _build(id, observation, sticky_actions, allow_download, env_kwargs)
        recipe = {"observation": observation, "sticky_actions": sticky_actions, "allow_download": allow_download}
        _made[cache_key][0].recipe = {"id": id, **recipe, **env_kwargs}
    env, default_params = _made[cache_key]
    return env, _changed(env, default_params, params) if params else default_params


def _build(id: str, observation: str, stickiness: float, allow_download: bool, kwargs: dict) -> tuple[BaseEnv, Any]:
    made = _construct(id, allow_download, kwargs)
    source, params = made if isinstance(made, tuple) and not hasattr(made, "reset") else (made, None)
    if isinstance(source, BaseEnv) and observation != "auto":
        source, observation = source.observed_as(observation), "auto"
    env = adapt(source, id, params=params, observation=observation, check=id not in _gymnax_ids())
    params = env.default_params if params is None or not isinstance(source, BaseEnv) else params
    if stickiness == 0.0:
        return env, params
    from jaxrl_suite.envs.wrappers import StickyActions

    sticky = StickyActions(env, stickiness)
    return sticky, sticky.wrap_params(params)


def _construct(id: str, allow_download: bool, kwargs: dict[str, Any]) -> Any:
    if id in _factories:
        return _call(id, _factories[id], kwargs)
    family = _family_of(id)
    if family is not None:
        return _call(id, _resolve(family.maker), kwargs, id)
    if id not in _gymnax_ids():
        raise UnknownNameError("environment", id, list_envs())
    if id in _DOWNLOADS and not allow_download:
        raise ConfigError(f"{id} downloads {_DOWNLOADS[id]} when it is built: make(…, allow_download=True) lets it")
    return _gymnax_env(id, kwargs)


def _call(id: str, factory: Factory, kwargs: dict[str, Any], *args: Any) -> Any:
    try:
        inspect.signature(factory).bind(*args, **kwargs)
    except TypeError as error:
        raise ConfigError(f"{id}: {error}") from None
    return factory(*args, **kwargs)


def _gymnax_env(id: str, kwargs: dict[str, Any]) -> Any:
    import gymnax

    shown = ", ".join(f"{name}={value!r}" for name, value in kwargs.items())
    try:
        return gymnax.make(id, **kwargs)[0]
    except OSError as error:
        raise ConfigError(f"{id}: its data could not be downloaded or read: {error}") from error
    except (TypeError, ValueError, AssertionError) as error:
        if not kwargs:
            raise
        raise ConfigError(f"{id} cannot be built with {shown}" + (f": {error}" if str(error) else "")) from error


def _changed(env: BaseEnv, default_params: Any, changes: Mapping[str, Any]) -> Any:
    is_wrapped = hasattr(env, "wrap_params")
    inner = default_params.env if is_wrapped else default_params
    if not dataclasses.is_dataclass(inner):
        raise ConfigError(f"{env.id}: its parameters are {type(inner).__name__}, whose fields make cannot change")
    names = [field.name for field in dataclasses.fields(inner)]
    for name, value in changes.items():
        if name not in names:
            raise UnknownNameError(f"parameter of {env.id}", name, names)
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{env.id}: parameter {name} = {value!r}: must be finite")
    inner = dataclasses.replace(inner, **changes)  # type: ignore[type-var]
    changed = dataclasses.replace(default_params, env=inner) if is_wrapped else inner
    return with_kinds_of(default_params, changed, env.id)


def _family_of(id: str) -> _Family | None:
    prefix, slash, _ = id.partition("/")
    return _families.get(prefix) if slash else None


def _resolve(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _gymnax_ids() -> tuple[str, ...]:
    import gymnax

    return tuple(gymnax.registered_envs)


register_family("probe", "jaxrl_suite.envs.probes:make", "jaxrl_suite.envs.probes:IDS")
register_family("tabular", "jaxrl_suite.envs.tabular_families:make", "jaxrl_suite.envs.tabular_families:IDS")
register_family("grid", "jaxrl_suite.envs.gridworlds:make", "jaxrl_suite.envs.gridworlds:IDS")
register_family("table", "jaxrl_suite.envs.table_env:make")
register_family("linear", "jaxrl_suite.envs.tetris:make", "jaxrl_suite.envs.tetris:IDS")
register_family("game", "jaxrl_suite.envs.game_env:make", "jaxrl_suite.envs.game_env:IDS")
register_family("markov", "jaxrl_suite.envs.markov_game_env:make", "jaxrl_suite.games.markov:IDS")
register_family("board", "jaxrl_suite.envs.board_env:make", "jaxrl_suite.envs.board_env:IDS")
register_family("pgx", "jaxrl_suite.envs.pgx_env:make")
register_family("brax", "jaxrl_suite.envs.brax_env:make", "jaxrl_suite.envs.physics:BRAX_IDS")
register_family("mjx", "jaxrl_suite.envs.mjx_env:make", "jaxrl_suite.envs.physics:MJX_IDS")
register_family("hanabi", "jaxrl_suite.envs.hanabi:make", "jaxrl_suite.envs.hanabi:IDS")
register_family("pushed", "jaxrl_suite.envs.pushed_tasks:make", "jaxrl_suite.envs.pushed_tasks:IDS")
register_family("robust", "jaxrl_suite.envs.robust:make", "jaxrl_suite.envs.robust:IDS")
