"""A2C: its gradient is PPO's at the first pass, and it finds the values and actions of the probes."""

import functools

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.agents.a2c import loss as a2c_loss
from jaxrl_suite.agents.on_policy import on_policy_parts
from jaxrl_suite.agents.ppo import loss as ppo_loss
from tests.known_answers.ledger import known_answer


@known_answer("baselines/a2c")
@pytest.mark.parametrize("env_id", [pytest.param("CartPole-v1", marks=pytest.mark.slow), "Pendulum-v1"])
def test_it_is_ppo_with_one_pass_over_one_minibatch(env_id):
    """Known answer B3: the ratio is one, and PPO's value loss carries a half."""
    shared = {"num_envs": 4, "rollout_length": 8, "hidden_sizes": (16,), "ent_coef": 0.01, "gae_lambda": 0.9}
    env, params = jrl.make(env_id)
    ours = jrl.agents.A2CConfig(**shared, vf_coef=0.5)
    theirs = jrl.agents.PPOConfig(
        **shared, vf_coef=1.0, clip_eps=1e6, normalize_advantages=False, clip_value_loss=False, num_minibatches=1
    )
    parts = on_policy_parts(env, params, ours, optax.identity())
    state = jax.jit(parts.init)(jax.random.key(0))
    before = state.memory
    state, batch, _ = jax.jit(parts.collect)(jax.random.key(1), state)

    def gradient(loss, config):
        function = functools.partial(loss, parts=parts, config=config)
        found = jax.jit(jax.grad(function, has_aux=True))(state.params, before, batch)[0]
        return jax.flatten_util.ravel_pytree(found)[0]

    a, b = gradient(a2c_loss, ours), gradient(ppo_loss, theirs)
    assert jnp.linalg.norm(a) > 1e-3
    assert jnp.linalg.norm(a - b) <= 1e-5 * jnp.linalg.norm(a)
    assert jnp.vdot(a, b) >= (1 - 1e-6) * jnp.linalg.norm(a) * jnp.linalg.norm(b)


SETTINGS = {"discount": 0.9, "learning_rate": 2e-3, "num_envs": 8, "hidden_sizes": (16,), "total_updates": 1500}


def trained(env_id, **settings):
    env, params = jrl.make(env_id)
    return jrl.train(jrl.agents.a2c(env, params, jrl.agents.A2CConfig(**(SETTINGS | settings))), seeds=3)


@pytest.mark.slow
def test_the_better_action_is_found():
    run = trained("probe/both")
    evaluation = jrl.evaluate(run.agent, run.state, seeds=run.seeds, episodes=16)
    np.testing.assert_allclose(evaluation.returns, 1.0)


def test_a_time_limit_is_bootstrapped_through():
    """An episode that never ends but is cut off is worth r / (1 - discount)."""
    value = trained("probe/never-ending").metrics["value/mean"][:, -50:].mean(axis=1)
    np.testing.assert_allclose(np.median(value), 10.0, rtol=0.02)
