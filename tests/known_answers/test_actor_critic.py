"""Known answers of the optimistic actor-critics: closed forms, exact identities, and the measured table of the lock."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxrl_suite as jrl
from jaxrl_suite.agents.linear_mdp import outer_products
from jaxrl_suite.agents.nora import fit_critic, has_grown, log_volume, offline_policy, softmax_actor
from jaxrl_suite.agents.nora_finite import excess_losses
from jaxrl_suite.envs import tetris
from jaxrl_suite.envs.linear_features import tabled_features
from jaxrl_suite.envs.tabular_families import combination_lock, deep_sea, random_mdp
from jaxrl_suite.envs.vector import VectorEnv, play
from jaxrl_suite.solvers import board_values, concentrability, occupancy, policy_evaluation, value_iteration
from tests.known_answers.ledger import known_answer

CODE = [1, 0, 2, 2, 1, 0, 1, 2, 0, 1]
LOCK = combination_lock(CODE, 3)


def critic(counts, rewards, bonus=1.0, low=0.0, high=1.0, ridge=1.0, policy=None):
    """f of counts [H, S, A, S] and rewards [H, S, A]."""
    config = jrl.agents.NORAConfig(value_low=low, value_high=high, ridge=ridge)
    with jrl.float64():
        fitted = jax.jit(fit_critic)(jnp.asarray(counts), jnp.asarray(rewards), bonus, config, policy)
        return np.asarray(fitted)


def probabilities(f, steps, step_size):
    with jrl.float64():
        f = jnp.asarray(f)
        return np.asarray(softmax_actor(f, jnp.int32(steps), jnp.zeros_like(f), step_size))


@known_answer("actor_critic/actor")
def test_the_actor_is_a_softmax_of_the_steps_on_its_critic():
    assert probabilities([1.0, 0.5], 10, 0.5)[0] == pytest.approx(0.9241418, abs=1e-6)
    f = np.random.default_rng(0).uniform(size=(4, 3, 5))
    walked = np.full_like(f, 0.2)
    for _ in range(30):
        walked = walked * np.exp(0.7 * f)
        walked /= walked.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(probabilities(f, 30, 0.7), walked, atol=1e-6)


@known_answer("actor_critic/critic")
def test_the_critic_of_counts():
    def of(visits, reward):
        return critic(np.reshape(visits, (1, 1, -1, 1)), np.reshape(reward, (1, 1, -1)))[0, 0]

    assert of([3, 2], [1.0, 0.5]) == pytest.approx([1.0, 0.9106836], abs=1e-6)
    assert of([8, 15], [0.5, 0.5]) == pytest.approx([0.7777778, 0.71875], abs=1e-6)
    assert probabilities(of([3, 2], [1.0, 0.5]), 2, 1.0)[0] == pytest.approx(0.5445398, abs=1e-6)


@known_answer("actor_critic/switch-rule")
def test_a_first_visit_is_no_switch_and_a_second_is_one():
    with jrl.float64():
        first = log_volume(jnp.zeros((1, 1, 2, 1)), 1.0)
        for visits, switches in (([1, 0], False), ([2, 0], True), ([1, 1], True)):
            counts = jnp.reshape(jnp.array(visits), (1, 1, 2, 1))
            assert bool(has_grown(log_volume(counts, 1.0), first)) == switches
    run = lock_run(seeds=20, updates=3)
    np.testing.assert_array_equal(run.metrics["switch/count"], [[0, 1, 0]] * 20)
    # Both episodes before it are uniform, and so is the one after it.
    np.testing.assert_allclose(run.metrics["value/policy"], 3.0**-10, rtol=1e-12)


ARMS = np.array([[0.3, 0.8], [1.0, 0.8], [0.3, 0.2]]).reshape(3, 1, 1, 2)
"""A class of three critics of a bandit that pays what the first says; the second hopes for too much."""


@known_answer("actor_critic/finite-class")
def test_a_critic_of_a_finite_class_is_replaced_when_its_excess_is_five_times_the_set():
    bandit = jrl.envs.TabularMDP(np.ones((1, 2, 1)), ARMS[0, 0], 0, 1)
    config = jrl.agents.FiniteNORAConfig(critics=ARMS, beta=0.5, actor="greedy", total_updates=10)
    metrics = jrl.train(jrl.agents.nora_finite(jrl.envs.TabularEnv("bandit", bandit), bandit, config)).metrics
    np.testing.assert_array_equal(metrics["switch/count"], [[0, 0, 0, 0, 0, 1, 0, 0, 0, 0]])
    np.testing.assert_array_equal(metrics["critic/member"], [[1] * 6 + [0] * 4])
    np.testing.assert_allclose(metrics["critic/excess"][0, :6], 0.49 * np.arange(1, 7), atol=1e-12)
    np.testing.assert_allclose(metrics["regret"], [[0.5] * 6 + [0.0] * 4], atol=1e-12)
    with jrl.float64():
        counts = jnp.array([6, 0]).reshape(1, 1, 2, 1)
        excess = np.asarray(excess_losses(counts, jnp.asarray(ARMS[0]), jnp.asarray(ARMS)))
    np.testing.assert_allclose(excess[:, 0], [0.0, 2.94, 0.0], atol=1e-12)
    assert (excess[:, 0] <= 0.5).tolist() == [True, False, True]


@functools.cache
def lock_run(name="nora", seeds=20, updates=None, **settings):
    env, params = jrl.make("tabular/lock", length=10, actions=3)
    factory = jrl.agents.agent_named(name)
    return jrl.train(factory(env, params, factory.config_class(**settings)), seeds=seeds, updates=updates)


def regret(run):
    return run.metrics["regret"].sum(axis=-1)


TABLE = [
    ("nora", {}, 379.6, 5.6),
    ("nora", {"step_size": 1.0}, 676.8, 14.9),
    ("noah", {"step_size": 1.0}, 42.9, 4.1),
    ("noah", {}, 6.6, 0.7),
    ("nora", {"offline_episodes": 200}, 286.4, 9.4),
    ("nora", {"offline_episodes": 200, "step_size": 1.0}, 434, 11),
    ("nora", {"resets": False, "step_size": 0.1}, 562.3, 8.9),
    ("nora", {"resets": False, "step_size": 1.0}, 376.5, 7.3),
    ("nora", {"resets": False}, 358.4, 8.7),
    ("nora", {"fits": "always", "resets": False, "step_size": 1.0}, 363.7, 5.2),
    ("nora", {"fits": "always", "resets": False}, 321.1, 4.2),
]


@known_answer("actor_critic/lock")
@pytest.mark.parametrize(("name", "settings", "mean", "sd"), TABLE)
def test_regret_on_the_lock(name, settings, mean, sd):
    found = regret(lock_run(name, **settings))
    assert found.mean() == pytest.approx(mean, rel=0.15)
    # Two samples of twenty, five standard errors apart at most.
    assert abs(found.mean() - mean) < 5 * np.sqrt((found.var(ddof=1) + sd**2) / 20) + 0.5


@known_answer("actor_critic/lock-orderings")
def test_orderings_on_the_lock():
    by_step = [
        regret(lock_run(step_size=eta)).mean() if eta < 10 else regret(lock_run()).mean() for eta in (10, 1, 0.1)
    ]
    assert by_step[0] < by_step[1] < by_step[2]
    hybrid = regret(lock_run(offline_episodes=200)).mean()
    assert 10 * regret(lock_run("noah")).mean() < hybrid < by_step[0]


@known_answer("actor_critic/lock-fatal")
def test_a_critic_of_every_episode_that_resets_the_actor_never_learns():
    run = lock_run(fits="always", step_size=1.0)
    assert regret(run) == pytest.approx(3000 * (1 - 3.0**-10), rel=1e-12)
    assert (run.metrics["switch/count"] == 1).all()


@known_answer("actor_critic/lock-no-bonus")
def test_without_a_bonus_or_data_the_lock_is_opened_by_luck_only():
    run = lock_run(bonus=0.0, step_size=1.0)
    solved = run.metrics["value/policy"][:, -100:].mean(axis=-1) > 0.5
    assert solved.sum() <= 8
    assert regret(run)[~solved].min() > 2990


@known_answer("actor_critic/switch-count")
def test_switches_are_few():
    """At most sum over stages of d log2(1 + T max |phi|^2 / (d lambda)), d = 6 pairs."""
    switches = lock_run().metrics["switch/count"].sum(axis=-1)
    assert switches.max() <= 10 * 6 * np.log2(1 + 3000 / 6)
    assert switches.mean() == pytest.approx(54, abs=5)


@known_answer("actor_critic/lock-growth")
def test_regret_on_the_lock_hardly_grows_with_the_episodes():
    run = lock_run(seeds=5, total_updates=10_000)
    by_budget = run.metrics["regret"].cumsum(axis=-1)[:, [999, 2999, 9999]].mean(axis=0)
    assert by_budget == pytest.approx([373.7, 381.7, 388.2], rel=0.05)


@known_answer("actor_critic/coverage")
def test_coverage_of_the_offline_policy():
    with jrl.float64():
        data = np.asarray(jax.jit(offline_policy)(LOCK, 0.1))
    assert f"{concentrability(LOCK, value_iteration(LOCK).policy, occupancy(LOCK, data)):.4f}" == "1.9936"


@known_answer("actor_critic/deep-sea")
def test_deep_sea():
    env, params = jrl.make("tabular/deep-sea", size=10)
    config = jrl.agents.NORAConfig(value_low=-0.01)
    run = jrl.train(jrl.agents.nora(env, params, config), seeds=5)
    assert run.metrics["value/policy"][:, -1].min() >= 0.98
    assert run.metrics["first_success"][:, -1].max() < 1000
    assert run.metrics["switch/count"].sum(axis=-1) == pytest.approx(108, abs=10)


def random_policy(rng, shape):
    weights = rng.exponential(size=shape)
    return weights / weights.sum(axis=-1, keepdims=True)


@known_answer("actor_critic/regret-identity")
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_the_regret_identity(seed):
    """V* - V^pi = sum_h E_pi*<f, pi* - pi> + E_pi[f - T^pi f] - E_pi*[f - T^pi f], for any f and pi."""
    rng = np.random.default_rng(seed)
    mdp = random_mdp(seed, 4, 3, 5)
    f, policy = rng.normal(size=(5, 4, 3)), random_policy(rng, (5, 4, 3))
    best = value_iteration(mdp)
    greedy = np.eye(3)[best.policy]
    following = np.vstack([np.sum(policy * f, axis=-1)[1:], np.zeros((1, 4))])
    error = f - mdp.rewards - np.einsum("hsax,hx->hsa", mdp.transitions, following)
    met, met_best = occupancy(mdp, policy), occupancy(mdp, best.policy)
    chosen = np.sum(met_best.sum(axis=-1, keepdims=True) * f * (greedy - policy))
    right = chosen + np.sum((met - met_best) * error)
    assert best.start_value - policy_evaluation(mdp, policy).start_value == pytest.approx(right, abs=1e-8)


@known_answer("actor_critic/optimism")
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 50.0))
def test_the_critic_is_above_the_true_values_where_the_bonus_covers_the_error(seed, episodes):
    """On the good event, |r + P V - its ridge estimate| <= bonus / sqrt(N + lambda) everywhere, f >= T f >= Q*."""
    rng = np.random.default_rng(seed)
    mdp = random_mdp(seed, 4, 3, 5)
    counts = rng.poisson(episodes * rng.exponential(size=(5, 4, 3, 1)) * mdp.transitions)
    visits = counts.sum(axis=-1)
    # Whatever the values of the next states in [0, 5] are, this covers the error of their mean, and of the ridge.
    error = 5 * np.abs(counts - visits[..., None] * mdp.transitions).sum(axis=-1) + 6
    bonus = np.max(error / np.sqrt(visits + 1))
    f = critic(counts, mdp.rewards, bonus, high=5.0)
    assert (f >= np.minimum(value_iteration(mdp).action_value, 5.0) - 1e-9).all()


@known_answer("actor_critic/optimism-deterministic")
@pytest.mark.parametrize("mdp", [LOCK, deep_sea(6)])
def test_optimism_on_deterministic_mdps(mdp):
    shape = mdp.rewards.shape
    visits = np.random.default_rng(1).integers(0, 6, shape)
    counts = (visits[..., None] * mdp.transitions).astype(int)
    f = critic(counts, mdp.rewards, bonus=1.01, low=-0.01)
    following = np.vstack([f.max(axis=-1)[1:], np.zeros((1, shape[1]))])
    backed_up = mdp.rewards + np.einsum("hsax,hx->hsa", mdp.transitions, following)
    assert (f >= np.minimum(backed_up, 1.0) - 1e-5).all()
    assert f[0].max(axis=-1) @ mdp.initial >= value_iteration(mdp).start_value - 1e-9


@known_answer("actor_critic/hedge")
@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 5.0))
def test_what_the_actor_loses_in_an_epoch(seed, step_size):
    """sum_n (max f - <pi_n, f>) <= log A / eta + eta R^2 n / 8, and at step n at most log A / (eta n)."""
    f = np.random.default_rng(seed).uniform(size=4)
    gaps = np.array([f.max() - probabilities(f, n, step_size) @ f for n in range(40)])
    allowed = np.log(4) / step_size + step_size * np.ptp(f) ** 2 * np.arange(1, 41) / 8
    assert (gaps.cumsum() <= allowed + 1e-9).all()
    assert (gaps[1:] <= np.log(4) / (step_size * np.arange(1, 40)) + 1e-9).all()


@known_answer("actor_critic/linear")
def test_lambda_of_two_samples():
    features = tabled_features([[[1.0, 0.0], [2.0**-0.5, 2.0**-0.5]], [[0.0, 1.0], [0.0, 0.0]]])
    with jrl.float64():
        one, two = (outer_products(features, jnp.array([0]), jnp.array([a]), pooled=True)[0] for a in (0, 1))
        first = jnp.eye(2) + one
        both = first + two
        np.testing.assert_allclose(both, [[2.5, 0.5], [0.5, 1.5]], atol=1e-12)
        norms = jnp.sqrt(features.squared_norms(jnp.linalg.inv(both)))
        grown = jnp.log(2.0) + jnp.log1p(features.squared_norms(jnp.linalg.inv(first))[0, 1])
    assert norms[1, 0] == pytest.approx(0.8451543, abs=1e-7)
    assert np.linalg.slogdet(both)[1] == pytest.approx(1.2527630, abs=1e-7)
    assert float(grown) == pytest.approx(1.2527630, abs=1e-7)


# Tetris


@known_answer("actor_critic/tetris-rules")
def test_the_rules_of_tetris():
    turns = {67: [67, 131, 194, 193], 1: [1, 2, 2, 1], 3: [3, 130, 3, 65], 66: [66, 129, 66, 129]}
    assert sorted(tetris.PIECES.tolist()) == [1, 2, 3, 65, 66, 67, 129, 130, 131, 193, 194, 195]
    assert {piece: [int(tetris.turned(np.int64(piece), k)) for k in range(4)] for piece in turns} == turns

    def placed(board, column):
        full = tetris.PIECES.tolist().index(195)
        found = tetris.tables()
        return found.next_board[board, full, 4 * column], found.reward[board, full, 4 * column]

    assert placed(0, 0) == (195, 0)
    assert placed(195, 0) == (195, -2)
    assert placed(195, 2) == (975, 0)
    assert placed(975, 4) == (0, 0)


@known_answer("actor_critic/tetris-features")
def test_the_features_of_tetris():
    found = {195: [2, 0, 0, 0, 0, 0, 2, 0], 64: [2, 1, 0, 0, 0, 0, 0, 2], 66: [2, 1, 0, 0, 0, 0, 1, 1]}
    for board, features in found.items():
        assert tetris.board_features(board).tolist() == features
    boards = tetris.reachable_boards()
    assert len(boards) == 2780
    blocks = np.unique(tetris.tables().block)
    assert len(blocks) == 60
    # phi of a board is its features in one block, whichever: ranks add up.
    rows = tetris.tables().features[boards]
    assert np.linalg.matrix_rank(rows) * len(blocks) == 480
    assert np.linalg.norm(rows, axis=-1).max() == pytest.approx(5.830952, abs=1e-6)
    assert np.flatnonzero(tetris.features(195, 0, 5)).tolist() == [8 * (16 + 2), 8 * (16 + 2) + 6]


@known_answer("actor_critic/tetris-values")
@pytest.mark.parametrize(
    ("policy", "horizon", "value"),
    [
        (None, 40, -0.5501886),
        ("uniform", 40, -33.6604634),
        ("first", 40, -59.44256),
        ("worst", 40, -40 * 1.7833333),
        *(("uniform", h, v) for h, v in [(2, -0.5074306), (3, -1.3217569), (5, -3.0732373), (10, -7.4422574)]),
        ("uniform", 20, -16.1816485),
        *((None, h, v) for h, v in [(5, -0.0359198), (10, -0.1197764), (20, -0.2634982)]),
    ],
)
def test_values_of_tetris(policy, horizon, value):
    table = tetris.tables()
    sign, reward = (-1, -table.reward) if policy == "worst" else (1, table.reward)
    chosen = {"worst": None, "first": np.zeros((horizon, *table.reward.shape[:2]), int)}.get(policy, policy)
    found = sign * board_values(table.next_board, reward, horizon, chosen)[horizon, 0]
    assert found == pytest.approx(value, rel=2e-7, abs=1e-7)


def test_tetris_is_stepped_by_its_tables():
    env, params = jrl.make("linear/tetris")
    vector = VectorEnv(env, 64)

    @jax.jit
    def played(key):
        key_reset, key_draw, key_act = jax.random.split(key, 3)
        observation, state = vector.reset(key_reset, params)
        actions = jax.random.randint(key_act, (40, 64), 0, 20)
        draws = vector.draw(key_draw, params, 40)
        return play(vector, params, lambda action, _: action, (state, observation), actions, draws)[1].steps

    steps = played(jax.random.key(0))
    np.testing.assert_array_equal(steps.done.sum(axis=1), [0] * 39 + [64])
    uniform = board_values(tetris.tables().next_board, tetris.tables().reward, 40, "uniform")[40, 0]
    assert steps.episode_return[-1].mean() == pytest.approx(uniform, abs=4)


@functools.cache
def lsvi_run(updates, seeds=1, shifted=True, hybrid=True):
    env, params = jrl.make("linear/tetris", shifted=shifted, observation="raw")
    offline = tetris.uniform_episodes(1, 200) if hybrid else None
    config = jrl.agents.LSVIConfig(shifted_features=shifted, offline=offline)
    run = jrl.train(jrl.agents.lsvi_ucb(env, params, config), seeds=seeds, updates=updates, quick_compile=True)
    return run.metrics["episode/return"] / 40


def test_lsvi_ucb_begins_with_action_0_and_is_good_after_one_backup():
    """An independent program: -1.46 a piece in the first episode, -0.51 in the second, about -0.5 from then on."""
    rewards = lsvi_run(12)[0]
    assert rewards[0] == pytest.approx(-1.486, abs=0.2)
    assert rewards[1:].mean() == pytest.approx(-0.5, abs=0.08)


@pytest.mark.slow
@known_answer("actor_critic/lsvi")
@pytest.mark.parametrize(
    ("shifted", "hybrid", "last", "low", "high"),
    [(True, True, 50, -0.55, -0.44), (True, False, 20, -1.35, -0.85), (False, True, 50, -0.85, -0.62)],
)
def test_rewards_of_lsvi_ucb(shifted, hybrid, last, low, high):
    assert low < lsvi_run(100, 3, shifted, hybrid)[:, -last:].mean() < high
