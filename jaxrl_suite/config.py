"""Configurations: frozen dataclasses whose floats can be swept and whose other fields are static.

A field made by `sweepable` is a pytree leaf: it may be a tracer, differ from member to member under `vmap`, and
changing it never recompiles. A field made by `static` decides shapes or code: it lives in the tree structure, so a
new value is a new program. Both carry their documentation, unit, source and allowed range, which the command line
shows and `validate` enforces on the host, before anything compiles (`__post_init__` would see tracers).
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.errors import ConfigError, UnknownNameError


def _field(default: Any, *, is_sweepable: bool, **about: Any) -> Any:
    return struct.field(pytree_node=is_sweepable, default=default, metadata=about)


def sweepable(
    default: float,
    doc: str,
    *,
    symbol: str = "",
    unit: str = "",
    source: str = "",
    above: float | None = None,
    low: float | None = None,
    high: float | None = None,
    below: float | None = None,
) -> Any:
    """A float that is a pytree leaf: sweepable under `vmap` without recompiling.

    Allowed are finite values with `above < value < below` and `low <= value <= high`, as far as these are given.
    """
    bounds = {"above": above, "low": low, "high": high, "below": below}
    return _field(default, is_sweepable=True, doc=doc, symbol=symbol, unit=unit, source=source, **bounds)


def static(
    default: Any,
    doc: str,
    *,
    symbol: str = "",
    unit: str = "",
    source: str = "",
    low: float | None = None,
    choices: tuple[Any, ...] | None = None,
) -> Any:
    """An int, bool, string, tuple or module that selects the program: part of the tree structure, never traced."""
    return _field(
        default, is_sweepable=False, doc=doc, symbol=symbol, unit=unit, source=source, low=low, choices=choices
    )


def array(default: Any, doc: str, *, symbol: str = "", source: str = "") -> Any:
    """An array, or None: a pytree leaf that is set in Python only, neither swept nor typed. Checked by the agent."""
    about = {"doc": doc, "symbol": symbol, "source": source, "is_array": True}
    return _field(default, is_sweepable=True, **about)


def is_array(field: dataclasses.Field) -> bool:
    return bool(field.metadata.get("is_array"))


def is_sweepable(field: dataclasses.Field) -> bool:
    return field.metadata.get("pytree_node", True) and not is_array(field)


def sweepable_fields(config: Any) -> tuple[str, ...]:
    """Names of the fields that may be swept, in order of definition. Takes a config or its class."""
    return tuple(f.name for f in dataclasses.fields(config) if is_sweepable(f))


def static_fields(config: Any) -> tuple[str, ...]:
    """Names of the fields that select a program, in order of definition. Takes a config or its class."""
    return tuple(f.name for f in dataclasses.fields(config) if not is_sweepable(f) and not is_array(f))


def require_sweepable(config: Any, name: str) -> None:
    """Raises ConfigError unless `name` is a field of `config` that can be swept in one program."""
    kind = type(config).__name__
    if name in sweepable_fields(config):
        return
    if name in static_fields(config):
        raise ConfigError(
            f"{kind}.{name} is static (it decides shapes or code) and cannot be swept in one program: "
            f"run one sweep a value, or sweep one of {', '.join(sweepable_fields(config))}"
        )
    raise UnknownNameError(f"field of {kind}", name, [f.name for f in dataclasses.fields(config)])


def validate(config: Any) -> None:
    """Checks every field of a concrete config on the host.

    Raises:
        ConfigError: for the first field outside its range; the message names the field, the value and what is allowed.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if is_array(field):
            continue
        where = f"{type(config).__name__}.{field.name} = {_shown(value)}"
        if is_sweepable(field):
            _check_float(where, value, field.metadata)
        else:
            _check_static(where, value, field)
    check = getattr(config, "check", None)
    if check is not None:
        check()


def _shown(value: Any) -> str:
    is_number = isinstance(value, (jax.Array, np.floating, np.ndarray)) and np.ndim(value) == 0
    return f"{float(value):g}" if is_number else repr(value)


def _check_float(where: str, value: Any, about: Any) -> None:
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"{where}: must be a number") from None
    allowed = _range_text(about)
    if not np.all(np.isfinite(numbers)):
        raise ConfigError(f"{where}: must be finite{' and ' + allowed if allowed else ''}")
    above, low, high, below = (about.get(k) for k in ("above", "low", "high", "below"))
    is_ok = (
        (above is None or np.all(numbers > above))
        and (low is None or np.all(numbers >= low))
        and (high is None or np.all(numbers <= high))
        and (below is None or np.all(numbers < below))
    )
    if not is_ok:
        raise ConfigError(f"{where}: must be {allowed}")


def _range_text(about: Any) -> str:
    signs = (("above", ">"), ("low", ">="), ("high", "<="), ("below", "<"))
    return " and ".join(f"{sign} {about[k]:g}" for k, sign in signs if about.get(k) is not None)


def _check_static(where: str, value: Any, field: dataclasses.Field) -> None:
    choices, low, default = field.metadata.get("choices"), field.metadata.get("low"), field.default
    if choices is not None and value not in choices:
        raise ConfigError(f"{where}: must be one of {', '.join(map(str, choices))}")
    if isinstance(default, bool) and not isinstance(value, bool):
        raise ConfigError(f"{where}: must be true or false")
    if isinstance(default, int) and not isinstance(default, bool):
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError(f"{where}: must be a whole number")
        if low is not None and value < low:
            raise ConfigError(f"{where}: must be >= {low}")
    try:
        hash(value)
    except TypeError:
        raise ConfigError(f"{where}: a static field must be hashable (a tuple instead of a list, say)") from None


def cast_floats(tree: Any, dtype: Any = jnp.float32) -> Any:
    """Every float leaf as an array of `dtype`, every int and bool leaf as an array of JAX's default width.

    Python scalars would enter a traced program with weak types, and a second call with arrays would compile again.
    """

    def cast(leaf: Any) -> Any:
        array = jnp.asarray(leaf)
        target = dtype if jnp.issubdtype(array.dtype, jnp.floating) else array.dtype
        return jax.lax.convert_element_type(array, target)

    return jax.tree.map(cast, tree)


def to_dict(config: Any) -> dict[str, Any]:
    """The config as plain JSON values. Modules and other objects become their repr, which cannot be read back."""
    values = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    arrays = {f.name for f in dataclasses.fields(config) if is_array(f) and values[f.name] is not None}
    return {name: np.asarray(v).tolist() if name in arrays else _plain(v) for name, v in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, (bool, int, str)) or value is None:
        return value
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    array = np.asarray(value) if isinstance(value, (float, np.generic, np.ndarray, jax.Array)) else None
    if array is not None:
        return _shortest(array) if array.ndim == 0 else array.tolist()
    return repr(value)


def _shortest(number: np.ndarray) -> float | int:
    """The decimal a person wrote: float32(0.00025) prints as 0.00025, not 0.0002500000118743628."""
    if number.dtype == np.float32:
        value = float(str(number[()]))
        return value if math.isfinite(value) else float(number)
    return number.item()


def from_dict(config_class: type, values: dict[str, Any]) -> Any:
    """Rebuilds a config written by `to_dict`.

    Raises:
        UnknownNameError: for a field the class does not have.
    """
    names = [f.name for f in dataclasses.fields(config_class)]
    for name in values:
        if name not in names:
            raise UnknownNameError(f"field of {config_class.__name__}", name, names)
    arrays = {f.name for f in dataclasses.fields(config_class) if is_array(f)}

    def restore(name: str, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return np.asarray(value) if name in arrays else tuple(value)

    return config_class(**{name: restore(name, value) for name, value in values.items()})
