"""Inner problems against linear programs, against brute force on the simplex, and their invariants."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import jaxrl_suite as jrl
from jaxrl_suite.solvers import robust_inner as inner

STATES, ACTIONS = 4, 3
SEEDS = st.integers(0, 2**31)
quickly = settings(max_examples=40, deadline=None)


@functools.cache
def compiled(name, options):
    return jax.jit(functools.partial(getattr(inner, name), **dict(options)))


def solve(name, *arguments, **options):
    with jrl.float64():
        arrays = [np.asarray(x, np.float64) for x in arguments]
        return jax.tree.map(np.asarray, compiled(name, tuple(options.items()))(*arrays))


def problem(seed, states=STATES, holes=False):
    rng = np.random.default_rng(seed)
    nominal = rng.dirichlet(np.ones(states))
    if holes:
        nominal = np.where(rng.random(states) < 0.4, 0.0, nominal)
        nominal = np.eye(states)[0] if nominal.sum() == 0 else nominal / nominal.sum()
    v = rng.normal(size=states) if rng.random() < 0.7 else rng.integers(0, 3, states).astype(float)
    return v, nominal, rng


def l1_program(v, nominal, radius, allowed=None):
    """min p . v with p = p0 + up - down, sum up + sum down <= radius, by linear programming."""
    n = len(v)
    limits = [(0, None if allowed is None or allowed[i] else 0) for i in range(n)]
    limits += [(0, x) for x in nominal]
    balance = np.concatenate([np.ones(n), -np.ones(n)])[None]
    found = linprog(
        np.concatenate([v, -v]), A_ub=np.ones((1, 2 * n)), b_ub=[radius], A_eq=balance, b_eq=[0.0], bounds=limits
    )
    return nominal @ v + found.fun


@functools.cache
def simplex(parts=60):
    """All distributions over three states with probabilities that are multiples of 1 / parts."""
    i, j = np.meshgrid(np.arange(parts + 1), np.arange(parts + 1), indexing="ij")
    kept = i + j <= parts
    return np.stack([i[kept], j[kept], parts - i[kept] - j[kept]], axis=-1) / parts


def kl(p, nominal):
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(p / nominal), 0.0)
    return terms.sum(axis=-1)


def chi_square(p, nominal):
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(nominal > 0, (p - nominal) ** 2 / nominal, np.where(p > 0, np.inf, 0.0))
    return terms.sum(axis=-1)


DISTANCES = {
    "worst_l1": lambda p, nominal: np.abs(p - nominal).sum(axis=-1),
    "worst_interval": lambda p, nominal: np.abs(p - nominal).max(axis=-1),
    "worst_kl": kl,
    "worst_chi_square": chi_square,
    # The least share that makes p = (1 - share) p0 + share q with a distribution q.
    "worst_contamination": lambda p, nominal: 1.0 - (p[..., nominal > 0] / nominal[nominal > 0]).min(axis=-1),
}
each_ball = pytest.mark.parametrize("name", DISTANCES)


@quickly
@given(seed=SEEDS, holes=st.booleans(), continuous=st.booleans())
def test_l1_is_the_linear_program(seed, holes, continuous):
    v, nominal, rng = problem(seed, holes=holes)
    radius = rng.uniform(0, 2.2)
    value, row = solve("worst_l1", v, nominal, radius, absolutely_continuous=continuous)
    assert value == pytest.approx(l1_program(v, nominal, radius, nominal > 0 if continuous else None), abs=1e-9)
    assert not continuous or (row[nominal == 0] == 0).all()


@quickly
@given(seed=SEEDS, continuous=st.booleans())
def test_many_rows_at_once_are_worth_what_each_is(seed, continuous):
    v, _, rng = problem(seed)
    rows = np.stack([problem(seed + i, holes=True)[1] for i in range(5)])
    radii = rng.uniform(0, 2.2, 5) * rng.integers(0, 2, 5)
    together = solve("least_l1", v, rows.T, radii, absolutely_continuous=continuous)
    alone = [
        solve("worst_l1", v, row, radius, absolutely_continuous=continuous)[0]
        for row, radius in zip(rows, radii, strict=True)
    ]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-12)


@quickly
@given(seed=SEEDS)
def test_the_box_is_the_linear_program(seed):
    v, nominal, rng = problem(seed)
    low, high = nominal * rng.random(STATES), nominal + (1 - nominal) * rng.random(STATES)
    value, row = solve("worst_box", v, low, high)
    program = linprog(v, A_eq=np.ones((1, STATES)), b_eq=[1.0], bounds=list(zip(low, high, strict=True)))
    assert value == pytest.approx(program.fun, abs=1e-9)
    assert (row >= low - 1e-12).all()
    assert (row <= high + 1e-12).all()


@each_ball
@quickly
@given(seed=SEEDS, holes=st.booleans())
def test_the_worst_row_is_allowed_and_worth_the_value(name, seed, holes):
    v, nominal, rng = problem(seed, holes=holes)
    radius = rng.choice([1e-6, 1e-3, 0.05, 0.3, 0.9])
    value, row = solve(name, v, nominal, radius)
    assert value == pytest.approx(row @ v, abs=1e-12)
    assert row.sum() == pytest.approx(1.0, abs=1e-12)
    assert (row >= -1e-15).all()
    assert DISTANCES[name](row, nominal) <= radius + 1e-10


@each_ball
@quickly
@given(seed=SEEDS, radius=st.floats(0.02, 1.0))
def test_no_row_of_the_set_is_worse(name, seed, radius):
    v, nominal, _ = problem(seed, states=3)
    value, _ = solve(name, v, nominal, radius)
    rows = simplex()
    # Rows that are only just inside count too: a grid seldom has one on the edge.
    inside = rows[DISTANCES[name](rows, nominal) <= radius]
    assert len(inside) == 0 or (inside @ v).min() >= value - 1e-9


@each_ball
@quickly
@given(seed=SEEDS)
def test_a_larger_set_is_never_better_and_the_smallest_is_the_nominal_row(name, seed):
    v, nominal, rng = problem(seed, holes=True)
    radii = np.concatenate([[0.0], np.sort(rng.uniform(0, 1, 5)), [1.0]])
    values = [solve(name, v, nominal, radius)[0] for radius in radii]
    assert values[0] == pytest.approx(nominal @ v, abs=1e-15)
    assert (np.diff(values) <= 1e-10).all()


@quickly
@given(seed=SEEDS, radius=st.floats(0.01, 3.0))
def test_kl_is_its_dual(seed, radius):
    """Any temperature gives a lower bound, -t log E exp(-v / t) - t radius; the best of many is near."""
    v, nominal, _ = problem(seed)
    value, _ = solve("worst_kl", v, nominal, radius)
    t = np.exp(np.linspace(-12, 6, 4000))[:, None]
    bounds = v.min() - t[:, 0] * np.log((nominal * np.exp(-(v - v.min()) / t)).sum(axis=-1)) - t[:, 0] * radius
    assert bounds.max() <= value + 1e-9
    assert value <= max(bounds.max(), v.min()) + 1e-4


@quickly
@given(seed=SEEDS, radius=st.floats(1e-3, 3.0))
def test_chi_square_fulfils_the_conditions_of_an_optimum(seed, radius):
    """p / p0 is one falling line in v where p > 0, and the line is below zero where p = 0."""
    v, nominal, _ = problem(seed)
    _, row = solve("worst_chi_square", v, nominal, radius)
    ratio, inside = row / nominal, row > 1e-9
    if np.ptp(v[inside]) > 1e-6:
        slope, level = np.polyfit(v[inside], ratio[inside], 1)
        np.testing.assert_allclose(level + slope * v[inside], ratio[inside], atol=1e-6)
        assert slope <= 1e-9
        assert (level + slope * v[~inside] <= 1e-6).all()
        assert chi_square(row, nominal) == pytest.approx(radius, rel=1e-6)
    else:
        assert np.allclose(v[inside], v.min(), atol=1e-6) or np.ptp(v) < 1e-6


def state_l1_program(v, nominal, radius):
    """min over rows of all actions of max_a p_a . v_a, sum |p_a - p0_a| <= radius."""
    actions, states = v.shape
    size = actions * states
    cost = np.append(np.zeros(2 * size), 1.0)
    worth = np.zeros((actions, 2 * size + 1))
    balance = np.zeros((actions, 2 * size + 1))
    for a in range(actions):
        here = slice(a * states, (a + 1) * states)
        down = slice(size + a * states, size + (a + 1) * states)
        worth[a, here], worth[a, down], worth[a, -1] = v[a], -v[a], -1.0
        balance[a, here], balance[a, down] = 1.0, -1.0
    budget = np.append(np.ones(2 * size), 0.0)
    limits = [(0, None)] * size + [(0, x) for x in nominal.ravel()] + [(None, None)]
    found = linprog(
        cost,
        A_ub=np.vstack([worth, budget]),
        b_ub=np.append(-(nominal * v).sum(axis=-1), radius),
        A_eq=balance,
        b_eq=np.zeros(actions),
        bounds=limits,
    )
    return found.fun


@quickly
@given(seed=SEEDS)
def test_the_s_rectangular_optimum_is_the_linear_program_and_its_policy_attains_it(seed):
    rng = np.random.default_rng(seed)
    v = rng.normal(size=(ACTIONS, STATES)) if rng.random() < 0.7 else rng.integers(0, 3, (ACTIONS, STATES)) * 1.0
    nominal, radius = rng.dirichlet(np.ones(STATES), ACTIONS), rng.choice([0.0, rng.uniform(0, 3), 2.0 * ACTIONS])
    value, policy, rows = solve("best_against_state_l1", v, nominal, radius)
    assert value == pytest.approx(state_l1_program(v, nominal, radius), abs=1e-8)
    assert policy.sum() == pytest.approx(1.0)
    assert np.abs(rows - nominal).sum() <= radius + 1e-9
    assert (rows * v).sum(axis=-1).max() == pytest.approx(value, abs=1e-8)
    worst, against = solve("worst_state_l1", v, nominal, radius, policy)
    assert worst == pytest.approx(value, abs=1e-8)
    assert np.abs(against - nominal).sum() <= radius + 1e-9


@quickly
@given(seed=SEEDS)
def test_with_one_action_the_s_rectangular_ball_is_the_plain_one(seed):
    v, nominal, rng = problem(seed)
    radius = rng.uniform(0, 2)
    plain, _ = solve("worst_l1", v, nominal, radius)
    assert solve("worst_state_l1", v[None], nominal[None], radius, np.ones(1))[0] == pytest.approx(plain, abs=1e-12)
    assert solve("best_against_state_l1", v[None], nominal[None], radius)[0] == pytest.approx(plain, abs=1e-12)


def test_rows_are_batched_by_vmap():
    rng = np.random.default_rng(0)
    v, rows = rng.normal(size=STATES), rng.dirichlet(np.ones(STATES), 5)
    with jrl.float64():
        together = jax.vmap(inner.worst_kl, (None, 0, None))(jnp.asarray(v), jnp.asarray(rows), 0.1)[0]
    np.testing.assert_allclose(together, [solve("worst_kl", v, row, 0.1)[0] for row in rows], atol=1e-14)
