"""GORP's chance of success, exactly: the spec's numbers, and simulation."""

import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.envs import SuccessorMDP, enumerate_env
from jaxrl_suite.envs.tabular_families import coin, combination_lock, deep_sea
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.solvers.random_play_search import gorp_episodes, gorp_success
from tests.known_answers.ledger import known_answer


def lock(length, right=1):
    return SuccessorMDP.from_tabular(combination_lock([right] * length))


@known_answer("sqirl/gorp-locks")
@pytest.mark.slow
def test_locks():
    found = [gorp_success(lock(3), 1, m, "first") for m in (1, 2, 3, 4)]
    np.testing.assert_allclose(found, [0.125, 0.328125, 0.505859, 0.640869], atol=1e-6)
    assert [gorp_episodes(lock(3), k, "first") for k in (1, 2, 3)] == [3, 1, 1]
    assert [gorp_episodes(lock(5), k, "first") for k in (1, 2, 3, 4, 5)] == [15, 7, 3, 1, 1]


@known_answer("sqirl/gorp-ties")
@pytest.mark.slow
def test_ties():
    """Where the right action comes first, breaking ties by order succeeds always, which is an artefact."""
    assert gorp_success(lock(5, right=0), 1, 1, "first") == pytest.approx(1.0)
    np.testing.assert_allclose([gorp_success(lock(3, 0), 1, m) for m in (1, 2)], [0.46875, 0.62891], atol=1e-5)
    np.testing.assert_allclose([gorp_success(lock(5, 0), 1, m) for m in (6, 7)], [0.46307, 0.50932], atol=1e-5)
    assert [gorp_episodes(lock(length, 0), 1) for length in (3, 5)] == [2, 7]
    # Labels do not matter when ties are broken at random.
    assert gorp_success(lock(5, 0), 2, 3) == pytest.approx(gorp_success(lock(5, 1), 2, 3), abs=1e-12)


@known_answer("sqirl/gorp-gridworlds")
@pytest.mark.parametrize(
    ("id", "episodes", "success"), [("key-corridor", 46, 0.50874), ("empty-5", 1, 0.86746), ("empty-6", 1, 0.72506)]
)
def test_gridworlds(id, episodes, success):
    mdp = enumerate_env(*jrl.make(f"grid/{id}"), horizon=100).mdp
    assert gorp_success(mdp, 1, episodes, "first") == pytest.approx(success, abs=1e-5)
    if episodes > 1:
        assert gorp_success(mdp, 1, episodes - 1, "first") < 0.5


def test_simulation_agrees():
    """Plain GORP on a lock, ties at random."""
    rng, length, episodes, runs = np.random.default_rng(0), 3, 2, 4000
    succeeded = 0
    for _ in range(runs):
        for step in range(length):
            sums = [rng.binomial(episodes, 0.5 ** (length - step - 1)) if action == 1 else 0 for action in range(2)]
            best = rng.choice(np.flatnonzero(np.array(sums) == max(sums)))
            if best != 1:
                break
        else:
            succeeded += 1
    expected = gorp_success(lock(3), 1, 2)
    assert succeeded / runs == pytest.approx(expected, abs=4 * (expected * (1 - expected) / runs) ** 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gorp_success(SuccessorMDP.from_tabular(coin()), 1, 1), r"depend on chance: must be deterministic"),
        (lambda: gorp_success(SuccessorMDP.from_tabular(deep_sea(4)), 1, 1), r"rewards such as .*: must be 0 or 1"),
        (lambda: gorp_success(SuccessorMDP.from_table([[0]], [[1.0]], 3), 1, 1), r"pays more than once"),
        (lambda: gorp_success(lock(3), 0, 1), r"depth = 0: must be a whole number >= 1"),
        (lambda: gorp_success(lock(3), 1, 1, "last"), r"ties = 'last': must be one of first, random"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
