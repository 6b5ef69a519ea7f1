"""Robust dynamic programming against itself, against exhaustive nature, and against the ordinary solvers."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxrl_suite as jrl
from jaxrl_suite.envs import KernelMDP, TabularMDP
from jaxrl_suite.envs.robust_tabular import random_kernels, windy_walk
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.solvers import (
    Box,
    ChiSquareBall,
    Contamination,
    FiniteKernels,
    Interval,
    KLBall,
    L1Ball,
    StateL1Ball,
    policy_evaluation,
    robust_policy_evaluation,
    robust_policy_iteration,
    robust_value_iteration,
    value_iteration,
)

STATES, ACTIONS, KERNELS = 4, 2, 3
SEEDS = st.integers(0, 2**31)
BALLS = (L1Ball, Interval, KLBall, ChiSquareBall, Contamination, StateL1Ball)
NAMED = [(ball, ball.__name__) for ball in (*BALLS, FiniteKernels)]
SLOW = (pytest.mark.slow,)
SLOW_SETS = (Interval, KLBall, ChiSquareBall, Contamination)
"""Wired like the L1 ball; each set takes seconds to compile in each solver."""
each_ball = pytest.mark.parametrize("ball", BALLS, ids=lambda ball: ball.__name__)
rarely = settings(max_examples=10, deadline=None)


def problem(seed, horizon=None, staged=False):
    rng = np.random.default_rng(seed)
    stages = (horizon,) if staged else ()
    rows = rng.dirichlet(np.ones(STATES), (*stages, STATES, ACTIONS))
    discount = 0.9 if horizon is None else 1.0
    return TabularMDP(
        rows, rng.normal(size=(*stages, STATES, ACTIONS)), rng.dirichlet(np.ones(STATES)), horizon, discount
    )


def kernels_of(seed):
    return np.random.default_rng([seed, 1]).dirichlet(np.ones(STATES), (KERNELS, STATES, ACTIONS))


def sets(seed):
    radius = np.random.default_rng([seed, 2]).uniform(0.01, 0.6)
    return [ball(radius) for ball in BALLS] + [FiniteKernels(kernels_of(seed))]


@pytest.mark.parametrize(
    "which",
    [pytest.param(i, marks=SLOW if ball in SLOW_SETS else (), id=name) for i, (ball, name) in enumerate(NAMED)],
)
@rarely
@given(seed=SEEDS)
def test_both_iterations_and_evaluation_agree_and_the_worst_kernel_gives_the_value(which, seed):
    mdp, uncertainty = problem(seed), sets(seed)[which]
    found, again = robust_value_iteration(mdp, uncertainty), robust_policy_iteration(mdp, uncertainty)
    np.testing.assert_allclose(found.value, again.value, rtol=0, atol=1e-10)
    assert max(found.error_bound, again.error_bound) <= 1e-10
    evaluated = robust_policy_evaluation(mdp, uncertainty, found.policy)
    np.testing.assert_allclose(evaluated.value, found.value, rtol=0, atol=1e-8)
    assert found.start_value == pytest.approx(mdp.initial @ found.value, abs=1e-12)
    # Nature's kernel is static: under it the policy is worth the robust value, and no policy is worth more.
    under = mdp.replace(transitions=found.kernel)
    np.testing.assert_allclose(policy_evaluation(under, found.policy).value, found.value, rtol=0, atol=1e-8)
    if not isinstance(uncertainty, StateL1Ball):
        np.testing.assert_allclose(value_iteration(under).value, found.value, rtol=0, atol=1e-8)


@rarely
@given(seed=SEEDS)
def test_finite_sets_are_the_worst_of_all_their_kernels(seed):
    """Every kernel of the hull tried: 3 rows for each of 3 x 2 pairs."""
    states = 3
    rng = np.random.default_rng(seed)
    kernels = rng.dirichlet(np.ones(states), (KERNELS, states, ACTIONS))
    mdp = TabularMDP(kernels[0], rng.normal(size=(states, ACTIONS)), 0, None, 0.8)
    choices = np.array(list(itertools.product(range(KERNELS), repeat=states * ACTIONS))).reshape(-1, states, ACTIONS)
    hull = kernels[choices, np.arange(states)[:, None], np.arange(ACTIONS)]
    found = robust_value_iteration(mdp, FiniteKernels(kernels))
    policies = np.array(list(itertools.product(range(ACTIONS), repeat=states)))
    values = []
    for policy in policies:
        flow = hull[:, np.arange(states), policy]
        paid = np.broadcast_to(mdp.rewards[np.arange(states), policy], (len(hull), states))
        values.append(np.linalg.solve(np.eye(states) - 0.8 * flow, paid[..., None])[..., 0].min(axis=0))
    np.testing.assert_allclose(found.value, np.max(values, axis=0), rtol=0, atol=1e-9)
    evaluated = [robust_policy_evaluation(mdp, FiniteKernels(kernels), policy).value for policy in policies]
    np.testing.assert_allclose(evaluated, values, rtol=0, atol=1e-9)


@each_ball
@rarely
@given(seed=SEEDS)
def test_a_larger_set_never_raises_the_optimum_and_the_smallest_is_the_mdp(ball, seed):
    mdp = problem(seed)
    radii = np.sort(np.random.default_rng(seed).uniform(0, 1, 3))
    values = [robust_value_iteration(mdp, ball(radius)).value for radius in (0.0, *radii)]
    np.testing.assert_allclose(values[0], value_iteration(mdp).value, rtol=0, atol=1e-10)
    assert (np.diff(values, axis=0) <= 1e-9).all()


@rarely
@given(seed=SEEDS)
def test_more_kernels_never_raise_the_optimum_and_their_order_changes_nothing(seed):
    mdp, kernels = problem(seed), kernels_of(seed)
    fewer, all_of_them = (robust_value_iteration(mdp, FiniteKernels(k)).value for k in (kernels[[0, 1, 1]], kernels))
    assert (all_of_them <= fewer + 1e-10).all()
    np.testing.assert_allclose(robust_value_iteration(mdp, FiniteKernels(kernels[::-1])).value, all_of_them, atol=1e-11)


@pytest.mark.parametrize(
    ("uncertainty", "staged"), [(L1Ball(0.3), False), (StateL1Ball(0.3), True), (FiniteKernels(kernels_of(3)), True)]
)
def test_with_a_horizon_a_policy_against_each_stage_worst_rows_is_worth_the_value(uncertainty, staged):
    mdp = problem(3, horizon=4, staged=staged)
    found = robust_value_iteration(mdp, uncertainty)
    under = mdp.replace(transitions=found.kernel)
    np.testing.assert_allclose(policy_evaluation(under, found.policy).value, found.value, rtol=0, atol=1e-10)
    again = robust_policy_evaluation(mdp, uncertainty, found.policy)
    np.testing.assert_allclose(again.value, found.value, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(robust_policy_iteration(mdp, uncertainty).value, found.value)
    assert found.error_bound == 0


def test_with_a_horizon_of_one_nothing_is_uncertain():
    mdp = problem(0, horizon=1)
    found = robust_value_iteration(mdp, Contamination(1.0))
    np.testing.assert_allclose(found.value[0], mdp.rewards.max(axis=-1), atol=1e-15)


@pytest.mark.parametrize("uncertainty", [L1Ball(0.3), pytest.param(StateL1Ball(0.3), marks=pytest.mark.slow)])
def test_rewards_on_arrival_are_part_of_what_nature_spoils(uncertainty):
    """What a state pays can be paid on arrival there, a step later: all that is missing is the first state's."""
    rng = np.random.default_rng(5)
    mdp, paid = problem(5), rng.normal(size=STATES)
    arriving = KernelMDP(
        mdp.transitions[None], np.broadcast_to(mdp.discount * paid, (STATES, ACTIONS, STATES)), mdp.initial, 0.9
    )
    staying = mdp.replace(rewards=np.broadcast_to(paid[:, None], (STATES, ACTIONS)))
    arrived, stayed = (robust_value_iteration(m, uncertainty).value for m in (arriving, staying))
    np.testing.assert_allclose(arrived + paid, stayed, rtol=0, atol=1e-9)
    evaluated = robust_policy_evaluation(arriving, uncertainty, np.zeros(STATES, int)).value
    plain = robust_policy_evaluation(staying, uncertainty, np.zeros(STATES, int)).value
    np.testing.assert_allclose(evaluated + paid, plain, rtol=0, atol=1e-9)


def test_the_interval_is_the_box_around_the_nominal_rows():
    mdp = problem(7)
    box = Box(np.maximum(mdp.transitions - 0.1, 0), np.minimum(mdp.transitions + 0.1, 1))
    one, other = robust_value_iteration(mdp, box), robust_value_iteration(mdp, Interval(0.1))
    np.testing.assert_allclose(one.value, other.value, rtol=0, atol=1e-12)


def test_a_radius_may_differ_from_pair_to_pair():
    mdp = problem(8)
    radius = np.zeros((STATES, ACTIONS))
    radius[0] = 0.5
    found = robust_value_iteration(mdp, L1Ball(radius))
    assert (found.kernel[1:] == mdp.transitions[1:]).all()
    assert np.abs(found.kernel[0] - mdp.transitions[0]).sum(axis=-1) == pytest.approx(np.full(ACTIONS, 0.5))


def test_absolute_continuity_keeps_zeros():
    mdp = windy_walk()
    with jrl.float64():
        base = mdp.under(mdp.kernels[12])
    tied, free = (robust_value_iteration(base, L1Ball(0.2, absolutely_continuous=flag)) for flag in (True, False))
    assert (tied.kernel[base.transitions == 0] == 0).all()
    assert (tied.value >= free.value - 1e-12).all()
    assert tied.start_value > free.start_value + 0.1
    by_rows = robust_policy_evaluation(base, L1Ball(0.2, absolutely_continuous=True), tied.policy)
    np.testing.assert_allclose(by_rows.value, tied.value, rtol=0, atol=1e-10)


def test_a_few_sweeps_have_a_true_error_bound():
    mdp = problem(9)
    exact = robust_policy_iteration(mdp, KLBall(0.1)).value
    for sweeps in (1, 10, 50):
        found = robust_value_iteration(mdp, KLBall(0.1), max_iterations=sweeps)
        assert np.abs(found.value - exact).max() <= found.error_bound + 1e-12
        assert found.iterations == sweeps


def test_a_batch_of_problems_is_a_vmap():
    with jrl.float64():
        batch = jax.tree.map(lambda *leaves: np.stack(leaves), *(random_kernels(seed) for seed in range(3)))
        together = jax.vmap(lambda m: robust_value_iteration(m, FiniteKernels(m.kernels)).value)(batch)
    for i in range(3):
        one = jax.tree.map(lambda x, i=i: np.asarray(x[i]), batch)
        alone = robust_value_iteration(one, FiniteKernels(one.kernels)).value
        np.testing.assert_allclose(alone, together[i], rtol=0, atol=1e-11)


def test_less_than_float64_is_refused_inside_a_trace():
    with pytest.raises(ConfigError, match=r"in float32: must be float64"):
        jax.vmap(lambda r: robust_value_iteration(problem(1), L1Ball(r)).start_value)(jnp.array([0.1, 0.4]))


ROWS = np.full((STATES, ACTIONS, STATES), 1 / STATES)
BAD = {
    "no set": (3.0, r"uncertainty = float: must be a set"),
    "negative radius": (L1Ball(-0.1), r"L1Ball\.radius = -0\.1: must be finite and >= 0"),
    "infinite radius": (KLBall(np.inf), r"KLBall\.radius = inf: must be finite"),
    "one negative radius of many": (
        ChiSquareBall(np.where(np.eye(STATES, ACTIONS), -1.0, 0.1)),
        r"ChiSquareBall\.radius at state 0, action 0 = -1: must",
    ),
    "radius of another shape": (Interval(np.ones(STATES)), r"Interval\.radius: shape \(4,\): must be one .* \[4, 2\]"),
    "share above one": (Contamination(1.5), r"Contamination\.radius = 1\.5: must be <= 1"),
    "negative state radius": (StateL1Ball(-1.0), r"StateL1Ball\.radius = -1"),
    "kernels of another shape": (
        FiniteKernels(ROWS),
        r"FiniteKernels\.kernels: shape \(4, 2, 4\): must be \[K, 4, 2, 4\]",
    ),
    "no kernels": (FiniteKernels(ROWS[None][:0]), r"FiniteKernels\.kernels: shape \(0, 4, 2, 4\)"),
    "rows that are no distributions": (
        FiniteKernels(np.stack([ROWS, 2 * ROWS])),
        r"FiniteKernels\.kernels at kernel 1, state 0, action 0: probabilities sum to 2: must be 1",
    ),
    "inverted box": (Box(ROWS, ROWS - 0.1), r"Box at state 0, action 0, next state 0: from 0\.25 to 0\.15: must be"),
    "empty box": (Box(ROWS * 0, ROWS - 0.1), r"Box at state 0, action 0: sums from 0 to 0\.6: must have 1 between"),
    "box of another shape": (Box(ROWS[0], ROWS), r"Box\.low: shape \(2, 4\): must be \[4, 2, 4\]"),
}


@pytest.mark.parametrize(("uncertainty", "message"), BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("solver", [robust_value_iteration, robust_policy_iteration])
def test_what_is_no_set_is_refused(solver, uncertainty, message):
    with pytest.raises(ConfigError, match=message):
        solver(problem(0), uncertainty)


def test_what_is_no_policy_is_refused():
    with pytest.raises(ConfigError, match=r"policy: actions 0 to 5: must be 0 to 1"):
        robust_policy_evaluation(problem(0), L1Ball(0.1), np.array([0, 5, 0, 0]))
    with pytest.raises(ConfigError, match=r"L1Ball\.radius"):
        robust_policy_evaluation(problem(0), L1Ball(-1.0), np.zeros(STATES, int))
