"""Deep NORA: it explores a deep sea, counts its data exactly, and its actor is reset by a switch and by that alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.errors import ConfigError

SMALL = {
    "num_envs": 4,
    "rollout_length": 6,
    "members": 6,
    "hidden_sizes": (32, 32),
    "gradient_steps": 8,
    "batch_size": 64,
    "buffer_size": 5000,
}


@functools.cache
def deep_sea(updates, **changes):
    config = jrl.agents.DeepNORAConfig(**(SMALL | changes))
    agent = jrl.agents.nora_deep(*jrl.make("DeepSea-bsuite", size=6), config)
    return jrl.train(agent, seeds=3, updates=updates, quick_compile=True)


@pytest.mark.slow
def test_a_deep_sea_is_explored():
    """Uniform play finds the treasure in one episode of 64, and keeps missing it."""
    run = deep_sea(150)
    assert run.metrics["episode/return"][:, -30:].mean() > 0.8
    evaluation = jrl.evaluate(run.agent, run.state, seeds=run.seeds, episodes=2)
    np.testing.assert_allclose(evaluation.returns, 0.99, atol=1e-6)
    # Rare: growth of 5 nats each, of at most 2 * 32 features.
    assert 5 < run.metrics["switch/count"].sum(axis=-1).mean() < 40
    assert run.metrics["ensemble/deviation"][:, -1].max() < 0.1 * run.metrics["ensemble/deviation"][:, 0].min()


@pytest.mark.slow
def test_lambda_counts_all_that_was_played():
    run = deep_sea(150)
    state = jax.tree.map(lambda x: x[0], run.state)
    stored = state.buffer.experience if hasattr(state.buffer, "experience") else state.buffer
    observation, action = (np.asarray(x).reshape(-1, *x.shape[2:]) for x in (stored.observation, stored.action))
    played = 150 * 24
    features = observation.reshape(len(observation), -1)[:played]
    for layer in ("Dense_0", "Dense_1"):
        features = np.maximum(features @ np.asarray(state.features["params"][layer]["kernel"]), 0.0)
    features /= np.linalg.norm(features, axis=-1, keepdims=True) + 1e-6
    for a in range(2):
        rows = features[action[:played] == a]
        np.testing.assert_allclose(state.covariance[a], np.eye(32) + rows.T @ rows, rtol=1e-3, atol=1e-2)


@pytest.mark.slow
def test_a_critic_shown_after_every_update_keeps_the_actor_uniform():
    run = deep_sea(20, growth=0.0)
    assert (run.metrics["switch/count"] == 1).all()
    assert (np.asarray(run.state.steps) == 0).all()
    kept = deep_sea(20, growth=0.0, resets=False)
    assert (np.asarray(kept.state.steps) == 20).all()


@pytest.mark.slow
def test_between_switches_the_actor_sees_what_it_saw():
    run = deep_sea(20, growth=1e9)
    first = run.agent.init(jax.random.key(0))
    assert (np.asarray(run.state.steps) == 20).all()
    assert run.metrics["switch/count"].sum() == 0
    seen, members = (jax.tree.leaves(x)[0] for x in (run.state.seen, run.state.members))
    assert not jnp.array_equal(seen, members)
    assert jax.tree.structure(first.seen) == jax.tree.structure(first.members)


@pytest.mark.parametrize(
    ("env_id", "settings", "message"),
    [
        ("Pendulum-v1", {}, r"nora_deep: Pendulum-v1 has a Box of actions"),
        ("CartPole-v1", {"buffer_size": 100}, r"buffer_size = 100: must hold batch_size = 128"),
        ("CartPole-v1", {"torso": "conv"}, r"torso = 'conv': observations are \(4,\): must be images"),
    ],
)
def test_what_is_refused(env_id, settings, message):
    with pytest.raises(ConfigError, match=message):
        jrl.agents.nora_deep(*jrl.make(env_id), jrl.agents.DeepNORAConfig(**settings))
