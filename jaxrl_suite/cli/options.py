"""Options as data: tyro parses them and prints the help, bad ones become one-line errors.

tyro gets every value as text and the conversion is done here, because its own messages are boxes of many lines that do
not say what is allowed.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from jaxrl_suite.errors import ConfigError, UnknownNameError

_EXPECTED = {int: "a whole number", float: "a number"}
_METAVARS = {int: "INT", float: "FLOAT", str: "TEXT", Path: "PATH"}


@dataclasses.dataclass(frozen=True)
class Option:
    """One option, or (with `positional`) all words that belong to no option.

    Attributes:
        name: in Python (`learning_rate`); the flag is `--learning-rate`.
        kind: bool (a pair of flags), int, float, str or Path.
        many: several values, given as a tuple. repeat: may be given several times, given as a tuple of texts.
        allowed: range or choices in words, for errors about text that is no number.
    """

    name: str
    kind: type
    default: Any
    help: str
    metavar: str = ""
    many: bool = False
    repeat: bool = False
    positional: bool = False
    allowed: str = ""


@dataclasses.dataclass(frozen=True)
class Group:
    """Options under one heading; `prefix` comes before each flag (`env.` makes `--env.length`)."""

    title: str
    options: Sequence[Option]
    prefix: str = ""


@dataclasses.dataclass(frozen=True)
class Values:
    """What was typed. values: by prefixed name, defaults included; given: the names of those that were typed."""

    values: dict[str, Any]
    given: frozenset[str]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def changes(self, options: Sequence[Option], prefix: str = "") -> dict[str, Any]:
        """The typed values of these options, by name without the prefix."""
        return {o.name: self[prefix + o.name] for o in options if prefix + o.name in self.given}


def parse(prog: str, description: str, groups: Sequence[Group], words: Sequence[str]) -> Values:
    """Reads the words of a command.

    Raises:
        UnknownNameError: for an option there is not. ConfigError: for a missing or bad value.
        SystemExit: after --help.
    """
    import tyro

    is_help = "-h" in words or "--help" in words
    given = frozenset() if is_help else _given(groups, words)
    parser = _dataclass(groups)
    parsed, rest = tyro.cli(parser, prog=prog, description=description, args=words, return_unknown_args=True)
    has_positional = any(option.positional for group in groups for option in group.options)
    # tyro takes only the first unbroken row of words as positional.
    wrong = [word for word in rest if word.startswith("-") or not has_positional]
    if wrong:
        raise ConfigError(f"unexpected argument {wrong[0]!r}: see {prog} --help")
    values: dict[str, Any] = {}
    for index, group in enumerate(groups):
        for option in group.options:
            raw = getattr(getattr(parsed, _group_name(index, group)), option.name)
            name = group.prefix + option.name
            if option.positional:
                values[name] = (*raw, *rest)
            elif option.kind is bool or option.repeat:
                values[name] = raw
            else:
                values[name] = _convert(option, flag_of(name), raw) if name in given else option.default
    return Values(values, given)


def flag_of(name: str) -> str:
    return "--" + name.replace("_", "-")


def number(text: str, kind: type, where: str, allowed: str = "") -> Any:
    """`text` as an int or a float (1e6 and 1_000_000 are whole numbers). Raises ConfigError, naming `where`."""
    try:
        value = float(text)
        if kind is float:
            return value
        if value.is_integer():
            return int(text) if text.lstrip("+-").replace("_", "").isdigit() else int(value)
    except ValueError:
        pass
    raise ConfigError(f"{where} = {text}: must be {_EXPECTED[kind]}{f' {allowed}' if allowed else ''}")


def _convert(option: Option, flag: str, texts: Sequence[str]) -> Any:
    if not option.many:
        return _one(option, flag, texts[0])
    parts = [part for text in texts for part in (text.split(",") if option.kind in _EXPECTED else [text]) if part]
    return tuple(_one(option, flag, part) for part in parts)


def _one(option: Option, flag: str, text: str) -> Any:
    return number(text, option.kind, flag, option.allowed) if option.kind in _EXPECTED else option.kind(text)


def _given(groups: Sequence[Group], words: Sequence[str]) -> frozenset[str]:
    """Names of the options among the words; each must exist and have its value."""
    flags = {flag: (name, option) for name, flag, option in _flags(groups)}
    given = set()
    for word, after in itertools.pairwise([*words, None]):
        if word is None or not word.startswith("--"):
            continue
        typed, has_value, _ = word.partition("=")
        flag = typed.replace("_", "-")
        if flag not in flags:
            raise UnknownNameError("option", typed, flags)
        name, option = flags[flag]
        if option.kind is not bool and not has_value and (after is None or after.startswith("--")):
            raise ConfigError(f"{typed}: needs a value ({_metavar(option)})")
        given.add(name)
    return frozenset(given)


def _flags(groups: Sequence[Group]) -> Iterator[tuple[str, str, Option]]:
    """(prefixed name, flag, option), switches both ways."""
    for group in groups:
        for option in group.options:
            if option.positional:
                continue
            name = group.prefix + option.name
            yield name, flag_of(name), option
            if option.kind is bool:
                yield name, flag_of(f"{group.prefix}no_{option.name}"), option


def _dataclass(groups: Sequence[Group]) -> type:
    import tyro

    fields = []
    for index, group in enumerate(groups):
        inner = dataclasses.make_dataclass("Options", [_field(option) for option in group.options], frozen=True)
        inner.__doc__ = group.title
        annotation = inner if group.prefix else Annotated[inner, tyro.conf.OmitArgPrefixes]
        fields.append((_group_name(index, group), annotation, dataclasses.field(default_factory=inner)))
    outer = dataclasses.make_dataclass("Options", fields, frozen=True)
    outer.__doc__ = ""
    return outer


def _group_name(index: int, group: Group) -> str:
    """tyro heads the options with it, and takes it as their prefix."""
    return group.prefix.rstrip(".") or ("run", "agent")[min(index, 1)]


def _field(option: Option) -> tuple[str, Any, Any]:
    import tyro

    hint = "" if option.default in (None, (), "") and not option.repeat else None
    about = tyro.conf.arg(help=option.help, metavar=_metavar(option), help_behavior_hint=hint)
    if option.kind is bool:
        annotation: Any = Annotated[bool, tyro.conf.arg(help=option.help)]
    elif option.repeat:
        annotation = Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], about]
    else:
        annotation = Annotated[Any, _text_spec(option), about]
    if option.positional:
        annotation = tyro.conf.Positional[annotation]
    return option.name, annotation, dataclasses.field(default=option.default)


def _text_spec(option: Option) -> Any:
    """Takes any text, so that tyro never rejects one."""
    from tyro.constructors import PrimitiveConstructorSpec

    return PrimitiveConstructorSpec(
        nargs="*" if option.many or option.positional else 1,
        metavar=_metavar(option),
        instance_from_str=lambda texts: texts,
        is_instance=lambda value: True,
        str_from_instance=lambda value: [str(v) for v in (value if isinstance(value, tuple) else (value,))],
    )


def _metavar(option: Option) -> str:
    return option.metavar or _METAVARS.get(option.kind, "") + ("..." if option.many else "")
