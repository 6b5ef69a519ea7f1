"""`jaxrl new-agent`, `jaxrl new-env`: a file to fill in beside its tests, which fail until it is."""

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from string import Template

from jaxrl_suite.cli import common
from jaxrl_suite.cli.options import Group, Option, parse
from jaxrl_suite.errors import ConfigError

_OPTIONS = (
    Option("name", str, (), "a word of Python in small letters", "NAME", positional=True),
    Option("out", str, ".", "folder of the two files", "DIR"),
)
_TEMPLATES = Path(__file__).parent / "templates"


def new_agent(words: Sequence[str]) -> None:
    about = "Writes NAME.py, an agent that lacks its learning step, and test_NAME.py, which says what is missing."
    _write("agent", about, words)


def new_env(words: Sequence[str]) -> None:
    about = "Writes NAME.py, an environment that lacks its step, and test_NAME.py, which says what is missing."
    _write("env", about, words)


def _write(kind: str, about: str, words: Sequence[str]) -> None:
    command = f"jaxrl new-{kind}"
    values = parse(command, about, [Group("", _OPTIONS)], words)
    name, folder = common.only("NAME", command, values["name"]), Path(values["out"])
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ConfigError(f"NAME = {name}: must be small letters, digits and underscores, a letter first")
    files = {
        folder / f"{name}.py": f"{kind}.txt",
        folder / f"test_{name}.py": f"test_{kind}.txt",
    }
    for file in files:
        if file.exists():
            raise ConfigError(f"{file}: exists already")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, template in files.items():
            text = (_TEMPLATES / template).read_text()
            file.write_text(Template(text).substitute(name=name, Name=name.title().replace("_", "")))
    except OSError as error:
        raise ConfigError(f"--out = {folder}: cannot be written to ({error.strerror})") from None
    print("\n".join(map(str, files)))
    print(f"fill in what `python -m pytest {folder / f'test_{name}.py'}` says is missing")
    if importlib.util.find_spec("pytest") is None:
        print("pytest is not installed here: `pip install pytest`, or in a checkout `make setup EXTRAS=test`")
