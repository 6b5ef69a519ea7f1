"""Environment parameters: the kind (float, int, bool) of every leaf is the environment's, whatever a caller passes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxrl_suite.errors import ConfigError

_EXPECTED = {"float": "a number", "int": "a whole number", "bool": "true or false"}


def with_kinds_of(template: Any, params: Any, where: str) -> Any:
    """`params` with every leaf of the kind that the same leaf of `template` has.

    Python scalars stay Python scalars (they print and hash well); arrays and tracers become strongly typed, because a
    weak type would change the type of the state they flow into. Ints are accepted for floats, and floats for ints
    where their value is known and whole. A float of a Python-scalar template is float32.

    Args:
        template: parameters of the right structure, usually an environment's `default_params`.
        params: parameters to convert; leaves may be tracers or carry leading sweep axes.
        where: name of the environment, for the messages.

    Raises:
        ConfigError: if `params` is of another type or structure, or a leaf cannot be of its kind.
    """
    if type(params) is not type(template):
        raise ConfigError(f"{where}: parameters are {type(params).__name__}, must be {type(template).__name__}")
    expected = jax.tree_util.tree_flatten_with_path(template)[0]
    given, structure = jax.tree_util.tree_flatten_with_path(params)
    if [path for path, _ in expected] != [path for path, _ in given]:
        names = ", ".join(leaf_name(path) for path, _ in expected)
        raise ConfigError(f"{where}: parameters have other fields than the environment's: {names}")
    leaves = [
        _of_kind(like, leaf, f"{where}: parameter {leaf_name(path)}")
        for (path, like), (_, leaf) in zip(expected, given, strict=True)
    ]
    return jax.tree.unflatten(structure, leaves)


def leaf_name(path: Any) -> str:
    """`env.length` for the path of a leaf."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def strongly_typed(leaf: Any) -> jax.Array:
    """`leaf` as an array of its own dtype without weak type."""
    array = jnp.asarray(leaf)
    if jnp.issubdtype(array.dtype, jax.dtypes.extended):
        return array
    return jax.lax.convert_element_type(array, array.dtype)


def fingerprint(value: Any, where: str) -> Any:
    """A hashable that is equal for equal content: of a pytree of numbers and arrays, or of keyword arguments.

    Raises:
        ConfigError: for something that is neither an array, a container, nor hashable.
    """
    leaves, structure = jax.tree.flatten(value)
    return structure, tuple(_leaf_fingerprint(leaf, where) for leaf in leaves)


def _leaf_fingerprint(leaf: Any, where: str) -> Any:
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.extended):
        leaf = jax.random.key_data(leaf)
    if isinstance(leaf, (np.ndarray, jax.Array)):
        array = np.asarray(leaf)
        return array.dtype.str, array.shape, array.tobytes()
    try:
        hash(leaf)
    except TypeError:
        raise ConfigError(f"{where}: {leaf!r}: must be a number, an array, a list, or hashable") from None
    return type(leaf).__name__, leaf


def kind_of(leaf: Any) -> str:
    """One of `float`, `int`, `bool`, or `other` (random keys)."""
    dtype = jnp.result_type(leaf)
    if jnp.issubdtype(dtype, jnp.floating):
        return "float"
    if jnp.issubdtype(dtype, jnp.integer):
        return "int"
    return "bool" if dtype == jnp.bool_ else "other"


def _of_kind(like: Any, leaf: Any, where: str) -> Any:
    kind = kind_of(like)
    if kind == "other":
        return leaf
    if isinstance(leaf, (bool, int, float)):
        return _scalar_of_kind(kind, leaf, where)
    if not isinstance(leaf, jax.Array) and not hasattr(leaf, "dtype"):
        raise ConfigError(f"{where} = {leaf!r}: must be {_EXPECTED[kind]}")
    array = jnp.asarray(leaf)
    if kind == "float":
        is_settled = kind_of(array) == "float" and not jax.typeof(array).weak_type
        target = array.dtype if is_settled else getattr(like, "dtype", jnp.float32)
        return jax.lax.convert_element_type(array, jax.dtypes.canonicalize_dtype(target))
    if kind_of(array) == "float":
        return _whole(array, kind, where)
    return strongly_typed(array) if kind == "int" else array.astype(jnp.bool_)


def _scalar_of_kind(kind: str, value: bool | int | float, where: str) -> bool | int | float:
    if kind == "float":
        return float(value)
    if kind == "bool" and value in (0, 1):
        return bool(value)
    if kind == "int" and float(value).is_integer():
        return int(value)
    raise ConfigError(f"{where} = {value!r}: must be {_EXPECTED[kind]}")


def _whole(array: jax.Array, kind: str, where: str) -> jax.Array:
    # A tracer's value is unknown: rounding it silently would change what a sweep means.
    if kind != "int" or isinstance(array, Tracer) or not bool(jnp.all(array == jnp.round(array))):
        raise ConfigError(f"{where}: must be {_EXPECTED[kind]}, got {array.dtype}")
    return array.astype(jnp.int32)
