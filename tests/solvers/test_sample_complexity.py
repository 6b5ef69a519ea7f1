"""Bounds, GORP's effective horizon and the optimistic learner: closed forms, and a plain NumPy learner."""

import math
from functools import cache

import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite import solvers
from jaxrl_suite.envs import SuccessorMDP, enumerate_env
from jaxrl_suite.envs.tabular_families import coin, combination_lock, trap
from jaxrl_suite.errors import ConfigError


def lock(code):
    return SuccessorMDP.from_tabular(combination_lock(code))


@cache
def gridworld(id):
    return enumerate_env(*jrl.make(f"grid/{id}"), horizon=100).mdp


def test_bounds():
    """Lock of 3: 3 ceil(8 / 2); W = H = 3. Empty-5: 3 actions, T = 100, W = 5, H = 6."""
    mdp = lock([1, 1, 1])
    assert solvers.worst_case_steps(mdp) == 12
    assert solvers.planning_window_bound(mdp) == 9 * 2**3
    assert solvers.effective_horizon_bound(mdp) == pytest.approx(9 * 2**3)
    odd = SuccessorMDP.from_table([[0, 0, 0]], [[0.0, 0.0, 1.0]], 1)
    assert solvers.worst_case_steps(odd) == 2
    room = gridworld("empty-5")
    assert solvers.worst_case_steps(room) == pytest.approx(100 * (3**100 + 1) / 2)
    assert solvers.planning_window_bound(room) == 1e4 * 3**5
    assert solvers.effective_horizon_bound(room) == pytest.approx(1e4 * 3**6)


def test_bounds_too_large_for_a_float():
    endless = SuccessorMDP.from_table([[0, 0]], [[0.0, 1.0]], 1100)
    assert solvers.worst_case_steps(endless) == math.inf
    # One step ahead is enough here, so that the planning window's bound stays small.
    assert solvers.planning_window_bound(endless) == 2 * 1100.0**2


def test_gorp_on_a_lock():
    """m_1 = 3 and m_2 = 1: H_1 = 2.58, H_2 = 2. Depth 3 cannot do better."""
    found = solvers.gorp_effective_horizon(lock([1, 1, 1]), ties="first")
    assert found[:3] == (2.0, 2, 1)
    np.testing.assert_array_equal(found.by_depth, [3, 1, np.nan])
    alone = solvers.gorp_effective_horizon(lock([1, 1, 1]), (1,), ties="first")
    assert alone[:3] == (pytest.approx(1 + math.log2(3)), 1, 3)
    # Orders of depths do not matter, and results are in the order asked for.
    np.testing.assert_array_equal(
        solvers.gorp_effective_horizon(lock([1, 1, 1]), (2, 1), ties="first").by_depth, [1, 3]
    )


def test_gorp_that_does_not_find_it():
    found = solvers.gorp_effective_horizon(lock([1] * 5), (1,), ties="first", most=14)
    assert found[:3] == (math.inf, None, None)
    assert found.by_depth.tolist() == [math.inf]


@pytest.mark.slow
def test_gorp_on_the_key_corridor():
    found = solvers.gorp_effective_horizon(gridworld("key-corridor"), (1,), ties="first")
    assert (found.depth, found.episodes) == (1, 46)
    assert found.horizon == pytest.approx(3.1368, abs=1e-4)


@pytest.mark.slow
def test_other_exploration():
    """Play that takes the right action three times in four: Q^1 of the right action at step t is 0.75^(L - t)."""
    mdp, play = lock([1, 1, 1]), [1, 3]
    assert solvers.planning_values(mdp, play).random[0, 0] == pytest.approx(0.75**3, abs=1e-12)
    np.testing.assert_allclose(solvers.action_gaps(mdp, 3, play)[0], [0.75**2, 0.75, 1.0], rtol=1e-12)
    expected = [k - 2 * math.log2(0.75 ** (3 - k)) for k in (1, 2, 3)]
    np.testing.assert_allclose(solvers.stochastic_effective_horizons(mdp, 3, play), expected, rtol=1e-12)
    assert solvers.gorp_success(mdp, 1, 1, "first", play) == pytest.approx(0.75**2 * 0.75, abs=1e-12)
    by_state = np.broadcast_to([0.25, 0.75], mdp.rewards.shape)
    assert solvers.planning_values(mdp, by_state).random[0, 0] == pytest.approx(0.75**3, abs=1e-12)
    # Play that mostly goes to the trap's better side makes it solvable at depth 1.
    misled = SuccessorMDP.from_tabular(trap())
    assert solvers.solvable_depth(misled) == 2
    assert solvers.solvable_depth(misled, [0.9, 0.1]) == 1
    np.testing.assert_allclose(solvers.greedy_returns(misled, 2, [0.9, 0.1]), [0.9, 0.9], atol=1e-12)
    assert solvers.simple_bound(misled, [0.9, 0.1]).by_depth[0] < math.inf
    assert solvers.effective_horizon_bound(lock([1] * 5), [0.0, 1.0]) <= solvers.effective_horizon_bound(lock([1] * 5))


def optimistic_by_loops(mdp, rng):
    """Steps until an optimal episode, by the definition."""
    states, actions = mdp.rewards.shape
    following, horizon, largest = mdp.successors[..., 0], mdp.horizon, mdp.rewards.max()
    ends = {s for s in range(states) if (following[s] == s).all() and (mdp.rewards[s] == 0).all()}
    optimum, model, steps = solvers.planning_values(mdp).best[0, mdp.initial.argmax()], {}, 0
    for end in ends:
        model |= {(end, a): (end, 0.0) for a in range(actions)}
    while True:
        q = np.zeros((horizon + 1, states, actions))
        for t in reversed(range(horizon)):
            for s in range(states):
                for a in range(actions):
                    after, paid = model.get((s, a), (s, largest))
                    q[t, s, a] = paid + q[t + 1, after].max()
        state, total = mdp.initial.argmax(), 0.0
        for t in range(horizon):
            if state in ends:
                break
            action = rng.choice(np.flatnonzero(q[t, state] >= q[t, state].max() - 1e-4))
            model[state, action] = following[state, action], mdp.rewards[state, action]
            state, total, steps = following[state, action], total + mdp.rewards[state, action], steps + 1
        if total >= optimum - 1e-4:
            return steps


# Two ways of equal length to a wrong and a right end, the wrong one early; the episode ends in either.
FORK = SuccessorMDP.from_table([[1, 2, 0], [-1, 3, 3], [0, 1, -1], [-1, 0, 2]], np.diag([0.0, 0.2, 0.0, 1.0])[:, 1:], 4)


@pytest.mark.parametrize(
    "mdp", [lock([1, 0, 1]), SuccessorMDP.from_tabular(trap()), FORK], ids=["lock", "trap", "fork"]
)
def test_the_optimistic_learner_is_the_one_of_plain_loops(mdp):
    rng = np.random.default_rng(0)
    expected = np.array([optimistic_by_loops(mdp, rng) for _ in range(600)])
    found = solvers.ucb_steps(mdp, 4000)
    spread = expected.std() * (1 / 600 + 1 / 4000) ** 0.5
    assert found.mean() == pytest.approx(expected.mean(), abs=4 * spread)
    assert (found.min(), found.max()) == (expected.min(), expected.max())


def test_the_optimistic_learner_in_a_room():
    """It must have tried little more than the 96 pairs there are, and stops at once in the goal."""
    mdp = gridworld("empty-5")
    found = solvers.ucb_steps(mdp, 21)
    assert found.min() >= 5  # the shortest way
    assert 20 <= np.median(found) <= 200
    assert solvers.ucb_steps(mdp, [20]) == found[20]
    assert np.isinf(solvers.ucb_steps(gridworld("key-corridor"), 3, episodes=2)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: solvers.ucb_steps(SuccessorMDP.from_tabular(coin())), r"depend on chance: must be deterministic"),
        (lambda: solvers.ucb_steps(FORK, 0), r"seeds = 0: must be a whole number >= 1"),
        (lambda: solvers.ucb_steps(FORK, 1, 0), r"episodes = 0: must be a whole number >= 1"),
        (lambda: solvers.gorp_effective_horizon(FORK, ()), r"depths: none given"),
        (lambda: solvers.gorp_effective_horizon(FORK), r"rewards such as 0.2: must be 0 or 1"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
