"""Everything that was reproduced, from the committed results: one page for people, one table for the documentation."""

import base64
import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Any

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.reproduction.report import COLUMNS, rows_of
from jaxrl_suite.results.tables import markdown_table

WORDS = ("agrees", "inconclusive", "differs", "not comparable")
"""What a verdict begins with."""

KINDS = (*WORDS, "no target")

HERE = Path(__file__).parent


def load_all(experiments: Path) -> list[dict[str, Any]]:
    """The results of every item, as `report.write` left them, with `figure`, the path of its picture or None.

    Raises:
        ConfigError: if there are none.
    """
    found = []
    for file in sorted(experiments.glob("*/results/*.json")):
        result = json.loads(file.read_text())
        if "cells" in result:
            for cell in result["cells"]:
                # The oldest results do not say it; all of theirs are over seeds.
                cell.setdefault("over", str(len(cell["scores"])))
            figure = file.with_suffix(".svg")
            found.append(result | {"figure": figure if figure.exists() else None, "page": file.with_suffix(".md")})
    if not found:
        raise ConfigError(f"{experiments}: has no results (experiments/PAPER/results/ITEM-SCALE.json)")
    return found


def counts(results: Iterable[dict[str, Any]]) -> dict[str, int]:
    """How many cells have each verdict, and how many have nothing to be held against."""
    kinds = [kind_of(cell) for result in results for cell in result["cells"]]
    return {kind: kinds.count(kind) for kind in KINDS}


def kind_of(cell: dict[str, Any]) -> str:
    """Of the verdict, without its reason."""
    return next((word for word in WORDS if cell["verdict"].startswith(word)), "no target")


def agents_of(result: dict[str, Any]) -> list[str]:
    return sorted({training["agent"] for training in result["trainings"].values()})


def environments_of(result: dict[str, Any]) -> list[str]:
    return sorted({training["env"] for training in result["trainings"].values()})


def command_of(result: dict[str, Any]) -> str:
    return f"jaxrl reproduce {result['paper']}/{result['item']} --scale {result['scale']}"


def held_against(results: Iterable[dict[str, Any]]) -> str:
    """What kinds of targets there are, in words."""
    plural = {"published": "published numbers", "known answer": "known answers"}
    cells = [cell for result in results for cell in result["cells"] if cell["target"]]
    return ", ".join(sorted({plural[cell["target"]["kind"]] for cell in cells}))


def summary(results: Sequence[dict[str, Any]]) -> str:
    """Markdown, a row a paper: how many items and cells, their verdicts, and what they are held against."""
    rows = []
    for paper in sorted({result["paper"] for result in results}):
        own = [result for result in results if result["paper"] == paper]
        cells = sum(len(result["cells"]) for result in own)
        rows.append([paper, str(len(own)), str(cells), *map(str, counts(own).values()), held_against(own)])
    return markdown_table(("paper", "items", "cells", *KINDS, "held against"), rows)


def markdown(results: Sequence[dict[str, Any]], root: Path) -> str:
    """The items as a table for each paper, with their notes; links are relative to `root`/docs."""
    lines = [
        "# Reproductions",
        "",
        "Made by `jaxrl report --markdown docs/reproductions.md` from the committed results; not to be edited. A cell",
        "*agrees* if its 95 % interval lies within the margin of its target that was set before the run, *differs* if",
        "it lies outside, and is *inconclusive* if it reaches over; *not comparable* has a reason, given on its page.",
        "The others have no target. Known answers are of independent programs, not of the paper.",
        "",
        summary(results),
    ]
    for paper in sorted({result["paper"] for result in results}):
        own = [result for result in results if result["paper"] == paper]
        columns = ("item", "what", "scale", "seeds", "held against", *KINDS, "command")
        lines += [f"## {paper}", "", markdown_table(columns, [_row(result, root) for result in own])]
        lines += ["Settings, budgets, and where an item departs from its paper:", ""]
        lines += [f"- **{result['item']}**: {'; '.join(result['notes'])}." for result in own if result["notes"]]
        lines += [""]
    return "\n".join(lines).rstrip() + "\n"


def _row(result: dict[str, Any], root: Path) -> list[str]:
    link = f"[{result['item']}](../{result['page'].relative_to(root).as_posix()})"
    what = [link, result["title"], result["scale"], _seeds(result), held_against([result])]
    return [*what, *map(str, counts([result]).values()), f"`{command_of(result)}`"]


def _seeds(result: dict[str, Any]) -> str:
    if all(cell["over"] == "exact" for cell in result["cells"]):
        return "exact"
    return ", ".join(map(str, sorted({len(training["seeds"]) for training in result["trainings"].values()})))


def page(results: Sequence[dict[str, Any]]) -> str:
    """One self-contained page of HTML: tables, pictures, filters; nothing is loaded from anywhere."""
    papers = sorted({result["paper"] for result in results})
    parts = {
        "style": (HERE / "page.css").read_text(),
        "script": (HERE / "page.js").read_text(),
        "papers": _options(papers),
        "agents": _options(sorted({name for result in results for name in agents_of(result)})),
        "environments": _options(sorted({name for result in results for name in environments_of(result)})),
        "verdicts": _options(KINDS),
        "summary": _table(
            ("paper", "items", "cells", *KINDS),
            [_summary(paper, [result for result in results if result["paper"] == paper]) for paper in papers],
        ),
        "items": "\n".join(map(_item, results)),
    }
    return Template((HERE / "page.html").read_text()).substitute(parts)


def _options(names: Iterable[str]) -> str:
    return "".join(f"<option>{html.escape(name)}</option>" for name in names)


def _summary(paper: str, results: list[dict[str, Any]]) -> list[str]:
    cells = sum(len(result["cells"]) for result in results)
    link = f'<a href="#paper={html.escape(paper)}">{html.escape(paper)}</a>'
    return [link, str(len(results)), str(cells), *map(str, counts(results).values())]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], kinds: Iterable[str] | None = None) -> str:
    """`rows` are HTML already; `kinds` is a word for each row, for filters and colours."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    marks = [""] * len(rows) if kinds is None else [f' data-verdict="{kind}"' for kind in kinds]
    body = "\n".join(
        f"<tr{mark}>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for mark, row in zip(marks, rows, strict=True)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _item(result: dict[str, Any]) -> str:
    rows = [[html.escape(text) for text in row] for row in rows_of(result["cells"])]
    found = ", ".join(f"{count} {word}" for word, count in counts([result]).items() if count)
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in result["notes"])
    about = {"paper": [result["paper"]], "agents": agents_of(result), "environments": environments_of(result)}
    marks = " ".join(f'data-{name}="{html.escape("|".join(values))}"' for name, values in about.items())
    paper, item, scale, title = (html.escape(result[name]) for name in ("paper", "item", "scale", "title"))
    return f"""\
<section class="item" id="{paper}-{item}-{scale}" {marks}>
<h2>{title} <small>{paper}/{item}</small></h2>
<p>Scale {scale}: {found}. <code>{html.escape(command_of(result))}</code></p>
{_figure(result)}{_table(COLUMNS, rows, map(kind_of, result["cells"]))}
<ul>{notes}</ul>
<details><summary>How it was made</summary>{_provenance(result)}</details>
</section>"""


def _figure(result: dict[str, Any]) -> str:
    if result["figure"] is None:
        return ""
    encoded = base64.b64encode(result["figure"].read_bytes()).decode()
    return f'<img alt="{html.escape(result["title"])}" src="data:image/svg+xml;base64,{encoded}">\n'


def _provenance(result: dict[str, Any]) -> str:
    made = result["provenance"]
    device = made["device"]
    facts = {
        "commit": made["commit"] or "none",
        "device": f"{device['count']} x {device['kind']}, {device['processor']}, {device['cores']} cores",
        "versions": ", ".join(f"{name} {version}" for name, version in made["versions"].items()),
    }
    lines = "".join(f"<li>{name}: {html.escape(str(text))}</li>" for name, text in facts.items())
    rows = [
        [
            html.escape(str(text))
            for text in (
                name,
                training["agent"],
                training["env"],
                len(training["seeds"]),
                f"{training['env_steps']:,}",
                f"{training['seconds']['compile']:.0f} + {training['seconds']['run']:.0f}",
            )
        ]
        for name, training in result["trainings"].items()
    ]
    trained = (
        _table(("training", "agent", "environment", "seeds", "environment steps", "seconds"), rows) if rows else ""
    )
    return f"<ul>{lines}</ul>{trained}"
