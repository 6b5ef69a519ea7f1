"""Networks with memory in self-play: what one player sees never reaches the other's memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.agents.memoryless import policy_table
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.networks import GRU, Network
from jaxrl_suite.learning.recurrence import PerPlayer, unroll

STEPS, BATCH, SIZE = 12, 3, 4


def seen(key):
    """What players see in turn, and whose it is in the last place; episodes that end here and there."""
    key_who, key_what, key_end = jax.random.split(key, 3)
    player = jax.random.bernoulli(key_who, 0.5, (STEPS, BATCH)).astype(jnp.int32)
    what = jax.random.normal(key_what, (STEPS, BATCH, SIZE))
    return jnp.concatenate([what, player[..., None]], axis=-1), jax.random.bernoulli(key_end, 0.2, (STEPS, BATCH))


def networks():
    plain = Network(GRU(8), 2, 1.0)
    return plain, PerPlayer(plain, lambda x: x[..., -1].astype(jnp.int32), 2)


@pytest.mark.parametrize("seed", range(5))
def test_each_player_remembers_what_it_saw_alone(seed):
    """Its outputs are those of a network that read its own observations only, one episode after another."""
    observation, done = seen(jax.random.key(seed))
    plain, both = networks()
    params = both.init(jax.random.key(9), both.initial_memory((BATCH,)), observation[0])
    outputs, _, _ = unroll(both, params, both.initial_memory((BATCH,)), observation, done)
    for game in range(BATCH):
        memories = [plain.initial_memory(())] * 2
        for t in range(STEPS):
            player = int(observation[t, game, -1])
            memories[player], expected = plain.apply(params, memories[player], observation[t, game])
            np.testing.assert_allclose(outputs[t, game], expected, rtol=1e-4, atol=1e-6)
            if done[t, game]:
                memories = [plain.initial_memory(())] * 2


def test_what_the_other_sees_changes_nothing():
    observation, done = seen(jax.random.key(1))
    is_other = observation[..., -1] == 1
    changed = observation.at[..., :-1].add(jnp.where(is_other, 1.0, 0.0)[..., None])
    _, both = networks()
    params = both.init(jax.random.key(9), both.initial_memory((BATCH,)), observation[0])
    one, two = (unroll(both, params, both.initial_memory((BATCH,)), x, done)[0] for x in (observation, changed))
    np.testing.assert_array_equal(one[~is_other], two[~is_other])
    assert not np.allclose(one[is_other], two[is_other])


@pytest.mark.slow
def test_networks_with_memory_play_themselves():
    env, params = jrl.make("hanabi/tiny")
    config = jrl.agents.PPOConfig(num_envs=4, rollout_length=8, torso="gru", hidden_sizes=(8,), num_minibatches=2)
    run = jrl.train(jrl.agents.ppo(env, params, config), seeds=2, updates=2, quick_compile=True)
    assert run.state.memory.actor.shape == (2, 4, 2, 8)
    assert jrl.evaluate(run.agent, run.state, seeds=run.seeds, episodes=4).ended.all()


@pytest.mark.slow
def test_there_is_no_table_of_what_is_remembered():
    env, game = jrl.make("game/kuhn_poker")
    config = jrl.agents.PPOConfig(num_envs=4, rollout_length=4, torso="gru", hidden_sizes=(8,))
    run = jrl.train(jrl.agents.ppo(env, game, config), seeds=1, updates=1, quick_compile=True)
    with pytest.raises(ConfigError, match=r"ppo: must know its policy .* and need no memory"):
        policy_table(run)
