"""The ledger of known answers: every one that the specs list, and the tests that claim to check it."""

import ast
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def known_answer(id: str) -> Callable[[Any], Any]:
    """Marks a test as the check of an answer in ledger.toml. Only the source is looked at: it must be a literal."""

    def mark(test: Any) -> Any:
        return test

    return mark


def listed() -> dict[str, str]:
    """What each id says, as ledger.toml has it."""
    papers = tomllib.loads((HERE / "ledger.toml").read_text())
    return {f"{paper}/{name}": text for paper, answers in papers.items() for name, text in answers.items()}


def claimed() -> dict[str, list[str]]:
    """Names of the tests that claim each id."""
    found: dict[str, list[str]] = {}
    for path in sorted(HERE.parent.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                for id in filter(None, map(_claimed_id, node.decorator_list)):
                    found.setdefault(id, []).append(node.name)
    return found


def _claimed_id(decorator: ast.expr) -> str | None:
    if not isinstance(decorator, ast.Call) or getattr(decorator.func, "id", "") != "known_answer":
        return None
    return decorator.args[0].value if isinstance(decorator.args[0], ast.Constant) else None
