"""`jaxrl report`: the page holds every committed number and needs nothing else; its filters work in a browser."""

import html
import json
import re
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest

from jaxrl_suite.cli import main
from jaxrl_suite.reproduction.overview import command_of, counts, load_all
from jaxrl_suite.reproduction.report import rows_of
from tests.helpers import EXPERIMENTS

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    file = tmp_path_factory.mktemp("report") / "report.html"
    assert main(["report", "--out", str(file)]) == 0
    return file


def test_every_number_is_on_the_page(page):
    text = page.read_text()
    for result in load_all(EXPERIMENTS):
        start = text.index(f'id="{result["paper"]}-{result["item"]}-{result["scale"]}"')
        section = text[start : text.index("</section>", start)]
        assert html.escape(command_of(result)) in section
        assert result["provenance"]["commit"] in section
        for row in rows_of(result["cells"]):
            assert "".join(f"<td>{html.escape(cell)}</td>" for cell in row) in section
        assert section.count("<tr data-verdict=") == len(result["cells"])
        assert section.count("data:image/svg+xml") == int(result["figure"] is not None)


def test_nothing_is_loaded_from_elsewhere(page):
    found = re.findall(r'(?:src|href)="([^"#][^"]{0,40})', page.read_text())
    assert all(link.startswith("data:image/svg+xml") for link in found)


def test_the_table_of_the_documentation_is_as_the_results_are(tmp_path):
    """`jaxrl report --markdown docs/reproductions.md` makes it anew."""
    assert main(["report", "--markdown", str(tmp_path / "table.md")]) == 0
    committed = EXPERIMENTS.parent / "docs" / "reproductions.md"
    assert (tmp_path / "table.md").read_text() == committed.read_text()
    for link in re.findall(r"\]\((\.\./[^)]+)\)", committed.read_text()):
        assert (committed.parent / link).is_file()


def test_counts_add_up():
    results = load_all(EXPERIMENTS)
    assert sum(counts(results).values()) == sum(len(result["cells"]) for result in results)
    assert counts(results)["agrees"] > 500


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--experiments", "EMPTY"], "has no results"),
        (["--out", "EMPTY"], "--out = "),
        (["--ou", "x"], "unknown option"),
    ],
)
def test_what_cannot_be_reported(words, message, tmp_path, capsys):
    assert main(["report", *(str(tmp_path) if word == "EMPTY" else word for word in words)]) == 2
    assert message in capsys.readouterr().err


def rendered(page: Path, view: str) -> str:
    """The document as the browser has it after its script has run."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"file://{page}{view}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.fixture(scope="module")
def browser():
    blank = [BROWSER or "false", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "about:blank"]
    if subprocess.run(blank, capture_output=True, check=False).returncode:
        warnings.warn("NO BROWSER: the rendered report is not looked at (install chromium)", stacklevel=1)
        pytest.skip("no browser that works is installed")


def shown(text: str) -> list[str]:
    sections = re.findall(r'<section class="item" id="([^"]+)"([^>]*)>', text)
    return [name for name, rest in sections if " hidden" not in rest]


def test_filters_in_a_browser(page, browser):
    results = load_all(EXPERIMENTS)
    everything = rendered(page, "")
    assert len(shown(everything)) == len(results)
    assert re.search(r'<html[^>]* data-theme="(light|dark)"', everything)
    one = rendered(page, "#paper=qarl&verdict=agrees")
    expected = [r for r in results if r["paper"] == "qarl" and counts([r])["agrees"]]
    assert shown(one) == [f"{r['paper']}-{r['item']}-{r['scale']}" for r in expected]
    agreeing = counts(expected)["agrees"]
    assert f"{len(expected)} of {len(results)} items, {agreeing} cells" in one
    by_agent = shown(rendered(page, "#agents=sqirl"))
    trained = [r for r in results if "sqirl" in {t["agent"] for t in r["trainings"].values()}]
    assert by_agent == [f"{r['paper']}-{r['item']}-{r['scale']}" for r in trained]
    assert json.dumps(by_agent) != "[]"
