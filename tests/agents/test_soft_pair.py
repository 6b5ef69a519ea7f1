"""Two tabular soft learners: what they refuse, how they play, and that they can be swept."""

import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.agents import SoftPairConfig, soft_pair
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.solvers import matrix_quantal_response


def test_a_sweep_of_temperatures_ends_at_each_equilibrium():
    taus = [0.1, 0.3, 1.0]
    where = jrl.make("markov/tilted-pennies")
    sweep = jrl.sweep(
        soft_pair, where, SoftPairConfig(step_size=0.2, adversary_temperature=0.5),
        {"protagonist_temperature": taus}, seeds=1, updates=3000,
    )  # fmt: skip
    for index, beta in enumerate(taus):
        found = matrix_quantal_response(where[1].rewards[0], beta, 0.5)
        np.testing.assert_allclose(np.exp(sweep.state.log_row[index, 0, 0]), found.row, rtol=0, atol=1e-9)
        assert sweep.metrics["nash_conv"][index, 0, -1] == pytest.approx(found.nash_conv, abs=1e-9)


def test_play_is_of_both_players():
    agent = soft_pair(*jrl.make("markov/tilted-pennies"), SoftPairConfig(protagonist_temperature=0.1))
    run = jrl.train(agent, seeds=2, updates=2000)
    returns = jrl.evaluate(agent, run.state, seeds=run.seeds, episodes=4000, greedy=False).returns
    expected = matrix_quantal_response([[2, -1], [-1, 1]], 0.1, 0.05).value
    np.testing.assert_allclose(returns.mean(axis=1), expected, atol=4 * 1.3 / np.sqrt(4000))


def test_what_cannot_work_is_refused():
    with pytest.raises(ConfigError, match="must be a Markov game written out"):
        jrl.train(soft_pair(*jrl.make("CartPole-v1"), SoftPairConfig()), seeds=1)
    config = SoftPairConfig(first_row=np.array([0.5, 0.6]))
    with pytest.raises(ConfigError, match=r"first_row = \[0.5, 0.6\]: must be 2 probabilities"):
        jrl.train(soft_pair(*jrl.make("markov/tilted-pennies"), config), seeds=1)
