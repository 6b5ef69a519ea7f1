"""Values with part of an update made already: by definition, in a walk over the tree, and where all are the same."""

import functools

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

import jaxrl_suite as jrl
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.games import CHANCE, END, compile_game, load, matrix_game, random_policy
from jaxrl_suite.learning.local_updates import magnetic_step, safe_log
from jaxrl_suite.solvers import agent_quantal_response
from jaxrl_suite.solvers.histories import belief_revision, histories, opponent_revision
from jaxrl_suite.solvers.tree_games import action_values, subgame_revision
from tests.helpers import RandomTree, random_game

REVISIONS = {"subgame": subgame_revision, "belief": belief_revision, "opponent": opponent_revision}
MATCHES = np.array([[2.0, 0.0], [0.0, 1.0]])
GAMES = {
    "kuhn": lambda: load("kuhn_poker"),
    "hexagons": lambda: load("dark_hex"),
    # An information set's histories have passed more decisions or fewer.
    "hexagons, classical": lambda: load("dark_hex", abrupt=False),
    "cards": lambda: load("tiny_hanabi_C"),
    "matches": lambda: matrix_game(MATCHES, MATCHES),
    **{f"random {seed}": functools.partial(random_game, seed, is_zero_sum=False) for seed in range(3)},
}
quickly = settings(max_examples=20, deadline=None)
names = st.sampled_from(sorted(GAMES))


def mirror(game, policy, step_size=1.0, temperature=0.0):
    """A revision by magnetic mirror descent from a policy, uniform magnet."""

    def revise(q, rows):
        return jnp.exp(magnetic_step(safe_log(policy[rows]), q, step_size, temperature, None, game.legal[rows]))

    return revise


@functools.cache
def program(name):
    """(policy, step size, temperature) -> {kind: (q, new policy)}, and plain q."""
    game = GAMES[name]()

    def run(policy, step_size, temperature):
        revise = mirror(game, policy, step_size, temperature)
        found = {kind: revision(game, policy, revise) for kind, revision in REVISIONS.items()}
        return found, action_values(game, policy).q

    return jax.jit(run)


def revised(name, policy, step_size=1.0, temperature=0.0):
    """{kind: (q, new policy)}, and plain q; values of legal actions alone."""
    with jrl.float64():
        found, plain = jax.tree.map(np.asarray, program(name)(policy, step_size, temperature))
    legal = GAMES[name]().legal
    return {kind: (legal * q, new) for kind, (q, new) in found.items()}, legal * plain


class Walk:
    """The same by definition: all histories of each information set, and a recursion from each."""

    def __init__(self, game, policy, step_size, temperature):
        self.game, self.policy, self.nodes = game, policy, game.nodes
        self.step_size, self.temperature = step_size, temperature
        self.met = [[] for _ in game.legal]
        self.visit(0, 1.0, ())

    def visit(self, node, chance, path):
        """path: (information set, action) of all decisions before."""
        if self.nodes.player[node] == CHANCE:
            for child, p in zip(self.nodes.children[node], self.nodes.probability[node], strict=True):
                if p > 0:
                    self.visit(child, chance * p, path)
        elif self.nodes.player[node] != END:
            here = self.nodes.infoset[node]
            self.met[here].append((node, chance, path))
            for action in np.flatnonzero(self.game.legal[here]):
                self.visit(self.nodes.children[node, action], chance, (*path, (here, action)))

    def value(self, node, me, policy, expected=None):
        """What `me` gets from a node on; at the other's next decision, if given, by what is expected."""
        player = self.nodes.player[node]
        if player == END:
            return self.nodes.returns[node][me]
        children = self.nodes.children[node]
        if player == CHANCE:
            pairs = zip(children, self.nodes.probability[node], strict=True)
            return sum(p * self.value(child, me, policy, expected) for child, p in pairs if p > 0)
        here, is_next = self.nodes.infoset[node], expected is not None and player != me
        played, later = (expected, None) if is_next else (policy, expected)
        return sum(
            played[here, action] * self.value(children[action], me, policy, later)
            for action in np.flatnonzero(self.game.legal[here])
        )

    def q(self, infoset, before, after, expected=None):
        """Action values at one information set, reached by the policy `before` and continued by `after`."""
        me, total, weight = self.game.player[infoset], np.zeros(self.game.num_actions), 0.0
        for node, chance, path in self.met[infoset]:
            reach = chance * np.prod([before[step] for step in path])
            weight += reach
            for action in np.flatnonzero(self.game.legal[infoset]):
                total[action] += reach * self.value(self.nodes.children[node, action], me, after, expected)
        return total / weight

    def revise(self, q, row):
        """Of magnetic mirror descent, uniform magnet."""
        moved = self.policy[row] * np.exp(self.step_size * q)
        moved **= 1 / (1 + self.step_size * self.temperature)
        return moved / moved.sum()

    def subgame(self):
        q, new = np.zeros(self.policy.shape), self.policy.copy()
        # A player's own information sets come after those it passed before.
        for row in reversed(range(len(q))):
            mine = (self.game.player == self.game.player[row])[:, None]
            q[row] = self.q(row, self.policy, np.where(mine, new, self.policy))
            new[row] = self.revise(q[row], row)
        return q, new

    def belief(self):
        q, new, waiting = np.zeros(self.policy.shape), self.policy.copy(), set(range(len(self.met)))
        while waiting:
            earlier = {row: {step[0] for _, _, path in self.met[row] for step in path} for row in waiting}
            row = next(row for row in waiting if not earlier[row] & waiting)
            q[row] = self.q(row, new, self.policy)
            new[row] = self.revise(q[row], row)
            waiting.remove(row)
        return q, new

    def opponent(self):
        plain = [self.q(row, self.policy, self.policy) for row in range(len(self.met))]
        expected = np.stack([self.revise(values, row) for row, values in enumerate(plain)])
        q = np.stack([self.q(row, self.policy, self.policy, expected) for row in range(len(self.met))])
        return q, np.stack([self.revise(values, row) for row, values in enumerate(q)])


@quickly
@given(names, st.integers(0, 20), st.floats(0.01, 3.0), st.floats(0.0, 1.0))
@pytest.mark.slow
def test_it_is_what_a_walk_over_the_tree_finds(name, seed, step_size, temperature):
    game = GAMES[name]()
    policy = random_policy(game, seed)
    found, _ = revised(name, policy, step_size, temperature)
    walk = Walk(game, policy, step_size, temperature)
    for kind, (q, new) in found.items():
        expected = getattr(walk, kind)()
        np.testing.assert_allclose(q, expected[0], atol=1e-9, err_msg=kind)
        np.testing.assert_allclose(new, expected[1], atol=1e-9, err_msg=kind)


@pytest.mark.parametrize("name", ["kuhn", "hexagons", "hexagons, classical", "cards", "matches"])
def test_all_leave_the_agent_quantal_response_where_it_is(name):
    alpha = 0.3
    solution = agent_quantal_response(GAMES[name](), alpha).policy
    for _, new in revised(name, solution, 0.7, alpha)[0].values():
        np.testing.assert_allclose(new, solution, atol=1e-8)
    for _, new in revised(name, solution, 0.7, 2 * alpha)[0].values():
        assert np.abs(new - solution).max() > 1e-3


@quickly
@given(names, st.integers(0, 20))
def test_what_nothing_changes_is_plain(name, seed):
    policy = random_policy(GAMES[name](), seed)
    found, plain = revised(name, policy, 0.0)
    for q, new in found.values():
        np.testing.assert_allclose(new, policy, atol=1e-12)
        np.testing.assert_allclose(q, plain, atol=1e-10)


@quickly
@given(st.sampled_from(["cards", "matches"]), st.integers(0, 20), st.floats(0.01, 3.0))
def test_who_moves_once_has_no_subgame(name, seed, step_size):
    found, plain = revised(name, random_policy(GAMES[name](), seed), step_size)
    np.testing.assert_allclose(found["subgame"][0], plain, atol=1e-12)
    assert np.abs(found["belief"][0] - plain).max() > 1e-6
    assert np.abs(found["opponent"][0] - plain).max() > 1e-6


def test_in_a_matrix_game():
    """The second, who moves after the first in the tree, believes in its new policy; the first expects the second's."""
    new = MATCHES @ (np.exp([1.0, 0.5]) / np.exp([1.0, 0.5]).sum())
    found, plain = revised("matches", np.full((2, 2), 0.5))
    np.testing.assert_allclose(plain, [[1.0, 0.5], [1.0, 0.5]])
    np.testing.assert_allclose(found["belief"][0], [[1.0, 0.5], new])
    np.testing.assert_allclose(found["opponent"][0], [new, [1.0, 0.5]])


class WhoeverIsFirst(RandomTree):
    """A coin decides who moves first; nobody is told."""

    num_actions = 2

    def player(self, state):
        return END if len(state) == 3 else CHANCE if not state else (state[0] + len(state) - 1) % 2

    def actions(self, state):
        return range(2)

    def information(self, state):
        return f"player {self.player(state)}"


def test_what_is_refused():
    game = compile_game(WhoeverIsFirst(0), "coin")
    with pytest.raises(ConfigError, match=r"coin: information set 'player .' may come before 'player .', and after it"):
        histories(game)
    # Subgames need no such order.
    policy = random_policy(game, 0)
    with jrl.float64():
        assert np.isfinite(subgame_revision(game, policy, mirror(game, policy))[1]).all()
    traced = compile_game(RandomTree(1, depth=2), "unseen")
    with jrl.float64(), pytest.raises(ConfigError, match=r"unseen: traced: must be given to histories\(game\) once"):
        jax.jit(lambda g: belief_revision(g, random_policy(traced, 0), lambda q, rows: q))(traced)
