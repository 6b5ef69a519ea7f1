"""M2TD3 against its definition: targets, turns, restarts by hand; and a family whose worst kernel is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.agents.m2td3 import (
    KernelAdversary,
    M2TD3Config,
    evened,
    last_least,
    m2td3_learner,
    restarted,
    scaled,
    spread_at,
)
from jaxrl_suite.agents.td3 import TD3Config
from jaxrl_suite.envs.adversaries import Seen
from jaxrl_suite.envs.vector import VectorStep
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.replay import Experience
from tests.agents.off_policy_tools import LEARNING, SLOPE, constant, linear_critics, quick, trained

PARAMS = SLOPE.default_params
SMALL = {"batch_size": 8, "buffer_size": 64, "hidden_sizes": (1,), "candidates": 3, "critic_rate": 1e-12}
KERNELS = jnp.array([[0.3, 0.0], [-0.5, 0.5], [0.9, -0.2]])
SEEN = Seen(jnp.full(1, 0.25), jnp.array([0.8, 0.1]))
REWARD = 0.5


def logit(u):
    return 2.0 * jnp.arctanh(u)


def learner_and_state(kernels=KERNELS, **settings):
    """A learner, and what it has learned at first, but for these candidates u [K, d]."""
    learner = m2td3_learner(SLOPE, PARAMS, M2TD3Config(**(SMALL | settings)))
    learned = quick(learner.new)(jax.random.key(0), SEEN, jnp.zeros(2))
    return learner, learned.replace(adversary=learned.adversary.replace(theta=logit(kernels)))


def batch_of(count=8):
    """So many times one transition of action (0.4, -0.1)."""
    seen = jax.tree.map(lambda x: jnp.tile(x, (count, 1)), SEEN)
    return Experience(
        seen, jnp.tile(jnp.array([0.4, -0.1]), (count, 1)), jnp.full(count, REWARD), jnp.zeros(count, bool), seen
    )


def test_candidates_are_uniform_over_the_box_at_first():
    learner = m2td3_learner(SLOPE, PARAMS, M2TD3Config(**(SMALL | {"candidates": 4000})))
    adversary = quick(learner.new)(jax.random.key(1), SEEN, jnp.zeros(2)).adversary
    kernels = scaled(adversary.theta)
    np.testing.assert_allclose(kernels.mean(axis=0), 0.0, atol=0.05)
    np.testing.assert_allclose(kernels.std(axis=0), 1 / np.sqrt(3), atol=0.02)
    np.testing.assert_allclose(adversary.probability, np.full(4000, 1 / 4000), rtol=1e-6)
    assert adversary.length == PARAMS.max_steps_in_episode


def test_the_target_has_clipped_noise_on_its_kernel_too():
    """Target critics that say u_1, critics that say -1: u_1 = 0.8 becomes 0.8 - 0.5, or 1, the edge."""
    learner, learned = learner_and_state(target_noise=1e6, discount=0.9)
    learned = learned.replace(
        critics=constant(learned.critics, [-1.0, -1.0]),
        target_critics=linear_critics(learned.critics, [0, 0, 0, 1, 0]),
    )
    learn = quick(learner.learn)
    squares = 2 * (REWARD + 0.9 * np.array([0.3, 1.0]) + 1.0) ** 2
    shares = []
    for seed in range(3):
        _, metrics = learn(learned, jax.random.key(seed), batch_of(), jnp.int32(1))
        shares.append((float(metrics["loss/critic"]) - squares[0]) / (squares[1] - squares[0]) * 8)
        assert np.isnan(metrics["loss/actor"]), "not its turn"
    np.testing.assert_allclose(shares, np.round(shares), atol=1e-3)
    assert 0 < np.sum(shares) < 24


def test_critics_are_asked_of_the_kernel_that_was_played():
    """Q = u_1 + a_1 is 1.2 at what was done; its target is the reward, at a discount of 0."""
    learner, learned = learner_and_state(discount=0.0)
    learned = learned.replace(critics=linear_critics(learned.critics, [0, 1, 0, 1, 0]))
    _, metrics = quick(learner.learn)(learned, jax.random.key(0), batch_of(), jnp.int32(1))
    np.testing.assert_allclose(metrics["value/mean"], 1.2, rtol=1e-5)
    np.testing.assert_allclose(metrics["loss/critic"], 2 * 0.7**2, rtol=1e-4)


def turned(soft):
    """Before and after one turn with Q = a_1 - u_1, an actor that plays (tanh 0.5, 0), p = (.2, .5, .3) and L = 4."""
    learner, learned = learner_and_state(soft=soft, kernel_rate=0.01)
    probability = jnp.array([0.2, 0.5, 0.3])
    adversary = learned.adversary.replace(probability=probability, length=jnp.float32(4))
    learned = learned.replace(
        critics=linear_critics(learned.critics, [0, 1, 0, -1, 0]),
        actor=constant(learned.actor, [0.5, 0.0]),
        adversary=adversary,
    )
    after, metrics = quick(learner.learn)(learned, jax.random.key(0), batch_of(), jnp.int32(2))
    return learner, learned, after, metrics


@pytest.mark.parametrize("soft", [False, True])
def test_a_turn_by_hand(soft):
    """The worst of -u_1 is the third candidate, which goes up in u_1, not in u_2; p goes a quarter of the way."""
    learner, before, after, metrics = turned(soft)
    values = np.tanh(0.5) - np.array([0.3, -0.5, 0.9])
    expected = -np.dot([0.2, 0.5, 0.3], values) if soft else -values[2]
    np.testing.assert_allclose(metrics["loss/actor"], expected, rtol=1e-4)
    np.testing.assert_allclose(metrics["worst/value"], values[2], rtol=1e-4)
    np.testing.assert_allclose([metrics["worst/psi"], metrics["worst/idle"]], [1.45, 2.6], rtol=1e-5)
    old, new = before.adversary, after.adversary
    np.testing.assert_array_equal(new.theta[:2], old.theta[:2])
    # Adam's first step is its rate.
    np.testing.assert_allclose(new.theta[2] - old.theta[2], [0.01, 0.0], atol=1e-5)
    np.testing.assert_array_equal(new.opt.count, [0, 0, 1])
    np.testing.assert_allclose(new.probability, [0.15, 0.375, 0.475], rtol=1e-5)
    action, earlier = (quick(learner.act)(learned, None, SEEN.own) for learned in (after, before))
    assert action[0] > earlier[0], "it goes up in a_1"
    np.testing.assert_allclose(action[1], 0.0, atol=1e-6)


def test_of_equally_bad_candidates_the_last_is_the_worst():
    assert last_least(jnp.array([1.0, 0.5, 2.0, 0.5])) == 3
    assert last_least(jnp.array([0.1, 0.5, 0.5])) == 0
    assert last_least(jnp.ones(3)) == 2


def adversary_of(kernels, probability):
    theta = logit(jnp.asarray(kernels, jnp.float32))
    opt = {"count": jnp.full(len(kernels), 9)}
    return KernelAdversary(theta, opt, jnp.asarray(probability, jnp.float32), jnp.float32(3))


def after_restart(kernels, probability):
    """(which are new, p) with candidates that start anew at (-0.9, -0.9)."""
    old = adversary_of(kernels, probability)
    config = M2TD3Config(candidates=len(kernels))
    fresh = adversary_of([[-0.9, -0.9]] * len(kernels), probability)
    new = restarted(old, config, fresh.theta, {"count": jnp.zeros(len(kernels), int)})
    is_new = new.theta[:, 0] == fresh.theta[:, 0]
    np.testing.assert_array_equal(new.opt["count"], np.where(is_new, 0, 9))
    np.testing.assert_array_equal(new.theta[~is_new], old.theta[~is_new])
    return is_new.tolist(), new.probability


def test_of_two_close_candidates_the_earlier_starts_anew():
    """Apart by 0.07 + 0.02 in L1; 0.07 + 0.04 is too far. Its p is the mean of the others', and p sums to one."""
    kernels = [[0.5, 0.0], [0.0, 0.0], [0.07, 0.02], [0.57, -0.04], [0.9, 0.9]]
    is_new, probability = after_restart(kernels, [0.2, 0.4, 0.2, 0.1, 0.1])
    assert is_new == [False, True, False, False, False]
    np.testing.assert_allclose(probability, np.array([0.2, 0.15, 0.2, 0.1, 0.1]) / 0.75, rtol=1e-5)


def test_a_candidate_that_had_it_all_leaves_all_alike():
    kernels = [[0.0, 0.0], [0.07, 0.02], [0.9, 0.9]]
    is_new, probability = after_restart(kernels, [1.0, 0.0, 0.0])
    assert is_new == [True, True, True]
    np.testing.assert_allclose(probability, 1 / 3, rtol=1e-6)


def test_improbable_candidates_start_anew_one_after_the_other():
    kernels = [[-0.5, 0.0], [0.0, 0.0], [0.5, 0.0], [0.9, 0.9], [0.0, 0.9]]
    is_new, probability = after_restart(kernels, [0.4, 0.3, 0.22, 0.04, 0.04])
    assert is_new == [False, False, False, True, True]
    p = [0.4, 0.3, 0.22, 0.24, 0.29]
    np.testing.assert_allclose(probability, np.array(p) / np.sum(p), rtol=1e-5)
    np.testing.assert_allclose(evened(jnp.array([0.4, 0.3, 0.22, 0.04, 0.04]), jnp.arange(5) >= 3), p, rtol=1e-5)


def test_ended_episodes_set_the_length_and_let_restart():
    """Of three environments two end, after 6 and 2 steps; the first two candidates are the same."""
    learner, learned = learner_and_state(jnp.array([[0.3, 0.0], [0.3, 0.0], [-0.9, 0.0]]))
    watch = quick(learner.watch)
    for done, length, is_new in (([1, 0, 1], 4.0, True), ([0, 0, 0], 10.0, False)):
        done = jnp.array([done], bool)
        steps = VectorStep(None, None, done & False, done, None, None, jnp.array([[6, 5, 2]]))
        found = watch(learned, jax.random.key(3), steps).adversary
        assert found.length == length
        changed = np.any(found.theta != learned.adversary.theta, axis=1)
        assert changed.tolist() == [is_new, False, False]


def test_noise_is_one_number_for_all_dimensions_of_an_action():
    learner, learned = learner_and_state(exploration=0.1)
    learned = learned.replace(actor=constant(learned.actor, [0.0, 0.0]))
    noise = jnp.array([[1.0, -3.0], [-2.0, 9.0]])
    seen = jax.tree.map(lambda x: jnp.tile(x, (2, 1)), SEEN)
    np.testing.assert_allclose(learner.explore(learned, noise, seen), [[0.1, 0.1], [-0.2, -0.2]], rtol=1e-5)
    np.testing.assert_allclose(learner.act(learned, None, SEEN.own), [0.0, 0.0])


def test_the_noise_on_kernels_falls_only_if_soft():
    """From the 10th of 100 updates to the 60th."""
    settings = {"learning_starts": 40, "num_envs": 4, "total_updates": 100}
    soft, hard = (M2TD3Config(**settings, soft=soft) for soft in (True, False))
    steps = np.array([0, 10, 35, 60, 99])
    np.testing.assert_allclose(spread_at(soft, steps), [1.0, 1.0, 0.55, 0.1, 0.1], rtol=1e-5)
    np.testing.assert_allclose([spread_at(hard, step) for step in steps], 1.0)


@pytest.mark.slow
def test_the_policy_is_best_against_the_worst_kernel():
    """a = 1/4, where psi = 1.5 is worst; TD3 under uniform kernels plays a = 1/2. Medians of five seeds."""
    config = M2TD3Config(**LEARNING, kernel_rate=0.1, kernel_noise=0.2)
    actions, states = trained(jrl.agents.m2td3(SLOPE, PARAMS, config), 600)
    np.testing.assert_allclose(np.median(actions[:, 0]), 0.25, atol=0.1)
    adversary = states.learned.adversary
    most = np.argmax(adversary.probability, axis=1)
    assert np.median(scaled(adversary.theta)[np.arange(5), most, 0]) > 0.8
    kernels = np.asarray(states.buffer.experience.observation.kernel[:, 0])
    assert abs(kernels[:, :400, 0].mean()) < 0.25, "uniform at first"
    assert np.all(np.abs(kernels) <= 1 + 1e-6)
    assert kernels[:, 3600:4800, 0].mean() > 0.3, "then the adversary's"


@pytest.mark.slow
def test_uniform_kernels_are_answered_otherwise():
    """What the test above tells apart."""
    actions, _ = trained(jrl.agents.td3(SLOPE, SLOPE.randomised(PARAMS), TD3Config(**LEARNING)), 600)
    np.testing.assert_allclose(np.median(actions[:, 0]), 0.5, atol=0.1)


@pytest.mark.parametrize("name", ["m2td3", "rarl"])
def test_other_environments_are_refused(name):
    factory = jrl.agents.agent_named(name)
    with pytest.raises(ConfigError, match=f"{name}: Pendulum-v1: must be a family robust/"):
        factory(*jrl.make("Pendulum-v1"))
    with pytest.raises(ConfigError, match=f"{name} on robust/CartPole-v1: action space Discrete: must be a Box"):
        factory(*jrl.make("robust/CartPole-v1"))
    bad = PARAMS.replace(low={"psi": 2.0, "idle": 1.0})
    with pytest.raises(ConfigError, match=r"ranges\['psi'\] = \(2.0, 1.5\): must have low < high"):
        factory(SLOPE, bad)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"candidates": 1}, r"M2TD3Config.candidates = 1: must be"),
        ({"least_probability": 0.2}, r"least_probability = 0.2: must be below 1 / candidates = 0.2"),
        ({"kernel_noise": -1.0}, r"kernel_noise = -1"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        jrl.agents.m2td3(SLOPE, PARAMS, M2TD3Config(**settings))
