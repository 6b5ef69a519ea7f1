"""Solvers against direct linear solves, against each other, and against closed forms."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxrl_suite as jrl
from jaxrl_suite.envs import TabularMDP
from jaxrl_suite.envs.tabular_families import chain, combination_lock, deep_sea, frozen_lake, random_mdp
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.solvers import occupancy, policy_evaluation, policy_iteration, value_iteration


def random_problem(seed, staged=True, horizon=4, discount=1.0, states=4, actions=3):
    """Of one size, so that a hundred examples compile once."""
    rng = np.random.default_rng(seed)
    stages = (horizon,) if staged else ()
    rows = rng.dirichlet(np.full(states, 0.5), (*stages, states, actions))
    rewards = rng.normal(size=(*stages, states, actions))
    mdp = TabularMDP(rows, rewards, rng.dirichlet(np.ones(states)), horizon, discount)
    return mdp, rng.dirichlet(np.ones(actions), (*((horizon,) if horizon else ()), states))


def linear_solve(mdp, policy):
    """V [H, S] (or [S]) by one solve of the equations of all stages and states together."""
    states = mdp.num_states
    if mdp.horizon is None:
        flow = np.einsum("sa,sax->sx", policy, mdp.transitions)
        return np.linalg.solve(np.eye(states) - mdp.discount * flow, (policy * mdp.rewards).sum(axis=-1))
    size = mdp.horizon * states
    rows = np.broadcast_to(mdp.transitions, (mdp.horizon, states, mdp.num_actions, states))
    rewards = np.broadcast_to(mdp.rewards, (mdp.horizon, states, mdp.num_actions))
    matrix = np.eye(size)
    for h in range(mdp.horizon - 1):
        here, after = slice(h * states, (h + 1) * states), slice((h + 1) * states, (h + 2) * states)
        matrix[here, after] -= mdp.discount * np.einsum("sa,sax->sx", policy[h], rows[h])
    return np.linalg.solve(matrix, (policy * rewards).sum(axis=-1).ravel()).reshape(mdp.horizon, states)


CASES = {
    "stages": {"staged": True, "horizon": 4},
    "stationary with a horizon": {"staged": False, "horizon": 5},
    "discounted with a horizon": {"staged": True, "horizon": 3, "discount": 0.7},
    "discounted": {"staged": False, "horizon": None, "discount": 0.93},
    "one state, one action": {"states": 1, "actions": 1},
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


@each_case
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_evaluation_is_the_linear_solve(case, seed):
    mdp, policy = random_problem(seed, **case)
    found = policy_evaluation(mdp, policy)
    expected = linear_solve(mdp, policy)
    assert found.value.dtype == np.float64
    np.testing.assert_allclose(found.value, expected, rtol=0, atol=1e-10)
    start = expected if mdp.horizon is None else expected[0]
    assert found.start_value == pytest.approx(mdp.initial @ start, abs=1e-10)
    assert found.error_bound <= 1e-10


@each_case
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_both_iterations_find_the_same_optimum(case, seed):
    mdp, policy = random_problem(seed, **case)
    by_values, by_policies = value_iteration(mdp), policy_iteration(mdp)
    np.testing.assert_allclose(by_values.value, by_policies.value, rtol=0, atol=1e-10)
    for found in (by_values, by_policies):
        assert found.error_bound <= 1e-10
        np.testing.assert_allclose(found.value, found.action_value.max(axis=-1), rtol=0, atol=1e-10)
        np.testing.assert_allclose(policy_evaluation(mdp, found.policy).value, found.value, rtol=0, atol=1e-9)
    assert (by_values.value >= policy_evaluation(mdp, policy).value - 1e-10).all()


@pytest.mark.parametrize("horizon", [None, 2])
def test_the_optimum_is_the_best_of_all_policies(horizon):
    mdp, _ = random_problem(5, staged=False, horizon=horizon, discount=0.8, states=4, actions=2)
    shape = (4,) if horizon is None else (horizon, 4)
    policies = itertools.product(range(2), repeat=int(np.prod(shape)))
    best = max(policy_evaluation(mdp, np.reshape(p, shape)).start_value for p in policies)
    assert value_iteration(mdp).start_value == pytest.approx(best, abs=1e-10)


@each_case
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_occupancy_adds_up_to_the_value(case, seed):
    mdp, policy = random_problem(seed, **case)
    measure = occupancy(mdp, policy)
    rewards = np.broadcast_to(mdp.rewards, measure.shape)
    assert np.sum(measure * rewards) == pytest.approx(policy_evaluation(mdp, policy).start_value, abs=1e-10)
    if mdp.horizon is None:
        assert measure.sum() == pytest.approx(1 / (1 - mdp.discount))
    else:
        np.testing.assert_allclose(measure.sum(axis=(1, 2)), mdp.discount ** np.arange(mdp.horizon), atol=1e-12)


def test_the_error_bound_of_few_sweeps_is_true_and_shrinks():
    mdp = chain().replace(horizon=None, discount=0.95)
    exact = policy_iteration(mdp).value
    bounds = []
    for sweeps in (1, 10, 100):
        found = value_iteration(mdp, max_iterations=sweeps)
        assert np.abs(found.value - exact).max() <= found.error_bound
        assert found.iterations == sweeps
        bounds.append(found.error_bound)
    assert bounds == sorted(bounds, reverse=True)
    assert value_iteration(mdp, tolerance=1e-3).iterations < value_iteration(mdp).iterations


def test_without_a_future_one_sweep_is_exact():
    mdp = chain().replace(horizon=None, discount=0.0)
    found = value_iteration(mdp)
    np.testing.assert_array_equal(found.value, mdp.rewards.max(axis=-1))
    assert found.error_bound == 0


def test_a_batch_of_problems_is_a_vmap():
    with jrl.float64():
        batch = jax.vmap(random_mdp)(jax.random.split(jax.random.key(0), 4))
        together = jax.vmap(value_iteration)(batch).value
    for i in range(4):
        one = jax.tree.map(lambda x, i=i: np.asarray(x[i]), batch)
        np.testing.assert_allclose(value_iteration(one).value, together[i], rtol=0, atol=1e-12)


def test_less_than_float64_is_refused_inside_a_trace():
    batch = jax.vmap(random_mdp)(jax.random.split(jax.random.key(0), 2))
    with pytest.raises(ConfigError, match=r"value_iteration: .*in float32: must be float64.*jaxrl_suite\.float64"):
        jax.vmap(value_iteration)(batch)


def test_plain_calls_leave_the_mode_alone():
    value_iteration(chain())
    assert jnp.ones(1).dtype == jnp.float32


@pytest.mark.parametrize("shape", [(2, 5), (5,), (3, 5), (5, 3), (2, 5, 2)])
def test_a_policy_of_another_shape_is_refused(shape):
    with pytest.raises(ConfigError, match=r"policy: shape .* must be \[20, 5, 2\] probabilities or \[20, 5\] whole"):
        policy_evaluation(chain(), np.full(shape, 0.5))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (np.full((5, 2), 0.6), r"policy at state 0 = \[0.6 0.6\]: must be probabilities that sum to 1"),
        (np.tile([1.5, -0.5], (5, 1)), r"policy at state 0 = \[ 1.5 -0.5\]: must be probabilities"),
        (np.array([[0.5, 0.5]] * 3 + [[np.nan, 1.0]] + [[0.5, 0.5]]), r"policy at state 3 = \[nan  1\.\]: must be"),
        (np.array([0, 1, 2, 0, 0]), r"policy: actions 0 to 2: must be 0 to 1"),
    ],
)
@pytest.mark.parametrize("judge", [policy_evaluation, occupancy])
def test_what_is_no_policy_is_refused(judge, policy, message):
    with pytest.raises(ConfigError, match=message):
        judge(chain(), policy)


def test_the_same_policy_at_every_stage_may_be_given_once():
    one = policy_evaluation(chain(), np.ones(5, int)).value
    np.testing.assert_array_equal(one, policy_evaluation(chain(), np.ones((20, 5), int)).value)


@pytest.mark.parametrize("size", [4, 8, 10])
def test_deep_sea_is_worth_one_less_its_cost(size):
    known = {4: 0.0575, 8: -0.00109375, 10: -0.0040234375}[size]
    assert value_iteration(deep_sea(size)).start_value == pytest.approx(0.99, abs=1e-12)
    assert policy_evaluation(deep_sea(size), np.full((size, 2), 0.5)).start_value == pytest.approx(known, abs=1e-12)


def test_frozen_lake():
    lake = frozen_lake()
    assert value_iteration(lake).start_value == pytest.approx(0.7441902878, abs=1e-10)
    assert policy_evaluation(lake, np.full((16, 4), 0.25)).start_value == pytest.approx(0.0139397960, abs=1e-10)


@settings(max_examples=20, deadline=None)
@given(code=st.lists(st.integers(0, 2), min_size=1, max_size=6))
def test_a_lock_opens_by_its_code_alone(code):
    lock = combination_lock(code, 3)
    assert value_iteration(lock).start_value == pytest.approx(1)
    assert value_iteration(lock).policy[:, 0].tolist() == code
    assert policy_evaluation(lock, np.full((2, 3), 1 / 3)).start_value == pytest.approx(3.0 ** -len(code))
