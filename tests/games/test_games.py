"""Games as arrays: what their rules say, what OpenSpiel says, properties of judges on random games, and refusals."""

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

import jaxrl_suite as jrl
from jaxrl_suite.errors import ConfigError, UnknownNameError
from jaxrl_suite.games import (
    CHANCE,
    END,
    check_policy,
    compile_game,
    first_action_policy,
    list_games,
    load,
    matrix_game,
    random_policy,
    uniform_policy,
)
from jaxrl_suite.games.row_sums import row_sums
from jaxrl_suite.solvers import (
    agent_quantal_response,
    best_response,
    expected_returns,
    exploitability,
    nash_conv,
    nash_equilibrium,
    quantal_response,
    saddle_gap,
)
from jaxrl_suite.solvers.tree_games import action_values
from tests.helpers import RandomTree, random_game, walked_values

seeds = st.integers(0, 6)
# Every game is a program of its own.
quickly = settings(max_examples=12, deadline=None)


@quickly
@given(seeds, st.integers(0, 5), st.booleans())
def test_a_best_response_is_never_worse_than_any_policy(seed, other, is_zero_sum):
    game = random_game(seed, is_zero_sum=is_zero_sum)
    policy, rival = random_policy(game, other), random_policy(game, other + 100)
    response = best_response(game, policy)
    for player in (0, 1):
        mine = np.asarray(game.player)[:, None] == player
        assert expected_returns(game, np.where(mine, rival, policy))[player] <= response.value[player] + 1e-12
        reached = expected_returns(game, np.where(mine, response.policy, policy))[player]
        assert reached == pytest.approx(response.value[player], abs=1e-12)
    assert nash_conv(game, policy) >= -1e-12


@quickly
@given(seeds)
def test_the_linear_programs_solution_is_an_equilibrium(seed):
    game = random_game(seed)
    equilibrium = nash_equilibrium(game)
    assert exploitability(game, equilibrium.policy) == pytest.approx(0.0, abs=1e-8)
    assert expected_returns(game, equilibrium.policy)[0] == pytest.approx(equilibrium.value, abs=1e-8)


@quickly
@given(seeds, st.permutations([0, 1, 2]), st.floats(-3, 3))
def test_renamed_actions_and_shifted_payoffs_change_nothing(seed, order, shift):
    game, other = random_game(seed), random_game(seed, order=tuple(order), shift=round(shift, 2))
    assert nash_equilibrium(other).value == pytest.approx(nash_equilibrium(game).value + round(shift, 2), abs=1e-8)
    policy = random_policy(game, 0)
    renamed = np.zeros(other.legal.shape)
    for row, (name, player) in enumerate(zip(game.names.infosets, game.player, strict=True)):
        renamed[other.infoset(name, player), list(order)] = policy[row]
    assert exploitability(other, renamed) == pytest.approx(exploitability(game, policy), abs=1e-10)


@quickly
@given(seeds, st.integers(0, 5))
@pytest.mark.slow
def test_action_values_are_those_of_a_walk_over_the_tree(seed, other):
    game = random_game(seed, is_zero_sum=False)
    policy = random_policy(game, other)
    with jrl.float64():
        values = action_values(game, jnp.asarray(policy))
    total, weight = walked_values(game, policy)
    np.testing.assert_allclose(values.weight, weight, atol=1e-12)
    np.testing.assert_allclose(values.counterfactual, total, atol=1e-12)


@quickly
@given(st.integers(0, 1000), st.integers(1, 12), st.integers(1, 30))
def test_sparse_sums_are_those_of_the_matrix(seed, rows, columns):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, columns)) * (rng.random((rows, columns)) < rng.random())
    places = np.argwhere(matrix != 0)
    sums = row_sums(places[:, 0], places[:, 1], matrix[tuple(places.T)], matrix.shape)
    vector = rng.normal(size=columns)
    with jrl.float64():
        np.testing.assert_allclose(sums @ jnp.asarray(vector), matrix @ vector, atol=1e-12)


OPEN_SPIEL = {
    "kuhn_poker": ("kuhn_poker", {}),
    "leduc_poker": ("leduc_poker", {}),
    "liars_dice": ("liars_dice(dice_sides=4)", {}),
    "dark_hex": ("dark_hex(board_size=2,gameversion=adh)", {}),
}


@pytest.mark.parametrize("name", OPEN_SPIEL)
def test_open_spiel_agrees(name):
    pyspiel = pytest.importorskip("pyspiel")
    from open_spiel.python import policy as policies
    from open_spiel.python.algorithms import expected_game_score
    from open_spiel.python.algorithms import exploitability as theirs

    text, options = OPEN_SPIEL[name]
    game, reference = load(name, **options), pyspiel.load_game(text)
    tabular = policies.TabularPolicy(reference)
    assert len(tabular.states_per_player[0]) == (game.player == 0).sum()
    assert len(tabular.states_per_player[1]) == (game.player == 1).sum()
    counts = {END: 0, CHANCE: 0, 0: 0}
    stack = [reference.new_initial_state()]
    while stack:
        state = stack.pop()
        counts[END if state.is_terminal() else CHANCE if state.is_chance_node() else 0] += 1
        stack += [] if state.is_terminal() else [state.child(action) for action in state.legal_actions()]
    player = game.nodes.player
    assert counts == {END: (player == END).sum(), CHANCE: (player == CHANCE).sum(), 0: (player >= 0).sum()}
    uniform = uniform_policy(game)
    assert exploitability(game, uniform) == pytest.approx(theirs.exploitability(reference, tabular), abs=1e-9)
    first = policies.TabularPolicy(reference)
    first.action_probability_array[:] = np.eye(first.legal_actions_mask.shape[1])[first.legal_actions_mask.argmax(1)]
    mine = first_action_policy(game)
    assert exploitability(game, mine) == pytest.approx(theirs.exploitability(reference, first), abs=1e-9)
    for ours, other in ((uniform, tabular), (mine, first)):
        scores = expected_game_score.policy_value(reference.new_initial_state(), [other] * 2)
        np.testing.assert_allclose(expected_returns(game, ours), scores, atol=1e-9)


def test_dark_games_of_both_kinds():
    """Blocked, a player of the abrupt game loses its turn, one of the classical game moves again."""
    from jaxrl_suite.games.boards import DarkHex, PhantomTicTacToe

    for rules, mover in ((DarkHex(3, abrupt=True), 0), (DarkHex(3, abrupt=False), 1), (PhantomTicTacToe(), 1)):
        blocked = rules.after(rules.after(rules.start(), 4), 4)
        assert rules.player(blocked) == mover
        assert blocked.stones[4] == 0
        assert blocked.seen[1][4] == 0
        assert 4 not in rules.actions(blocked._replace(turn=1))
        assert rules.information(blocked._replace(turn=1)) == "4x"
    game = PhantomTicTacToe()
    drawn = game.start()._replace(stones=(0, 1, 0, 0, 1, 1, 1, 0, 0))
    assert game.player(drawn) == END
    assert game.returns(drawn) == (0.0, 0.0)


@pytest.mark.slow
def test_the_environment_plays_the_game():
    for name in ("kuhn_poker", "leduc_poker", "tiny_hanabi_E"):
        env, game = jrl.make(f"game/{name}", observation="raw")
        agent = jrl.agents.mmd(env, game, jrl.agents.MMDConfig(total_updates=5))
        run = jrl.train(agent, seeds=1, quick_compile=True)
        found = np.asarray(jrl.evaluate(agent, run.state, seeds=run.seeds, episodes=4000, greedy=False).returns)
        policy = run.state.policy[0]
        error = found.std() / np.sqrt(found.size)
        assert found.mean() == pytest.approx(expected_returns(game, policy)[0], abs=4 * error), name


def test_one_hot_observations_show_the_same():
    env, game = jrl.make("game/kuhn_poker")
    raw, _ = jrl.make("game/kuhn_poker", observation="raw")
    key = jax.random.key(3)
    shown, number = env.reset(key, game)[0], raw.reset(key, game)[0]
    assert shown.shape == (12,)
    assert shown[number] == 1
    assert (env.turns.legal(shown, game) == game.legal[number]).all()
    assert env.turns.player(shown, game) == game.player[number]


def test_games_by_name():
    assert load("dark_hex") is load("dark_hex")
    assert load("dark_hex", abrupt=False) is not load("dark_hex")
    assert "leduc_poker" in list_games()
    assert "game/leduc_poker" in jrl.envs.list_envs()


def test_ones_own_rules_are_a_game():
    matching = matrix_game([[1.0, -1.0], [-1.0, 1.0]])
    assert nash_equilibrium(matching).value == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(nash_equilibrium(matching).policy, 0.5, atol=1e-9)
    assert quantal_response(matching, 0.3).value == pytest.approx(0.0, abs=1e-12)


class Forgetful(RandomTree):
    def player(self, state):
        return END if len(state) == 2 else 0

    def information(self, state):
        return len(state)


class Stuck(Forgetful):
    def actions(self, state):
        return [3]

    def after(self, state, action):
        return (*state, 0)


class Endless(Forgetful):
    def player(self, state):
        return len(state) % 2


class Unlikely(Forgetful):
    def player(self, state):
        return END if state else CHANCE

    def chances(self, state):
        return [((0,), 0.5), ((1,), 0.4)]


KUHN = load("kuhn_poker")


def bad(row, values):
    policy = uniform_policy(KUHN).copy()
    policy[row] = values
    return policy


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: load("kuhn"), UnknownNameError, r"unknown game 'kuhn': did you mean kuhn_poker"),
        (lambda: load("kuhn_poker", sides=3), ConfigError, r"kuhn_poker: .*sides"),
        (lambda: load("liars_dice", sides=1), ConfigError, r"sides = 1: must be >= 2"),
        (
            lambda: load("dark_hex", size=3),
            ConfigError,
            r"dark_hex\(size=3\): about \de\+\d+ nodes: at most 2,000,000",
        ),
        (lambda: compile_game(RandomTree(0, depth=12), "deep", 1000), ConfigError, r"deep: (about|more than) .* nodes"),
        (lambda: compile_game(Forgetful(0)), ConfigError, r"information set 1 of player 0: .*perfect recall"),
        (lambda: compile_game(Stuck(0)), ConfigError, r"actions \[3\] of player 0 .*must be some of 0 to 2"),
        (lambda: compile_game(Endless(0), "long"), ConfigError, r"long: does not end within 400 moves"),
        (
            lambda: compile_game(Unlikely(0)),
            ConfigError,
            r"chances at \(\) are \[0.5, 0.4\]: must be probabilities",
        ),
        (lambda: matrix_game([[1.0, np.inf]]), ConfigError, r"payoffs: must be finite"),
        (lambda: matrix_game([[1.0]], [[1.0, 2.0]]), ConfigError, r"payoffs: shapes \(1, 1\) and \(1, 2\)"),
        (lambda: check_policy(KUHN, np.ones((3, 2))), ConfigError, r"shape \(3, 2\): must be \[12, 2\]"),
        (
            lambda: exploitability(KUHN, bad(0, [0.5, 0.6])),
            ConfigError,
            r"at '.*' \(row 0\) = \[0.5 0.6\]: .*sum to 1",
        ),
        (lambda: exploitability(KUHN, bad(3, [1.5, -0.5])), ConfigError, r"row 3.*must be probabilities"),
        (lambda: exploitability(KUHN, bad(2, [np.nan, 1])), ConfigError, r"row 2.*must be finite"),
        (
            lambda: exploitability(load("leduc_poker"), np.full((936, 3), 1 / 3)),
            ConfigError,
            r"must be 0 for illegal actions; legal are \[1, 2\]",
        ),
        (lambda: exploitability(load("tiny_hanabi_A"), None), ConfigError, r"tiny_hanabi_A: must be a zero-sum game"),
        (lambda: nash_equilibrium(load("tiny_hanabi_A")), ConfigError, r"must be a zero-sum game"),
        (lambda: quantal_response(KUHN, 0.0), ConfigError, r"temperature = 0.0: must be > 0"),
        (lambda: agent_quantal_response(KUHN, -1.0), ConfigError, r"temperature = -1.0: must be > 0"),
        (lambda: saddle_gap(KUHN, uniform_policy(KUHN), 0.0), ConfigError, r"temperature = 0.0"),
        (lambda: load("dark_hex").infoset(""), ConfigError, r"both players have an information set ''"),
        (lambda: KUHN.infoset("A"), ConfigError, r"kuhn_poker: no information set 'A'"),
        (lambda: jrl.agents.mmd(*jrl.make("CartPole-v1")), ConfigError, r"CartPole-v1: must be a game written out"),
        (
            lambda: jrl.agents.mmd_sequence_form(*jrl.make("game/tiny_hanabi_A")),
            ConfigError,
            r"must be a zero-sum game for mmd_sequence_form",
        ),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
