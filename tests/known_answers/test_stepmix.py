"""Known answers of StepMix and EpsMix: constants, closed forms, the fluid limit, and the measured table."""

import functools
import math
import tomllib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxrl_suite as jrl
from jaxrl_suite.agents.conservative import mixture
from jaxrl_suite.agents.conservative_task import baseline_policy, prepare
from jaxrl_suite.agents.stepmix import bounds, episode_mixture, step_mixture
from jaxrl_suite.envs.tabular_families import golden_ratio_mdp, random_mdp
from jaxrl_suite.learning.confidence import beta, beta_star
from jaxrl_suite.solvers import occupancy, policy_evaluation, value_iteration
from tests.helpers import EXPERIMENTS
from tests.known_answers.ledger import known_answer

GR = golden_ratio_mdp()
BASELINES = {
    "eta=5": {"inverse_temperature": 5.0},
    "eta=10": {"inverse_temperature": 10.0},
    "det2": {"baseline": "second_best"},
}
EPISODES, SEEDS = 20_000, 20


def config(baseline="eta=10", **changes):
    return jrl.agents.ConservativeConfig(**{**BASELINES[baseline], **changes})


@functools.cache
def policy_of(name):
    with jrl.float64():
        return np.asarray(baseline_policy(GR, value_iteration(GR).action_value, config(name)))


@functools.partial(jax.jit, static_argnames=())
def _bounds(model, visits, mdp, baseline, scale, delta):
    return bounds(model, visits, mdp.rewards, mdp.initial, baseline, scale, delta)


def bounds_at(mdp, visits, baseline, scale, delta=0.1):
    """Bounds with the true transitions as the model and these visits."""
    visits = np.broadcast_to(np.asarray(visits, np.float64), mdp.rewards.shape)
    with jrl.float64():
        found = _bounds(mdp.transitions, visits, mdp, baseline, float(scale), delta)
        return jax.tree.map(np.asarray, found)


def mixture_of(found, threshold):
    with jrl.float64():
        return tuple(np.asarray(x) for x in step_mixture(jnp.asarray(found.lower), threshold))


def rounded(values):
    return pytest.approx(values, abs=6e-7)


# The golden-ratio instance


@known_answer("stepmix/instance")
def test_the_instance():
    assert GR.rewards[0, 0] == rounded([0.618034, 0.236068, 0.854102, 0.472136, 0.090170])
    assert GR.rewards[2, 4] == rounded([0.880413, 0.498447, 0.116481, 0.734515, 0.352549])
    assert GR.transitions[0, 0, 0] == rounded([0.158801, 0.033914, 0.255158, 0.075726, 0.476402])
    assert GR.transitions[2, 4, 4] == rounded([0.083854, 0.516421, 0.146197, 0.018624, 0.234904])
    best = value_iteration(GR)
    assert best.value[0] == rounded([2.604911, 2.724607, 2.604739, 2.639038, 2.763527])
    assert best.policy.tolist() == [[2, 2, 0, 0, 0], [3, 1, 1, 1, 4], [4, 2, 2, 0, 0]]


@known_answer("stepmix/baseline-values")
@pytest.mark.parametrize(
    ("eta", "value"),
    [
        (0, 1.405341),
        (1, 1.641945),
        (2, 1.858018),
        (3, 2.038713),
        (5, 2.285991),
        (10, 2.515990),
        (15, 2.572536),
        (20, 2.590677),
        (50, 2.603840),
        ("second_best", 1.996024),
        ("uniform", 1.405341),
    ],
)
def test_values_of_the_baselines(eta, value):
    chosen = {"baseline": eta} if isinstance(eta, str) else {"inverse_temperature": float(eta)}
    with jrl.float64():
        task = prepare(GR, jrl.agents.ConservativeConfig(**chosen))
    assert task.value == rounded(value)


@known_answer("stepmix/beta")
def test_confidence_terms():
    visits = jnp.asarray([0, 1, 10, 1000, 10**6])
    with jrl.float64():
        both = [np.asarray(f(visits.astype(float), 5, 5, 3, 0.1)) for f in (beta, beta_star)]
    assert both[0] == rounded([23.115893, 26.581629, 35.105370, 57.659667, 92.193451])
    assert both[1] == rounded([10.798127, 11.491274, 13.196022, 17.706882, 24.613639])


# Bounds under the true transitions


@known_answer("stepmix/plan-uniform-counts")
@pytest.mark.parametrize(
    ("visits", "scale", "baseline", "upper", "lower"),
    [
        (1e5, 1, "eta=10", [3, 2.997232, 2.996549, 2.993445], [1.183285, 1.394344, 1.363681, 1.331429]),
        (1e5, 1, "det2", [3, 3, 2.870418, 2.655920], [1.183285, 1.183285, 1.025614, 0.811827]),
        (1e3, 1e-3, "eta=5", [2.653408], [2.518615, 2.408174, 2.309224, 2.199734]),
        (1e4, 1, "eta=5", [3, 3, 3, 3], [0, 0, 0, 0]),
        (1e4, 1, "eta=10", [3, 3, 3, 3], [0, 0, 0, 0]),
        (1e4, 1, "det2", [3, 3, 3, 3], [0, 0, 0, 0]),
    ],
)
def test_bounds_with_equal_counts_everywhere(visits, scale, baseline, upper, lower):
    found = bounds_at(GR, visits, policy_of(baseline), scale)
    assert found.upper[: len(upper)] == pytest.approx(upper, abs=1e-5)
    assert found.lower == pytest.approx(lower, abs=1e-5)
    if visits == 1e5 and baseline == "eta=10":
        value = policy_evaluation(GR, policy_of(baseline)).start_value
        assert mixture_of(found, 0.9 * value)[2].tolist() == [0, 0, 0]


def fluid(baseline, fraction, scale, episodes):
    """(bounds, threshold) after so many episodes of the baseline, each met exactly as often as expected."""
    policy = policy_of(baseline)
    visits = np.floor(episodes * occupancy(GR, policy) + 1e-9)
    return bounds_at(GR, visits, policy, scale), fraction * policy_evaluation(GR, policy).start_value


@known_answer("stepmix/fluid-limit")
@pytest.mark.parametrize(
    ("baseline", "fraction", "scale", "episodes", "lower", "stage", "rho"),
    [
        ("eta=5", 0.9, 1, 9_300_080, [0.28982, 1.98996, 2.22732, 2.01725], 2, 0.715922),
        ("eta=5", 0.8, 1, 5_013_552, [0.49220, 0.58933, 1.63309, 1.82879], 3, 5.9e-7),
        ("eta=5", 0.9, 1e-3, 4_642, [0.12849, 1.95313, 2.20405, 1.98811], 2, 0.584486),
        ("eta=10", 0.9, 1, 6_803_268, [0, 0, 0, 2.26439], 3, 0),
        ("eta=10", 0.8, 1, 2_838_851, [0, 0, 0, 2.01279], 3, 0),
        ("eta=10", 0.9, 1e-3, 3_851, [0, 0, 0, 2.26440], 3, 5.5e-6),
        ("eta=10", 0.8, 1e-3, 1_564, [0, 0, 0, 2.01291], 3, 5.9e-5),
        ("det2", 0.9, 1, 2_928_101, [0, 0, 0, 1.79642], 3, 0),
        ("det2", 0.9, 1e-3, 1_705, [0, 0, 0, 1.79645], 3, 1.7e-5),
        ("det2", 0.8, 1e-3, 791, [0, 0, 0, 1.59737], 3, 3.5e-4),
    ],
)
def test_the_first_exploring_episode_in_the_fluid_limit(baseline, fraction, scale, episodes, lower, stage, rho):
    found, threshold = fluid(baseline, fraction, scale, episodes)
    assert found.lower == pytest.approx(lower, abs=6e-6)
    first, weight, _ = mixture_of(found, threshold)
    assert first == stage
    assert weight == pytest.approx(rho, abs=6e-7 if rho > 0.1 else max(0.02 * rho, 1e-6))
    before, _ = fluid(baseline, fraction, scale, episodes - 1)
    assert (before.lower < threshold).all()


@known_answer("stepmix/fluid-limit-separates")
def test_stepmix_mixes_where_epsmix_cannot_yet():
    found, threshold = fluid("eta=5", 0.9, 1, 9_300_080)
    assert mixture_of(found, threshold)[2] == pytest.approx([0, 0.715922, 1], abs=6e-7)
    with jrl.float64():
        assert episode_mixture(jnp.asarray(found.lower), threshold) == 0


@known_answer("stepmix/fluid-limit-mixtures")
def test_mixtures_in_the_fluid_limit():
    found, threshold = fluid("eta=5", 0.8, 1e-3, 3342)
    first, rho, _ = mixture_of(found, threshold)
    assert (first, rho) == (3, pytest.approx(0.40519, abs=6e-6))
    with jrl.float64():
        assert episode_mixture(jnp.asarray(found.lower), threshold) == pytest.approx(0.05190, abs=6e-6)
    assert value_of(found, policy_of("eta=5"), threshold) == pytest.approx(2.29139, abs=6e-6)

    found, threshold = fluid("det2", 0.9, 1e-3, 3410)
    assert found.lower[3] == pytest.approx(1.88913, abs=6e-6)
    assert mixture_of(found, threshold)[1] == pytest.approx(0.04908, abs=6e-6)
    with jrl.float64():
        assert episode_mixture(jnp.asarray(found.lower), threshold) == pytest.approx(0.04908, abs=6e-6)
    assert value_of(found, policy_of("det2"), threshold) == pytest.approx(1.98466, abs=6e-6)


def value_of(found, baseline, threshold):
    with jrl.float64():
        policy = np.asarray(mixture(baseline, jnp.asarray(found.optimistic), mixture_of(found, threshold)[2]))
    return policy_evaluation(GR, policy).start_value


# The one-state bandit


BANDIT = jrl.envs.TabularMDP(np.ones((1, 1, 2, 1)), [[[0.9, 0.5]]], 0, 1)
FIRST_ARM = np.array([[[1.0, 0.0]]])


def bandit_bounds(pulls):
    return bounds_at(BANDIT, [[[pulls, 0.0]]], FIRST_ARM, 1.0)


@known_answer("stepmix/bandit")
def test_the_bandit_in_closed_form():
    n = 3365
    confidence = math.log(60) + math.log(8 * math.e * (n + 1))
    assert confidence == pytest.approx(15.295266, abs=6e-7)
    found = bandit_bounds(n)
    assert found.lower == pytest.approx([0, max(0, 0.9 - 22 * confidence / n)], abs=1e-12)
    assert found.lower[1] == pytest.approx(0.80000123, abs=6e-9)
    assert mixture_of(found, 0.8)[1] == pytest.approx(1.53695e-6, rel=1e-5)
    assert bandit_bounds(n - 1).lower[1] < 0.8
    for pulls, rho in ((4000, 0.018315), (5000, 0.037257), (10_000, 0.074026), (50_000, 0.103222)):
        assert mixture_of(bandit_bounds(pulls), 0.8)[1] == pytest.approx(rho, abs=6e-7)


@known_answer("stepmix/bandit-tie")
def test_a_lower_threshold_meets_a_tie_which_goes_to_the_lowest_arm():
    found = bandit_bounds(1601)
    assert found.optimistic.tolist() == [[0]]
    assert found.lower[0] == found.lower[1] >= 0.7
    assert mixture_of(found, 0.7)[0] == 0
    assert bandit_bounds(1600).lower[1] < 0.7


@known_answer("stepmix/bandit-run")
@pytest.mark.parametrize(("threshold", "episode"), [(0.8, 3366), (0.7, 1602)])
def test_the_bandit_leaves_its_baseline_at_the_very_episode(threshold, episode):
    run = train("stepmix", 1, mdp=BANDIT, episodes=3400, **bandit_settings(threshold))
    assert run.metrics["first_exploration"][0, -1] == episode


def bandit_settings(threshold):
    return {"scale": 1.0, "threshold": threshold, "threshold_is_fraction": False, "baseline_policy": FIRST_ARM}


# Runs


def train(name, seeds, mdp=GR, episodes=EPISODES, **changes):
    env = jrl.envs.TabularEnv("tabular/tested", mdp)
    settings = jrl.agents.ConservativeConfig(**{"total_updates": episodes, **changes})
    return jrl.train(jrl.agents.agent_named(name)(env, mdp, settings), seeds=seeds)


@known_answer("stepmix/one-stage")
@settings(max_examples=30, deadline=None)
@given(lower=st.tuples(st.floats(0, 1), st.floats(0, 1)), threshold=st.floats(-0.5, 1.5))
def test_with_one_stage_both_mix_alike(lower, threshold):
    with jrl.float64():
        lower = jnp.asarray(lower)
        assert step_mixture(lower, threshold)[2][0] == episode_mixture(lower, threshold)


@known_answer("stepmix/no-threshold")
@pytest.mark.slow
def test_without_a_threshold_all_are_one_algorithm():
    runs = [
        train(name, 3, episodes=300, threshold=-0.1, threshold_is_fraction=False)
        for name in ("stepmix", "epsmix", "bpi_ucbvi")
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.state.counts, runs[0].state.counts)
        np.testing.assert_array_equal(run.metrics["episode/return"], runs[0].metrics["episode/return"])
        np.testing.assert_allclose(run.metrics["regret"], runs[0].metrics["regret"], rtol=0, atol=1e-12)


@known_answer("stepmix/impossible-threshold")
@pytest.mark.parametrize("name", ["stepmix", "epsmix"])
def test_with_an_impossible_threshold_only_the_baseline_is_played(name):
    run = train(name, 2, episodes=500, threshold=3.5, threshold_is_fraction=False, allow_infeasible=True)
    gap = run.state.task.best - run.state.task.value
    assert run.metrics["regret"].sum(axis=-1) == pytest.approx(500 * gap, rel=1e-12)
    assert run.metrics["baseline/count"].sum() == 1000


@known_answer("stepmix/regret-identity")
@pytest.mark.parametrize(("baseline", "regret"), [("eta=5", 6378.4), ("eta=10", 1778.4), ("det2", 12177.7)])
def test_regret_of_the_baseline_alone(baseline, regret):
    with jrl.float64():
        task = prepare(GR, config(baseline))
    assert EPISODES * (task.best - task.value) == pytest.approx(regret, abs=0.05)
    run = train("baseline_only", 1, episodes=200, **BASELINES[baseline])
    assert run.metrics["regret"].sum() == pytest.approx(regret / 100, abs=0.0006)


@known_answer("stepmix/linearity")
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), weights=st.integers(0, 2), rho=st.floats(0, 1))
def test_a_step_mixture_is_worth_the_mixture_of_its_neighbours(seed, weights, rho):
    rng = np.random.default_rng(seed)
    mdp = random_mdp(seed)
    baseline, chosen = rng.dirichlet(np.ones(5), (3, 5)), rng.integers(5, size=(3, 5))

    def value(share):
        stages = np.where(np.arange(3) < weights, 0.0, np.where(np.arange(3) == weights, share, 1.0))
        with jrl.float64():
            policy = np.asarray(mixture(jnp.asarray(baseline), jnp.asarray(chosen), jnp.asarray(stages)))
        return policy_evaluation(mdp, policy).start_value

    assert value(rho) == pytest.approx(rho * value(1.0) + (1 - rho) * value(0.0), abs=1e-12)


def candidates(baseline, following):
    """[C, H, S, A]: candidate j follows the baseline for its first j stages, then `following`."""
    horizon = len(baseline)
    return np.stack([np.concatenate([baseline[:j], following[j:]]) for j in range(horizon + 1)])


@known_answer("stepmix/chain")
@known_answer("stepmix/counts")
@pytest.mark.parametrize("name", ["stepmix", "epsmix", "bpi_ucbvi"])
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(i, marks=pytest.mark.slow) for i in (2, 3))])
def test_bounds_hold_for_every_candidate_in_every_episode(name, seed):
    """Stepped one by one: L_j <= V of candidate j <= V of its best continuation <= U_j, on random instances."""
    mdp = random_mdp(100 + seed)
    env = jrl.envs.TabularEnv("tabular/tested", mdp)
    agent = jrl.agents.agent_named(name)(env, mdp, config(scale=1e-4))
    best = np.eye(5)[value_iteration(mdp).policy]
    with jrl.float64():
        update, state = jax.jit(agent.update), agent.init(jax.random.key(seed))
        baseline = np.asarray(state.task.baseline)
        optimal = np.array([policy_evaluation(mdp, p).start_value for p in candidates(baseline, best)])
        for k in range(1, 2001):
            if k % 80 == 0:
                visits = np.asarray(state.counts.sum(axis=-1), np.float64)
                model = np.asarray(state.counts) / np.maximum(visits, 1)[..., None]
                found = jax.tree.map(np.asarray, _bounds(model, visits, mdp, baseline, 1e-4, 0.1))
                played = candidates(baseline, np.eye(5)[found.optimistic])
                values = np.array([policy_evaluation(mdp, p).start_value for p in played])
                assert (found.lower <= values + 1e-12).all()
                assert (values <= optimal + 1e-12).all()
                assert (optimal <= found.upper + 1e-12).all()
                assert found.lower.min() >= 0
                assert found.upper.max() <= 3 + 1e-12
            state, metrics = update(jax.random.fold_in(jax.random.key(seed), k), state, np.int32(k - 1))
            if name == "stepmix":
                assert metrics["value/policy"] >= state.task.threshold - 1e-12
    np.testing.assert_array_equal(state.counts.sum(axis=(1, 2, 3)), 2000)


# The measured table: mean, deviation over the reference's 20 seeds


KNOWN = tomllib.loads((EXPERIMENTS / "stepmix" / "known_answers.toml").read_text())["table"]
ROWS = [(name, baseline) for baseline in BASELINES for name in ("stepmix", "epsmix", "bpi_ucbvi", "budget_exploration")]
FAST = {("stepmix", "eta=10")}


def within_three_errors(measured, target, seeds=SEEDS):
    mean, deviation = target
    return abs(np.mean(measured) - mean) <= 3 * deviation * math.sqrt(1 / 20 + 1 / seeds) + 1e-9


@known_answer("stepmix/table")
@known_answer("stepmix/zero-violations")
@pytest.mark.parametrize(
    ("name", "baseline"), [pytest.param(*row, marks=() if row in FAST else pytest.mark.slow) for row in ROWS]
)
def test_the_measured_table(name, baseline):
    run = train(name, SEEDS, **BASELINES[baseline])
    m = run.metrics
    measured = {
        "regret": m["regret"].sum(axis=-1),
        "violations": m["violation/count"].sum(axis=-1),
        "first_exploration": m["first_exploration"][:, -1],
    }
    for what, scores in measured.items():
        if name in KNOWN[what]:
            assert within_three_errors(scores, KNOWN[what][name][baseline]), (what, scores.mean())
    if name in ("stepmix", "epsmix"):
        assert measured["violations"].sum() == 0
    if name == "bpi_ucbvi":
        assert measured["violations"].mean() > 100
        assert m["value/min"].min() == pytest.approx(1.0, abs=0.1)
    assert m["uncovered/count"].sum() == 0
    assert m["value/policy"][:, -1000:].mean() == pytest.approx(2.6049, abs=5e-4)
