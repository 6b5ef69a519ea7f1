"""Quantal response equilibria, soft values and the teacher of QARL against the specification's numbers."""

import math

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
from tests.known_answers.ledger import known_answer

PENNIES = [[2, -1], [-1, 1]]
ROCK_PAPER_SCISSORS = [[0, -1, 2], [1, 0, -1], [-1, 1, 0]]
# (beta, alpha): x, y, x' A y, with entropies, NashConv. Of x and y all but the last entry.
PENNIES_TABLE = {
    (1, 1): ([0.488674306159], [0.390937894837], 0.195982120562, 0.219706966066, 0.1954728226),
    (0.5, 0.5): ([0.449132180203], [0.379582234350], 0.194984153294, 0.207036106498, 0.1390998917),
    (0.1, 0.1): ([0.408726637002], [0.392615362196], 0.199677784733, 0.200326597567, 0.0322225496),
    (0.05, 0.05): ([0.404216552346], [0.396120734968], 0.199918214380, 0.200082062365, 0.0161916348),
    (0.05, 1): ([0.481703368464], [0.399267807804], 0.199700887156, -0.438388909471, 0.1648711213),
    (0.01, 0.01): ([0.400817633459], [0.399195881082], 0.199996712627, 0.200003287817, 0.0032435048),
}
RPS_TABLE = {
    (1, 1): ([0.348907400721, 0.338408897542], [0.359687592780, 0.382674497423], 0.087987733799, 0.100768081490,
             0.1688250212),
    (0.5, 0.5): ([0.319913434180, 0.367252382723], [0.360062669891, 0.407187187863], 0.080153132212, 0.091691993202,
                 0.1343917787),
    (0.1, 0.1): ([0.264095463499, 0.409532224415], [0.340899226699, 0.420068397060], 0.082872957405, 0.083810937226,
                 0.0395900019),
    (0.05, 0.05): ([0.256752128034, 0.413532980454], [0.337108482577, 0.418849344091], 0.083213401773, 0.083454372153,
                   0.0201035458),
    (0.05, 1): ([0.373923008045, 0.358015912330], [0.338156042828, 0.411300551146], 0.084547062724, -0.939868525794,
                0.1956481893),
    (0.01, 0.01): ([0.251292786895, 0.416114341797], [0.334080136498, 0.417180716856], 0.083328472213, 0.083338196242,
                   0.0040409054),
}  # fmt: skip


@known_answer("qarl/matrix-games")
@pytest.mark.parametrize(("payoffs", "table"), [(PENNIES, PENNIES_TABLE), (ROCK_PAPER_SCISSORS, RPS_TABLE)])
def test_quantal_response_of_matrix_games(payoffs, table):
    for temperatures, (row, column, value, regularised, conv) in table.items():
        found = matrix_quantal_response(payoffs, *temperatures)
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
    nash = shapley(game)
    np.testing.assert_allclose(nash.value, [6.382009115134, 6.320266360141], rtol=0, atol=1e-10)
    np.testing.assert_allclose(nash.row[:, 0], [0.673586545430, 0.402466946613], rtol=0, atol=1e-9)
    np.testing.assert_allclose(nash.column[:, 0], [0.669812066104, 0.801569875118], rtol=0, atol=1e-9)
    table = {
        (1, 1): ((7.366364434082, 7.404131847896, 0.478328657837, 0.636210137954),
                 (13.639718339056, 0.510227237808, 0.476741646883, 0.636767222354)),
        (0.5, 0.5): ((6.940428434647, 6.942220907230, 0.533841397840, 0.689160424346),
                     (9.820536908116, 3.484931745335, 0.532450385847, 0.690951289768)),
        (0.1, 0.1): ((6.469329524149, 6.423304791052, 0.644887803260, 0.689166655669),
                     (7.033599807061, 5.804781471650, 0.645094558279, 0.689881031589)),
        (0.01, 0.01): ((6.389514570521, 6.329415397702, 0.670962002519, 0.672145538912),
                       (6.446985007798, 6.324389319290, 0.671004571745, 0.672212055061)),
        (0.05, 1): ((0.908828179888, 0.970968787046, 0.443086129123, 0.659875465386),
                    (6.770696153247, 0.575320392132, 0.435178448512, 0.665216997309)),
    }  # fmt: skip
    for temperatures, (zero_sum, independent) in table.items():
        found = soft_shapley(game, *temperatures)
        seen = [*found.value, found.row[0, 0], found.column[0, 0]]
        np.testing.assert_allclose(seen, zero_sum, rtol=0, atol=1e-9)
        bound = max(temperatures) * math.log(2) / (1 - 0.9)
        assert np.max(np.abs(found.value - nash.value)) <= bound
        found = independent_soft(game, *temperatures)
        seen = [found.value[0], found.adversary_value[0], found.row[0, 0], found.column[0, 0]]
        np.testing.assert_allclose(seen, independent, rtol=0, atol=1e-9)


def paired(env, updates, **changes):
    """(the last NashConv, x, y in the first state, the run) of a pair."""
    run = jrl.train(soft_pair(*jrl.make(env), SoftPairConfig(**changes)), seeds=1, updates=updates)
    row, column = (np.exp(run.state.log_row[0, 0]), np.exp(run.state.log_column[0, 0]))
    return run.metrics["nash_conv"][0, -1], row, column, run


def in_miniature(start=((0.8, 0.1, 0.1), (0.1, 0.8, 0.1)), tau=0.0, **changes):
    firsts = {"first_row": np.array(start[0]), "first_column": np.array(start[1])}
    both = {"protagonist_temperature": tau, "adversary_temperature": tau}
    return paired("markov/biased-rps", 20_000, **firsts, **both, **changes)


@known_answer("qarl/miniature")
def test_cooling_keeps_a_step_size_stable():
    assert in_miniature(tau=0.0)[0] > 1.0
    assert in_miniature(tau=0.01)[0] > 0.5
    for tau, answer in ((0.05, 0.0201035457688), (0.1, 0.0395900018712)):
        conv, row, column, _ = in_miniature(tau=tau)
        assert conv == pytest.approx(answer, abs=1e-10)
        found = matrix_quantal_response(ROCK_PAPER_SCISSORS, tau, tau)
        np.testing.assert_allclose(row, found.row, rtol=0, atol=1e-8)
        np.testing.assert_allclose(column, found.column, rtol=0, atol=1e-8)
    others = (((0.8, 0.1, 0.1), (0.1, 0.8, 0.1)), ((0.34, 0.33, 0.33),) * 2, ((0.05, 0.05, 0.9),) * 2)
    for start in others:
        conv, row, _, _ = in_miniature(start, tau=0.02, first_temperature=0.5)
        assert conv == pytest.approx(0.0080768763, abs=1e-9)
        np.testing.assert_allclose(row, [0.25261626, 0.415524, 0.33185975], rtol=0, atol=1e-7)


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


SPREAD = np.array([0.042, 0.046, 0.050, 0.054, 0.058])
RETURNS = np.array([4.0, 8, 12, 16, 20])


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
    path = [43.2935541762, 37.0807103229, 31.3609386985, 26.1336130134, 21.3979807649, 17.1531195765, 13.3978697817,
            10.1307236000, 7.3496269203, 5.0515810270, 3.2317034666, 1.8805232013, 1.0, 1.0]  # fmt: skip
    shape = 50.0
    for answer in path:
        shape = shape_after(RETURNS, -1e9, shape).shape
        assert float(shape) == pytest.approx(answer, abs=1e-9)


@known_answer("qarl/teacher-bound")
def test_returns_bind_the_teacher():
    answers = {10: 47.4194227268, 8: 45.0871531866, 11: 48.6477931192}
    for threshold, answer in answers.items():
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
