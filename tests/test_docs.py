"""What the documentation shows runs, and names commands that there are."""

import re
import shlex
from pathlib import Path

import pytest

from jaxrl_suite.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
QUICK = ("coming-from.md",)


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def is_whole(block):
    """Not an outline of code, with dots where something is left out."""
    return not re.search(r"(:|=|^|\() *\.\.\.", block, re.MULTILINE)


PROGRAMS = [
    pytest.param(page, marks=[] if page.name in QUICK else [pytest.mark.slow], id=page.name)
    for page in PAGES
    if any(map(is_whole, blocks(page, "python")))
]


@pytest.mark.parametrize("page", PROGRAMS)
def test_every_program_runs(page, tmp_path, monkeypatch):
    """A page's blocks one after another, as a reader would type them."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for number, block in enumerate(filter(is_whole, blocks(page, "python"))):
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_one(page):
    text = page.read_text()
    lines = [
        line for block in re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL) for line in block.splitlines()
    ]
    typed = [part for line in lines for part in re.split(r"\s{3,}|#", line) if re.match(r"(srun )?jaxrl ", part)]
    typed += re.findall(r"`(jaxrl [^`]+)`", text)
    for words in map(shlex.split, typed):
        command = words[words.index("jaxrl") + 1]
        assert command in COMMANDS or command == "COMMAND", f"{page.name}: {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert link.startswith("https://") or (page.parent / link).exists(), f"{page.name}: {link}"
