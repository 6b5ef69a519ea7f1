"""Episodes kept state by state are the ones that evaluation plays; members are taken out of runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.agents.fixed import uniform_play
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.training import play_episode
from jaxrl_suite.training.episodes import CHUNK
from tests.helpers import toy_agent


def test_it_is_the_episode_that_is_evaluated():
    agent = uniform_play(*jrl.make("CartPole-v1"))
    found = jrl.evaluate(agent, jnp.zeros(2), seeds=[0, 7], episodes=5, greedy=False, devices=1)
    for number in (0, 4):
        episode = play_episode(agent, jnp.zeros(()), seed=7, number=number, greedy=False)
        length = int(found.lengths[1, number])
        assert episode.rewards.tolist() == [1.0] * length
        assert episode.ended
        assert episode.actions.shape == (length,)
        assert episode.observations.shape == (length + 1, 4)
        np.testing.assert_array_equal(episode.states.time, np.arange(length + 1))
        # Every state follows from the one before, and only the last is beyond the limits.
        is_out = np.abs(episode.states.theta) > episode.env_params.theta_threshold_radians
        assert is_out.tolist() == [False] * length + [True]
        np.testing.assert_allclose(np.diff(episode.states.x), 0.02 * episode.states.x_dot[:-1], atol=1e-6)


def test_length_and_limit_have_nothing_to_do_with_chunks():
    agent = toy_agent()
    env, params = jrl.make("probe/never-ending")
    for limit in (1, CHUNK, CHUNK + 1):
        for ends, options in ((limit, {}), (limit + 1, {"max_steps": limit})):
            changed = params.replace(max_steps_in_episode=ends)
            episode = play_episode(agent, None, seed=0, env=env, env_params=changed, **options)
            np.testing.assert_array_equal(episode.states.time, np.arange(limit + 1))
            assert len(episode.rewards) == len(episode.actions) == limit
            assert episode.ended == (ends == limit)


def test_what_is_refused():
    agent = toy_agent()
    for options, message in (
        ({"number": -1}, "number = -1: must be >= 0"),
        ({"max_steps": 0}, "max_steps = 0: must be >= 1"),
        ({"env": agent.info.env}, "must come with env_params"),
    ):
        with pytest.raises(ConfigError, match=message):
            play_episode(agent, None, seed=0, **options)


def test_members_of_runs_and_sweeps():
    run = jrl.train(toy_agent(), seeds=[3, 8], updates=2)
    agent, state = run.member()
    assert agent is run.agent
    assert state.draw == run.state.draw[0]
    assert run.member(8)[1].draw == run.state.draw[1]
    env, params = jrl.make("probe/never-ending")
    factory = agent.info.factory
    sweep = jrl.sweep(factory, (env, params), agent.info.config, {"rate": [0.1, 0.5]}, seeds=[3, 8], updates=2)
    for setting, rate in ((None, 0.1), (0, 0.1), (1, 0.5)):
        agent, state = sweep.member(8, setting)
        assert agent.info.config.rate == pytest.approx(rate)
        np.testing.assert_array_equal(state.position, sweep.state.position[setting or 0, 1])
    for words, message in (((1,), "seed = 1: must be one of 3, 8"), ((3, 2), "setting = 2: must be 0 to 1")):
        with pytest.raises(ConfigError, match=message):
            sweep.member(*words)


def test_a_member_that_diverged_is_not_played():
    base = jrl.train(toy_agent(), seeds=2, updates=1)
    threshold = float(np.mean(base.state.draw))
    run = jrl.train(toy_agent(poison_seed_below=threshold), seeds=2)
    lost = int(np.argmin(jax.device_get(base.state.draw)))
    with pytest.raises(ConfigError, match=f"seed = {lost}: diverged at update 6"):
        run.member(lost)
    assert run.member(1 - lost)
