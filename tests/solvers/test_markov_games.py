"""Equilibria of matrix and Markov games: what holds at every temperature."""

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

import jaxrl_suite as jrl
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.games import markov_game, one_shot
from jaxrl_suite.solvers import (
    independent_soft,
    matrix_nash,
    matrix_nash_conv,
    matrix_quantal_response,
    shapley,
    soft_shapley,
)
from jaxrl_suite.solvers.markov_games import soft_sweep

PAYOFFS = arrays(np.float64, (3, 2), elements=st.floats(-3, 3, width=16))
TEMPERATURES = st.sampled_from([0.02, 0.1, 0.7, 5.0])
SWEEP = jax.jit(soft_sweep, static_argnums=4)


@settings(max_examples=25, deadline=None)
@given(PAYOFFS, TEMPERATURES, TEMPERATURES)
def test_equilibria_of_matrices(payoffs, beta, alpha):
    found, nash = matrix_quantal_response(payoffs, beta, alpha), matrix_nash(payoffs)
    assert found.residual < 1e-9
    logits = payoffs @ found.column / beta
    np.testing.assert_allclose(found.row, np.exp(logits) / np.exp(logits).sum(), rtol=0, atol=1e-9)
    assert -1e-9 <= nash.nash_conv < 1e-9
    assert matrix_nash_conv(payoffs, found.row, found.column) <= beta * np.log(3) + alpha * np.log(2) + 1e-9
    assert nash.value - alpha * np.log(2) - 1e-9 <= found.regularised <= nash.value + beta * np.log(3) + 1e-9


@settings(max_examples=15, deadline=None)
@given(PAYOFFS, TEMPERATURES, TEMPERATURES, st.floats(-5, 5), st.floats(0.5, 4))
def test_constants_and_units_change_no_strategy(payoffs, beta, alpha, constant, unit):
    found = matrix_quantal_response(payoffs, beta, alpha)
    shifted = matrix_quantal_response(payoffs + constant, beta, alpha)
    scaled = matrix_quantal_response(unit * payoffs, unit * beta, unit * alpha)
    for other in (shifted, scaled):
        np.testing.assert_allclose(other.row, found.row, rtol=0, atol=1e-9)
        np.testing.assert_allclose(other.column, found.column, rtol=0, atol=1e-9)


@pytest.mark.parametrize("temperature", [0.01, 1.0, 100.0])
def test_matching_pennies_is_played_at_random(temperature):
    found = matrix_quantal_response([[1, -1], [-1, 1]], temperature, 0.3)
    np.testing.assert_allclose([*found.row, *found.column], 0.5, rtol=0, atol=1e-12)


@settings(max_examples=10, deadline=None)
@given(arrays(np.float64, (2, 2), elements=st.floats(-20, 20, width=16)), TEMPERATURES, TEMPERATURES)
def test_a_sweep_contracts(values, beta, alpha):
    game = jrl.make("markov/two-states")[1]
    with jrl.float64():
        sweeps = [SWEEP(game, jnp.stack([v, v]), beta, alpha, False)[0] for v in jnp.asarray(values)]
    before = np.max(np.abs(values[0] - values[1]))
    assert np.max(np.abs(sweeps[0] - sweeps[1])) <= game.discount * before + 1e-9


def test_a_matrix_is_a_markov_game_that_ends():
    payoffs = [[0, -1, 2], [1, 0, -1], [-1, 1, 0]]
    matrix, game = matrix_quantal_response(payoffs, 0.1, 0.3), one_shot(payoffs)
    for solve in (soft_shapley, independent_soft):
        found = solve(game, 0.1, 0.3)
        np.testing.assert_allclose(found.row[0], matrix.row, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.column[0], matrix.column, rtol=0, atol=1e-12)
    assert soft_shapley(game, 0.1, 0.3).value[0] == pytest.approx(matrix.regularised, abs=1e-12)
    assert shapley(game).value[0] == pytest.approx(1 / 12, abs=1e-12)


def test_what_is_no_game_is_refused():
    with pytest.raises(ConfigError, match=r"shape \(2,\): must be a finite matrix"):
        matrix_nash([1, 2])
    with pytest.raises(ConfigError, match="alpha = 0: must be"):
        matrix_quantal_response([[1, 0], [0, 1]], 1.0, 0)
    with pytest.raises(ConfigError, match="discount = 1"):
        markov_game(np.ones((1, 1, 1, 1)), np.ones((1, 1, 1)), 1.0)
    with pytest.raises(ConfigError, match=r"must be \[S, A, O, S\]"):
        markov_game(np.ones((1, 1, 1)), np.ones((1, 1, 1)), 0.5)
    with pytest.raises(ConfigError, match=r"probabilities sum to 0\.5"):
        markov_game(np.full((1, 1, 1, 1), 0.5), np.ones((1, 1, 1)), 0.5)
