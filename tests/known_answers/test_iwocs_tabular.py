"""Known answers of IWOCS on tables: inner problems, robust values, hand-solvable problems, the windy walk, counts."""

import functools
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import jaxrl_suite as jrl
from jaxrl_suite.agents.iwocs import CERTIFIED, REPEATED, RUNNING, IWOCSConfig, greedy, iwocs, rollout_values
from jaxrl_suite.envs import KernelEnv, KernelMDP, TabularMDP
from jaxrl_suite.envs.robust_tabular import bets, duality_gap, random_kernels, windy_walk
from jaxrl_suite.reproduction.loading import import_file
from jaxrl_suite.solvers import (
    FiniteKernels,
    Interval,
    KLBall,
    L1Ball,
    policy_evaluation,
    robust_inner,
    robust_value_iteration,
    value_iteration,
)
from tests.known_answers.ledger import known_answer

TABULAR = Path(__file__).resolve().parents[2] / "experiments" / "iwocs" / "tabular.py"
V, P0 = np.array([1.0, 2.0, 4.0]), np.array([0.5, 0.3, 0.2])


def inner(name, size):
    with jrl.float64():
        value, row = getattr(robust_inner, name)(*(jax.numpy.asarray(x) for x in (V, P0, size)))
        return float(value), np.asarray(row)


INNER = {
    "worst_l1": {0.0: 1.9, 0.2: 1.6, 0.4: 1.3, 0.6: 1.2, 1.0: 1.0, 2.0: 1.0},
    "worst_interval": {0.0: 1.9, 0.05: 1.75, 0.1: 1.6, 0.3: 1.2},
    "worst_kl": {0.0: 1.9, 0.02: 1.681248, 0.1: 1.438827, 0.3: 1.181521, 0.6: 1.021588, 0.7: 1.0},
    "worst_chi_square": {0.0: 1.9, 0.02: 1.739376, 0.1: 1.540834},
    "worst_contamination": {0.0: 1.9, 0.2: 1.72},
}
ROWS = {
    ("worst_l1", 0.2): (0.6, 0.3, 0.1),
    ("worst_l1", 0.4): (0.7, 0.3, 0.0),
    ("worst_l1", 0.6): (0.8, 0.2, 0.0),
    ("worst_interval", 0.1): (0.6, 0.3, 0.1),
    ("worst_interval", 0.3): (0.8, 0.2, 0.0),
    ("worst_chi_square", 0.1): (0.62529, 0.29165, 0.08306),
}


@known_answer("iwocs/inner-problems")
@pytest.mark.parametrize("name", INNER)
def test_inner_problems(name):
    values = [inner(name, size)[0] for size in INNER[name]]
    assert values == pytest.approx(list(INNER[name].values()), abs=1e-6)
    assert values == sorted(values, reverse=True)
    for (kind, size), row in ROWS.items():
        if kind == name:
            np.testing.assert_allclose(inner(name, size)[1], row, rtol=0, atol=1e-5)


@known_answer("iwocs/inner-temperatures")
def test_the_worst_rows_of_kl_balls_are_tilted_by_known_temperatures():
    for radius, temperature in {0.02: 5.24030, 0.1: 2.02717, 0.3: 0.841431, 0.6: 0.302507}.items():
        ratio = inner("worst_kl", radius)[1] / P0
        assert (V[1] - V[0]) / np.log(ratio[0] / ratio[1]) == pytest.approx(temperature, rel=1e-5)


@known_answer("iwocs/inner-chi-square-truncated")
def test_the_chi_square_ball_is_cut_where_the_naive_row_turns_negative():
    mean, deviation = P0 @ V, np.sqrt(P0 @ V**2 - (P0 @ V) ** 2)
    naive = P0 * (1 - np.sqrt(0.3) / deviation * (V - mean))
    assert mean - np.sqrt(0.3) * deviation == pytest.approx(1.277907, abs=1e-6)
    assert naive.min() == pytest.approx(-0.0025, abs=1e-4)
    value, row = inner("worst_chi_square", 0.3)
    assert row.min() == 0
    assert value > 1.277907 + 1e-4
    assert ((row - P0) ** 2 / P0).sum() == pytest.approx(0.3, abs=1e-9)


ROBUST = {
    "nominal": (L1Ball(0.0), (7.534247, 6.164384), (0, 0)),
    "l1 0.2": (L1Ball(0.2), (6.301370, 4.931507), (0, 0)),
    "interval 0.1": (Interval(0.1), (6.301370, 4.931507), (0, 0)),
    "l1 0.4": (L1Ball(0.4), (5.304348, 4.0), (0, 1)),
    "kl 0.1": (KLBall(0.1), (5.325239, 4.010958), (0, 1)),
}


@known_answer("iwocs/robust-values")
@pytest.mark.parametrize(("uncertainty", "value", "policy"), ROBUST.values(), ids=ROBUST.keys())
def test_robust_value_iteration_on_two_states(uncertainty, value, policy):
    rows = np.array([[[0.8, 0.2], [0.2, 0.8]], [[0.5, 0.5], [0.1, 0.9]]])
    mdp = TabularMDP(rows, np.array([[1.0, 0.6], [0.0, 0.4]]), 0, None, 0.9)
    found = robust_value_iteration(mdp, uncertainty)
    np.testing.assert_allclose(found.value, value, rtol=0, atol=1e-5)
    assert tuple(found.policy) == policy


@functools.cache
def compiled(config):
    """(init, update) of any problem: once for all of one size."""
    env, key = KernelEnv("robust/test", bets()), jax.random.key(0)
    return (
        jax.jit(lambda mdp: iwocs(env, mdp, config).init(key)),
        jax.jit(lambda mdp, state: iwocs(env, mdp, config).update(key, state, 0)),
    )


def iterations(mdp, first_kernel=0, **config):
    """(state, metrics) of every iteration of IWOCS, NumPy."""
    init, update = compiled(IWOCSConfig(**config))
    with jrl.float64():
        # The first kernel is known to `init` alone.
        state = compiled(IWOCSConfig(first_kernel=first_kernel, **config))[0](mdp) if first_kernel else init(mdp)
        found = []
        while state.status == RUNNING:
            state, metrics = update(mdp, state)
            found.append(jax.tree.map(np.asarray, (state, metrics)))
    return found


def run(mdp, **config):
    """Metrics, {name: [iteration]}."""
    metrics = [metrics for _, metrics in iterations(mdp, **config)]
    return {name: np.array([here[name] for here in metrics]) for name in metrics[0]}


def bounds(found):
    return found["bound/upper"], found["bound/lower"]


@known_answer("iwocs/bets")
def test_two_bets():
    assert robust_value_iteration(bets(), FiniteKernels(bets().kernels)).start_value == pytest.approx(0.6, abs=1e-12)
    kept, worst = run(bets(), off_path="kept"), run(bets())
    np.testing.assert_allclose(bounds(kept), [[0.9, 0.7, 0.6], [0.5, 0.6, 0.6]], atol=1e-12)
    np.testing.assert_allclose(bounds(worst), [[0.9, 0.6], [0.5, 0.6]], atol=1e-12)
    assert kept["status"][-1] == worst["status"][-1] == CERTIFIED


@known_answer("iwocs/duality-gap")
def test_a_duality_gap():
    mdp = duality_gap()
    found = run(mdp)
    assert (found["bound/upper"][-1], found["bound/lower"][-1]) == (0, 0)
    assert found["bound/static_upper"][-1] == 1

    def worst(left):
        policy = np.array([[left, 1 - left]] + [[0.5, 0.5]] * 2)
        return min(policy_evaluation(mdp.under(kernel), policy).start_value for kernel in mdp.kernels)

    assert [worst(left) for left in (1.0, 0.0, 0.5)] == [0.0, 0.0, 0.5]
    assert min(value_iteration(mdp.under(kernel)).start_value for kernel in mdp.kernels) == 1


@known_answer("iwocs/premature-repeat")
def test_a_kernel_met_again_ends_the_search_with_a_gap_unless_nature_may_mix():
    found = run(duality_gap(delay=1))
    assert found["status"].tolist() == [RUNNING, REPEATED]
    np.testing.assert_allclose([x[-1] for x in bounds(found)], [0.9, 0.0], atol=1e-12)
    mixed = run(duality_gap(delay=1).replace(is_rectangular=True))
    assert mixed["status"][-1] == CERTIFIED
    np.testing.assert_allclose([x[-1] for x in bounds(mixed)], [0.0, 0.0], atol=1e-12)


def linear_system(low, high, discount, depth=18):
    """x' = (a - g) x, reward -x^2, gains g of low, middle, high: from 1 on |x| is h^n 2^j, cut where it is tiny."""
    h = (high - low) / 2
    places = [(n, j) for n in range(depth) for j in range(n + 1)]
    size, index = len(places), {place: i for i, place in enumerate(places)}
    gains, systems = (low, (low + high) / 2, high), (low, high)
    kernels = np.zeros((2, size + 1, 3, size + 1))
    kernels[:, size, :, size] = 1.0
    for i, (n, j) in enumerate(places):
        for k, a in enumerate(systems):
            for u, g in enumerate(gains):
                step = {0: None, 1: (n + 1, j), 2: (n + 1, j + 1)}[round(abs(a - g) / h)]
                kernels[k, i, u, index.get(step, size)] = 1.0
    x = np.array([h**n * 2.0**j for n, j in places] + [0.0])
    return KernelMDP(kernels, np.repeat(-(x**2)[:, None], 3, axis=1), 0, discount, parameters=[[low], [high]])


@known_answer("iwocs/linear-system")
def test_the_linear_system():
    mdp = linear_system(0.5, 1.1, 0.9)
    values = [value_iteration(mdp.under(kernel)).value for kernel in mdp.kernels]
    np.testing.assert_allclose(values, [mdp.rewards[:, 0]] * 2, atol=1e-12)
    found = run(mdp, gap=1e-4)
    assert found["status"].tolist() == [RUNNING, REPEATED]
    assert found["bound/lower"] == pytest.approx([-1.479290, -1.088139], abs=1e-6)
    assert found["bound/upper"][-1] == pytest.approx(-1.081000, abs=1e-6)
    assert found["bound/upper"][-1] - found["bound/lower"][-1] == pytest.approx(0.007139, abs=1e-6)
    deep = run(mdp, candidate="own_action")
    assert deep["bound/lower"][-1] == pytest.approx(-1.479290, abs=1e-6)


WINDS = {
    0: (-4.524381, "E"),
    1: (-4.621526, "E"),
    6: (-5.208398, "E"),
    12: (-6.229623, "E"),
    16: (-7.205623, "E"),
    17: (-7.499332, "E"),
    18: (-7.604912, "S"),
    22: (-7.804796, "S"),
    24: (-7.952147, "S"),
}
LONG = {0: (-11.637593, "E"), 6: (-13.209562, "S"), 23: (-14.498703, "S"), 24: (-14.589610, "S")}


def optima(mdp):
    """V* of each kernel, [K, S], and its action values at the start, [K, A]."""
    with jrl.float64():
        found = jax.jit(jax.vmap(lambda kernel: value_iteration(mdp.under(kernel))[:2]))(mdp.kernels)
    return np.asarray(found[0]), np.asarray(found[1])[:, 0]


@known_answer("iwocs/windy-walk-values")
@pytest.mark.parametrize(("mdp", "known"), [(windy_walk(), WINDS), (windy_walk(18, 16), LONG)], ids=["6", "18"])
def test_values_of_the_windy_walk(mdp, known):
    values, at_start = optima(mdp)
    for kernel, (value, route) in known.items():
        assert values[kernel, 0] == pytest.approx(value, abs=1e-6)
        assert "NSEW"[np.argmax(at_start[kernel])] == route
    assert (np.diff(values, axis=0) <= 1e-12).all()
    assert values[0, 0] == pytest.approx({6: -(1 - 0.95**5) / 0.05, 18: -(1 - 0.95**17) / 0.05}[mdp.num_states // 6])
    if known is WINDS:
        np.testing.assert_allclose(at_start[24], [-8.554540, -7.952147, -8.802889, -8.554540], atol=1e-6)


@known_answer("iwocs/windy-walk-values")
def test_the_wind_at_which_the_route_changes():
    at_start = optima(windy_walk(least=0.359502, most=0.359504, kernels=2))[1]
    assert np.argmax(at_start, axis=-1).tolist() == ["NSEW".index("E"), "NSEW".index("S")]


@known_answer("iwocs/windy-walk-routes")
def test_the_long_walk_uses_all_three_corridors():
    mdp, routes = windy_walk(18, 16), []
    for kernel in (0, 6, 23, 24):
        with jrl.float64():
            policy = np.asarray(greedy(value_iteration(mdp.under(mdp.kernels[kernel])).action_value))
        state, rows = 0, set()
        while state != 17:
            state += {0: -18, 1: 18, 2: 1, 3: -1}[int(policy[state])]
            rows |= {state // 18} if state % 18 == 8 else set()
        routes.append(min(rows))
    assert routes == [0, 2, 2, 4]


@known_answer("iwocs/windy-walk-sweeps")
def test_sweeps_of_robust_value_iteration_on_the_windy_walk():
    short = {1: 6.952147, 5: 3.427766, 8: 1.583750, 10: 0.682431, 15: 0.010967, 20: 0.000495, 30: 0.000001}
    for mdp, value, gaps in (
        (windy_walk(), -7.952147490, short),
        (windy_walk(18, 16), -14.589610, {10: 6.564349, 20: 1.759371, 30: 0.000881}),
    ):
        hull = FiniteKernels(mdp.kernels)
        assert robust_value_iteration(mdp, hull).start_value == pytest.approx(value, abs=1e-6)
        found = [robust_value_iteration(mdp, hull, max_iterations=n).start_value - value for n in gaps]
        assert found == pytest.approx(list(gaps.values()), abs=1.1e-6)


WALKS = {
    "from 0": ({}, 0, [(-4.524381, -10.294413), (-7.952147, -7.952147)]),
    "from 0.25": ({}, 12, [(-6.229623, -10.294413), (-7.952147, -7.952147)]),
    "from 0.5": ({}, 24, [(-7.952147, -7.952147)]),
    "long, from 0": ({"columns": 18, "corridor": 16}, 0, [(-11.637593, -19.835156), (-14.589610, -14.589610)]),
}


@known_answer("iwocs/windy-walk")
@pytest.mark.parametrize(("options", "first", "known"), WALKS.values(), ids=WALKS.keys())
def test_iwocs_on_the_windy_walk(options, first, known):
    found = run(windy_walk(**options), first_kernel=first)
    np.testing.assert_allclose(np.transpose(bounds(found)), known, rtol=0, atol=1e-6)
    assert found["status"][-1] == CERTIFIED
    assert (found["kernel/theta"] == 24).all()


@known_answer("iwocs/windy-walk-rollouts")
@pytest.mark.slow
def test_rollouts_of_the_windy_walk_have_known_standard_errors():
    mdp = windy_walk().replace(kernels=windy_walk().kernels[[24]], parameters=[[0.5]])
    calm = windy_walk().kernels[0]
    with jrl.float64():
        robust, straight = (greedy(value_iteration(mdp.under(k)).action_value) for k in (mdp.kernels[0], calm))
        keys = jax.random.split(jax.random.key(0), 80)
        for policy, value, error in ((robust, -7.952147, 0.054), (straight, -10.294413, 0.24)):
            draw = jax.jit(jax.vmap(lambda key, policy=policy: rollout_values(key, mdp, policy, 300, 10_000)[0]))
            means = np.asarray(draw(keys))
            # Over 80 draws a standard deviation is known within a tenth or so.
            assert means.std() == pytest.approx(error, rel=0.3)
            assert means.mean() == pytest.approx(value, abs=4 * error / np.sqrt(80))


@functools.cache
def tabular():
    return import_file(TABULAR, "experiments_iwocs_tabular")


@known_answer("iwocs/random-shared")
@pytest.mark.slow
def test_random_problems_of_one_kernel_for_all():
    counts, own = (tabular().Statistics(200, False, **config) for config in ({}, {"candidate": "own_action"}))
    assert (counts.ended(CERTIFIED), counts.ended(REPEATED), counts.best_found()) == (101, 99, 149)
    assert counts.mean_iterations() == pytest.approx(2.2, abs=0.05)
    assert counts.most_iterations() == 4
    assert own.best_found() == 144


@known_answer("iwocs/random-rectangular")
@pytest.mark.slow
def test_random_rectangular_problems():
    worst, nominal = (tabular().Statistics(100, True, off_path=rule) for rule in ("worst", "nominal"))
    assert worst.ended(CERTIFIED) == 100
    assert worst.mean_iterations() == pytest.approx(2.52, abs=0.005)
    assert worst.most_iterations() == 4
    assert worst.error() <= 1e-8
    assert nominal.ended(REPEATED) == 94
    assert nominal.gap() == pytest.approx(7.1, abs=0.05)


def robust_optimum(mdp, kernels=None):
    return robust_value_iteration(mdp, FiniteKernels(mdp.kernels if kernels is None else kernels))


@known_answer("iwocs/invariants")
@pytest.mark.parametrize("is_rectangular", [False, True])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_invariants(is_rectangular, seed):
    mdp = random_kernels(seed, 4, 2, 3, is_rectangular=is_rectangular)
    best, before = robust_optimum(mdp), np.inf
    for i, (state, metrics) in enumerate(iterations(mdp)):
        assert (state.q <= before + 1e-9).all()
        before = state.q
        # Of one size for all iterations: the last kernel stands in for those that are not there yet.
        hull = robust_optimum(mdp, state.kernels[np.minimum(np.arange(len(state.kernels)), i)])
        assert (state.q >= hull.action_value - 1e-8).all()
        assert (state.q >= best.action_value - 1e-8).all()
        assert metrics["bound/upper"] >= best.start_value - 1e-9
        if is_rectangular:
            assert metrics["bound/lower"] <= best.start_value + 1e-9
        assert metrics["bound/static_upper"] >= metrics["bound/upper"] - 1e-9
    if is_rectangular:
        assert state.status == CERTIFIED
        assert state.best == pytest.approx(best.start_value, abs=1e-8)
        under = mdp.under(state.worst_kernel)
        assert policy_evaluation(under, state.policy).start_value == pytest.approx(best.start_value, abs=1e-8)
    else:
        assert state.status in (CERTIFIED, REPEATED)
        values = [policy_evaluation(mdp.under(kernel), state.policy).start_value for kernel in mdp.kernels]
        assert min(values) == pytest.approx(state.best, abs=1e-9)


@known_answer("iwocs/invariants")
def test_a_single_kernel_stops_at_once_with_its_value():
    for flag in (False, True):
        # Three times the same, which is of a size that others compile.
        mdp = random_kernels(3, 4, 2, 3, is_rectangular=flag)
        mdp = mdp.replace(kernels=mdp.kernels[[1, 1, 1]])
        found = run(mdp)
        value = value_iteration(mdp.under(mdp.kernels[0])).start_value
        assert found["status"].tolist() == [CERTIFIED]
        np.testing.assert_allclose(bounds(found), [[value], [value]], rtol=0, atol=1e-9)


@known_answer("iwocs/invariants")
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_the_order_of_kernels_changes_no_certified_value(seed):
    mdp = random_kernels(seed, 4, 2, 3, is_rectangular=True)
    ends = [iterations(m)[-1][0] for m in (mdp, mdp.replace(kernels=mdp.kernels[::-1]))]
    # By order, a few end with a kernel again and no certificate.
    assume(all(end.status == CERTIFIED for end in ends))
    assert ends[0].best == pytest.approx(ends[1].best, abs=1e-8)
