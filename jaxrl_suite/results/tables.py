"""Tables as text, for files that people read."""

import csv
import io
from collections.abc import Sequence


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table, one line a row; cells are shown by `str`.

    Raises:
        ValueError: if a row has another number of cells than there are columns.
    """
    if wrong := [row for row in rows if len(row) != len(columns)]:
        raise ValueError(f"{len(columns)} columns, but a row has {len(wrong[0])} cells: {wrong[0]}")
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(_cell(value) for value in line)} |\n" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def csv_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Comma-separated values, quoted where needed, one line a row."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    return text.getvalue()


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def latex_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A LaTeX tabular with booktabs' rules; the first column to the left, the others to the right."""

    def line(cells: Sequence[object]) -> str:
        return " & ".join("".join(_LATEX.get(c, c) for c in str(cell)) for cell in cells) + r" \\"

    body = [line(columns), r"\midrule", *map(line, rows)]
    begin = rf"\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}"
    return "\n".join([begin, r"\toprule", *body, r"\bottomrule", r"\end{tabular}"]) + "\n"
