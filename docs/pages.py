"""Pages that are made, not written: the reference from docstrings and settings, notebooks, and tables of results.

A page links to files of the checkout (`../notebooks/search.ipynb`), which is right where the source is browsed; here
what is a page of its own is linked as one.
"""

import dataclasses
import importlib
import io
import re
import shutil
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
ROOT = DOCS.parent
MADE = ("reference", "notebooks", "results")

PACKAGES = {
    "jaxrl_suite": "What most programs need",
    "jaxrl_suite.agent": "The contract of agents",
    "jaxrl_suite.config": "Settings",
    "jaxrl_suite.envs": "Environments",
    "jaxrl_suite.games": "Games",
    "jaxrl_suite.solvers": "Exact solvers",
    "jaxrl_suite.training": "The runner",
    "jaxrl_suite.drawing": "Pictures",
    "jaxrl_suite.results": "Results",
    "jaxrl_suite.learning": "Parts of agents",
    "jaxrl_suite.reproduction": "Reproductions",
    "jaxrl_suite.errors": "Errors",
}


def make_all(app: Any) -> None:
    """Writes every made page anew."""
    for folder in MADE:
        shutil.rmtree(DOCS / folder, ignore_errors=True)
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        write(f"notebooks/{notebook.name}", notebook.read_text())
    for file in sorted((ROOT / "experiments").glob("*/results/*.md")):
        write(f"results/{file.parts[-3]}/{file.name}", f"---\norphan: true\n---\n\n{file.read_text()}")
    for file in sorted((ROOT / "experiments").glob("*/results/*.svg")):
        write(f"results/{file.parts[-3]}/{file.name}", file.read_text())
    write("changelog.md", "```{include} ../CHANGELOG.md\n```\n")
    write("reference/index.md", reference_index())
    known: dict[int, str] = {}
    for package in PACKAGES:
        write(f"reference/{package}.md", package_page(package, known))
    agents = agent_pages()
    for name, text in agents.items():
        write(f"reference/agents/{name}.md", text)
    write("reference/agents/index.md", agents_index(agents))
    write("reference/environments.md", environments_page())
    write("reference/commands.md", commands_page())


def write(path: str, text: str) -> None:
    file = DOCS / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def reference_index() -> str:
    pages = "\n".join(PACKAGES)
    rows = "\n".join(f"| [`{package}`]({package}.md) | {what} |" for package, what in PACKAGES.items())
    return f"# Packages\n\n| package | what |\n|---|---|\n{rows}\n\n```{{toctree}}\n:hidden:\n\n{pages}\n```\n"


def package_page(package: str, known: dict[int, str]) -> str:
    """Everything public. What another page has (`known`: pages by an object's id) is named only."""
    module = importlib.import_module(package)
    body, elsewhere = [f"# `{package}`", "", fenced(module.__doc__ or ""), ""], []
    for name in public_names(module):
        thing = getattr(module, name)
        if not callable(thing):
            continue
        if known.setdefault(id(thing), package) != package:
            elsewhere.append(f"[`{name}`]({known[id(thing)]}.md)")
            continue
        body += directive("autoclass" if isinstance(thing, type) else "autofunction", f"{package}.{name}")
    return "\n".join([*body, f"Elsewhere: {', '.join(elsewhere)}." if elsewhere else ""]) + "\n"


def public_names(module: Any) -> list[str]:
    if hasattr(module, "__all__"):
        return [name for name in module.__all__ if not name.startswith("__")]
    own = (name for name, thing in vars(module).items() if getattr(thing, "__module__", "") == module.__name__)
    return [name for name in own if not name.startswith("_")]


def directive(kind: str, name: str) -> list[str]:
    return ["```{eval-rst}", f".. {kind}:: {name}", "```", ""]


def fenced(text: str) -> str:
    """A docstring as it is: they are laid out for people who read the source."""
    return f"```text\n{text.strip()}\n```"


def agent_pages() -> dict[str, str]:
    from jaxrl_suite.agents import MODULES, agent_named

    pages = {}
    for name, module_name in MODULES.items():
        module = importlib.import_module(f"jaxrl_suite.agents.{module_name}")
        factory = agent_named(name)
        settings = table(("setting", "default", "what it is", "allowed", "source"), settings_rows(factory.config_class))
        lines = [
            f"# {name}",
            "",
            f"`jrl.agents.{name}(env, params, config)`, `jaxrl train {name} ENV`; the file is",
            f"`jaxrl_suite/agents/{module_name}.py`.",
            "",
            fenced(module.__doc__ or ""),
            "",
            (factory.__doc__ or "").split("\n\n")[0].replace("\n", " "),
            "",
            f"## Settings: `{factory.config_class.__name__}`",
            "",
            "Floats marked ~ can be swept without recompiling.",
            "",
            settings,
        ]
        pages[name] = "\n".join(lines) + "\n"
    return pages


def settings_rows(config_class: type) -> list[tuple[str, ...]]:
    from jaxrl_suite.cli.fields import config_options
    from jaxrl_suite.config import is_sweepable

    allowed = {option.name: option.allowed for option in config_options(config_class)}
    rows = []
    for field in dataclasses.fields(config_class):
        about = field.metadata
        mark = " ~" if is_sweepable(field) else ""
        symbol = f", {about['symbol']}" if about.get("symbol") else ""
        unit = f" ({about['unit']})" if about.get("unit") else ""
        limits = allowed.get(field.name, "") or ", ".join(map(str, about.get("choices") or ()))
        default = str(field.default)
        shown = default if len(default) < 40 else f"{default[:37]}..."
        rows.append(
            (
                f"`{field.name}`{mark}{symbol}",
                f"`{shown}`",
                about.get("doc", "") + unit,
                limits,
                about.get("source", ""),
            )
        )
    return rows


def agents_index(pages: dict[str, str]) -> str:
    from jaxrl_suite.agents import MODULES

    rows = []
    for name in pages:
        about = importlib.import_module(f"jaxrl_suite.agents.{MODULES[name]}").__doc__ or ""
        rows.append((f"[`{name}`]({name}.md)", about.partition("\n")[0]))
    names = "\n".join(pages)
    return f"# Agents\n\n{table(('agent', 'what it is'), rows)}\n\n```{{toctree}}\n:hidden:\n\n{names}\n```\n"


def environments_page() -> str:
    from jaxrl_suite.envs import list_envs

    families: dict[str, list[str]] = {}
    for name in list_envs():
        families.setdefault(name.partition("/")[0] if "/" in name else "gymnax", []).append(name)
    lines = [
        "# Environments",
        "",
        "What `jrl.make(ID)` and `jaxrl train AGENT ID` know, as `jaxrl list envs` shows it.",
        "",
    ]
    for family, names in families.items():
        lines += [f"## {family}", "", ", ".join(f"`{name}`" for name in names), ""]
    return "\n".join(lines)


def commands_page() -> str:
    """Every command's `--help`."""
    from jaxrl_suite.cli import COMMANDS, main

    lines = ["# Commands", "", fenced(said(main, "--help")), ""]
    for command in COMMANDS:
        words = [command, "ppo", "CartPole-v1"] if command in ("train", "sweep") else [command]
        lines += [f"## jaxrl {command}", "", fenced(said(main, *words, "--help")), ""]
    return "\n".join(lines)


def said(main: Any, *words: str) -> str:
    out = io.StringIO()
    with redirect_stdout(out):
        main(list(words))
    return out.getvalue()


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    from jaxrl_suite.results.tables import markdown_table

    return markdown_table(tuple(columns), [[cell.replace("|", r"\|") for cell in row] for row in rows])


def link_pages(app: Any, name: str, source: list[str]) -> None:
    """Links to notebooks and tables of the checkout lead to their pages."""
    if not name.startswith(MADE):
        text = re.sub(r"\]\((?:\.\./)+notebooks/([\w-]+)\.ipynb", r"](/notebooks/\1.ipynb", source[0])
        source[0] = re.sub(r"\]\((?:\.\./)+experiments/(\w+)/results/([\w-]+)\.md", r"](/results/\1/\2.md", text)


def as_markup(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """A docstring, laid out for people who read the source, as markup: bars are bars, and hanging lines are a list."""
    # Code in one pair of backticks is code in two, and a letter right behind it wants an escape between.
    text = re.sub(r"`+([^`\n]+)`+(\w?)", lambda m: f"``{m[1]}``" + (f"\\ {m[2]}" if m[2] else ""), "\n".join(lines))
    paragraphs = text.replace("|", r"\|").split("\n\n")
    lines[:] = "\n\n".join(map(hanging_as_list, paragraphs)).split("\n")


def hanging_as_list(paragraph: str) -> str:
    """Of `name: text` lines whose continuations are indented, a list. Sections (`Args:`) are read by napoleon."""
    lines = paragraph.rstrip().split("\n")
    indented = [line.startswith("    ") for line in lines]
    is_section = re.fullmatch(r"(Args|Attributes|Returns|Raises):", lines[0].strip())
    if is_section or not any(indented) or indented[0]:
        return paragraph
    found: list[str] = []
    for line, is_continued in zip(lines, indented, strict=True):
        if is_continued and ": " not in line:
            found[-1] += f" {line.strip()}"
        else:
            found.append(line.strip())
    return "\n".join(f"- {line}" for line in found)


def is_left_out(app: Any, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Fields of tuples, which their class' docstring explains, and what flax adds to every class."""
    return True if type(thing).__name__ == "_tuplegetter" or name == "replace" else None


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", make_all)
    app.connect("source-read", link_pages)
    app.connect("autodoc-skip-member", is_left_out)
    # Before napoleon, which has 500.
    app.connect("autodoc-process-docstring", as_markup, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
