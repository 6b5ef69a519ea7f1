"""`jaxrl train` and `jaxrl sweep`."""

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

from jaxrl_suite import agents
from jaxrl_suite.cli import common
from jaxrl_suite.cli.fields import config_options, env_options
from jaxrl_suite.cli.options import Group, Option, Values, flag_of, number, parse
from jaxrl_suite.errors import ConfigError, UnknownNameError

_SEEDS = Option("seeds", str, "1", "how many seeds (32), or which (0,5,7)", "N|A,B")
_WHAT = (
    _SEEDS,
    Option(
        "updates",
        int,
        None,
        "train so many updates; schedules run over exactly these, unless --total-updates (their length) or --extend is "
        "given; default: total_updates",
        "N",
    ),
    Option("env_steps", int, None, "the same in environment steps a seed; must be whole updates", "N"),
    Option("extend", bool, False, "let --updates go beyond total_updates, at the schedules' final values"),
    Option("out", str, None, "run directory; default: the first free runs/AGENT-ENV-N", "DIR"),
    Option("record_every", int, 1, "updates a record of metrics", "K"),
    Option("sticky_actions", float, 0.0, "probability of repeating the last action", "P", allowed=">= 0 and <= 1"),
    Option("below", float, None, "count the seeds whose final return is below this", "R"),
    Option("dry_run", bool, False, "compile, print memory, steps, plan and time, write nothing"),
)
_GRID = Option(
    "grid", str, (), "values of a float setting or of an environment parameter (env.NAME)", "NAME=A,B", repeat=True
)
_HALVING = Option(
    "halving",
    int,
    None,
    "successive halving: of the settings one in K goes on with K times as many updates, and so on to the last",
    "K",
)


@dataclasses.dataclass
class Request:
    """What to train and how. grid: None for a plain run; halving: None to train all of it to the end."""

    agent: Any
    environment: tuple[Any, Any]
    config: Any
    grid: dict[str, list[float]] | None
    seeds: int | tuple[int, ...]
    budget: dict[str, Any]
    record_every: int
    how: dict[str, Any]
    values: Values
    halving: int | None = None


def train(words: Sequence[str]) -> None:
    _run("train", words)


def sweep(words: Sequence[str]) -> None:
    _run("sweep", words)


def _run(command: str, words: Sequence[str]) -> None:
    request = _read(command, words)
    values, info = request.values, request.agent.info
    if values["dry_run"]:
        from jaxrl_suite.cli.dry_run import report_plan

        report_plan(request)
        return
    from jaxrl_suite.cli.report import report_run

    with common.run_directory(values["out"], info.name, info.env_id) as out:
        runs = _halved(request, out) if request.halving is not None else [_train(request, out)]
    for run in runs:
        report_run(run, values["quiet"], values["json"], values["below"])


def _halved(request: Request, out: Any) -> list[Any]:
    from jaxrl_suite.training import successive_halving

    how: dict[str, Any] = {
        "keep_one_in": request.halving,
        "updates": request.budget["updates"],
        **request.how,
        "out": out,
    }
    factory, grid = request.agent.info.factory, request.grid or {}
    return successive_halving(factory, request.environment, request.config, grid, request.seeds, **how)


def _train(request: Request, out: Any) -> Any:
    import jaxrl_suite as jrl

    options: dict[str, Any] = {**request.budget, "record_every": request.record_every, **request.how, "out": out}
    if request.grid is None:
        return jrl.train(request.agent, request.seeds, **options)
    factory = request.agent.info.factory
    return jrl.sweep(factory, request.environment, request.config, request.grid, request.seeds, **options)


def _read(command: str, words: Sequence[str]) -> Request:
    """Everything that was typed, checked before anything compiles."""
    factory, env_id, rest = _subject(command, words)
    asks_for_devices = any(word.partition("=")[0] == "--devices" for word in rest)
    common.use_cores(_num_seeds(rest) if command == "train" and not asks_for_devices else None)
    from jaxrl_suite.envs import make

    config_class = factory.config_class
    fields = config_options(config_class)
    parameters = [] if env_id is None else env_options(env_id, make(env_id)[1])
    name, prog = factory.agent_name, f"jaxrl {command} {factory.agent_name} {env_id or 'ENV'}"
    groups = [Group("What to run, and how.", _own_options(command)), Group(f"Settings of {name}.", fields)]
    groups += [Group(f"Parameters of {env_id}.", parameters, "env.")] if parameters else []
    values = parse(prog, _description(command, name, env_id), groups, rest)
    if env_id is None:
        raise ConfigError(f"ENV: missing, as in `jaxrl {command} {name} CartPole-v1`; `jaxrl list envs` shows them")
    changes = values.changes(parameters, "env.")
    environment = make(env_id, sticky_actions=values["sticky_actions"], params=changes)
    config = config_class(**values.changes(fields))
    return _checked(command, factory, environment, config, values)


def _own_options(command: str) -> tuple[Option, ...]:
    """The command's, without those of an agent or environment."""
    return (*_WHAT, *((_GRID, _HALVING) if command == "sweep" else ()), *common.HOW, *common.TOGETHER)


def _subject(command: str, words: Sequence[str]) -> tuple[Any, str | None, list[str]]:
    """(factory, environment id, the other words). The first two words are AGENT and ENV; ENV may wait for --help."""
    if not words or words[0].startswith("-"):
        if any(word in ("-h", "--help") for word in words):
            parse(f"jaxrl {command} AGENT ENV", _description(command), [Group("", _own_options(command))], words)
        got = f", got {words[0]!r}" if words else ""
        raise ConfigError(f"AGENT: must come first, as in `jaxrl {command} ppo CartPole-v1`{got}")
    factory = agents.agent_named(words[0])
    has_env = len(words) > 1 and not words[1].startswith("-")
    return factory, words[1] if has_env else None, list(words[2:] if has_env else words[1:])


def _num_seeds(words: Sequence[str]) -> int | None:
    """How many seeds the words ask for; None where they cannot be read.

    JAX must know its cores before an environment can be made, and the words read in full only after.
    """
    text = common.typed_value(words, "--seeds") or _SEEDS.default
    with contextlib.suppress(ConfigError):
        seeds = common.parse_seeds(text)
        return seeds if isinstance(seeds, int) else len(seeds)
    return None


def _description(command: str, agent: str | None = None, env_id: str | None = None) -> str:
    about = {
        "train": "Trains an agent on many seeds at once.",
        "sweep": "Trains every combination of --grid values on every seed, all in one program.",
    }[command]
    if agent is None:
        return f"{about} Agents: {', '.join(agents.MODULES)}; `jaxrl {command} AGENT --help` lists an agent's settings."
    if env_id is None:
        about += f" `jaxrl {command} {agent} ENV --help` lists an environment's parameters (--env.NAME) too."
    return about


def _checked(command: str, factory: Any, environment: tuple[Any, Any], config: Any, values: Values) -> Request:
    from jaxrl_suite.config import validate
    from jaxrl_suite.training import members, placement
    from jaxrl_suite.training.options import Options, parse_budget

    if "updates" in values.given and "env_steps" in values.given:
        raise ConfigError("--updates, --env-steps: give one of them")
    validate(config)
    agent = factory(*environment, config)
    is_asked = "updates" in values.given or "env_steps" in values.given
    target = parse_budget(agent, values["updates"], values["env_steps"], extend=True)
    if is_asked and not values["extend"] and "total_updates" not in values.given and hasattr(config, "total_updates"):
        config = dataclasses.replace(config, total_updates=target)
        agent = factory(*environment, config)
    budget = {"updates": target, "extend": values["extend"]}
    parse_budget(agent, target, None, values["extend"])
    if values["record_every"] < 1:
        raise ConfigError(f"--record-every = {values['record_every']}: must be >= 1")
    how = common.runner_options(values)
    Options(**how).check()
    seeds = common.parse_seeds(values["seeds"])
    grid = _grid(agent.info, values) if command == "sweep" else None
    settings = 1 if grid is None else len(members.parse_grid(grid))
    count = len(members.parse_seeds(seeds)) * settings
    placement.make_plan(count, how["devices"], how["group"], agent.info.shards, how["data"])
    halving = values["halving"] if command == "sweep" else None
    if halving is not None:
        _check_halving(halving, settings, target, values)
    return Request(agent, environment, config, grid, seeds, budget, values["record_every"], how, values, halving)


def _check_halving(halving: int, settings: int, target: int, values: Values) -> None:
    from jaxrl_suite.training import processes
    from jaxrl_suite.training.halving import rungs

    for name in ("record_every", "extend", "dry_run"):
        if name in values.given:
            raise ConfigError(f"--halving, {flag_of(name)}: give one of them")
    if processes.count() > 1:
        raise ConfigError("--halving: must run in one process")
    rungs(settings, target, halving)


def _grid(info: Any, values: Values) -> dict[str, list[float]]:
    """The grid by the runner's names, each value checked alone so that the message can name it."""
    grid: dict[str, list[float]] = {}
    if not values["grid"]:
        raise ConfigError("--grid: needs at least one, as in --grid learning-rate=1e-4,3e-4")
    for text in values["grid"]:
        typed, equals, listed = text.partition("=")
        if not equals or not listed.strip(" ,"):
            raise ConfigError(f"--grid {text}: must be NAME=VALUE,VALUE,...")
        name = _grid_name(info, typed.strip())
        if name in grid:
            raise ConfigError(f"--grid {typed}: given twice")
        if typed.strip().replace("-", "_") in values.given:
            raise ConfigError(f"--grid {typed}: {flag_of(typed)} is given too; give one of them")
        where = f"--grid {typed}"
        grid[name] = [_grid_value(info, name, part.strip(), where) for part in listed.split(",") if part.strip()]
    return grid


def _grid_name(info: Any, typed: str) -> str:
    """The runner's name for what was typed. Raises UnknownNameError, or ConfigError for a static field."""
    import jax

    from jaxrl_suite.config import static_fields, sweepable_fields
    from jaxrl_suite.training.members import path_name

    name = typed.lstrip("-").replace("-", "_")
    leaves = jax.tree_util.tree_flatten_with_path((info.env_params,))[0]
    parameters = [path_name(path) for path, _ in leaves]
    if name in static_fields(info.config):
        can = ", ".join(n.replace("_", "-") for n in sweepable_fields(info.config))
        raise ConfigError(
            f"--grid {typed}: {name} is static (it decides shapes or code) and cannot be swept in one program: "
            f"run one sweep a value, or sweep one of {can}"
        )
    # Around a wrapped environment its parameters are one level deeper: env.length is env.env.length there.
    for candidate in (name, f"env.{name}"):
        if candidate in parameters or candidate in sweepable_fields(info.config):
            return candidate
    known = [n.replace("_", "-") for n in (*sweepable_fields(info.config), *parameters)]
    raise UnknownNameError("grid name", typed, known)


def _grid_value(info: Any, name: str, text: str, where: str) -> float:
    from jaxrl_suite.training.members import apply_setting

    value = number(text, float, where)
    try:
        apply_setting(info, {name: value})
    except ConfigError as error:
        reason = str(error).rpartition(": ")[2]
        raise ConfigError(f"{where} = {text}: {reason}") from None
    return value
