"""`jaxrl work`: the runs of a list, one directory each, by one worker or many."""

import dataclasses
import itertools
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxrl_suite.cli import common, tables
from jaxrl_suite.cli.options import Group, Option, number, parse
from jaxrl_suite.errors import ConfigError, UnknownNameError

_OPTIONS = (
    Option("list", str, (), "the list", "LIST.toml", positional=True),
    Option("out", str, None, "directory of the runs' directories; default: the list's name beside it", "DIR"),
    Option("part", str, "1/1", "every N-th run only, from the I-th on: for workers that share no disk", "I/N"),
    *common.HOW,
)
_EXAMPLE = """\
Makes every run of a list that is not finished yet. Start as many workers as there are machines: each takes what no
other holds, goes on with what was cut off, and never makes a run twice. Lists of values are tried in every combination:

    seeds = 8
    updates = 200
    [[runs]]
    agent = ["ppo", "a2c"]
    env = ["CartPole-v1", "Acrobot-v1"]
    config.num_envs = [4, 8]           # static settings: a program each
    grid.learning_rate = [1e-4, 1e-3]  # float settings: all in one program
"""
_KEYS = ("seeds", "updates", "agent", "env", "config", "params", "grid")


def work(words: Sequence[str]) -> None:
    values = parse("jaxrl work", _EXAMPLE, [Group("", _OPTIONS)], words)
    file = Path(common.only("LIST.toml", "jaxrl work", values["list"]))
    entries = read_list(file)
    part, options = _part(values["part"]), common.runner_options(values)
    common.use_cores()
    from jaxrl_suite.training import work_list

    cells = [cell for entry in entries for cell in cells_of(entry)]
    out = file.with_suffix("") if values["out"] is None else Path(values["out"])
    made = work_list.work(cells, out, part=part, **options)
    if values["json"]:
        tables.print_json({"runs": len(cells), "made_here": made, "directory": str(out)})
        return
    print(f"{len(cells)} runs in {out}, {len(made)} of them made here: jaxrl list runs, jaxrl compare {out}/*")


def read_list(file: Path) -> list[dict[str, Any]]:
    """The list's entries, each with what stands above them all.

    Raises:
        ConfigError: for a file that is not there, is no TOML, or has no runs. UnknownNameError: for other keys.
    """
    try:
        content = tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror})") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: is no TOML ({error})") from None
    entries = content.pop("runs", [])
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{file}: must have at least one [[runs]]")
    found = [content | entry for entry in entries]
    for entry in found:
        for key in entry:
            if key not in _KEYS:
                raise UnknownNameError(f"key of {file}", key, _KEYS)
        for key in ("agent", "env"):
            if key not in entry:
                raise ConfigError(f"{file}: every [[runs]] must have {key}")
        for key in ("config", "params", "grid"):
            if not isinstance(entry.get(key, {}), Mapping):
                raise ConfigError(f"{file}: {key} = {entry[key]!r}: must be a table, as in {key}.NAME = VALUE")
    return found


def cells_of(entry: Mapping[str, Any]) -> list[Any]:
    """The runs of an entry: every combination of its lists of values.

    Raises:
        ConfigError: for values that the agent or the environment refuses, naming them.
    """
    from jaxrl_suite.agents import agent_named

    found = []
    for agent, env_id in itertools.product(_several(entry["agent"]), _several(entry["env"])):
        factory: Any = agent_named(agent)
        configs = _choices(entry.get("config", {}), _lists(factory.config_class))
        params = _choices(entry.get("params", {}), ())
        varied = [name for name, values in (configs | params).items() if len(values) > 1]
        for config, changes in itertools.product(_combinations(configs), _combinations(params)):
            told = "".join(f"-{name}_{_short((config | changes)[name])}" for name in varied)
            name = common.file_safe(f"{agent}-{env_id}{told}")
            found.append(_cell(name, entry, factory, env_id, config, changes))
    return found


def _cell(name: str, entry: Any, factory: Any, env_id: str, config: dict[str, Any], params: dict[str, Any]) -> Any:
    from jaxrl_suite.config import from_dict, validate
    from jaxrl_suite.envs import make
    from jaxrl_suite.training.members import parse_grid, swept
    from jaxrl_suite.training.work_list import Cell

    updates, settings = entry.get("updates"), dict(config)
    names = [field.name for field in dataclasses.fields(factory.config_class)]
    if updates is not None and "total_updates" in names:
        # As `jaxrl train --updates`: schedules run over exactly these.
        settings.setdefault("total_updates", updates)
    made = from_dict(factory.config_class, settings)
    validate(made)
    agent = factory(*make(env_id, params=params), made)
    grid = entry.get("grid")
    if grid is not None:
        swept(agent.info, parse_grid(grid), (0,))
    seeds = entry.get("seeds", 1)
    return Cell(name, agent, tuple(seeds) if isinstance(seeds, list) else seeds, grid, updates)


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _lists(config_class: type) -> tuple[str, ...]:
    """Fields whose values are lists themselves."""
    return tuple(f.name for f in dataclasses.fields(config_class) if isinstance(f.default, tuple))


def _choices(table: Mapping[str, Any], lists: Sequence[str]) -> dict[str, list[Any]]:
    """The values to be tried, by name; of a field that takes a list several are a list of lists."""

    def choices(name: str, value: Any) -> list[Any]:
        if name in lists and isinstance(value, list):
            return value if value and all(isinstance(x, list) for x in value) else [value]
        return _several(value)

    return {name: choices(name, value) for name, value in table.items()}


def _combinations(choices: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


def _short(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)


def _part(text: str) -> tuple[int, int]:
    index, slash, count = text.partition("/")
    if not slash:
        raise ConfigError(f"--part = {text}: must be I/N, as in 1/4")
    return number(index, int, "--part"), number(count, int, "--part")
