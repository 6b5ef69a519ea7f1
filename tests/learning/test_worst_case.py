"""Worst-case search: CMA-ES against its known constants and optima, and roll-outs against playing by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.learning.worst_case import cma_strategy, returns_at, worst_in, worst_of
from tests.known_answers.ledger import known_answer

CONSTANTS = {
    2: {"c_std": 0.8527968, "d_std": 5.7368606, "c_c": 0.5303337, "c_1": 0.0528309, "chi_n": 1.2542727},
    3: {"c_std": 0.8284080, "d_std": 4.9241564, "c_c": 0.5200178, "c_1": 0.0439980, "chi_n": 1.5968775},
}


@known_answer("iwocs/cma-constants")
@pytest.mark.parametrize("dimensions", CONSTANTS)
def test_constants_of_cma_es(dimensions):
    params = cma_strategy(100, dimensions).default_params
    for name, value in CONSTANTS[dimensions].items():
        np.testing.assert_allclose(getattr(params, name), value, rtol=1e-6)
    np.testing.assert_allclose([params.mu_eff, params.weights[0]], [26.96666, 0.0823582], rtol=2e-6)
    np.testing.assert_allclose(params.c_mu, 1 - params.c_1, atol=1e-7)
    np.testing.assert_allclose(jnp.sum(jnp.maximum(params.weights, 0.0)), 1.0, rtol=1e-6)


INTERIOR = jnp.array([0.3, 0.7, 0.55])


@functools.cache
def found(dimensions, seeds=10):
    """(worst cases of ten searches each, low, high): squared distance to an interior point, and the sum. The box is no
    unit cube; the objectives are of its shares. One program for both."""
    low = jnp.arange(1.0, dimensions + 1)
    high = low + 2.0 + jnp.arange(dimensions)

    def search(key, is_linear):
        def evaluate(points):
            shares = (points - low) / (high - low)
            return jnp.where(is_linear, jnp.sum(shares, axis=-1), distance(shares))

        return worst_in(key, evaluate, low, high)

    keys = jax.random.split(jax.random.key(0), seeds)
    both = jax.jit(jax.vmap(jax.vmap(search, (0, None)), (None, 0)))(keys, jnp.array([False, True]))
    return *(jax.tree.map(lambda x, i=i: np.asarray(x[i]), both) for i in (0, 1)), np.asarray(low), np.asarray(high)


def distance(shares):
    return jnp.sum((shares - INTERIOR[: shares.shape[-1]]) ** 2, axis=-1)


@known_answer("iwocs/cma-search")
@pytest.mark.parametrize(("dimensions", "limit"), [(2, 1e-4), (3, 0.02)])
def test_cma_es_finds_interior_optima_in_600_evaluations(dimensions, limit):
    worst, _, low, high = found(dimensions)
    assert np.all(worst.value < limit)
    np.testing.assert_allclose(distance((worst.point - low) / (high - low)), worst.value, atol=1e-6)


@known_answer("iwocs/cma-corner")
@pytest.mark.parametrize("dimensions", [2, 3])
def test_cma_es_finds_corners_exactly(dimensions):
    _, worst, low, _ = found(dimensions)
    np.testing.assert_array_equal(worst.point, np.tile(low, (10, 1)))
    np.testing.assert_array_equal(worst.value, 0.0)


def test_candidates_are_in_the_box_and_broken_ones_are_never_the_worst():
    """Half the box gives no number; the least of the rest is at its border."""

    def evaluate(points):
        is_inside = jnp.all((points >= 1.0) & (points <= 3.0), axis=-1)
        value = jnp.where(points[:, 0] < 2.0, jnp.nan, points[:, 0] + 0.01 * points[:, 1])
        return jnp.where(is_inside, value, -100.0)

    worst = jax.jit(lambda key: worst_in(key, evaluate, jnp.ones(2), jnp.full(2, 3.0), 50, 6))(jax.random.key(0))
    assert 2.0 < float(worst.value) < 2.2
    assert 50 < int(worst.broken) < 300
    of_points = worst_of(evaluate, jnp.array([[1.5, 1.0], [3.0, 1.0], [2.5, 1.0], [2.5, 1.0]]))
    np.testing.assert_array_equal(of_points.point, [2.5, 1.0])
    assert int(of_points.broken) == 1


ENV, PARAMS = jrl.make("robust/CartPole-v1")


def lean(key, memory, observation):
    """Pushes where the pole leans to; remembers how often it played."""
    return (observation[2] > 0).astype(jnp.int32), memory + 1


@functools.cache
def played(max_steps=60):
    def play(key, points):
        return returns_at(key, ENV, lambda psi: ENV.at(PARAMS, psi), points, lambda k: 0, lean, 3, max_steps)

    return jax.jit(play)


def test_equal_parameters_give_equal_returns():
    """Common random numbers: rows with the same kernel are the same, wherever they stand."""
    points = jnp.array([[0.1, 0.5], [1.0, 0.25], [0.1, 0.5], [0.3, 1.0]])
    returns = np.asarray(played(400)(jax.random.key(2), points))
    assert returns.shape == (4, 3)
    np.testing.assert_array_equal(returns[0], returns[2])
    np.testing.assert_array_equal(
        returns[[3, 1, 0, 2]], played(400)(jax.random.key(2), points[jnp.array([3, 1, 0, 2])])
    )
    assert not np.array_equal(returns, played(400)(jax.random.key(4), points))
    assert len(np.unique(returns)) > 2


def test_returns_are_of_single_episodes_and_cut_off_at_the_limit():
    """Against one episode after another, each stopped by hand at its end."""
    key, points = jax.random.key(5), jnp.array([[0.1, 0.5], [1.0, 0.3]])
    found = np.asarray(played(60)(key, points))
    transition = jax.jit(ENV.transition)
    for n, psi in enumerate(points):
        params = ENV.at(PARAMS, psi)
        for e, episode in enumerate(jax.random.split(key, 3)):
            observation, state = ENV.reset(jax.random.split(jax.random.fold_in(episode, 0))[1], params)
            total, is_over = 0.0, False
            while not is_over and total < 60:
                action, _ = lean(None, 0, observation)
                observation, state, reward, terminated, truncated = transition(key, state, action, params)
                total, is_over = total + float(reward), bool(terminated | truncated)
            assert found[n, e] == total
    assert np.all(found <= 60)
