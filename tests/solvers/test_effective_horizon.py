"""Planning depth, gaps and bounds: closed forms, and a plain NumPy version on random MDPs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxrl_suite as jrl
from jaxrl_suite import solvers
from jaxrl_suite.envs import SuccessorMDP
from jaxrl_suite.envs.tabular_families import coin, combination_lock, deep_sea, frozen_lake, random_mdp, trap
from jaxrl_suite.errors import ConfigError


def lock(code):
    return SuccessorMDP.from_tabular(combination_lock(code))


def start_values(mdp):
    values = solvers.planning_values(mdp)
    return {name: float(mdp.initial @ value[0]) for name, value in values._asdict().items()}


@pytest.mark.parametrize("length", [3, 5])
def test_locks(length):
    """Q^1 of the right action at step t is 2^-(L - t): gaps, depths and bounds follow."""
    mdp = lock([1] * length)
    assert start_values(mdp) == pytest.approx({"random": 0.5**length, "best": 1.0, "worst": 0.0}, abs=1e-12)
    assert solvers.solvable_depth(mdp) == 1
    assert solvers.planning_window(mdp) == length
    k = np.arange(1, length + 1)
    np.testing.assert_allclose(solvers.action_gaps(mdp, length)[0], 2.0 ** -(length - k), rtol=1e-12)
    np.testing.assert_allclose(solvers.stochastic_effective_horizons(mdp, length), 2 * length - k, rtol=1e-12)
    needed = {3: [160, 102], 5: [767, 473, 281, 163]}[length]
    bound = solvers.simple_bound(mdp)
    assert bound.by_depth[: length - 1].tolist() == needed
    assert (float(bound.horizon), int(bound.depth)) == (length, 0)


@pytest.mark.parametrize(
    ("code", "best", "of_random", "gaps", "horizons"),
    [
        ([1, 1, 1], 1.0, 0.1953125, [0.390625, 0.625, 0.75], [3.7123, 3.3561, 3.8301]),
        ([1, 0, 1], 0.5625, 0.0703125, [0.140625, 0.28125, 0.5625], [6.6601, 5.6601, 4.6601]),
    ],
)
def test_sticky_locks(code, best, of_random, gaps, horizons):
    mdp = lock(code).sticky(0.25)
    values = start_values(mdp)
    assert values["best"] == pytest.approx(best, abs=1e-12)
    assert values["random"] == pytest.approx(of_random, abs=1e-12)
    np.testing.assert_allclose(solvers.action_gaps(mdp, 3)[0], gaps, rtol=1e-12)
    np.testing.assert_allclose(solvers.stochastic_effective_horizons(mdp, 3), horizons, atol=1e-4)


def test_the_trap():
    mdp = SuccessorMDP.from_tabular(trap())
    assert start_values(mdp) == pytest.approx({"random": 0.475, "best": 0.9, "worst": 0.0}, abs=1e-12)
    np.testing.assert_allclose(solvers.greedy_returns(mdp, 2), [0.5, 0.9], atol=1e-12)
    assert (int(solvers.solvable_depth(mdp)), int(solvers.planning_window(mdp))) == (2, 2)
    assert solvers.action_gaps(mdp, 2)[0][1] == pytest.approx(0.4, abs=1e-12)
    np.testing.assert_allclose(
        solvers.stochastic_effective_horizons(mdp, 2), [math.inf, 2 + math.log2(6.25)], rtol=1e-12
    )


def test_the_coin():
    mdp = SuccessorMDP.from_tabular(coin())
    values = start_values(mdp)
    assert (values["best"], values["random"]) == pytest.approx((1.0, 0.5), abs=1e-12)
    assert solvers.solvable_depth(mdp) == 1
    assert solvers.action_gaps(mdp, 1)[0][0] == pytest.approx(1.0)
    assert solvers.stochastic_effective_horizons(mdp, 1)[0] == pytest.approx(1.0)


def test_frozen_lake():
    """Exactly solved only at depth 37, and deeper is not better: J_k falls from 0.73 to 0.45."""
    mdp = SuccessorMDP.from_tabular(frozen_lake(4))
    values = start_values(mdp)
    assert values["best"] == pytest.approx(0.7441902878, abs=1e-9)
    assert values["random"] == pytest.approx(0.0139397960, abs=1e-9)
    assert (int(solvers.solvable_depth(mdp)), int(solvers.planning_window(mdp))) == (37, 38)
    expected = [0.7299242, 0.5109211, 0.5109079, 0.5107458, 0.4465986]
    np.testing.assert_allclose(solvers.greedy_returns(mdp), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "depth"),
    [(4, 1), (11, 1), *(pytest.param(*row, marks=pytest.mark.slow) for row in [(8, 1), (12, 4), (16, 9)])],
)
def test_deep_sea(size, depth):
    mdp = SuccessorMDP.from_tabular(deep_sea(size))
    values = start_values(mdp)
    assert values["best"] == pytest.approx(0.99, abs=1e-12)
    if size in (4, 8):
        assert values["random"] == pytest.approx({4: 0.0575, 8: -0.00109375}[size], abs=1e-12)
    assert (int(solvers.solvable_depth(mdp)), int(solvers.planning_window(mdp))) == (depth, size)
    returns = solvers.greedy_returns(mdp, 10)
    np.testing.assert_allclose(returns[: depth - 1], 0.0, atol=1e-12)
    assert returns[depth - 1] == pytest.approx(0.99, abs=1e-12)


def test_covering_length_of_a_lock():
    """Random play opens the last stage with probability 1/4 and takes each action with half of that."""
    bound, least = solvers.covering_length(lock([1, 1, 1]))
    assert least == pytest.approx(0.125)
    open_or_shut = 1 + 2 + 2
    assert bound == pytest.approx(math.log(2 * open_or_shut * 2) / 0.125)


# The same by plain loops, on random MDPs


SHAPE = {"states": 4, "actions": 3, "horizon": 5}


def by_loops(mdp, depths):
    """(least depth, greedy returns, gaps at depth 1) by the definitions, dense and stage by stage."""
    transitions, rewards, horizon = mdp.transitions, mdp.rewards, mdp.horizon
    q_random, q_best = np.zeros_like(rewards), np.zeros_like(rewards)
    for t in reversed(range(horizon)):
        after = (
            (q_random[t + 1].mean(-1), q_best[t + 1].max(-1)) if t + 1 < horizon else (np.zeros(mdp.num_states),) * 2
        )
        q_random[t], q_best[t] = (rewards[t] + transitions[t] @ value for value in after)
    least, returns, q = None, [], q_random
    for k in range(1, max(depths, horizon) + 1):
        greedy = q >= q.max(-1, keepdims=True) - 1e-9 * np.abs(q.max(-1, keepdims=True))
        reached, has_failed = mdp.initial > 0, False
        for t in range(horizon):
            played = greedy[t] & reached[:, None]
            has_failed |= (played & (q_best[t] < q_best[t].max(-1, keepdims=True) - 1e-4)).any()
            reached = ((transitions[t] > 0) & played[..., None]).any(axis=(0, 1))
        least = k if least is None and not has_failed else least
        worst = np.zeros(mdp.num_states)
        for t in reversed(range(horizon)):
            worst = np.where(greedy[t], rewards[t] + transitions[t] @ worst, np.inf).min(-1)
        returns.append(mdp.initial @ worst)
        q = np.stack(
            [rewards[t] + (transitions[t] @ q[t + 1].max(-1) if t + 1 < horizon else 0) for t in range(horizon)]
        )
    return least, returns[:depths]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), concentration=st.sampled_from([0.05, 1.0]), levels=st.sampled_from([2, 1000]))
def test_against_plain_loops(seed, concentration, levels):
    """Also with many tied rewards."""
    drawn = random_mdp(seed, concentration=concentration, **SHAPE)
    rewards = np.round(np.asarray(drawn.rewards) * (levels - 1)) / (levels - 1)
    mdp = jrl.envs.TabularMDP(drawn.transitions, rewards, 0, drawn.horizon)
    sparse = padded(SuccessorMDP.from_tabular(mdp), SHAPE["states"])
    least, returns = by_loops(mdp, 5)
    assert solvers.solvable_depth(sparse) == least
    np.testing.assert_allclose(solvers.greedy_returns(sparse), returns, atol=1e-9)
    assert start_values(sparse)["best"] == pytest.approx(solvers.value_iteration(mdp).start_value, abs=1e-12)
    assert returns[-1] == pytest.approx(start_values(sparse)["best"], abs=1e-3)


def padded(mdp, width):
    """With room for `width` successors, so that all drawn MDPs are one program."""
    missing = ((0, 0), (0, 0), (0, width - mdp.successors.shape[-1]))
    fields = np.pad(mdp.successors, missing), np.pad(mdp.probabilities, missing)
    return SuccessorMDP(*fields, mdp.rewards, mdp.initial, mdp.horizon)


def test_sticky_actions_with_probability_zero_change_nothing():
    plain = SuccessorMDP.from_tabular(frozen_lake(4))
    assert start_values(plain.sticky(0.0)) == pytest.approx(start_values(plain), abs=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: SuccessorMDP.from_table([[0, 1]], [[0.0, 0.0]], 3),
            r"following of state 0, action 1 = 1: must be -1",
        ),
        (lambda: SuccessorMDP.from_table([[0, 0]], [[0.0, np.nan]], 3), r"rewards of state 0, action 1 = nan"),
        (lambda: SuccessorMDP.from_table([[0, 0]], [[0.0, 0.0]], 0), r"horizon = 0: must be a whole number >= 1"),
        (lambda: SuccessorMDP.from_table([[0, 0]], [[0.0]], 3), r"following: shape \(1, 2\)"),
        (lambda: SuccessorMDP.from_table([[0, 0]], [[0.0, 0.0]], 3, start=5), r"start = 5: must be 0 to 0"),
        (lambda: lock([1]).sticky(1.5), r"probability = 1.5: must be >= 0 and <= 1"),
        (
            lambda: SuccessorMDP(np.zeros((1, 1, 2), int), [[[0.5, 0.6]]], [[0.0]], [1.0], 2),
            r"probabilities of state 0, action 0 = \[0.5 0.6\]: must be probabilities that sum to 1",
        ),
        (
            lambda: SuccessorMDP.from_tabular(jrl.envs.TabularMDP([[[1.0]]], [[0.0]], 0, discount=0.9)),
            r"horizon = None, discount = 0.9",
        ),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
