"""Parsing, conversion and what they refuse."""

import dataclasses
import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl_suite.cli import common
from jaxrl_suite.cli.fields import as_typed, config_options, env_options
from jaxrl_suite.cli.options import Group, Option, number, parse
from jaxrl_suite.cli.tables import duration, setting_text
from jaxrl_suite.errors import ConfigError, UnknownNameError

OPTIONS = (
    Option("rate", float, 0.5, "a rate"),
    Option("count", int, 3, "a count"),
    Option("sizes", int, (1, 2), "sizes", many=True),
    Option("name", str, None, "a name"),
    Option("fast", bool, False, "a switch"),
    Option("grid", str, (), "a grid", repeat=True),
    Option("paths", str, (), "paths", "PATH", positional=True),
)
GROUPS = [Group("first", OPTIONS), Group("second", [Option("length", float, 1.0, "length")], "env.")]


def read(*words):
    return parse("prog", "about", GROUPS, words)


def test_defaults_are_not_given():
    values = read()
    assert {o.name: values[o.name] for o in OPTIONS} == {o.name: o.default for o in OPTIONS}
    assert values["env.length"] == 1.0
    assert values.given == frozenset()


def test_every_kind_of_value():
    words = shlex.split("a --rate -1e-3 --count=2e6 --sizes 4 5 --name x --no-fast b --env.length 2")
    values = read(*words, "--grid", "u=1", "--grid", "v=2")
    found = [values[name] for name in ("rate", "count", "sizes", "name", "fast", "grid", "paths", "env.length")]
    assert found == [-1e-3, 2_000_000, (4, 5), "x", False, ("u=1", "v=2"), ("a", "b"), 2.0]
    assert isinstance(values["count"], int)
    assert values.given == {"rate", "count", "sizes", "name", "fast", "grid", "env.length"}
    assert values.changes(GROUPS[1].options, "env.") == {"length": 2.0}
    assert read("--sizes", "4,5")["sizes"] == (4, 5)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--rate"], ConfigError, "--rate: needs a value"),
        (["--name", "--fast"], ConfigError, "--name: needs a value"),
        (["--rate", "x"], ConfigError, "--rate = x: must be a number"),
        (["--count", "1.5"], ConfigError, "--count = 1.5: must be a whole number"),
        (["--count", "inf"], ConfigError, "--count = inf: must be a whole number"),
        (["--sizes", "1", "b"], ConfigError, "--sizes = b: must be a whole number"),
        (["--rat", "1"], UnknownNameError, "unknown option '--rat': did you mean --rate"),
        (["--env.lenght", "1"], UnknownNameError, "--env.length"),
        (["--no-rate"], UnknownNameError, "unknown option '--no-rate'"),
    ],
)
def test_refuses(words, error, message):
    with pytest.raises(error, match=message):
        read(*words)


@settings(max_examples=25, deadline=None)
@given(st.floats(allow_nan=False))
def test_any_float_can_be_typed(value):
    assert read("--rate", repr(value))["rate"] == value


@given(st.integers())
def test_any_integer_can_be_typed_exactly(value):
    assert number(str(value), int, "--count") == value


def test_fields_of_a_config():
    @dataclasses.dataclass
    class Config:
        depth: int | None = None
        widths: tuple[int, ...] = (3,)
        mixed: tuple[int, str] = (1, "a")
        module: object = None

    options = {o.name: (o.kind, o.many) for o in config_options(Config)}
    assert options == {"depth": (int, False), "widths": (int, True)}


def test_environment_parameters_that_are_numbers():
    @dataclasses.dataclass
    class Params:
        length: float = 0.5
        limit: int = 7
        windy: bool = False
        table: tuple[float, ...] = (1.0, 2.0)

    assert [(o.name, o.kind) for o in env_options("x", Params())] == [
        ("length", float),
        ("limit", int),
        ("windy", bool),
    ]
    assert env_options("x", ()) == []


@pytest.mark.parametrize(
    ("library", "typed"),
    [
        ("PPOConfig.learning_rate = -1: must be > 0", "--learning-rate = -1: must be > 0"),
        ("env_steps = 3: must be a multiple of 2", "--env-steps = 3: must be a multiple of 2"),
        ("x-v1: parameter length = nan: must be finite", "--env.length = nan: must be finite"),
        ("set total_updates, or extend=True", "set --total-updates, or --extend"),
        ("metric 'loss': 3 seeds: a", "metric 'loss': 3 seeds: a"),
    ],
)
def test_messages_speak_of_flags(library, typed):
    assert as_typed(library) == typed


def test_seeds():
    assert common.parse_seeds("32") == 32
    assert common.parse_seeds("0,5,7") == (0, 5, 7)
    assert common.parse_seeds("5,") == (5,)


def test_default_directories_are_free_and_vanish_unused(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "ppo-tabular-a-1").mkdir(parents=True)
    with (
        common.run_directory(None, "ppo", "tabular/a") as first,
        common.run_directory(None, "ppo", "tabular/a") as second,
    ):
        assert [first.name, second.name] == ["ppo-tabular-a-2", "ppo-tabular-a-3"]
        (first / "manifest.json").touch()
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["ppo-tabular-a-1", "ppo-tabular-a-2"]


def test_texts():
    assert [duration(s) for s in (1.26, 250, 7500)] == ["1.3 s", "4 min 10 s", "2 h 5 min"]
    assert setting_text({"learning_rate": 3e-4, "env.env.length": 0.5}) == "learning-rate=0.0003 env.length=0.5"
