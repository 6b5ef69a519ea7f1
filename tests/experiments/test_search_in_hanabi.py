"""The paper's Hanabi tables, on a game that is small enough to play them through."""

from pathlib import Path

import jax
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.agents import HandConfig, PPOConfig
from jaxrl_suite.reproduction.loading import import_file

FILE = Path(__file__).parents[2] / "experiments" / "mirror_descent_search" / "hanabi.py"


@pytest.mark.slow
def test_the_papers_tables_are_played_through():
    """Learned beliefs, search by both players; without a step it is the blueprint, whose deals are the same."""
    experiment = import_file(FILE, "tests_search_in_hanabi")
    config = {"num_envs": 8, "rollout_length": 8, "hidden_sizes": (16,), "total_updates": 3}
    hands = HandConfig(width=8, embedding=4, num_games=4, total_updates=2)
    budget = {"rollouts": 40, "games": 6, "at_once": 3}
    games = {"5-card 8-hint": "hanabi/tiny"}
    published = {"5-card 8-hint": {"search": [24.62, 0.02]}}
    item = experiment.large("hanabi", "of a test", published, games, config, hands, budget, 2, (0.0, 30.0))
    run = jrl.train(jrl.agents.ppo(*jrl.make("hanabi/tiny"), PPOConfig(**config)), seeds=2, quick_compile=True)
    found = {(cell.row, cell.column): np.asarray(cell.measure(run)) for cell in item.cells}
    search = "5-card 8-hint, mirror descent search by both, eta="
    np.testing.assert_array_equal(found[f"{search}0", "gain"], 0)
    np.testing.assert_array_equal(found[f"{search}0", "return"], found["5-card 8-hint, blueprint", "return"])
    assert all(values.shape == (2,) and np.isfinite(values).all() for values in found.values())
    held_against = [cell for cell in item.cells if cell.target is not None]
    assert [cell.row for cell in held_against] == [f"{search}30"]
    assert all(cell.deviation for cell in held_against)
    assert not jax.tree.leaves(experiment.papers({}, "cpu"))
