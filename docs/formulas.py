"""Formulas as MathML, which browsers draw by themselves: pages need nothing from elsewhere."""

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util import logging

WORDS = {r"\arg": r"\operatorname{arg}"}
"""What the converter does not know, in its words."""


def drawn(node: nodes.Element, display: str) -> str:
    formula = node.astext()
    for known, word in WORDS.items():
        formula = formula.replace(known, word)
    found = convert(formula, display=display)
    if unknown := re.findall(r">(\\[A-Za-z]+)", found):
        logging.getLogger(__name__).warning("formula with %s: no word for it", unknown[0], location=node)
    return found


def _inline(translator: Any, node: nodes.Element) -> None:
    translator.body.append(drawn(node, "inline"))
    raise nodes.SkipNode


def _display(translator: Any, node: nodes.Element) -> None:
    translator.body.append(f'<div class="math">{drawn(node, "block")}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
