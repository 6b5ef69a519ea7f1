"""Search at decision time: exact values in the limit, unbiased estimates, and what it falls back on."""

import dataclasses
import math
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.agents import FixedConfig, SearchConfig, SearchState, search, searcher, table_play, uniform_play
from jaxrl_suite.agents.hanabi_beliefs import exact_hands
from jaxrl_suite.envs.seated import SeatedEnv
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.games import load, random_policy, uniform_policy
from jaxrl_suite.games.boards import PhantomTicTacToe
from jaxrl_suite.games.rules import CHANCE, END
from jaxrl_suite.learning.local_updates import mirror_step
from jaxrl_suite.solvers import expected_returns
from jaxrl_suite.solvers.tree_games import action_values
from tests.known_answers.ledger import known_answer


def exact_values(game, policy):
    with jrl.float64():
        return np.asarray(action_values(game, jnp.asarray(policy)).q)


def looked(name, path, searches, policy=None, **config):
    """What many searches find at a player's decision, whose own decisions before were `path` [(infoset, action), ...].

    Returns `Searched` with a leading axis [searches], of those with a particle left, and the information set's number.
    """
    env, game = jrl.make(f"game/{name}", observation="raw")
    blueprint = table_play(env, game, FixedConfig())
    config = SearchConfig(**({"num_particles": 30, "resample": False} | config))
    mine = searcher(blueprint, config)
    state = SearchState(uniform_policy(game) if policy is None else policy, config.step_size, 0.0)

    def one(key):
        memory, found = mine.start(key, state), None
        for infoset, action in path:
            key, now = jax.random.split(key)
            found, memory = mine.look(now, state, memory, jnp.int32(game.infoset(infoset)))
            memory = mine.acted(memory, jnp.int32(action))
        return found

    with jrl.float64():
        found = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), searches))
    is_alive = np.asarray(found.num_alive) > 0
    return jax.tree.map(lambda x: np.asarray(x)[is_alive], found), game.infoset(path[-1][0])


@known_answer("mirror_descent_search/estimator")
@pytest.mark.parametrize(
    ("path", "share"),
    [
        pytest.param([("J", 0)], True, marks=pytest.mark.slow),
        ([("Qp", 0)], True),
        ([("Kb", 0)], False),
        pytest.param([("Q", 0), ("Qpb", 0)], True, marks=pytest.mark.slow),
    ],
)
def test_estimates_are_unbiased(path, share):
    """Of uniform play's action values in Kuhn poker; the posterior's too, as cards tell of one another."""
    found, infoset = looked("kuhn_poker", path, 3000, share_randomness=share)
    exact = exact_values(load("kuhn_poker"), uniform_policy(load("kuhn_poker")))[infoset]
    error = found.values.std(axis=0) / np.sqrt(len(found.values))
    np.testing.assert_array_less(np.abs(found.values.mean(axis=0) - exact), 4 * error + 1e-6)


def test_the_posterior_is_the_blueprints():
    """Where the other player bets with good cards, a bet tells of them."""
    game = load("kuhn_poker")
    policy = random_policy(game, 3)
    found, infoset = looked("kuhn_poker", [("Qb", 0)], 3000, policy)
    exact = exact_values(game, policy)[infoset]
    error = found.values.std(axis=0) / np.sqrt(len(found.values))
    np.testing.assert_array_less(np.abs(found.values.mean(axis=0) - exact), 4 * error + 1e-6)
    assert abs(exact[1] - exact_values(game, uniform_policy(game))[infoset][1]) > 10 * error[1]


@known_answer("mirror_descent_search/estimator")
@pytest.mark.slow
def test_common_random_numbers_tell_actions_apart_better():
    spread = {}
    for share in (True, False):
        found, _ = looked("leduc_poker", [("0:", 1)], 400, num_particles=10, resample=True, share_randomness=share)
        spread[share] = (found.values[:, 2] - found.values[:, 1]).std()
    assert spread[True] < 0.95 * spread[False]


@known_answer("mirror_descent_search/estimator")
@pytest.mark.parametrize(("error", "flips", "mean"), [(0.01, 0.0, 0.106), (0.05, 0.15, 0.211), (0.1, 0.30, None)])
def test_noise_in_the_values_is_multiplied_by_the_step_size(error, flips, mean):
    """Two actions of equal worth, prior (.9, .1), eta = 30."""
    noise = error * jax.random.normal(jax.random.key(0), (200_000, 2))
    after = jnp.exp(mirror_step(jnp.log(jnp.asarray([0.9, 0.1])), noise, 30.0))[:, 1]
    assert float(jnp.mean(after > 0.5)) == pytest.approx(flips, abs=0.005)
    if mean is not None:
        assert float(jnp.mean(after)) == pytest.approx(mean, abs=0.002)


@pytest.mark.slow
@known_answer("mirror_descent_search/blueprint")
def test_without_a_step_it_is_the_blueprint():
    game = load("kuhn_poker")
    policy = random_policy(game, 1)
    found, infoset = looked("kuhn_poker", [("Q", 0), ("Qpb", 0)], 50, policy, step_size=0.0)
    np.testing.assert_allclose(found.policy, np.broadcast_to(policy[infoset], (len(found.policy), 2)), rtol=1e-5)
    env, params = jrl.make("board/dark_hex", observation="raw")
    ppo = jrl.agents.ppo(env.observed_as("auto"), params, jrl.agents.PPOConfig(num_envs=4, hidden_sizes=(16,)))
    state = ppo.init(jax.random.key(1))
    agent = search(ppo, SearchConfig(step_size=0.0, num_particles=2))
    alone, searching = (
        jrl.evaluate(each, jax.tree.map(lambda x: x[None], s), seeds=[0], episodes=8, greedy=True)
        for each, s in ((ppo, state), (agent, SearchState(state, jnp.float32(0), jnp.float32(0))))
    )
    np.testing.assert_array_equal(alone.returns, searching.returns)
    np.testing.assert_array_equal(alone.lengths, searching.lengths)


@known_answer("mirror_descent_search/blueprint")
@pytest.mark.slow
def test_a_deterministic_blueprint_is_never_left():
    game = load("kuhn_poker")
    policy = np.eye(2)[np.ones(len(game.legal), int)]
    for update in ("magnetic", "greedy"):
        found, _ = looked("kuhn_poker", [("J", 0)], 20, policy, step_size=100.0, update=update)
        np.testing.assert_allclose(found.policy, [[0.0, 1.0]] * len(found.policy), atol=1e-6)


def test_with_no_particle_left_it_plays_the_blueprint():
    env, game = jrl.make("game/kuhn_poker", observation="raw")
    mine = searcher(table_play(env, game), SearchConfig(num_particles=1, resample=False, num_rollouts=32))
    state = SearchState(uniform_policy(game), 50.0, 0.0)

    def first(key):
        return mine.look(key, state, mine.start(key, state), jnp.int32(game.infoset("J")))[0]

    with jrl.float64():
        found = jax.jit(jax.vmap(first))(jax.random.split(jax.random.key(0), 200))
    is_dead = np.asarray(found.num_alive) == 0
    # Two of three cards are other ones.
    assert is_dead.mean() == pytest.approx(2 / 3, abs=0.12)
    assert np.isnan(np.asarray(found.values)[is_dead]).all()
    np.testing.assert_allclose(np.asarray(found.policy)[is_dead], 0.5)
    assert np.abs(np.asarray(found.policy)[~is_dead] - 0.5).min() > 0.4


@pytest.mark.slow
def test_its_blueprint_can_be_trained():
    """One seed after another, and its settings swept: training is the blueprint's, play is searched."""
    env, params = jrl.make("board/dark_hex", size=2)
    ppo = jrl.agents.ppo(env, params, jrl.agents.PPOConfig(num_envs=4, rollout_length=8, hidden_sizes=(8,)))
    agent = search(ppo, SearchConfig(num_particles=3, step_size=5.0))
    run, plain = (jrl.train(each, seeds=2, updates=3, quick_compile=True) for each in (agent, ppo))
    assert jax.tree.all(jax.tree.map(lambda x, y: bool(np.array_equal(x, y)), run.state.blueprint, plain.state))
    np.testing.assert_array_equal(run.state.step_size, [5.0, 5.0])
    found = jrl.evaluate(agent, run.state, seeds=run.seeds, episodes=4)
    assert found.ended.all()


@pytest.mark.slow
def test_a_search_in_double_precision_leaves_others_in_single():
    """They share the game's arrays, whose numbers a compiled program may hold."""
    looked("tiny_hanabi_B", [("0:0", 0)], 2)
    env, game = jrl.make("game/tiny_hanabi_B")
    found = jrl.evaluate(uniform_play(env, game), jnp.zeros(1), seeds=[0], episodes=3)
    assert found.ended.all()


def searching_in(seat, opponent, **config):
    """(agent, environment, its parameters) of search from uniform play in Kuhn poker, against a table."""
    env, game = jrl.make("game/kuhn_poker", observation="raw")
    table = table_play(env, game)
    seated = SeatedEnv(env, table, seat)
    return search(table, SearchConfig(**config)), seated, seated.wrap_params(game, jnp.asarray(opponent))


@pytest.mark.parametrize("seat", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_play_is_that_of_one_exact_step(seat):
    """Kuhn poker, many particles, against a random opponent who sits outside the search."""
    game = load("kuhn_poker")
    uniform, opponent, episodes = uniform_policy(game), random_policy(game, 7), 1500
    with jrl.float64():
        q = exact_values(game, uniform)
        step = np.exp(np.asarray(mirror_step(jnp.log(jnp.asarray(uniform)), q, 2.0, game.legal)))
    joint = np.where((np.asarray(game.player) == seat)[:, None], step, opponent)
    agent, env, params = searching_in(seat, opponent, step_size=2.0, num_particles=150, num_rollouts=4)
    state = SearchState(jnp.asarray(uniform)[None], jnp.full(1, 2.0), jnp.zeros(1))
    found = jrl.evaluate(agent, state, seeds=[0], episodes=episodes, greedy=False, env=env, env_params=params)
    value = expected_returns(game, joint)[seat]
    assert found.returns.mean() == pytest.approx(value, abs=4 * found.returns.std() / np.sqrt(episodes))


@pytest.mark.slow
def test_search_raises_a_common_payoff():
    """Mirror descent search by both players in Tiny Hanabi A; larger steps gain more in this one."""
    env, game = jrl.make("game/tiny_hanabi_A", observation="raw")
    agent = search(table_play(env, game), SearchConfig(num_particles=100))
    steps = np.array([0.0, 1.0, 10.0], np.float32)
    state = SearchState(jnp.asarray(np.stack([uniform_policy(game)] * 3)), jnp.asarray(steps), jnp.zeros(3))
    found = jrl.evaluate(agent, state, seeds=[0, 1, 2], episodes=3000, greedy=False).returns
    for returns, known in zip(found, (1.625, 1.820614, 2.246239), strict=True):
        assert returns.mean() == pytest.approx(known, abs=4 * returns.std() / np.sqrt(3000) + 0.01)


@pytest.mark.slow
def test_more_search_is_better_in_both_seats():
    env, params = jrl.make("board/phantom_tic_tac_toe", observation="raw")
    uniform = uniform_play(env, params)
    agent = search(uniform, SearchConfig(num_particles=10))
    state = SearchState(jnp.zeros(2), jnp.asarray([0.0, 10.0]), jnp.zeros(2))
    for seat in (0, 1):
        seated = SeatedEnv(env, uniform, seat)
        game = {"env": seated, "env_params": seated.wrap_params(params, jnp.zeros(()))}
        found = jrl.evaluate(agent, state, seeds=[0, 1], episodes=400, greedy=False, **game).returns.mean(axis=1)
        assert found[1] - found[0] > 0.2


def against_uniform(name, seat, games):
    """Returns [4, game] of ten-particle search at tau = 1, 5, 10, 50, each rollout with its own random numbers."""
    env, params = jrl.make(f"board/{name}", observation="raw")
    uniform = uniform_play(env, params)
    seated = SeatedEnv(env, uniform, seat)
    agent = search(uniform, SearchConfig(num_particles=10, share_randomness=False))
    state = SearchState(jnp.zeros(4), jnp.asarray([1.0, 5.0, 10.0, 50.0]), jnp.zeros(4))
    game = {"env": seated, "env_params": seated.wrap_params(params, jnp.zeros(()))}
    return jrl.evaluate(agent, state, seeds=range(4), episodes=games, greedy=False, **game).returns


@pytest.mark.slow
@known_answer("mirror_descent_search/head-to-head")
@pytest.mark.parametrize(
    ("name", "seat", "known"),
    [
        ("dark_hex", 0, (0.370, 0.554, 0.625, 0.647)),
        ("dark_hex", 1, (-0.142, 0.143, 0.188, 0.214)),
        ("phantom_tic_tac_toe", 0, (0.389, 0.605, 0.677, 0.706)),
    ],
)
def test_ten_particles_against_uniform_play(name, seat, known):
    """Ten thousand games each, as the known answers have them: within three standard errors of both."""
    found = against_uniform(name, seat, 10_000)
    error = np.sqrt(2) * found.std(axis=1) / 100
    np.testing.assert_array_less(np.abs(found.mean(axis=1) - known), 3 * error)


@pytest.mark.slow
def test_it_is_the_search_of_a_plain_program():
    """Phantom tic-tac-toe from the second seat, tau = 10, where the known answer, 0.196, is another: the paper leaves
    the filter's conventions open, and a program that shares nothing with this suite but them gives ours."""
    found = against_uniform("phantom_tic_tac_toe", 1, 10_000)[2]
    plain = [plain_game(random.Random(seed), 1, 10, 10.0) for seed in range(6000)]
    error = np.hypot(found.std() / 100, np.std(plain) / np.sqrt(len(plain)))
    assert found.mean() == pytest.approx(np.mean(plain), abs=3 * error)


def plain_game(rng, seat, count, tau):
    """What the searcher gets in one game of phantom tic-tac-toe against uniform play."""
    rules = PhantomTicTacToe()
    state = rules.start()
    particles = [state] * count

    def until_own_turn(state):
        while rules.player(state) == 1 - seat:
            state = rules.after(state, rng.choice(rules.actions(state)))
        return state

    def rollout(state, action):
        state = rules.after(state, action)
        while rules.player(state) != END:
            state = rules.after(state, rng.choice(rules.actions(state)))
        return rules.returns(state)[seat]

    while True:
        state = until_own_turn(state)
        if rules.player(state) == END:
            return rules.returns(state)[seat]
        seen = rules.information(state)
        particles = [p for p in map(until_own_turn, particles) if rules.player(p) != END]
        particles = [p for p in particles if rules.information(p) == seen]
        particles = rng.choices(particles, k=count) if particles else []
        weights = [1.0 for _ in rules.actions(state)]
        if particles:
            sums = [sum(rollout(p, action) for p in particles) for action in rules.actions(state)]
            weights = [math.exp(tau * (x - max(sums)) / count) for x in sums]
        action = rng.choices(rules.actions(state), weights)[0]
        state = rules.after(state, action)
        particles = [rules.after(p, action) for p in particles]


def recurrent(name):
    env, params = jrl.make(name)
    return jrl.agents.ppo(env, params, jrl.agents.PPOConfig(num_envs=4, torso="gru", hidden_sizes=(8,)))


@known_answer("mirror_descent_search/blueprint")
@pytest.mark.slow
def test_a_blueprint_may_remember():
    """Its own memory in each particle: without a step the search is its play, move by move; with one, another."""
    ppo = recurrent("board/dark_hex")
    blueprint = ppo.init(jax.random.key(1))
    # A head that says something, so that what is remembered matters.
    blueprint = dataclasses.replace(blueprint, params=jax.tree.map(lambda x: 3 * x, blueprint.params))
    plain = jrl.evaluate(ppo, jax.tree.map(lambda x: x[None], blueprint), seeds=[0], episodes=8, greedy=True)
    agent = search(ppo, SearchConfig(num_particles=2))
    states = SearchState(jax.tree.map(lambda x: jnp.stack([x] * 2), blueprint), jnp.asarray([0.0, 50.0]), jnp.zeros(2))
    found = jrl.evaluate(agent, states, seeds=[0, 0], episodes=8, greedy=True)
    np.testing.assert_array_equal(found.returns[:1], plain.returns)
    np.testing.assert_array_equal(found.lengths[:1], plain.lengths)
    assert (found.lengths[1] != plain.lengths[0]).any()


@pytest.mark.slow
def test_values_are_of_what_a_blueprint_remembers():
    """Kuhn poker, the second player after a pass: the exact values of the joint policy that the networks play."""
    env, game = jrl.make("game/kuhn_poker")
    ppo = jrl.agents.ppo(env, game, jrl.agents.PPOConfig(num_envs=4, torso="gru", hidden_sizes=(8,)))
    blueprint = ppo.init(jax.random.key(3))
    blueprint = dataclasses.replace(blueprint, params=jax.tree.map(lambda x: 20 * x, blueprint.params))
    policy = np.zeros(game.legal.shape)

    def walk(node, memory):
        """Fills in the policy at what follows a node, the memory being that of the play that led there."""
        nodes, player = game.nodes, game.nodes.player[node]
        if player == END:
            return
        if player == CHANCE:
            for child in nodes.children[node][nodes.probability[node] > 0]:
                walk(child, memory)
            return
        infoset = nodes.infoset[node]
        policy[infoset], memory = ppo.info.policy(blueprint, memory, env.observation_of(infoset, game))
        for action in np.flatnonzero(game.legal[infoset]):
            walk(nodes.children[node][action], memory)

    walk(0, ppo.start(jax.random.key(0), blueprint))
    policy /= policy.sum(axis=1, keepdims=True)
    exact = exact_values(game, policy)
    mine = searcher(ppo, SearchConfig(num_particles=64, resample=False))
    state = SearchState(blueprint, jnp.float32(0), jnp.float32(0))
    infosets = [game.infoset(name) for name in ("Kp", "Kpb")]

    @jax.jit
    @jax.vmap
    def one(key):
        second, _ = mine.look(key, state, mine.start(key, state), env.observation_of(infosets[0], game))
        _, memory = mine.look(key, state, mine.start(key, state), env.observation_of(game.infoset("K"), game))
        third, _ = mine.look(key, state, mine.acted(memory, jnp.int32(0)), env.observation_of(infosets[1], game))
        return second.values, third.values, second.blueprint, third.blueprint

    found = [np.asarray(x) for x in one(jax.random.split(jax.random.key(0), 600))]
    for values, played, infoset in zip(found[:2], found[2:], infosets, strict=True):
        np.testing.assert_allclose(played[0], policy[infoset], rtol=1e-4)
        error = np.nanstd(values, axis=0) / np.sqrt(len(values))
        np.testing.assert_array_less(np.abs(np.nanmean(values, axis=0) - exact[infoset]), 4 * error + 1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: search(jrl.agents.dqn(*jrl.make("board/dark_hex"))), r"blueprint dqn: must know its policy"),
        (lambda: search(uniform_play(*jrl.make("CartPole-v1"))), r"search: CartPole-v1: must be a game"),
        (lambda: search(recurrent("hanabi/tiny"), None, exact_hands), r"exact_hands: the blueprint: must have no mem"),
        (
            lambda: search(uniform_play(*jrl.make("board/dark_hex")), SearchConfig(num_particles=0)),
            r"num_particles = 0: must be >= 1",
        ),
        (
            lambda: search(uniform_play(*jrl.make("board/dark_hex")), SearchConfig(step_size=-1.0)),
            r"step_size = -1.0: must be >= 0",
        ),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
