"""Updates beyond action values and Tiny Hanabi: every known answer is held against a number, and small scales agree."""

from pathlib import Path

import pytest

from jaxrl_suite.reproduction import load_experiment, report
from jaxrl_suite.reproduction.training import run_trainings

EXPERIMENT = load_experiment(Path(__file__).parents[2] / "experiments", "mirror_descent_search")


def test_every_known_answer_is_held_against_a_number():
    known = EXPERIMENT.items["variants"].args[0]
    cells = EXPERIMENT.item("variants", "cpu").cells
    assert len([c for c in cells if c.target]) == sum(map(len, known["variants"].values()))
    games = known["tiny-hanabi"].values()
    answers = sum(("start" in game) + len(game.get("steps", {})) + 1 + len(game["lowered"]) for game in games)
    assert len([c for c in EXPERIMENT.item("tiny-hanabi", "cpu").cells if c.target]) == answers


@pytest.mark.parametrize("name", ["variants", "tiny-hanabi"])
@pytest.mark.slow
def test_small_scales_agree(name, tmp_path):
    item = EXPERIMENT.item(name, "smoke")
    cells = report.measure(item, run_trainings(item, tmp_path))
    assert {cell["verdict"] for cell in cells if cell["target"]} == {"agrees"}
    if name == "variants":
        # All have settled, each in its own way.
        last = [cell["mean"] for cell in cells if cell["column"] == "KL after 1,000"]
        assert max(last) < 1e-9
        assert len({round(cell["mean"], 6) for cell in cells if cell["column"] == "KL after 100"}) == 4
        item.figure({}, tmp_path / "figure")
        assert (tmp_path / "figure.svg").exists()
