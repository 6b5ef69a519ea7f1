"""RARL: each player learns from its own part of what was done, in its phases; no adversary where it is judged."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.agents.rarl import RARLConfig, rarl_learner
from jaxrl_suite.agents.td3 import td3_learner
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.replay import Experience
from tests.agents.off_policy_tools import LEARNING, SLOPE, constant, linear_critics, quick, trained
from tests.helpers import same_states

PARAMS = SLOPE.default_params
SMALL = {"batch_size": 8, "buffer_size": 64, "hidden_sizes": (1,), "discount": 0.0, "policy_period": 1}
CONFIG = RARLConfig(**SMALL, phase_updates=2, gradient_steps=3)
SEEN = jnp.full(1, 0.25)


@pytest.fixture(scope="module")
def learned_at():
    """(learner, what it has learned at first, count -> (what it has then learned, diagnostics))."""
    learner = rarl_learner(SLOPE, PARAMS, CONFIG)
    known = quick(learner.new)(jax.random.key(0), SEEN, jnp.zeros(4))
    parts = {}
    for name, index in (("protagonist", 1), ("adversary", 2)):
        player = getattr(known, name)
        parts[name] = player.replace(critics=linear_critics(player.critics, np.eye(3)[index]))
    known = known.replace(**parts)
    action = jnp.tile(jnp.array([0.4, -0.1, 0.9, -0.6]), (8, 1))
    seen = jnp.tile(SEEN, (8, 1))
    batch = Experience(seen, action, jnp.full(8, 0.5), jnp.zeros(8, bool), seen)
    learn = quick(learner.learn)
    return learner, known, lambda count: learn(known, jax.random.key(0), batch, jnp.int32(count))


@pytest.mark.parametrize("count", [0, 5, 6, 11, 12])
def test_players_learn_in_turns(learned_at, count):
    """Two updates of three minibatches each."""
    _, before, learned = learned_at
    after, metrics = learned(count)
    is_adversarys = count in (6, 11)
    assert same_states(before.protagonist, after.protagonist) == is_adversarys
    assert same_states(before.adversary, after.adversary) != is_adversarys
    assert np.isnan(metrics["loss/critic"]) == is_adversarys
    assert np.isnan(metrics["adversary/loss/actor"]) != is_adversarys


def test_each_learns_from_its_own_action_and_the_adversary_from_minus_the_reward(learned_at):
    """Q = a_1 for the one, b_2 for the other; the reward is 0.5, the discount 0."""
    _, _, learned = learned_at
    own, others = learned(0)[1], learned(6)[1]
    np.testing.assert_allclose(own["value/mean"], 0.4, rtol=1e-5)
    np.testing.assert_allclose(own["loss/critic"], 2 * (0.4 - 0.5) ** 2, rtol=1e-3)
    np.testing.assert_allclose(others["adversary/value/mean"], -0.6, rtol=1e-5)
    np.testing.assert_allclose(others["adversary/loss/critic"], 2 * (-0.6 + 0.5) ** 2, rtol=1e-3)


def test_the_adversary_plays_only_to_learn(learned_at):
    learner, known, _ = learned_at
    other = known.replace(adversary=known.adversary.replace(actor=constant(known.adversary.actor, [20.0, -20.0])))
    td3 = td3_learner(SLOPE, PARAMS, CONFIG)
    noise = jnp.array([[1.0, -1.0, 0.0, 2.0]])
    played = quick(learner.explore)(other, noise, SEEN[None])
    np.testing.assert_allclose(played[:, :2], td3.act(known.protagonist, noise[:, :2], SEEN[None]), rtol=1e-5)
    np.testing.assert_allclose(played[0, 2:], [1.0, -0.8], rtol=1e-4)
    for draw in (None, noise[0, :2]):
        action = learner.act(other, draw, SEEN)
        np.testing.assert_allclose(action, td3.act(known.protagonist, draw, SEEN), rtol=1e-5)


@pytest.mark.slow
def test_the_policy_is_best_against_the_adversary():
    """a = 1/4, since psi = 1.5 of b = 1 is worst: see `Slope`. Medians of five seeds: in some, the adversary's tanh is
    caught at the other end. The kernels are those that it wanted last."""
    # A short memory: what the adversary did before it had learned would speak for a = 1/2.
    settings = LEARNING | {"buffer_size": 2000, "phase_updates": 25}
    actions, states = trained(jrl.agents.rarl(SLOPE, PARAMS, RARLConfig(**settings)), 803)
    assert actions.shape == (5, 2)
    np.testing.assert_allclose(np.median(actions[:, 0]), 0.25, atol=0.1)
    places = np.arange(-8, 0) + int(states.buffer.current_index[0])
    last = np.asarray(states.buffer.experience.action[:, 0])[:, places]
    assert last.shape == (5, 8, 4)
    np.testing.assert_allclose(states.env.env.kernel, [1.0, 3.0] + last[..., 2:] * np.array([0.5, 2.0]), rtol=1e-5)
    assert np.median(last[..., 2]) > 0.7
    assert len(np.unique(last[..., 2])) > 1, "it explores"


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match=r"RARLConfig.phase_updates = 0: must be"):
        jrl.agents.rarl(SLOPE, PARAMS, RARLConfig(phase_updates=0))
