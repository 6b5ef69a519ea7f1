"""Known answers of the effective horizon: gridworlds enumerated and solved exactly, horizon 100."""

from functools import cache

import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite import solvers
from jaxrl_suite.envs import enumerate_env
from tests.known_answers.ledger import known_answer

KEY_CORRIDOR_NEEDED = 6667295335345


@cache
def enumerated(id, **options):
    return enumerate_env(*jrl.make(f"grid/{id}", **options), horizon=100)


def start_values(mdp):
    return [float(mdp.initial @ value[0]) for value in solvers.planning_values(mdp)]


def extended_states(plain, sticky):
    """States met with their last action, the ended ones too; the first counts as one whose last action was 0."""
    is_met = solvers.reachable(sticky).any(axis=0)
    return int(is_met[: plain.num_states * plain.num_actions].sum()) + (not is_met[0])


def small_first(maps):
    """The largest room is for the long run of tests."""
    return [pytest.param(id, marks=pytest.mark.slow if id == "empty-16" else ()) for id in maps]


PLAIN = {
    "empty-5": (32, 0.7620095947, 5, 6, 24872),
    "empty-6": (60, 0.4992805107, 7, 8, 223842),
    "empty-8": (140, 0.1784434416, 11, 12, 18131151),
    "empty-16": (780, 0.00046040625, 27, 28, 780486571047280),
    "key-corridor": (156, 0.0032357130021994796, 15, 16, KEY_CORRIDOR_NEEDED),
}


@known_answer("sqirl/gridworlds")
@pytest.mark.parametrize("id", small_first(PLAIN))
def test_gridworlds(id):
    states, of_random, window, horizon, needed = PLAIN[id]
    mdp = enumerated(id).mdp
    assert mdp.num_states == states + 1
    assert start_values(mdp) == pytest.approx([of_random, 1.0, 0.0], abs=1e-10)
    assert (int(solvers.solvable_depth(mdp)), int(solvers.planning_window(mdp))) == (1, window)
    bound = solvers.simple_bound(mdp)
    assert float(bound.horizon) == pytest.approx(horizon, abs=1e-9)
    # A whole number of fifteen digits hangs on the last bits of a gap.
    assert bound.by_depth[0] == pytest.approx(needed, rel=1e-12)
    if id == "key-corridor":
        assert start_values(mdp)[0] == pytest.approx(of_random, rel=1e-13)
        assert bound.by_depth[14:].tolist()[:1] == [3089]
        assert solvers.action_gaps(mdp, 1)[0] <= 1.7014579925843832e-11 * (1 + 1e-9)


STICKY = {
    "empty-5": (87, 0.7258216572, 5),
    "empty-6": (167, 0.5056537552, 7),
    "empty-8": (399, 0.2151108173, 11),
    "empty-16": (2287, 0.00212303108, 27),
    "key-corridor": (898, 0.0010068890119441542, 16),
}


@known_answer("sqirl/gridworlds-sticky")
@pytest.mark.parametrize("id", small_first(STICKY))
def test_sticky_gridworlds(id):
    states, of_random, window = STICKY[id]
    plain = enumerated(id).mdp
    mdp = plain.sticky(0.25)
    assert extended_states(plain, mdp) == states
    assert start_values(mdp) == pytest.approx([of_random, 1.0, 0.0], abs=2e-11)
    # An absolute tolerance of ties would say 3 for KeyCorridor: its gaps are as small as 1e-11.
    assert (int(solvers.solvable_depth(mdp)), int(solvers.planning_window(mdp))) == (1, window)
    np.testing.assert_allclose(solvers.greedy_returns(mdp), 1.0, atol=1e-9)


SHAPED = {
    "empty-5": (1.5, 1.1710437, 6, 10832, 1.1201400, 1),
    "empty-6": (1.7, 0.9541683, 8, 34962, 0.9612705, 2),
    "empty-8": (2.1, 0.6972484, 12, 197026, 0.7563311, 4),
    "empty-16": (3.7, 0.6882759, 14.244849, 2086406, 0.7717525, 13),
}


@known_answer("sqirl/gridworlds-shaped")
@pytest.mark.parametrize("id", small_first(SHAPED))
def test_shaped_gridworlds(id):
    best, of_random, horizon, needed, of_random_sticky, sticky_depth = SHAPED[id]
    plain = enumerated(id, shaping="distance").mdp
    assert start_values(plain) == pytest.approx([of_random, best, -0.1], abs=1e-6)
    assert (int(solvers.solvable_depth(plain)), int(solvers.planning_window(plain))) == (1, 1)
    bound = solvers.simple_bound(plain)
    assert float(bound.horizon) == pytest.approx(horizon, abs=1e-6)
    assert int(bound.by_depth[0]) == needed
    sticky = plain.sticky(0.25)
    assert start_values(sticky) == pytest.approx([of_random_sticky, best, -0.1], abs=1e-6)
    assert (int(solvers.solvable_depth(sticky)), int(solvers.planning_window(sticky))) == (sticky_depth, 1)
    # Yet greedy on random play is worth the best: the states that offend are too unlikely for a float.
    np.testing.assert_allclose(solvers.greedy_returns(sticky), best, atol=1e-6)


@known_answer("sqirl/key-corridor-start")
@pytest.mark.parametrize(("direction", "of_random"), [(0, 0.0028518623), (2, 0.0044524586)])
def test_key_corridor_from_other_directions(direction, of_random):
    mdp = enumerated("key-corridor", start_direction=direction).mdp
    assert start_values(mdp)[0] == pytest.approx(of_random, abs=1e-9)
