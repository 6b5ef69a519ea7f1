"""Reproductions: the verdict rule, what is done again and what is not, and the files that are left."""

import csv
import dataclasses
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

from jaxrl_suite.cli import main
from jaxrl_suite.envs import pushed_tasks
from jaxrl_suite.envs.physics import BRAX_IDS, MJX_IDS
from jaxrl_suite.errors import ConfigError, UnknownNameError
from jaxrl_suite.reproduction import (
    Cell,
    Estimate,
    Experiment,
    Item,
    Target,
    Training,
    list_experiments,
    load_experiment,
    overview,
    report,
)
from jaxrl_suite.reproduction import training as trainings
from jaxrl_suite.results import csv_table, latex_table, verdict
from tests.helpers import EXPERIMENTS


@pytest.mark.parametrize(
    ("low", "high", "seeds", "deviation", "expected"),
    [
        (98.0, 104.0, 5, "", "agrees"),
        (95.0, 105.0, 5, "", "agrees"),
        (98.0, 106.0, 5, "", "inconclusive"),
        (80.0, 120.0, 5, "", "inconclusive"),
        (80.0, 94.0, 5, "", "differs"),
        (106.0, 120.0, 5, "", "differs"),
        (98.0, 104.0, 4, "", "inconclusive"),
        (80.0, 94.0, 4, "", "inconclusive"),
        (float("nan"), 104.0, 5, "", "inconclusive"),
        (98.0, 104.0, 5, "a tenth of the budget", "not comparable: a tenth of the budget"),
    ],
)
def test_the_rule(low, high, seeds, deviation, expected):
    assert verdict(low, high, target=100.0, margin=5.0, seeds=seeds, least=5, deviation=deviation) == expected


def test_tables_for_programs_and_papers():
    rows = [["a_b & c", "50 %"], ["x,y", 'say "so"']]
    assert list(csv.reader(csv_table(["p", "q"], rows).splitlines())) == [["p", "q"], *rows]
    assert r"a\_b \& c & 50 \% \\" in latex_table(["p", "q"], rows)


TINY = Training("tiny", "baseline_only", "tabular/golden-ratio", {"total_updates": 20}, seeds=3)


def regret(run):
    return run.metrics["regret"].sum(axis=-1)


def item(**changes):
    gap = 20 * (2.604911 - 2.515990)
    cells = [
        Cell("baseline", "regret", "tiny", regret, Target(gap, 0.01, "known answer", "a program"), digits=4),
        Cell("baseline", "too much", "tiny", regret, Target(99.0, 1.0, "published", "table 1")),
        Cell("baseline", "not held against anything", "tiny", regret),
        Cell("baseline", "other", "tiny", regret, Target(99.0, 1.0, "published", "table 1"), "half the episodes"),
    ]
    return Item("small", "A small table", [TINY], cells, **{"least_seeds": 3, **changes})


def test_cells_over_several_trainings_and_exact_ones(tmp_path):
    def both(scores):
        return Estimate(float(np.sum([s.sum() for s in scores.values()])), math.nan, math.nan, "2 trainings")

    target = Target(2.0, 0.0, "known answer", "a program")
    cells = [
        Cell("sum", "regret", ("tiny", "tiny-2"), both),
        Cell("exact", "two", None, lambda: 2, target),
        Cell("exact", "three", None, lambda: 3, target),
        Cell("exact", "never", None, lambda: math.inf),
    ]
    two = Item("two", "", [TINY, dataclasses.replace(TINY, name="tiny-2")], cells, score=regret)
    runs = trainings.run_trainings(two, tmp_path)
    found = report.measure(two, runs)
    assert found[0]["mean"] == pytest.approx(2 * regret(runs["tiny"]).sum())
    assert [cell["verdict"] for cell in found] == ["", "agrees", "differs", ""]
    rows = report.rows_of(found)
    assert [row[2:5] for row in rows[1:]] == [["exact", "2.0", ""], ["exact", "3.0", ""], ["exact", "never", ""]]
    assert rows[0][2] == "2 trainings"


EXPERIMENT = Experiment("nobody", "No paper", "nobody 2026", "A test.", {"small": lambda scale: item()})


def test_an_items_page_names_its_own_paper():
    theirs = dataclasses.replace(EXPERIMENT, others={"small": "Another paper. somebody 2027"})
    assert "No paper. nobody 2026. A test." in report.markdown(EXPERIMENT, item(), "smoke", [], None)
    assert "Another paper. somebody 2027. A test." in report.markdown(theirs, item(), "smoke", [], None)
    with pytest.raises(UnknownNameError, match="smal"):
        dataclasses.replace(EXPERIMENT, others={"smal": "Another paper"})


def test_cells_are_measured_and_judged(tmp_path):
    runs = trainings.run_trainings(item(), tmp_path)
    cells = report.measure(item(), runs)
    assert [cell["verdict"] for cell in cells] == ["agrees", "differs", "", "not comparable: half the episodes"]
    assert cells[0]["mean"] == pytest.approx(np.mean(cells[0]["scores"]))
    rows = report.rows_of(cells)
    published, known = (report.COLUMNS.index(kind) for kind in ("published", "known answer"))
    assert (rows[0][published], rows[0][known]) == ("", "1.7784")
    assert (rows[1][published], rows[1][known]) == ("99.0", "")
    few = report.measure(item(least_seeds=20), runs)
    assert [cell["verdict"] for cell in few][:2] == ["inconclusive", "inconclusive"]


def test_trainings_may_be_sweeps_and_have_nothing_random(tmp_path):
    swept = Training("swept", "mmd", "game/kuhn_poker", {"total_updates": 10}, 1, grid={"step_size": [0.5, 1.0]})
    known = Target(0.11782, 1e-5, "known answer", "a program")
    cells = [
        Cell(f"setting {i}", "after 10", "swept", lambda run, i=i: run.metrics["exploitability"][i, :, 9], known,
             digits=1, is_exact=True)
        for i in (0, 1)
    ]  # fmt: skip
    one = Item("swept", "A sweep", [swept], cells, 1)
    found = report.measure(one, trainings.run_trainings(one, tmp_path))
    assert [cell["verdict"] for cell in found] == ["differs", "agrees"]
    assert [cell["over"] for cell in found] == ["exact", "exact"]
    small = found[1] | {"mean": 0.00012347}
    assert report.rows_of([small])[0][3] == "0.0001235"


def test_what_is_done_is_kept_and_what_was_cut_off_goes_on(tmp_path, capsys, monkeypatch):
    first = trainings.run_training(TINY, tmp_path)
    (path,) = tmp_path.iterdir()
    before = sorted(p.stat().st_mtime_ns for p in path.rglob("*.parquet"))
    again = trainings.run_training(TINY, tmp_path)
    assert sorted(p.stat().st_mtime_ns for p in path.rglob("*.parquet")) == before
    np.testing.assert_array_equal(again.metrics["regret"], first.metrics["regret"])
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | {"status": "interrupted", "total_updates": 25}))
    assert len(trainings.run_training(dataclasses.replace(TINY), tmp_path).updates) == 25
    other = dataclasses.replace(TINY, config={"total_updates": 21})
    trainings.run_training(other, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_an_item_leaves_its_files(tmp_path):
    runs = trainings.run_trainings(item(), tmp_path / "runs")
    cells = report.measure(item(), runs)
    page = report.write(EXPERIMENT, item(), "smoke", cells, runs, {"commit": "c"}, tmp_path / "out")
    assert {p.name for p in page.parent.iterdir()} == {f"small-smoke.{end}" for end in ("md", "json", "csv", "tex")}
    assert "| baseline | regret | 3 | 1.7784 |" in page.read_text()
    saved = json.loads(page.with_suffix(".json").read_text())
    assert saved["cells"][0]["scores"] == cells[0]["scores"]
    assert saved["trainings"]["tiny"]["seeds"] == [0, 1, 2]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Target(1.0, -1.0, "published", ""), ConfigError, r"margin = -1"),
        (lambda: Target(1.0, 1.0, "guessed", ""), ConfigError, r"kind = 'guessed': must be one of published, known"),
        (lambda: Item("a", "", [TINY, TINY], []), ConfigError, r"a: two trainings have the same name"),
        (lambda: Item("a", "", [TINY], [Cell("", "", "tyni", regret)]), UnknownNameError, r"did you mean tiny"),
        (
            lambda: Item("a", "", [TINY], [Cell("", "b", ("tiny",), regret)]),
            ConfigError,
            r"b is over several trainings",
        ),
        (lambda: EXPERIMENT.item("smal", "cpu"), UnknownNameError, r"did you mean small"),
        (lambda: EXPERIMENT.item("small", "gpu"), ConfigError, r"--scale = gpu: must be one of smoke, cpu, full"),
        (lambda: load_experiment(EXPERIMENTS, "stepmx"), UnknownNameError, r"did you mean stepmix"),
        (lambda: load_experiment(Path("nowhere"), "stepmix"), ConfigError, r"needs a checkout"),
    ],
)
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "PAPER: 0 given"),
        (["stepmix", "sqirl"], "PAPER: 2 given"),
        (["stepmx"], "did you mean stepmix"),
        (["stepmix/tabel"], "did you mean table"),
        (["stepmix", "--scale", "tiny"], "--scale = tiny: must be one of smoke, cpu, full"),
    ],
)
def test_the_command_refuses_in_one_line(capsys, words, message):
    assert main(["reproduce", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def is_here(env):
    """Whether an environment can be made without an extra that is not installed."""
    if env in pushed_tasks.SUITE_IDS:
        return env in pushed_tasks.IDS
    needs_brax = any(f"{prefix}/" in env for prefix in ("brax", "mjx"))
    return not needs_brax or bool(BRAX_IDS and MJX_IDS)


@pytest.mark.parametrize("paper", list_experiments(EXPERIMENTS))
@pytest.mark.parametrize(
    ("scale", "makes_agents"),
    [
        ("smoke", True),
        ("cpu", False),
        pytest.param("cpu", True, marks=pytest.mark.slow),
        pytest.param("full", True, marks=pytest.mark.slow),
    ],
)
def test_every_experiment_is_sound_at_every_scale(paper, scale, makes_agents):
    experiment = load_experiment(EXPERIMENTS, paper)
    items = [experiment.item(name, scale) for name in experiment.items]
    assert any(items)
    for one in filter(None, items):
        assert one.trainings or all(cell.training is None for cell in one.cells)
        if scale != "smoke":
            # Where nothing is random one seed is all.
            exact = {cell.training for cell in one.cells if cell.is_exact}
            assert all(training.seeds >= 5 or training.name in exact for training in one.trainings)
        ready = [training for training in one.trainings if not training.waits and is_here(training.env)]
        for training in random.Random(0).sample(ready, min(2, len(ready)) if makes_agents else 0):
            trainings.agent_of(training)


COMMITTED = sorted(EXPERIMENTS.glob("*/results/*-*.json"))


REPRODUCTIONS = [path for path in COMMITTED if "paper" in json.loads(path.read_text())]


def test_the_readme_says_what_the_results_say():
    text = (EXPERIMENTS.parent / "README.md").read_text()
    assert overview.summary(overview.load_all(EXPERIMENTS)) in text


LONG_AGAIN = ("sampled-cpu.json", "bridge-lite-cpu.json", "curves-cpu.json")
"""Of many programs, or, as ties on symmetric games, of ones that rounding decides."""
CHEAP = 8
"""Seconds that all seeds of a training took to compile and run, up to which it is repeated in every test run."""


def by_cost(path):
    seconds = [sum(training["seconds"].values()) for training in json.loads(path.read_text())["trainings"].values()]
    is_long = path.name in LONG_AGAIN or bool(seconds and min(seconds) > CHEAP)
    return pytest.param(path, marks=pytest.mark.slow if is_long else (), id=path.name)


@pytest.mark.parametrize("path", [by_cost(path) for path in REPRODUCTIONS])
def test_a_cell_drawn_at_random_is_measured_again(path, tmp_path):
    """One training of each committed result, a few of its seeds: the same scores come out.

    Only of agents that compute in float64: networks differ after training if a few other seeds share their batch.
    """
    saved = json.loads(path.read_text())
    experiment = load_experiment(EXPERIMENTS, saved["paper"])
    one = experiment.item(saved["item"], saved["scale"])
    ready = [t for t in one.trainings if not t.waits and is_here(t.env)]
    tabular = [t for t in ready if trainings.agent_of(t).info.precision == "float64"]
    cheap = [t for t in tabular if saved["trainings"][t.name]["seconds"]["run"] <= CHEAP]
    if not tabular:
        return
    drawn = random.SystemRandom().choice(cheap or tabular)
    all_seeds = saved["trainings"][drawn.name]["seeds"]
    seeds = sorted(random.SystemRandom().sample(all_seeds, min(len(all_seeds), 3 if cheap else 1)))
    # Without any optimisation, as other tests compile, even the first steps are rounded otherwise, and what never
    # settles ends elsewhere.
    run = trainings.run_training(dataclasses.replace(drawn, quick_compile=True), tmp_path, seeds=seeds)

    def kept(scores):
        return [scores[all_seeds.index(seed)] for seed in seeds]

    if one.score is not None:
        assert one.score(run) == pytest.approx(kept(saved["scores"][drawn.name]), rel=1e-6), f"{drawn.name} {seeds}"
    for cell in one.cells:
        # A sweep has settings that do not settle: there rounding grows, and only what is held against something stays.
        if cell.training == drawn.name and (cell.target or not drawn.grid):
            expected = kept(saved_cell(saved, cell)["scores"])
            assert cell.measure(run) == pytest.approx(expected, rel=1e-6), f"{drawn.name}, seeds {seeds}"


def saved_cell(saved, cell):
    (kept,) = [c for c in saved["cells"] if (c["row"], c["column"]) == (cell.row, cell.column)]
    return kept


SOLVED_LONG = tuple(f"{name}-cpu.json" for name in ("exploitability", "boards", "particles", "equilibria", "analysis"))
"""Whose exact values take long, and are among the known answers, too."""
LONG = ("bridge-lite-cpu.json",)
"""Whose intervals over tasks and seeds take half a minute."""


@pytest.mark.parametrize(
    "path", [pytest.param(p, marks=pytest.mark.slow if p.name in LONG else (), id=p.name) for p in REPRODUCTIONS]
)
def test_cells_over_several_trainings_follow_from_the_scores(path):
    saved = json.loads(path.read_text())
    one = load_experiment(EXPERIMENTS, saved["paper"]).item(saved["item"], saved["scale"])
    derived = [cell for cell in one.cells if isinstance(cell.training, tuple)]
    for cell in random.SystemRandom().sample(derived, min(12, len(derived))):
        found = cell.measure({name: np.asarray(saved["scores"][name]) for name in cell.training})
        expected = saved_cell(saved, cell)
        assert found.value == pytest.approx(expected["mean"], rel=1e-9, nan_ok=True), (cell.row, cell.column)
        assert found.over == expected["over"]


@pytest.mark.parametrize(
    "path", [pytest.param(p, marks=pytest.mark.slow if p.name in SOLVED_LONG else (), id=p.name) for p in REPRODUCTIONS]
)
def test_exact_cells_are_exact_again(path):
    saved = json.loads(path.read_text())
    one = load_experiment(EXPERIMENTS, saved["paper"]).item(saved["item"], saved["scale"])
    exact = [cell for cell in one.cells if cell.training is None]
    if exact:
        cell = random.SystemRandom().choice(exact)
        assert cell.measure() == pytest.approx(saved_cell(saved, cell)["mean"], rel=1e-9), (cell.row, cell.column)
