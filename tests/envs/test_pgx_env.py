"""pgx's games: whose turn, what is legal, whose reward; and a warning where observations hide what a player knows."""

import warnings

import jax
import numpy as np
import pytest

pytest.importorskip("pgx")

import jaxrl_suite as jrl
from jaxrl_suite.envs import pgx_env
from jaxrl_suite.errors import ConfigError, UnknownNameError


def make(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return jrl.make(f"pgx/{name}")


def played(name, episodes=60):
    """(observation, player, reward of the step) of random legal play."""
    env, params = make(name)
    rng, key, seen = np.random.default_rng(0), jax.random.key(0), []
    for _ in range(episodes):
        key, first = jax.random.split(key)
        observation, state = env.reset(first, params)
        is_over = False
        while not is_over:
            legal = np.flatnonzero(env.turns.legal(observation, params))
            key, step_key = jax.random.split(key)
            before = observation
            observation, state, reward, ended, cut, _ = env.advance(step_key, state, int(rng.choice(legal)), params)
            is_over = bool(ended | cut)
            seen.append((np.asarray(before), int(env.turns.player(before, params)), float(reward), is_over))
    return seen


def test_turns_alternate_and_the_reward_is_the_first_players():
    seen = played("tic_tac_toe", 20)
    starts = [True, *(over for *_, over in seen[:-1])]
    for (_, player, reward, is_over), is_first, before in zip(seen, starts, [None, *seen], strict=False):
        assert player == (0 if is_first else 1 - before[1])
        # Who moves last wins, or nobody does.
        assert reward in ((0.0, 1.0 if player == 0 else -1.0) if is_over else (0.0,))


def test_observations_that_are_no_information_sets_are_warned_of():
    with pytest.warns(UserWarning, match=r"pgx/kuhn_poker: .* 6 keys for 12 information sets"):
        pgx_env.make("pgx/kuhn_poker")
    env, _ = make("kuhn_poker")
    size = int(np.prod(env.game.observation_shape))
    keys = {tuple(observation[:size]) for observation, *_ in played("kuhn_poker", 200)}
    assert len(keys) == 6
    whole = jrl.games.load("kuhn_poker")
    assert whole.num_infosets == 12


def test_networks_play_them():
    env, params = make("tic_tac_toe")
    config = jrl.agents.PPOConfig(num_envs=8, rollout_length=16, total_updates=3)
    run = jrl.train(jrl.agents.ppo(env, params, config), quick_compile=True)
    assert np.isfinite(run.metrics["loss/policy"]).all()
    returns = jrl.evaluate(run.agent, run.state, seeds=run.seeds, episodes=8).returns
    assert set(np.unique(returns)) <= {-1.0, 0.0, 1.0}


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("kuhn", UnknownNameError, r"unknown pgx game 'kuhn': did you mean kuhn_poker"),
        ("2048", ConfigError, r"pgx/2048: has 1 players; must be a game of two"),
    ],
)
def test_what_is_refused(name, error, message):
    with pytest.raises(error, match=message):
        make(name)
