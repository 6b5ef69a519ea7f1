"""What the documentation shows runs, and names commands, files and pages that there are."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from jaxrl_suite.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
MADE = [DOCS / name for name in ("reference", "notebooks", "results", "changelog.md")]
"""By `make docs`."""
PAGES = [ROOT / "README.md", *(page for page in sorted(DOCS.rglob("*.md")) if not {page, *page.parents} & {*MADE})]
QUICK = ("docs/statistics.md",)


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def pages_with(language):
    return [
        pytest.param(page, marks=[] if name_of(page) in QUICK else [pytest.mark.slow], id=name_of(page))
        for page in PAGES
        if blocks(page, language)
    ]


def test_no_program_is_out_of_sight():
    """Whatever looks like code is in a block that is run, or is shown as a command."""
    languages = {word for page in PAGES for word in re.findall(r"^```(\S+)", page.read_text(), re.MULTILINE)}
    assert languages <= {"python", "sh", "toml", "{toctree}", "{include}"}


@pytest.mark.parametrize("page", pages_with("python"))
def test_every_program_runs(page, tmp_path):
    """A page's blocks one after another, as a reader would type them, in a process of their own: they set up JAX."""
    file = tmp_path / "page.py"
    file.write_text("\n\n".join(blocks(page, "python")))
    found = subprocess.run([sys.executable, file], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-2000:]
    assert "Warning" not in found.stderr, found.stderr


@pytest.mark.parametrize("page", pages_with("sh"))
def test_every_script_runs(page, tmp_path):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for block in blocks(page, "sh"):
        command = ["sh", "-ec", block]
        found = subprocess.run(command, cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True, text=True)
        assert found.returncode == 0, block + found.stderr[-2000:]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_is_one(page):
    lines = [line for block in blocks(page, "") + blocks(page, "sh") for line in block.splitlines()]
    typed = [part for line in lines for part in re.split(r"\s{3,}|#", line) if re.match(r"(srun )?jaxrl ", part)]
    typed += re.findall(r"`(jaxrl [^`]+)`", page.read_text())
    for words in map(shlex.split, typed):
        command = words[words.index("jaxrl") + 1]
        assert command in (*COMMANDS, "COMMAND", "--help"), f"{page.name}: {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        is_made = any((page.parent / link).resolve().is_relative_to(made) for made in MADE)
        assert link.startswith("https://") or is_made or (page.parent / link).exists(), f"{page.name}: {link}"
