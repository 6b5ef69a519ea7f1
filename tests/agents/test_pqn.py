"""PQN finds the values and actions of the probes; its switches change what they say; what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.envs.probes import true_values
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.networks import MLP, Network
from tests.helpers import same_states

DISCOUNT = 0.9
SETTINGS = {
    "discount": DISCOUNT,
    "learning_rate": 5e-3,
    "reward_scale": 1.0,
    "num_envs": 8,
    "rollout_length": 16,
    "num_minibatches": 4,
    "hidden_sizes": (16,),
    "final_epsilon": 1.0,
    "q_lambda": 0.0,
    "total_updates": 150,
}


def make_agent(env_id, **settings):
    env, params = jrl.make(env_id)
    return jrl.agents.pqn(env, params, jrl.agents.PQNConfig(**(SETTINGS | settings)))


def values(run, observations):
    """[seed, observation, action]."""
    network = Network(MLP(run.agent.info.config.hidden_sizes, "relu", 1, True), 2, 1.0)
    observations = jnp.asarray(observations, jnp.float32)
    return jax.vmap(lambda params: network.apply(params, (), observations)[1])(run.state.params)


@pytest.mark.parametrize(
    "name", ["observation", *(pytest.param(name, marks=pytest.mark.slow) for name in ("delayed", "both"))]
)
def test_action_values_of_the_probes(name):
    """Play is random: without traces the values are to be right for both actions."""
    run = jrl.train(make_agent(f"probe/{name}"), seeds=3)
    exact = true_values(f"probe/{name}", DISCOUNT)
    np.testing.assert_allclose(values(run, exact.observations), np.stack([exact.action_values] * 3), atol=0.06)


@pytest.mark.parametrize(("cut", "expected"), [(False, 10.0), pytest.param(True, None, marks=pytest.mark.slow)])
def test_a_time_limit_is_bootstrapped_through(cut, expected):
    # What is seen is always zero, so only biases learn, a step at a time.
    settings = {"truncation_is_termination": cut, "q_lambda": 0.9, "learning_rate": 5e-2}
    run = jrl.train(make_agent("probe/never-ending", **settings), seeds=3)
    found = np.median(run.metrics["value/mean"][:, -10:])
    assert found == pytest.approx(expected, rel=0.03) if expected else found < 8.0


def first_update(**settings):
    agent = make_agent("CartPole-v1", **settings)
    state = jax.jit(agent.init)(jax.random.key(0))
    return agent, jax.jit(agent.update)(jax.random.key(1), state, jnp.int32(0))


@pytest.mark.slow
def test_switches_change_what_is_learnt():
    (_, (plain, metrics)), (_, (shifted, _)) = (
        first_update(q_lambda=0.9),
        first_update(q_lambda=0.9, shifted_bootstrap=True),
    )
    assert metrics["exploration/epsilon"] == 1.0
    assert not same_states(plain.params, shifted.params)
    _, (scaled, _) = first_update(q_lambda=0.9, reward_scale=0.1)
    assert not same_states(plain.params, scaled.params)


@pytest.mark.slow
def test_play_is_greedy_or_explores():
    agent, (state, _) = first_update(final_epsilon=0.5)
    observation = jnp.zeros(4)

    def played(greedy):
        keys = jax.random.split(jax.random.key(0), 200)
        return jax.vmap(lambda key: agent.act(key, state, (), observation, greedy)[0])(keys)

    best = played(True)
    assert len(set(best.tolist())) == 1
    assert np.mean(played(False) != best[0]) == pytest.approx(0.25, abs=0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_minibatches": 7}, r"num_minibatches = 7: must divide num_envs \* rollout_length = 128"),
        ({"shifted_bootstrap": True, "rollout_length": 1, "num_minibatches": 1}, r"needs rollout_length >= 2"),
        ({"hidden_sizes": ()}, r"hidden_sizes = \(\)"),
    ],
)
def test_what_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        make_agent("CartPole-v1", **settings)


def test_continuous_actions_are_refused():
    with pytest.raises(ConfigError, match=r"pqn: Pendulum-v1 has a Box of actions"):
        make_agent("Pendulum-v1")
