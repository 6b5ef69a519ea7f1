"""`jaxrl list`."""

import ast
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

from jaxrl_suite.cli import common, tables
from jaxrl_suite.cli.options import Group, Option, parse
from jaxrl_suite.errors import ConfigError, UnknownNameError

_OPTIONS = (
    Option("what", str, (), "agents, envs, experiments, or runs and where (default: ./runs)", "WHAT", positional=True),
    common.JSON,
)


def show(words: Sequence[str]) -> None:
    about = "Lists agents, envs, experiments, or the runs below a directory."
    values = parse("jaxrl list", about, [Group("", _OPTIONS)], words)
    what, *rest = values["what"] or ("",)
    listings: dict[str, Callable[[bool], None]] = {"agents": _agents, "envs": _envs, "experiments": _experiments}
    if what not in (*listings, "runs"):
        if not what:
            raise ConfigError("WHAT: missing; one of agents, envs, experiments, runs")
        raise UnknownNameError("listing", what, (*listings, "runs"))
    if len(rest) > (what == "runs"):
        raise ConfigError(f"unexpected argument {rest[-1]!r}: see jaxrl list --help")
    if what == "runs":
        _runs(Path(rest[0]) if rest else None, values["json"])
    else:
        listings[what](values["json"])


def _agents(as_json: bool) -> None:
    """From the sources: importing an agent would import JAX."""
    from jaxrl_suite.agents import MODULES

    found = {name: _first_line(f"jaxrl_suite.agents.{module}") for name, module in MODULES.items()}
    if as_json:
        for name, doc in found.items():
            tables.print_json({"agent": name, "about": doc})
        return
    tables.print_table("agents", ["name", "what it is"], [[name, doc] for name, doc in found.items()])


def _first_line(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return ""
    doc = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    return doc.partition("\n")[0]


def _envs(as_json: bool) -> None:
    common.use_cores()
    from jaxrl_suite.envs import list_envs

    for name in list_envs():
        if as_json:
            tables.print_json({"env": name})
        else:
            print(name)


def _experiments(as_json: bool) -> None:
    root = (common.checkout() or Path()) / "experiments"
    folders = sorted(path.parent for path in root.glob("*/experiment.py"))
    for folder in folders:
        if as_json:
            tables.print_json({"experiment": folder.name})
        else:
            print(folder.name)
    if not folders:
        common.note("no experiments here: they are folders of experiments/ in a checkout of the source")


def _runs(root: Path | None, as_json: bool) -> None:
    from jaxrl_suite.results import list_runs

    if root is None and not common.RUNS.is_dir():
        common.note(f"no runs yet: there is no directory {common.RUNS}")
        return
    runs = list_runs(root or common.RUNS)
    if as_json:
        for run in runs:
            tables.print_json(run)
        return
    if not runs:
        common.note(f"no runs in {root or common.RUNS}")
        return
    columns = ["run", "agent", "env", "seeds", "status", "updates"]
    rows = []
    for run in runs:
        done, total = run["updates_done"], run["total_updates"]
        updates = "–" if done is None else f"{done}/{total}" if total else str(done)
        texts = [str(run[name]) if run[name] is not None else "–" for name in ("agent", "env", "seeds", "status")]
        rows.append([run["path"], *texts, run["error"] or updates])
    tables.print_table("runs", columns, rows)
