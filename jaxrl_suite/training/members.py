"""Members of a run: seeds x settings as one axis."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.agent import Agent, AgentInfo
from jaxrl_suite.config import cast_floats, require_sweepable, validate
from jaxrl_suite.errors import ConfigError, UnknownNameError

Setting = dict[str, float]

EVALUATION = 0xFFFFFFFF
"""Stream of a seed's evaluation keys; updates use 1, 2, ... and cannot reach it."""


@dataclasses.dataclass(frozen=True, eq=False)
class Members:
    """All members of a run, setting by setting: member `s * len(seeds) + i` is seed i under setting s.

    seeds: the seeds; settings: one dict a setting, `({},)` where nothing is swept.
    hyper: (env_params, config) as arrays, a swept leaf with a leading axis [M]; swept: whether each leaf is.
    """

    seeds: tuple[int, ...]
    settings: tuple[Setting, ...]
    hyper: Any
    swept: tuple[bool, ...]

    @property
    def count(self) -> int:
        """The number of members, M."""
        return len(self.seeds) * len(self.settings)

    def keys(self) -> jax.Array:
        """[M] keys: `jax.random.key(seed)`, the same for every setting."""
        seeds = np.tile(np.asarray(self.seeds, np.uint32), len(self.settings))
        return jax.vmap(jax.random.key)(jnp.asarray(seeds))


def parse_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """`8` means seeds 0 to 7; a sequence is taken as it is. Raises ConfigError for none, negative or repeated ones."""
    chosen = tuple(range(seeds)) if isinstance(seeds, int) else tuple(int(s) for s in seeds)
    if not chosen:
        raise ConfigError(f"seeds = {seeds!r}: must be at least one")
    if min(chosen) < 0 or max(chosen) >= 2**32:
        raise ConfigError(f"seeds = {seeds!r}: each must be between 0 and 2^32 - 1")
    if len(set(chosen)) < len(chosen):
        raise ConfigError(f"seeds = {seeds!r}: must not repeat")
    return chosen


def parse_grid(grid: Mapping[str, Sequence[float]]) -> tuple[Setting, ...]:
    """Every combination of the grid's values, the last name varying fastest. Raises ConfigError for a name without."""
    for name, values in grid.items():
        if not len(values):
            raise ConfigError(f"grid {name}: must have at least one value")
    return tuple(dict(zip(grid, combination, strict=True)) for combination in itertools.product(*grid.values()))


def single(info: AgentInfo, seeds: tuple[int, ...]) -> Members:
    """Members that differ by seed alone."""
    hyper = cast_floats((info.env_params, info.config), info.precision)
    return Members(seeds, ({},), hyper, (False,) * len(jax.tree.leaves(hyper)))


def swept(info: AgentInfo, settings: tuple[Setting, ...], seeds: tuple[int, ...]) -> Members:
    """Members that differ by seed and setting. Every setting's config is validated on the host.

    Raises:
        ConfigError: for a static or unknown field, or a value out of range.
    """
    hypers = [cast_floats(apply_setting(info, setting), info.precision) for setting in settings]
    names = {name for setting in settings for name in setting}
    paths = [path_name(path) for path, _ in jax.tree_util.tree_flatten_with_path(hypers[0])[0]]
    is_swept = tuple(path in names for path in paths)

    def stack(flag: bool, *leaves: jax.Array) -> jax.Array:
        return jnp.repeat(jnp.stack(leaves), len(seeds), axis=0) if flag else leaves[0]

    columns = zip(*(jax.tree.leaves(h) for h in hypers), strict=True)
    stacked = [stack(flag, *leaves) for flag, leaves in zip(is_swept, columns, strict=True)]
    return Members(seeds, settings, jax.tree.unflatten(jax.tree.structure(hypers[0]), stacked), is_swept)


def apply_setting(info: AgentInfo, setting: Setting) -> tuple[Any, Any]:
    """(env_params, config) with a setting's values in place; config fields by name, env parameters as `env.NAME`."""
    env_params, config = info.env_params, info.config
    for name, value in setting.items():
        if name.startswith("env."):
            env_params = _replace_leaf(env_params, name, value)
        else:
            require_sweepable(config, name)
            config = dataclasses.replace(config, **{name: value})
    validate(config)
    check = getattr(info.factory, "check", None)
    if check is not None:
        check(info.env, env_params, config)
    return env_params, config


def setting_agent(info: AgentInfo, setting: Setting) -> Agent:
    """The agent of one setting, with its own numbers; raises as `apply_setting`."""
    return info.factory(info.env, *apply_setting(info, setting))


def _replace_leaf(env_params: Any, name: str, value: float) -> Any:
    leaves, structure = jax.tree_util.tree_flatten_with_path(env_params)
    known = ["env." + ".".join(map(_key_name, path)) for path, _ in leaves]
    numbers = [k for k, (_, leaf) in zip(known, leaves, strict=True) if np.ndim(leaf) == 0]
    if name in known and name not in numbers:
        raise ConfigError(f"{name}: is an array; only single numbers can be swept")
    if name not in known:
        raise UnknownNameError("environment parameter", name, numbers)
    if not np.isfinite(value):
        raise ConfigError(f"{name} = {value}: must be finite")
    old = leaves[known.index(name)][1]
    if np.issubdtype(np.asarray(old).dtype, np.integer) and int(value) != value:
        raise ConfigError(f"{name} = {value}: must be a whole number")
    new = [
        np.asarray(value, np.asarray(old).dtype) if k == name else leaf
        for k, (_, leaf) in zip(known, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, new)


def path_name(path: Any) -> str:
    """Name of a leaf of (env_params, config): `env.length` or `learning_rate`."""
    names = ".".join(map(_key_name, path[1:]))
    return f"env.{names}" if path[0].idx == 0 else names


def _key_name(key: Any) -> str:
    for attribute in ("name", "key", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)


def member_agent(
    info: AgentInfo, members: Members, swept_leaves: list[jax.Array], fixed_leaves: list[jax.Array]
) -> Agent:
    """The agent of one member, from that member's swept leaves and the leaves all members share."""
    by_kind = {True: iter(swept_leaves), False: iter(fixed_leaves)}
    leaves = [next(by_kind[flag]) for flag in members.swept]
    env_params, config = jax.tree.unflatten(jax.tree.structure(members.hyper), leaves)
    return info.factory(info.env, env_params, config)


def split_hyper(members: Members) -> tuple[list[jax.Array], list[jax.Array]]:
    """(swept leaves, each [M]; shared leaves)."""
    leaves = jax.tree.leaves(members.hyper)
    pairs = list(zip(members.swept, leaves, strict=True))
    return [leaf for flag, leaf in pairs if flag], [leaf for flag, leaf in pairs if not flag]
