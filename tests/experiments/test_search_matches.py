"""Players of the 3 x 3 games against each other."""

from types import SimpleNamespace

import numpy as np
import pytest

from jaxrl_suite.agents import SearchConfig
from jaxrl_suite.reproduction.loading import import_file, load_experiment
from tests.helpers import EXPERIMENTS


@pytest.fixture(scope="module")
def matches():
    load_experiment(EXPERIMENTS, "mirror_descent_search")
    file = EXPERIMENTS / "mirror_descent_search" / "matches.py"
    return import_file(file, "jaxrl_experiments_mirror_descent_search_matches")


def run_of(matches, game, name):
    player = matches.players.player_of(game, name)
    return SimpleNamespace(agent=player.agent, state=player.states, seeds=range(matches.players.SEEDS))


@pytest.mark.parametrize(
    ("game", "printed"), [pytest.param("dark hex", 0, marks=pytest.mark.slow), ("phantom tic-tac-toe", -22)]
)
def test_uniform_against_the_first_legal_action(matches, game, printed):
    """What the paper prints for players that learn nothing, whose standard error is 2; 4,000 games here."""
    run = run_of(matches, game, matches.players.UNIFORM)
    found = matches.against(game, matches.players.FIRST, None, 400, run)
    assert found.shape == (5,)
    assert found.mean() == pytest.approx(printed, abs=3 * np.hypot(2, 100 / np.sqrt(4000)) + 0.5)


@pytest.mark.slow
def test_search_gains_on_its_own_blueprint(matches):
    run = run_of(matches, "dark hex", matches.players.UNIFORM)
    plain = matches.against("dark hex", matches.players.UNIFORM, None, 100, run)
    searching = matches.against("dark hex", matches.players.UNIFORM, SearchConfig(num_particles=5), 100, run)
    assert abs(plain.mean()) < 15
    assert searching.mean() > plain.mean() + 15


def test_printed_numbers_are_of_the_pairs_they_are_printed_for(matches):
    item = load_experiment(EXPERIMENTS, "mirror_descent_search").item("matches", "cpu")
    targets = {(cell.row, cell.column): cell for cell in item.cells if cell.target is not None}
    cell = targets["dark hex, against PPO, 1 million steps", "MMD, 1 million steps"]
    assert cell.target.value == 13
    assert "1 million" in cell.deviation
    assert not targets["dark hex, against first legal action", "uniform random"].deviation
    assert len(targets) == 12
