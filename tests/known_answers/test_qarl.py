"""Quantal response equilibria, soft values and the teacher of QARL against the specification's numbers."""

import math
import tomllib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.agents import SoftPairConfig, soft_pair
from jaxrl_suite.learning.rationality import (
    force_of_temperature,
    gamma_divergence,
    importance_weights,
    linear_temperature,
    point_step,
    predicted_return,
    teacher_step,
)
from jaxrl_suite.solvers import independent_soft, matrix_nash, matrix_quantal_response, shapley, soft_shapley
from tests.helpers import EXPERIMENTS
from tests.known_answers.ledger import known_answer

PENNIES = [[2, -1], [-1, 1]]
ROCK_PAPER_SCISSORS = [[0, -1, 2], [1, 0, -1], [-1, 1, 0]]
KNOWN = tomllib.loads((EXPERIMENTS / "qarl" / "known_answers.toml").read_text())


@known_answer("qarl/matrix-games")
@pytest.mark.parametrize("answers", KNOWN["matrix"], ids=lambda x: x["game"])
def test_quantal_response_of_matrix_games(answers):
    payoffs = jrl.make(f"markov/{answers['game']}")[1].rewards[0]
    names = ("beta", "alpha", "row", "column", "value", "regularised", "nash_conv")
    for beta, alpha, row, column, value, regularised, conv in zip(*(answers[n] for n in names), strict=True):
        found = matrix_quantal_response(payoffs, beta, alpha)
        np.testing.assert_allclose(found.row[:-1], row, rtol=0, atol=1e-10)
        np.testing.assert_allclose(found.column[:-1], column, rtol=0, atol=1e-10)
        np.testing.assert_allclose([found.value, found.regularised], [value, regularised], rtol=0, atol=1e-10)
        assert found.nash_conv == pytest.approx(conv, abs=1e-10)
        assert found.residual < 1e-12


@known_answer("qarl/matrix-limit")
def test_cooling_selects_the_equilibrium_of_most_entropy():
    found = matrix_quantal_response([[3, 0, 1], [-1, 2, 1]], 0.01, 0.01)
    assert found.row[0] == pytest.approx(0.501155156982, abs=1e-10)
    np.testing.assert_allclose(found.column, [0.217996054112, 0.435969005044, 0.346034940844], rtol=0, atol=1e-10)
    assert found.column[0] == pytest.approx(1 / (3 + 4 ** (1 / 3)), abs=1e-4)
    for payoffs, value in ((PENNIES, 0.2), (ROCK_PAPER_SCISSORS, 1 / 12), ([[3, 0, 1], [-1, 2, 1]], 1.0)):
        assert matrix_nash(payoffs).value == pytest.approx(value, abs=1e-12)
    # A column that plays at random: the row answers its mean.
    almost = matrix_quantal_response(PENNIES, 0.05, 1e9)
    assert almost.row[0] == pytest.approx(0.999954602131, abs=1e-7)


@known_answer("qarl/soft-values")
def test_both_soft_fixed_points_of_two_states():
    game = jrl.make("markov/two-states")[1]
    nash, answers = shapley(game), KNOWN["two-states"]
    np.testing.assert_allclose(nash.value, answers["value"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(nash.row[:, 0], answers["row"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(nash.column[:, 0], answers["column"], rtol=0, atol=1e-9)
    names = ("beta", "alpha", "zero_sum", "independent")
    for beta, alpha, zero_sum, independent in zip(*(answers[n] for n in names), strict=True):
        found = soft_shapley(game, beta, alpha)
        seen = [*found.value, found.row[0, 0], found.column[0, 0]]
        np.testing.assert_allclose(seen, zero_sum, rtol=0, atol=1e-9)
        bound = max(beta, alpha) * math.log(2) / (1 - 0.9)
        assert np.max(np.abs(found.value - nash.value)) <= bound
        found = independent_soft(game, beta, alpha)
        seen = [found.value[0], found.adversary_value[0], found.row[0, 0], found.column[0, 0]]
        np.testing.assert_allclose(seen, independent, rtol=0, atol=1e-9)


def paired(env, updates, **changes):
    """(the last NashConv, x, y in the first state, the run) of a pair."""
    run = jrl.train(soft_pair(*jrl.make(env), SoftPairConfig(**changes)), seeds=1, updates=updates)
    row, column = (np.exp(run.state.log_row[0, 0]), np.exp(run.state.log_column[0, 0]))
    return run.metrics["nash_conv"][0, -1], row, column, run


def in_miniature(start=KNOWN["miniature"]["starts"][0], tau=0.0, **changes):
    firsts = {"first_row": np.array(start[0]), "first_column": np.array(start[1])}
    both = {"protagonist_temperature": tau, "adversary_temperature": tau}
    return paired("markov/biased-rps", 20_000, **firsts, **both, **changes)


@known_answer("qarl/miniature")
def test_cooling_keeps_a_step_size_stable():
    assert in_miniature(tau=0.0)[0] > 1.0
    assert in_miniature(tau=0.01)[0] > 0.5
    answers = KNOWN["miniature"]
    for tau, answer in answers["fixed"]:
        conv, row, column, _ = in_miniature(tau=float(tau))
        assert conv == pytest.approx(answer, abs=1e-10)
        found = matrix_quantal_response(ROCK_PAPER_SCISSORS, float(tau), float(tau))
        np.testing.assert_allclose(row, found.row, rtol=0, atol=1e-8)
        np.testing.assert_allclose(column, found.column, rtol=0, atol=1e-8)
    for start in answers["starts"]:
        conv, row, _, _ = in_miniature(start, tau=0.02, first_temperature=0.5)
        assert conv == pytest.approx(answers["annealed"], abs=1e-9)
        np.testing.assert_allclose(row, answers["annealed_row"], rtol=0, atol=1e-7)


@known_answer("qarl/independent")
def test_two_soft_learners_land_on_the_independent_fixed_point():
    game = jrl.make("markov/two-states")[1]
    temperatures = {"protagonist_temperature": 0.05, "adversary_temperature": 1.0}
    _, row, column, run = paired("markov/two-states", 20_000, step_size=0.01, critic_rate=0.1, **temperatures)
    own, shared = independent_soft(game, 0.05, 1.0), soft_shapley(game, 0.05, 1.0)
    np.testing.assert_allclose([row[0], column[0]], [own.row[0, 0], own.column[0, 0]], rtol=0, atol=1e-3)
    assert abs(row[0] - shared.row[0, 0]) > 5e-3
    expected = np.einsum("a,ao,o->", row, run.state.gains[0, 0], column)
    bonus = 0.05 * -np.sum(row * np.log(row))
    assert expected + bonus == pytest.approx(own.value[0], abs=1e-3)


TEACHER = KNOWN["teacher"]
SPREAD, RETURNS = np.array(TEACHER["temperatures"]), np.array(TEACHER["returns"], np.float64)


def shape_after(returns, threshold, shape=50.0, temperatures=SPREAD):
    with jrl.float64():
        arguments = (jnp.asarray(x, jnp.float64) for x in (shape, temperatures, returns, threshold))
        return teacher_step(*arguments)


@known_answer("qarl/divergence")
def test_divergences_of_gammas():
    with jrl.float64():
        answers = {(50, 1): 46.6317500516, (1, 50): 172.849311527, (45, 50): 0.270921654850}
        for (shape, other), answer in answers.items():
            assert float(gamma_divergence(jnp.float64(shape), jnp.float64(other))) == pytest.approx(answer, rel=1e-11)
        slope = jax.grad(gamma_divergence)(jnp.float64(45), 50.0)
        assert float(slope) == pytest.approx(-0.112354823057, abs=1e-11)


@known_answer("qarl/teacher-path")
def test_the_fastest_curriculum_takes_thirteen_steps():
    shape = 50.0
    for answer in (*TEACHER["path"], 1.0):
        shape = shape_after(RETURNS, -1e9, shape).shape
        assert float(shape) == pytest.approx(answer, abs=1e-9)


@known_answer("qarl/teacher-bound")
def test_returns_bind_the_teacher():
    for threshold, answer in zip(TEACHER["thresholds"], TEACHER["shapes"], strict=True):
        assert float(shape_after(RETURNS, threshold).shape) == pytest.approx(answer, abs=1e-9)
    rising = shape_after(np.array([-6.0, 3, 12, 21, 30]), 10)
    assert float(rising.shape) == pytest.approx(48.6978750971, abs=1e-9)
    # Below the threshold nothing moves, nor at the target.
    assert float(shape_after(RETURNS, 12.0001).shape) == 50.0
    assert float(shape_after(RETURNS, -1e9, 1.0).shape) == 1.0


@known_answer("qarl/importance")
def test_importance_estimates():
    with jrl.float64():
        given = [jnp.asarray(x, jnp.float64) for x in (47, 50, SPREAD, RETURNS, 1000)]
        assert float(predicted_return(*given)) == pytest.approx(9.64596184928, abs=1e-10)
        assert float(predicted_return(*given, self_normalised=True)) == pytest.approx(10.0884, abs=5e-5)
        weights = importance_weights(given[0], given[1], given[2], 1000.0)
        assert float(weights.mean()) == pytest.approx(0.956140885891, abs=1e-11)
        drawn = np.random.default_rng(0).gamma(50.0, 1e-3, 1_000_000)
        assert float(importance_weights(given[0], given[1], jnp.asarray(drawn), 1000.0).mean()) == pytest.approx(
            1.0, abs=5e-3
        )
    # Temperatures more spread than the Gamma's make an estimate that no return comes near.
    wild = shape_after(np.array([8.0, 10, 12, 14, 16]), 10, temperatures=np.array([0.03, 0.04, 0.05, 0.06, 0.07]))
    assert float(wild.shape) == pytest.approx(43.2935541762, abs=1e-9)
    assert float(wild.mean_weight) == pytest.approx(4.2519, abs=1e-4)
    assert float(wild.predicted) == pytest.approx(35.8, abs=0.05)
    assert float(wild.effective_samples) < 1.5


@known_answer("qarl/other-schedules")
def test_point_linear_and_force():
    with jrl.float64():
        temperature = jnp.float64(0.05)
        for _ in range(50):
            temperature = point_step(temperature, jnp.ones(3), 0.5)
        assert float(temperature) == pytest.approx(1e-8, abs=1e-12)
        assert float(point_step(jnp.float64(0.05), jnp.ones(3), 1.0)) == 0.05
        ends = [float(linear_temperature(jnp.float64(i), 200)) for i in (0, 134, 199)]
        assert ends == pytest.approx([0.05, 0.001, 0.001], abs=1e-12)
        forces = [float(force_of_temperature(jnp.float64(a), 1.0)) for a in (0.05, 0.025, 0.01, 0.001, 0.06)]
        assert forces == pytest.approx([0.02, 0.52, 0.82, 1.0, 0.0], abs=1e-12)
