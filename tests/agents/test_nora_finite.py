"""NORA with a finite class: it finds Q* in a complete one, and GOLF is one of its settings."""

import functools

import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.agents.nora_finite import excess_losses, optimistic_member
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.solvers import value_iteration

ENV, MDP = jrl.make("tabular/random", states=4, actions=3, horizon=3)
SOLUTION = value_iteration(MDP)
EPISODES = 1000


def backup(values, stage):
    """T_h of the next stage's values."""
    return MDP.rewards[stage] + MDP.transitions[stage] @ values


@functools.cache
def complete_class():
    """[K, H, S, A]: Q*, last, and critics wrong at one stage, by too much or too little, and exact elsewhere."""
    rng, members = np.random.default_rng(0), []
    for wrong, sign in [(0, 1), (1, 1), (2, 1), (1, -1), (2, 1)] * 3:
        f = SOLUTION.action_value.copy()
        f[wrong] += sign * rng.uniform(0.2, 0.8, size=f[wrong].shape)
        for stage in reversed(range(wrong)):
            f[stage] = backup(f[stage + 1].max(axis=-1), stage)
        members.append(f)
    return np.stack([*members, SOLUTION.action_value])


@functools.cache
def run(**settings):
    config = jrl.agents.FiniteNORAConfig(critics=complete_class(), beta=0.1, total_updates=EPISODES, **settings)
    return jrl.train(jrl.agents.nora_finite(ENV, MDP, config), seeds=5, quick_compile=True)


def test_it_finds_the_optimal_critic_and_its_regret_is_bounded():
    found = run()
    regret = found.metrics["regret"]
    assert (found.state.member == 15).all()
    assert regret[:, -200:].max() < 0.01
    switches = found.metrics["switch/count"]
    assert (switches.sum(axis=-1) >= 1).all()
    assert switches.sum(axis=-1).max() <= 4
    np.testing.assert_array_equal(switches, found.metrics["critic/excess"] >= 5 * 3**2 * 0.1)
    # Of a regret that grows with the episodes, the second half is half.
    assert (regret[:, EPISODES // 2 :].sum(axis=-1) < 0.1 * regret.sum(axis=-1)).all()


def test_golf_chooses_in_every_episode_and_finds_it_too():
    found = run(fits="always", actor="greedy")
    assert (found.metrics["switch/count"] == 1).all()
    assert (found.state.member == 15).all()
    assert found.metrics["regret"][:, -200:] == pytest.approx(0.0, abs=1e-9)


def test_a_softmax_actor_that_is_reset_in_every_episode_stays_uniform():
    uniform = jrl.solvers.policy_evaluation(MDP, np.full(MDP.rewards.shape, 1 / 3)).start_value
    np.testing.assert_allclose(run(fits="always").metrics["value/policy"], uniform, rtol=1e-12)


def test_excess_losses_are_their_definition():
    """Sample by sample, against every critic of the class; none of them explains the data."""
    rng = np.random.default_rng(1)
    critics, counts = rng.uniform(size=(3, 3, 4, 3)), rng.poisson(1.0, size=(3, 4, 3, 4))
    best = np.concatenate([critics.max(axis=-1)[:, 1:], np.zeros((3, 1, 4))], axis=1)
    losses = np.zeros((3, 3, 3))
    for (h, s, a, following), number in np.ndenumerate(counts):
        errors = critics[:, None, h, s, a] - MDP.rewards[h, s, a] - best[:, h, following]
        losses[:, :, h] += number * errors**2
    expected = losses[np.arange(3), np.arange(3)] - losses.min(axis=0)
    with jrl.float64():
        np.testing.assert_allclose(excess_losses(counts, MDP.rewards, critics), expected, atol=1e-9)


def test_the_optimistic_member_of_the_set():
    """Least excess where the set is empty; else the greatest mean of f_1(s_1, pi_f(s_1)), the first of equals."""
    critics = np.zeros((4, 1, 2, 2))
    critics[:, 0, 0, 1], critics[:, 0, 1, 0] = [1.0, 5.0, 3.0, 3.0], [9.0, 1.0, 3.0, 3.0]
    excess, initial = np.array([[0.7], [0.3], [0.2], [0.1]]), np.array([0.75, 0.25])
    chosen = [int(optimistic_member(excess, critics, initial, allowed)) for allowed in (0.05, 0.2, 0.3, 9.0)]
    assert chosen == [3, 2, 1, 1]


@pytest.mark.parametrize(
    ("critics", "message"),
    [
        (None, r"FiniteNORAConfig.critics: shape \(\): must be \[K, 3, 4, 3\]"),
        (np.zeros((2, 3, 4)), r"FiniteNORAConfig.critics: shape \(2, 3, 4\): must be \[K, 3, 4, 3\]"),
        (np.zeros((0, 3, 4, 3)), r"FiniteNORAConfig.critics: shape \(0, 3, 4, 3\): must be \[K, 3, 4, 3\]"),
        (np.full((1, 3, 4, 3), np.nan), r"FiniteNORAConfig.critics: must be finite"),
    ],
)
def test_what_is_no_class_is_refused(critics, message):
    with pytest.raises(ConfigError, match=message):
        jrl.agents.nora_finite(ENV, MDP, jrl.agents.FiniteNORAConfig(critics=critics))


def test_an_environment_without_a_table_is_refused():
    config = jrl.agents.FiniteNORAConfig(critics=np.zeros((1, 1, 1, 2)))
    with pytest.raises(ConfigError, match=r"CartPole-v1: must be a tabular MDP with a horizon"):
        jrl.agents.nora_finite(*jrl.make("CartPole-v1"), config)
