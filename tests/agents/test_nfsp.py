"""NFSP against its definition: what goes to which memory, when it learns, what it plays; and that it learns."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.agents.memoryless import policy_table
from jaxrl_suite.config import sweepable_fields
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.games import uniform_policy
from jaxrl_suite.learning.networks import MLP, Network
from jaxrl_suite.solvers import expected_returns, exploitability, nash_equilibrium
from tests.helpers import same_states

SMALL = {
    "num_envs": 6, "train_frequency": 2, "batch_size": 8, "buffer_size": 400, "reservoir_size": 20, "optimizer": "adam",
    "learning_starts": 30, "target_period": 40, "total_updates": 20, "hidden_sizes": (8,), "anticipation": 0.5,
    "initial_epsilon": 0.8, "final_epsilon": 0.5,
}  # fmt: skip
STEPS, UPDATES = 12, 16
SWEPT = sweepable_fields(jrl.agents.NFSPConfig)
BASE, GREEDY, NEVER = len(SWEPT), len(SWEPT) + 1, len(SWEPT) + 2
"""Members of `history` after those with one setting halved: as in SMALL, Q alone and greedily, never Q."""


def make_agent(env_id="game/leduc_poker", **settings):
    env, params = jrl.make(env_id)
    return jrl.agents.nfsp(env, params, jrl.agents.NFSPConfig(**(SMALL | settings)))


def quick(function):
    """Compiled with little optimisation: compiling takes longer than these runs."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


@pytest.fixture(scope="module")
def history():
    """(agent of SMALL, states, metrics) of all members, in one program: states before each update and after the last,
    metrics of each, as NumPy arrays [member, ...]."""
    agent = make_agent()
    numbers = {name: np.full(len(SWEPT) + 3, getattr(agent.info.config, name), np.float32) for name in SWEPT}
    for i, name in enumerate(SWEPT):
        numbers[name][i] *= 0.5
    numbers["anticipation"][[GREEDY, NEVER]] = 1.0, 1e-6
    numbers["initial_epsilon"][GREEDY] = numbers["final_epsilon"][GREEDY] = 0.0

    def member(numbers):
        return jrl.agents.nfsp(agent.info.env, agent.info.env_params, agent.info.config.replace(**numbers))

    init = quick(jax.vmap(lambda numbers: member(numbers).init(jax.random.key(0))))
    update = quick(jax.vmap(lambda numbers, *rest: member(numbers).update(*rest), (0, None, 0, None)))
    states, metrics = [init(numbers)], []
    for step in range(UPDATES):
        state, measured = update(numbers, jax.random.key(step), states[-1], jnp.int32(step))
        states.append(state)
        metrics.append(measured)
    return agent, jax.tree.map(np.asarray, states), jax.tree.map(np.asarray, metrics)


def of(member, trees):
    return jax.tree.map(lambda x: x[member], trees)


def kept(buffer, count):
    """The first items of a memory that is not full."""
    return jax.tree.map(lambda x: np.asarray(x[0, :count]), buffer.experience)


@pytest.mark.parametrize("member", [BASE, GREEDY, NEVER])
def test_networks_learn_when_there_is_enough_and_the_target_follows(history, member):
    """12 decisions an update, at most 12 transitions pending: by the count of decisions M_RL has 30 after the fourth
    update at the latest. Pi waits until 30 best responses have come, which they never do where Q plays never."""
    _, states, metrics = history
    states, metrics = of(member, states), of(member, metrics)
    for step in range(UPDATES):
        before, after = states[step], states[step + 1]
        has_learnt, is_enough = step >= 3, metrics[step]["reservoir/seen"] >= 30
        assert same_states(before.params.response, after.params.response) != has_learnt, step
        assert np.isfinite(metrics[step]["loss/td"]) == has_learnt
        assert same_states(before.params.average, after.params.average) != (has_learnt and is_enough), step
        assert np.isfinite(metrics[step]["loss/average"]) == (has_learnt and is_enough)
        is_due = (step + 1) * STEPS // 40 > step * STEPS // 40
        expected = after.params.response if is_due else before.target_params
        assert same_states(after.target_params, expected), step
    seen = {BASE: range(60, 140), GREEDY: [UPDATES * STEPS], NEVER: [0]}
    assert metrics[-1]["reservoir/seen"] in seen[member]


def test_every_float_setting_can_be_swept(history):
    """All in one program; a value that differs leads to other parameters."""
    _, states, metrics = history
    leaves = [np.reshape(x, (len(x), -1)) for x in jax.tree.leaves(states[-1].params)]
    flat = np.concatenate(leaves, axis=1)
    assert np.isfinite(flat).all()
    for i, name in enumerate(SWEPT):
        assert not np.array_equal(flat[i], flat[BASE]), f"{name} changes nothing"
    epsilon = [m["exploration/epsilon"][BASE] for m in metrics]
    np.testing.assert_allclose(epsilon, 0.8 - 0.3 * np.arange(UPDATES) / 20, rtol=1e-5)


def test_all_decisions_are_replayed_once_with_the_movers_own_reward(history):
    """Each transition leads from an information set of a player to a later one of its own, or to the end with what it
    won; what player 0's won is the returns of the games that ended."""
    agent, states, metrics = history
    game, state = agent.info.env_params, of(BASE, states[-1])
    count = int(state.replay.current_index)
    assert count == UPDATES * STEPS - int(state.pending.is_open.sum())
    made = kept(state.replay, count)
    goes_on = ~made.terminated
    for seen, action, following in zip(
        made.observation[goes_on], made.action[goes_on], made.next_observation[goes_on], strict=True
    ):
        assert game.player[seen] == game.player[following]
        # A name is the own card, the public one if there is one, and what was done: raised, called, folded.
        (cards, done), (later_cards, done_later) = (game.names.infosets[i].split(":") for i in (seen, following))
        assert later_cards.startswith(cards)
        assert done_later.startswith(done + "fcr"[action])
        assert len(done_later) > len(done) + 1
    assert (made.reward[goes_on] == 0).all()
    won = [made.reward[made.terminated & (game.player[made.observation] == p)].sum() for p in (0, 1)]
    returns = sum(np.nan_to_num(m["episode/return"][BASE]) * m["episode/count"][BASE] for m in metrics)
    np.testing.assert_allclose(won, [returns, -returns], atol=1e-4)
    assert np.abs(made.reward).max() > 2


def test_the_reservoir_has_what_q_played(history):
    """In the first update, all by the first parameters, where Q alone plays and never explores."""
    agent, states, _ = history
    network = Network(MLP((8,), "relu", num_states=936), 3, 1.0)
    responses = kept(of(GREEDY, states[1]).reservoir.buffer, STEPS)
    q = network.apply(of(GREEDY, states[0]).params.response, (), responses.observation)[1]
    q = np.where(agent.info.env_params.legal[responses.observation], q, -np.inf)
    np.testing.assert_array_equal(responses.action, q.argmax(axis=-1))


def test_only_legal_actions_are_played_and_kept(history):
    agent, states, _ = history
    game, state = agent.info.env_params, of(BASE, states[-1])
    made, responses = kept(state.replay, int(state.replay.current_index)), kept(state.reservoir.buffer, 20)
    for samples in (made, responses):
        assert game.legal[samples.observation, samples.action].all()
        assert set(samples.action) == {0, 1, 2}
    shown = agent.info.env.observation_of(jnp.arange(game.num_infosets), game)
    table = jax.vmap(lambda seen: agent.info.policy(state, (), seen)[0])(shown)
    assert (np.asarray(table)[~game.legal] == 0).all()
    np.testing.assert_allclose(table.sum(axis=1), 1.0, rtol=1e-5)


def test_who_plays_a_best_response_is_drawn_once_a_game_for_each_player(history):
    _, states, _ = history
    changes = 0
    for before, after in itertools.pairwise(of(BASE, states)):
        # Two decisions a game and update.
        goes_on = after.env.episode_length >= 2
        np.testing.assert_array_equal(before.responds[goes_on], after.responds[goes_on])
        changes += (before.responds != after.responds).sum(axis=0)
    assert (changes > 3).all()
    share = np.mean([state.responds.mean(axis=0) for state in of(BASE, states)], axis=0)
    np.testing.assert_allclose(share, 0.5, atol=0.25)
    assert of(GREEDY, states[-1]).responds.all()
    assert not of(NEVER, states[-1]).responds.any()


def test_a_member_in_a_batch_is_the_member_alone_and_the_same_key_gives_the_same(history):
    agent, states, metrics = history
    update = quick(agent.update)
    alone, measured = update(jax.random.key(9), of(BASE, states[9]), jnp.int32(9))
    np.testing.assert_allclose(measured["loss/average"], metrics[9]["loss/average"][BASE], rtol=1e-5)
    for one, many in zip(jax.tree.leaves(alone), jax.tree.leaves(states[10]), strict=True):
        np.testing.assert_allclose(one, many[BASE], atol=1e-5)
    again, _ = update(jax.random.key(9), of(BASE, states[9]), jnp.int32(9))
    assert same_states(again, alone)
    other, _ = update(jax.random.key(100), of(BASE, states[9]), jnp.int32(9))
    assert not same_states(other.params, alone.params)


def test_what_is_played_is_the_average_policy(history):
    agent, states, _ = history
    state = of(BASE, states[-1])
    # Its last bias moved, so that it is far from uniform. At information set 3 there are calls and raises.
    state.params.average["params"]["Dense_0"]["bias"] = np.array([0.0, 0.0, 1.0], np.float32)
    seen = jax.nn.one_hot(3, 936)
    probabilities, memory = agent.info.policy(state, agent.start(jax.random.key(0), state), seen)
    assert memory == ()
    assert agent.info.env_params.legal[3].tolist() == [False, True, True]
    assert probabilities[2] > 0.6
    act = jax.vmap(lambda key: agent.act(key, state, (), seen, False)[0])
    actions = act(jax.random.split(jax.random.key(1), 4000))
    np.testing.assert_allclose(np.mean(actions == 2), probabilities[2], atol=5 * np.sqrt(0.25 / 4000))
    assert agent.act(jax.random.key(0), state, (), seen, True)[0] == 2


def test_it_is_a_blueprint_for_search():
    agent = make_agent("board/dark_hex")
    searching = jrl.agents.search(agent, jrl.agents.SearchConfig(num_particles=2))

    def decide(key):
        state = searching.init(key)
        observation, _ = agent.info.env.reset(key, agent.info.env_params)
        return searching.act(key, state, searching.start(key, state), observation, True)[0]

    assert jax.eval_shape(decide, jax.random.key(0)).dtype == jnp.int32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"anticipation": 0.0}, r"NFSPConfig\.anticipation = 0\.0: must be > 0 and <= 1"),
        ({"initial_epsilon": 1.5}, r"initial_epsilon = 1\.5: must be >= 0 and <= 1"),
        ({"optimizer": "rmsprop"}, r"optimizer = 'rmsprop': must be one of sgd, adam"),
        ({"buffer_size": 7}, r"NFSPConfig\.buffer_size = 7: must hold batch_size = 8"),
        ({"buffer_size": 20}, r"buffer_size = 20: must hold the 24 transitions that 2 steps of 6 games can complete"),
        ({"reservoir_size": 5}, r"NFSPConfig\.reservoir_size = 5: must hold batch_size = 8"),
        ({"total_updates": 2**29}, r"NFSPConfig\.total_updates = 536870912: .* must stay below"),
        ({"hidden_sizes": ()}, r"NFSPConfig\.hidden_sizes = \(\): must be one or more positive"),
    ],
)
def test_bad_settings_are_refused_before_compiling(settings, message):
    with pytest.raises(ConfigError, match=message):
        make_agent(**settings)


def test_what_is_no_game_is_refused():
    for env_id, message in (("CartPole-v1", "must be a game in self-play"), ("Pendulum-v1", "must have a Discrete")):
        with pytest.raises(ConfigError, match=f"nfsp: {env_id}.* {message}"):
            jrl.agents.nfsp(*jrl.make(env_id))


def learned(seeds, observation, **settings):
    """(game, what each of the seeds of a run in Kuhn poker plays)."""
    env, game = jrl.make("game/kuhn_poker", observation=observation)
    agent = jrl.agents.nfsp(env, game, jrl.agents.NFSPConfig(**settings))
    return game, policy_table(jrl.train(agent, seeds=seeds, quick_compile=True))


@pytest.mark.slow
def test_the_average_policy_of_kuhn_poker_is_hard_to_exploit():
    """Uniform play can be exploited for 0.458, the first policy nearly so."""
    game, tables = learned(3, "auto", total_updates=2000, response_learning_rate=0.1, average_learning_rate=0.1)
    found = [float(exploitability(game, table)) for table in tables]
    assert max(found) < 0.15, found
    assert exploitability(game, uniform_policy(game)) > 0.45


@pytest.mark.slow
def test_the_default_settings_come_near_an_equilibrium():
    game, tables = learned(3, "raw", total_updates=40_000)
    found = [float(exploitability(game, table)) for table in tables]
    assert max(found) < 0.08, found
    values = [expected_returns(game, table)[0] for table in tables]
    np.testing.assert_allclose(values, nash_equilibrium(game).value, atol=0.05)
