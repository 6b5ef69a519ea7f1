"""DQN finds the known values and actions of the probe environments, and the value of an episode that never ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.envs.probes import true_values
from jaxrl_suite.learning.networks import MLP, Network

DISCOUNT = 0.9
SETTINGS = {
    "discount": DISCOUNT,
    "learning_rate": 1e-2,
    "num_envs": 8,
    "train_frequency": 1,
    "buffer_size": 1000,
    "target_period": 240,
    "hidden_sizes": (16,),
    "final_epsilon": 1.0,
}


def trained(env_id, updates, **settings):
    """States of three members and the last 100 updates' `value/mean`, median over members. Play is random: the values
    are to be right for both actions. Lightly optimised, since compiling takes longer than training."""
    env, params = jrl.make(env_id)
    agent = jrl.agents.dqn(env, params, jrl.agents.DQNConfig(**(SETTINGS | settings)))

    def train(key):
        def update(state, step):
            state, metrics = agent.update(jax.random.fold_in(key, step + 1), state, step)
            return state, metrics["value/mean"]

        return jax.lax.scan(update, agent.init(key), jnp.arange(updates))

    # The update's index is unbatched here, as the runner has it.
    batched = jax.jit(jax.vmap(train), compiler_options={"xla_backend_optimization_level": 0})
    states, values = batched(jax.random.split(jax.random.key(0), 3))
    return states, np.median(values[:, -100:].mean(axis=1))


def action_values(states, observations):
    """[seed, observation, action]."""
    network = Network(MLP((16,), "relu"), 2, 1.0)
    observations = jnp.asarray(observations, jnp.float32)
    return jax.vmap(lambda params: network.apply(params, (), observations)[1])(states.params)


@pytest.mark.parametrize(
    ("name", "double"),
    [
        pytest.param("constant", False, marks=pytest.mark.slow),
        pytest.param("observation", False, marks=pytest.mark.slow),
        pytest.param("delayed", False, marks=pytest.mark.slow),
        ("delayed", True),
        ("both", False),
    ],
)
def test_action_values_of_the_probes(name, double):
    """Of a constant, of an observation, of a delayed reward, which is discounted, of an action that fits what is seen:
    where values are right to 0.05, so is the better action."""
    states, _ = trained(f"probe/{name}", 400, double=double)
    exact = true_values(f"probe/{name}", DISCOUNT)
    values = action_values(states, exact.observations)
    np.testing.assert_allclose(values, np.broadcast_to(exact.action_values, values.shape), atol=0.05)
    if exact.optimal_actions is not None:
        np.testing.assert_array_equal(values.argmax(axis=-1), [exact.optimal_actions] * 3)


@pytest.mark.parametrize(("is_end", "low", "high"), [(False, 9.8, 10.2), (True, 8.0, 9.3)])
def test_a_time_limit_is_bootstrapped_through_unless_it_is_taken_for_an_end(is_end, low, high):
    """An episode that never ends but is cut off is worth r / (1 - discount) = 10. With its last step, one in ten and
    like the others, taken for an end, Huber's loss is least where 0.9 (1 + 0.9 v - v) = 0.1: v = 8.9."""
    settings = {"learning_rate": 5e-3, "target_period": 160, "truncation_is_termination": is_end}
    _, value = trained("probe/never-ending", 4000, **settings)
    assert low < value < high


@pytest.mark.slow
def test_cartpole_is_learnt():
    """Random play gets 22; the median of eight seeds over the last tenth of 100 000 steps is far above."""
    env, params = jrl.make("CartPole-v1")
    config = jrl.agents.DQNConfig(learning_rate=1e-3, buffer_size=10_000, target_period=500, total_updates=25_000)
    run = jrl.train(jrl.agents.dqn(env, params, config), seeds=8, record_every=25)
    assert np.median(run.final_returns()) > 150
