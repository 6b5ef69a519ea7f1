"""PPO finds the known values and actions of the probe environments, and the value of an episode that never ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl

DISCOUNT = 0.9
SETTINGS = {
    "discount": DISCOUNT,
    "learning_rate": 5e-3,
    "ent_coef": 0.0,
    "num_envs": 8,
    "rollout_length": 32,
    "hidden_sizes": (16,),
    "total_updates": 100,
    "clip_value_loss": False,
}


def trained(env_id, **settings):
    env, params = jrl.make(env_id)
    agent = jrl.agents.ppo(env, params, jrl.agents.PPOConfig(**(SETTINGS | settings)))
    return jrl.train(agent, seeds=4)


def values(run, observations):
    """[seed, observation] the critics' values."""
    from jaxrl_suite.agents.on_policy import networks
    from jaxrl_suite.learning.distributions import policy_for

    info = run.agent.info
    policy = policy_for(info.env.action_space(info.env_params))
    _, critic = networks(info.env, info.env_params, policy, info.config)
    observations = jnp.asarray(observations, jnp.float32)[:, None]
    return jax.vmap(lambda p: critic.apply(p, (), observations)[1][:, 0])(run.state.params.critic)


@pytest.mark.slow
def test_value_of_a_constant():
    np.testing.assert_allclose(values(trained("probe/constant"), [0.0]), 1.0, atol=0.02)


@pytest.mark.slow
def test_value_of_an_observation():
    np.testing.assert_allclose(values(trained("probe/observation"), [-1.0, 1.0]), [[-1.0, 1.0]] * 4, atol=0.05)


def test_value_of_a_delayed_reward_is_discounted():
    np.testing.assert_allclose(values(trained("probe/delayed"), [0.0, 1.0]), [[DISCOUNT, 1.0]] * 4, atol=0.05)


@pytest.mark.parametrize("env_id", [pytest.param("probe/action", marks=pytest.mark.slow), "probe/both"])
def test_the_better_action_is_found(env_id):
    run = trained(env_id)
    evaluation = jrl.evaluate(run.agent, run.state, seeds=run.seeds, episodes=16)
    np.testing.assert_allclose(evaluation.returns, 1.0)


@pytest.mark.slow
def test_a_continuous_target_is_hit():
    run = trained("probe/target", total_updates=200)
    evaluation = jrl.evaluate(run.agent, run.state, seeds=run.seeds, episodes=16)
    assert evaluation.returns.mean() > -0.02


@pytest.mark.parametrize("torso", ["mlp", pytest.param("gru", marks=pytest.mark.slow)])
def test_a_time_limit_is_bootstrapped_through(torso):
    """An episode that never ends but is cut off is worth r / (1 - discount): within 2 % on the median seed."""
    run = trained("probe/never-ending", torso=torso, total_updates=300)
    explained = last_values(run)
    np.testing.assert_allclose(np.median(explained), 1.0 / (1.0 - DISCOUNT), rtol=0.02)


def test_treating_the_limit_as_terminal_gives_a_visibly_wrong_value():
    run = trained("probe/never-ending", truncation_is_termination=True, total_updates=300)
    assert np.median(last_values(run)) < 0.8 / (1.0 - DISCOUNT)


def last_values(run):
    """Mean value over the last updates, as the agent itself saw it."""
    return run.metrics["value/mean"][:, -10:].mean(axis=1)
