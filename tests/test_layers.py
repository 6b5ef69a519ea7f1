"""Imports go one way, and importing the package costs nothing that is not needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "jaxrl_suite"
ALLOWED = {
    "errors": set(),
    "lazy": set(),
    "lookup": {"errors"},
    "precision": {"errors"},
    "recording": {"agent"},
    "shards": set(),
    "rows": {"errors"},
    "sampling": set(),
    "selection": set(),
    "config": {"errors"},
    "agent": {"errors", "config"},
    "learning": {"agent", "config", "errors", "precision", "sampling", "selection", "shards"},
    "games": {"errors", "lazy", "lookup", "rows"},
    "envs": {
        "agent",
        "config",
        "errors",
        "games",
        "lookup",
        "precision",
        "rows",
        "sampling",
        "selection",
        "shards",
        "lazy",
    },
    "solvers": {"agent", "config", "errors", "games", "precision", "rows", "sampling", "selection", "lazy"},
    "agents": {
        "agent",
        "recording",
        "config",
        "errors",
        "precision",
        "rows",
        "sampling",
        "selection",
        "shards",
        "learning",
        "envs",
        "games",
        "solvers",
        "lazy",
    },
    "results": {"agent", "config", "errors", "lazy"},
    "training": {"agent", "config", "errors", "precision", "recording", "results", "shards", "lazy"},
    "drawing": {"envs", "errors", "games", "lazy", "results", "training"},
    "reproduction": {"agent", "agents", "config", "envs", "errors", "precision", "results", "solvers", "training"},
}


def part_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported_parts(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        found |= {n.split(".")[1] for n in names if n.startswith("jaxrl_suite.")}
    return found


@pytest.mark.parametrize("path", sorted(p for p in ROOT.rglob("*.py") if part_of(p) in ALLOWED), ids=str)
def test_imports_go_one_way(path):
    part = part_of(path)
    forbidden = (imported_parts(path) & set(ALLOWED)) - ALLOWED[part] - {part}
    assert not forbidden, f"{part} must not import {sorted(forbidden)}"


def test_every_folder_is_known():
    parts = {part_of(p) for p in ROOT.rglob("*.py")} - {"__init__", "cli"}
    assert parts <= set(ALLOWED)


def test_the_import_is_light():
    program = (
        "import sys, jaxrl_suite; heavy = {'jax', 'distrax', 'pandas', 'matplotlib', 'gymnax', 'orbax'};"
        "found = heavy & set(sys.modules); sys.exit(', '.join(sorted(found)) if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"importing jaxrl_suite also imports {done.stderr.strip()}"
