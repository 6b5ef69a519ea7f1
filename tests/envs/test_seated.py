"""Games seen from one seat: whose reward, whose turns, and learners that find the best response there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.agents import first_action, table_play, uniform_play
from jaxrl_suite.envs.seated import SeatedEnv
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.games import load, random_policy, uniform_policy
from jaxrl_suite.solvers import best_response, expected_returns


def seated(name, seat, opponent):
    env, game = jrl.make(f"game/{name}")
    table = table_play(env, game)
    env = SeatedEnv(env, table, seat)
    return table, env, env.wrap_params(game, jnp.asarray(opponent, jnp.float32))


@pytest.mark.parametrize("name", ["kuhn_poker", "tiny_hanabi_A", "leduc_poker"])
@pytest.mark.parametrize("seat", [0, 1])
def test_the_seats_own_return(name, seat):
    game = load(name)
    mine, theirs = random_policy(game, 1), random_policy(game, 2)
    table, env, params = seated(name, seat, theirs)
    found = jrl.evaluate(table, mine[None], seeds=[0], episodes=4000, greedy=False, env=env, env_params=params).returns
    joint = np.where((np.asarray(game.player) == seat)[:, None], mine, theirs)
    assert found.mean() == pytest.approx(expected_returns(game, joint)[seat], abs=4 * found.std() / np.sqrt(4000))


def test_only_own_decisions_are_asked_for_in_the_seat_that_parameters_say():
    env, params = jrl.make("board/phantom_tic_tac_toe")
    alone = SeatedEnv(env, uniform_play(env, params), 1)
    assert alone.wrap_params(params, jnp.zeros(())).seat == 1
    for seat in (0, 1):
        its_params = alone.wrap_params(params, jnp.zeros(())).replace(seat=seat)
        observation, state = alone.reset(jax.random.key(0), its_params)
        is_over = False
        while not is_over:
            assert env.turns.player(observation, params) == seat
            assert alone.turns.player(observation, its_params) == 0
            np.testing.assert_array_equal(observation, alone.turns.observe(state, its_params))
            action = int(np.argmax(alone.turns.legal(observation, its_params)))
            observation, state, _, is_over, _ = alone.transition(jax.random.key(1), state, action, its_params)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("agent", "seat"), [("ppo", 0), *(pytest.param("dqn", seat, marks=pytest.mark.slow) for seat in (0, 1))]
)
def test_learners_find_best_responses(agent, seat):
    """To uniform play in Kuhn poker; nobody finds more than there is."""
    game = load("kuhn_poker")
    _, env, params = seated("kuhn_poker", seat, uniform_policy(game))
    factory = getattr(jrl.agents, agent)
    if agent == "dqn":
        settings = {"num_envs": 8, "learning_rate": 1e-3, "buffer_size": 20_000, "total_updates": 1500, "discount": 1.0}
    else:
        settings = {"num_envs": 32, "learning_rate": 3e-3, "total_updates": 60, "discount": 1.0}
    run = jrl.train(factory(env, params, factory.config_class(hidden_sizes=(32,), **settings)), quick_compile=True)
    found = jrl.evaluate(run.agent, run.state, seeds=run.seeds, episodes=4000, greedy=True).returns
    exact = best_response(game, uniform_policy(game)).value[seat]
    error = found.std() / np.sqrt(found.size)
    assert exact - 0.1 - 4 * error < found.mean() < exact + 4 * error


def test_first_actions():
    env, params = jrl.make("board/dark_hex", size=2)
    found = jrl.evaluate(first_action(env, params), jnp.zeros(1), seeds=[0], episodes=2, greedy=False)
    # Nothing is random in it: both always try their lowest empty cell.
    assert len(set(found.lengths.ravel().tolist())) == 1
    assert set(np.abs(found.returns).ravel().tolist()) == {1.0}


def test_the_same_arguments_give_the_same_environment():
    env, params = jrl.make("board/dark_hex")
    player = uniform_play(env, params)
    assert SeatedEnv(env, player, 0) is SeatedEnv(env, player, 0)
    assert SeatedEnv(env, player, 0) is not SeatedEnv(env, player, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda env, player: SeatedEnv(env, player, 2), r"seat = 2: must be one of 0 to 1"),
        (lambda env, player: SeatedEnv(jrl.make("CartPole-v1")[0], player, 0), r"CartPole-v1: must be a game"),
        (
            lambda env, player: SeatedEnv(env, player, 0).check_params(
                SeatedEnv(env, player, 0).wrap_params(env.default_params, jnp.zeros(())).replace(seat=2)
            ),
            r"seat 0\): seat = 2: must be one of 0 to 1",
        ),
        (
            lambda env, player: jrl.evaluate(player, jnp.zeros(1), seeds=[0], env=env),
            r"env = board/dark_hex: must come with env_params",
        ),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    env, params = jrl.make("board/dark_hex")
    with pytest.raises(ConfigError, match=message):
        call(env, uniform_play(env, params))
