"""Options made from an agent's configuration and an environment's parameters, and messages in the user's words."""

import dataclasses
import re
import types
import typing
from pathlib import Path
from typing import Any

from jaxrl_suite.cli.options import Option, flag_of

_RUNNER_WORDS = (
    "updates", "env_steps", "total_updates", "record_every", "save_every", "chunk", "devices", "group", "seeds",
    "episodes", "max_steps", "window", "sticky_actions",
    "seed", "setting", "out",
)  # fmt: skip


def config_options(config_class: type) -> list[Option]:
    """An option for every field of a config that can be typed; others (flax modules) are left to Python."""
    hints = typing.get_type_hints(config_class)
    made = (_config_option(field, hints[field.name]) for field in dataclasses.fields(config_class))
    return [option for option in made if option is not None]


def _config_option(field: dataclasses.Field, hint: Any) -> Option | None:
    kind, many = _kind_of(hint)
    if kind is None:
        return None
    allowed, choices = _range(field), field.metadata.get("choices")
    metavar = "{" + ",".join(map(str, choices)) + "}" if choices else ""
    return Option(field.name, kind, field.default, _help(field, allowed), metavar, many=many, allowed=allowed)


def _kind_of(hint: Any) -> tuple[type | None, bool]:
    """(kind, whether several) of a field's type; None for what has no text form."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        rest = [h for h in typing.get_args(hint) if h is not types.NoneType]
        return _kind_of(rest[0]) if len(rest) == 1 else (None, False)
    if typing.get_origin(hint) is tuple:
        kinds = {kind for kind in typing.get_args(hint) if kind is not Ellipsis}
        kind = kinds.pop() if len(kinds) == 1 else None
        return (kind if kind in (int, float, str) else None), True
    return (hint if hint in (bool, int, float, str, Path) else None), False


def _help(field: dataclasses.Field, allowed: str) -> str:
    about = field.metadata
    notes = {
        "symbol": about.get("symbol"),
        "unit": about.get("unit"),
        "allowed": allowed,
        "source": about.get("source"),
    }
    text = "; ".join(f"{name} {value}" for name, value in notes.items() if value)
    doc = about.get("doc", "")
    return f"{doc} ({text})" if text else doc


def _range(field: dataclasses.Field) -> str:
    signs = {"above": ">", "low": ">=", "high": "<=", "below": "<"}
    bounds = ((sign, field.metadata.get(name)) for name, sign in signs.items())
    return " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)


def env_options(env_id: str, params: Any) -> list[Option]:
    """An option for every environment parameter that is one number or a switch."""
    if not dataclasses.is_dataclass(params):
        return []
    found = ((field.name, getattr(params, field.name)) for field in dataclasses.fields(params))
    about = f"parameter of {env_id}"
    return [Option(name, type(value), value, about) for name, value in found if type(value) in (bool, int, float)]


def as_typed(message: str) -> str:
    """A message about fields and arguments of the library with their flags instead."""
    message = re.sub(r"\b[A-Z]\w*Config\.(\w+)", lambda m: flag_of(m[1]), message)
    message = re.sub(r"^[^\s:]+: parameter (\w+)", lambda m: flag_of(f"env.{m[1]}"), message)
    words = "|".join(_RUNNER_WORDS)
    message = re.sub(rf"(?<![-\w.])({words})(?= = )|^({words})(?=: )", lambda m: flag_of(m[1] or m[2]), message)
    message = message.replace("set total_updates", "set --total-updates").replace("extend=True", "--extend")
    message = message.replace("sticky actions: probability", "--sticky-actions")
    return message.replace("allow_changes", "--allow-changes")
