"""SAC and TD3 find the best continuous actions, and swing the pendulum up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.envs.probes import true_values
from tests.known_answers.ledger import known_answer

PROBE = {
    "num_envs": 8, "batch_size": 64, "buffer_size": 2000, "learning_starts": 200, "hidden_sizes": (32,),
    "actor_rate": 3e-3, "critic_rate": 3e-3, "polyak": 0.05,
}  # fmt: skip


@pytest.mark.parametrize("name", ["sac", pytest.param("td3", marks=pytest.mark.slow)])
def test_actions_of_the_target_probe(name):
    """The mode is half the observation; without entropy's pull for SAC once its temperature has fallen."""
    env, params = jrl.make("probe/target")
    factory = jrl.agents.agent_named(name)
    # Of the best policy with the target entropy the temperature is 0.02.
    quick = {"temperature_rate": 1e-2} if name == "sac" else {}
    agent = factory(env, params, factory.config_class(**PROBE, **quick))

    def train(key):
        def update(state, step):
            return agent.update(jax.random.fold_in(key, step + 1), state, step)[0], None

        return jax.lax.scan(update, agent.init(key), jnp.arange(1200))[0]

    batched = jax.jit(jax.vmap(train), compiler_options={"xla_backend_optimization_level": 0})
    states = batched(jax.random.split(jax.random.key(0), 3))
    exact = true_values("probe/target", 0.9)
    for observation, best in zip(exact.observations, exact.optimal_actions, strict=True):
        act = jax.vmap(lambda state: agent.act(jax.random.key(0), state, (), jnp.float32(observation), True)[0])  # noqa: B023
        np.testing.assert_allclose(act(states).ravel(), best, atol=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sac", "td3"])
@known_answer("baselines/sac-pendulum")
def test_pendulum(name):
    """8 seeds of 10,000 steps: at least -250, on average."""
    settings = {"total_updates": 10_000, "hidden_sizes": (64, 64), "learning_starts": 1000, "buffer_size": 10_000}
    settings |= {"actor_rate": 1e-3, "critic_rate": 1e-3}
    env, params = jrl.make("Pendulum-v1")
    factory = jrl.agents.agent_named(name)
    agent = factory(env, params, factory.config_class(**settings))
    run = jrl.train(agent, seeds=8, record_every=1000)
    returns = jrl.evaluate(agent, run.state, seeds=run.seeds, episodes=64).returns.mean(axis=1)
    assert returns.mean() > -250
