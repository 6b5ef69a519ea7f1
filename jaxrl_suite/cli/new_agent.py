"""`jaxrl new-agent`: a file to fill in beside its tests, which fail until it is."""

import re
from collections.abc import Sequence
from pathlib import Path
from string import Template

from jaxrl_suite.cli.options import Group, Option, parse
from jaxrl_suite.errors import ConfigError

_OPTIONS = (
    Option("name", str, (), "of the agent: a word of Python in small letters", "NAME", positional=True),
    Option("out", str, ".", "folder of the two files", "DIR"),
)
_TEMPLATES = Path(__file__).parent / "templates"


def new_agent(words: Sequence[str]) -> None:
    about = "Writes NAME.py, an agent that lacks its learning step, and test_NAME.py, which says what is missing."
    values = parse("jaxrl new-agent", about, [Group("", _OPTIONS)], words)
    if len(values["name"]) != 1:
        raise ConfigError(f"NAME: {len(values['name'])} given, `jaxrl new-agent` takes one")
    name, folder = values["name"][0], Path(values["out"])
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ConfigError(f"NAME = {name}: must be small letters, digits and underscores, a letter first")
    files = {
        folder / f"{name}.py": "agent.txt",
        folder / f"test_{name}.py": "test_agent.txt",
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
