"""`jaxrl check-env`: tries out an environment, one of the suite or a user's own."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxrl_suite.cli import common, tables
from jaxrl_suite.cli.options import Group, Option, parse
from jaxrl_suite.errors import ConfigError, EnvironmentUnsoundError

_OPTIONS = (
    Option("env", str, (), "an id, or a file and the name in it", "ENV|FILE.py:NAME", positional=True),
    common.JSON,
)
_ABOUT = """\
Tries out what every environment must keep to. NAME is an environment object with gymnax' methods (reset, step_env or
step, observation_space, action_space), its class, or a function that returns it, alone or with its parameters."""


def check_env(words: Sequence[str]) -> None:
    values = parse("jaxrl check-env", _ABOUT, [Group("", _OPTIONS)], words)
    named = common.only("ENV", "jaxrl check-env", values["env"])
    common.use_cores(1)
    env, params = _made(named)
    from jaxrl_suite.envs.checking import check_environment

    found = check_environment(env, params)
    wrong = [finding for finding in found if finding.problem and not finding.is_advice]
    for finding in found:
        mark = "PROBLEM" if finding in wrong else "advice " if finding.problem else "ok     "
        if values["json"]:
            tables.print_json({"what": finding.what, "problem": finding.problem, "is_advice": finding.is_advice})
        else:
            print(f"{mark}  {finding.what}{': ' if finding.problem else ''}{finding.problem}")
    if wrong:
        raise EnvironmentUnsoundError(f"{env.id}: {len(wrong)} problem{'s' if len(wrong) > 1 else ''}, see above")


def _made(text: str) -> tuple[Any, Any]:
    from jaxrl_suite.envs import adapt, make

    file, colon, name = text.rpartition(":")
    if not colon or not file.endswith(".py"):
        return make(text)
    thing = _named(Path(file), name)
    made = thing() if (callable(thing) and not hasattr(thing, "action_space")) or isinstance(thing, type) else thing
    env, params = made if isinstance(made, tuple) else (made, None)
    adapted = adapt(env, params=params)
    return adapted, adapted.default_params


def _named(file: Path, name: str) -> Any:
    from jaxrl_suite.reproduction.loading import import_file

    if not file.is_file():
        raise ConfigError(f"{file}: no such file")
    sys.path.insert(0, str(file.resolve().parent))
    try:
        module = import_file(file, f"checked_{file.stem}")
    # Whatever is wrong in a user's file is the user's to know.
    except Exception as error:
        raise ConfigError(f"{file}: cannot be imported ({type(error).__name__}: {error})") from None
    if not hasattr(module, name):
        raise ConfigError(f"{file}: has no {name}")
    return getattr(module, name)
