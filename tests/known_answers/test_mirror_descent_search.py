"""Known answers of the two papers on magnetic mirror descent: games, judges, equilibria and curves."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.games import load, matrix_game, random_policy, uniform_policy
from jaxrl_suite.learning.local_updates import greedy_step, magnetic_step, mirror_step
from jaxrl_suite.solvers import (
    agent_quantal_response,
    best_response,
    expected_returns,
    exploitability,
    nash_equilibrium,
    quantal_response,
    saddle_gap,
)
from jaxrl_suite.solvers.equilibria import dilated_step
from jaxrl_suite.solvers.tree_games import action_values, sequence_reach
from tests.helpers import at_iterations, metrics_in_game
from tests.known_answers.ledger import known_answer


@known_answer("mirror_descent_search/closed-forms")
def test_closed_forms():
    with jrl.float64():
        pi, q, rho = np.array([0.2, 0.3, 0.5]), np.array([1.0, 0.0, -1.0]), np.array([0.5, 0.25, 0.25])
        expected = {
            (1.0, 0.0): (0.52905648, 0.29194350, 0.17900002),
            (1.0, 0.5): (0.52100790, 0.27820536, 0.20078673),
            (2.0, 1.0): (0.62671949, 0.23203525, 0.14124526),
        }
        for (eta, alpha), known in expected.items():
            found = jnp.exp(magnetic_step(np.log(pi), q, eta, alpha, np.log(rho)))
            np.testing.assert_allclose(found, known, atol=1e-8)
            # A shift of q changes nothing, actions may be renamed, and it is mirror descent on a regularised q.
            np.testing.assert_allclose(jnp.exp(magnetic_step(np.log(pi), q + 7, eta, alpha, np.log(rho))), found)
            other = jnp.exp(magnetic_step(np.log(pi[::-1]), q[::-1], eta, alpha, np.log(rho[::-1])))
            np.testing.assert_allclose(other[::-1], found)
            regularised = q - alpha * (np.log(pi) - np.log(rho))
            same = jnp.exp(mirror_step(np.log(pi), regularised, eta / (1 + eta * alpha)))
            np.testing.assert_allclose(same, found, atol=1e-12)
        moved = np.asarray(jnp.exp(mirror_step(np.log(pi), q, 1.0)))
        divergence = (moved - pi) @ (np.log(moved) - np.log(pi))
        assert (moved - pi) @ q == pytest.approx(divergence, abs=1e-12)
        assert divergence == pytest.approx(0.6500564569, abs=1e-10)
        third = np.log(np.full(3, 1 / 3))
        np.testing.assert_allclose(
            jnp.exp(magnetic_step(third, q, 2.0, 1.0, third)), (0.56274169, 0.28892122, 0.14833710), atol=1e-8
        )


@known_answer("mirror_descent_search/common-payoff")
def test_a_common_payoff_rises_and_then_falls():
    payoffs = np.array([[0.0, 1.0], [1.0, 0.0]])
    game = matrix_game(payoffs, payoffs)
    start = np.array([[0.6, 0.4], [0.6, 0.4]])
    assert expected_returns(game, start) == pytest.approx([0.48, 0.48])
    known = {0.1: 0.481878, 1.0: 0.494760, 2.0: 0.499996, 5.0: 0.458294, 10.0: 0.280543, 20.0: 0.052048}
    for eta, value in known.items():
        assert after_one_step(game, start, eta) == pytest.approx(value, abs=1e-6)
    assert after_one_step(game, start, None) == 0.0


def after_one_step(game, policy, step_size):
    """Player 0's return after one simultaneous step of mirror descent, or with None of greedy search."""
    with jrl.float64():
        q = action_values(game, jnp.asarray(policy)).q
        moved = one_step(jnp.log(jnp.asarray(policy)), q, step_size, game.legal)
        return float(expected_returns(game, np.asarray(jnp.exp(moved) * game.legal))[0])


def one_step(log_policy, q, step_size, legal):
    """Of mirror descent, or with None of greedy search."""
    if step_size is None:
        return greedy_step(log_policy, q, legal)
    return mirror_step(log_policy, q, step_size, legal)


@known_answer("mirror_descent_search/perturbed-rps")
def test_perturbed_rock_paper_scissors():
    known = {
        0.5: (0.298133, 0.413820, 0.288046),
        0.2: (0.223645, 0.477988, 0.298367),
        0.1: (0.173478, 0.486303, 0.340219),
        0.05: (0.1517447, 0.4679478, 0.3803076),
    }
    game = load("perturbed_rps")
    for alpha, row in known.items():
        for found in (agent_quantal_response(game, alpha), quantal_response(game, alpha)):
            np.testing.assert_allclose(found.policy, [row, row], atol=1e-6)
    np.testing.assert_allclose(nash_equilibrium(game).policy, [[1 / 7, 3 / 7, 3 / 7]] * 2, atol=1e-9)
    constant = {"step_decay": 0.0, "temperature_decay": 0.0}
    curves = {0.5: (0.11345, 0.10612, 0.10106, 0.10106), 0.1: (0.11171, 0.11390, 0.036823, 0.030041)}
    assert exploitability(game, uniform_policy(game)) == pytest.approx(0.11111, abs=5e-6)
    for alpha, expected in curves.items():
        found = metrics_in_game("mmd", "perturbed_rps", 1000, step_size=alpha, temperature=alpha, **constant)[
            "exploitability"
        ]
        np.testing.assert_allclose(at_iterations(found, 1, 10, 100, 1000), expected, rtol=5e-5)
    cycles = metrics_in_game("mmd", "perturbed_rps", 1000, step_size=0.1, temperature=0.0, **constant)["exploitability"]
    assert cycles[999] > cycles[0]


@known_answer("mirror_descent_search/perturbed-rps")
def test_the_distance_to_the_quantal_response_falls_as_it_must():
    game, alpha = load("perturbed_rps"), 0.2
    solution = agent_quantal_response(game, alpha).policy[0]
    with jrl.float64():
        log_policy, distances = jnp.log(jnp.asarray(uniform_policy(game))), []
        for _ in range(100):
            distances.append(float(np.sum(solution * (np.log(solution) - np.asarray(log_policy[0])))))
            q = action_values(game, jnp.exp(log_policy)).q
            log_policy = magnetic_step(log_policy, q, alpha, alpha, None, game.legal)
        distances.append(float(np.sum(solution * (np.log(solution) - np.asarray(log_policy[0])))))
    assert distances[100] == pytest.approx(2.26e-5, rel=5e-3)
    assert all(new <= old / (1 + alpha**2) + 1e-15 for old, new in itertools.pairwise(distances))


@known_answer("mirror_descent_search/trees")
@pytest.mark.parametrize(
    ("name", "options", "nodes", "infosets", "sequences", "value"),
    [
        ("kuhn_poker", {}, (24, 30, 4), (6, 6), (13, 13), -1 / 18),
        ("dark_hex", {}, (237, 234, 0), (59, 35), (89, 81), 0.5),
        ("liars_dice", {}, (4096, 4080, 5), (512, 512), (1021, 1021), 1 / 16),
        ("leduc_poker", {}, (3780, 5520, 157), (468, 468), (1093, 1093), -0.0856064241),
        ("liars_dice", {"sides": 3}, (576, 567, 4), None, (190, 190), 1 / 9),
    ],
)
def test_trees_and_values(name, options, nodes, infosets, sequences, value):
    game = load(name, **options)
    player = game.nodes.player
    assert ((player >= 0).sum(), (player == -2).sum(), (player == -1).sum()) == nodes
    assert infosets is None or tuple(np.bincount(game.player)) == infosets
    assert tuple(1 + game.legal[game.player == p].sum() for p in (0, 1)) == sequences
    equilibrium = nash_equilibrium(game)
    assert equilibrium.value == pytest.approx(value, abs=1e-9)
    assert exploitability(game, equilibrium.policy) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.slow
@known_answer("mirror_descent_search/trees")
def test_liars_dice_of_five_sides():
    game = load("liars_dice", sides=5)
    player = game.nodes.player
    assert ((player >= 0).sum(), (player == -2).sum()) == (25600, 25575)
    assert nash_equilibrium(game).value == pytest.approx(1 / 125, abs=1e-9)


@known_answer("mirror_descent_search/uniform-play")
@pytest.mark.parametrize(
    ("name", "exploited", "responses", "value"),
    [
        ("kuhn_poker", 0.4583333333333, (0.5, 0.4166666666667), 0.125),
        ("dark_hex", 0.4166666666667, None, 0.4583333333333),
        ("liars_dice", 0.6550595238, None, None),
        ("leduc_poker", 2.3736111111111, (2.0875, 2.6597222222222), -0.078125),
    ],
)
def test_uniform_play(name, exploited, responses, value):
    game = load(name)
    policy = uniform_policy(game)
    assert exploitability(game, policy) == pytest.approx(exploited, abs=1e-9)
    if responses:
        np.testing.assert_allclose(best_response(game, policy).value, responses, atol=1e-9)
    if value is not None:
        np.testing.assert_allclose(expected_returns(game, policy), (value, -value), atol=1e-9)


@known_answer("mirror_descent_search/uniform-play")
def test_action_values_of_uniform_play_in_kuhn_poker():
    game = load("kuhn_poker")
    with jrl.float64():
        q = np.asarray(action_values(game, jnp.asarray(uniform_policy(game))).q)
    known = {
        "J": (-1.25, -0.5), "Q": (-0.25, 0.5), "K": (0.75, 1.5),
        "Jp": (-1, -0.5), "Qp": (0, 0.5), "Kp": (1, 1.5),
        "Jb": (-1, -2), "Qb": (-1, 0), "Kb": (-1, 2),
        "Jpb": (-1, -2), "Qpb": (-1, 0), "Kpb": (-1, 2),
    }  # fmt: skip
    for infoset, values in known.items():
        np.testing.assert_allclose(q[game.infoset(infoset)], values, atol=1e-12, err_msg=infoset)


@known_answer("mirror_descent_search/aqre-kuhn")
@pytest.mark.parametrize("alpha", [0.5, 0.2, 0.1])
def test_agent_quantal_response_in_closed_form(alpha):
    game = load("kuhn_poker")
    found = agent_quantal_response(game, alpha)
    assert found.residual < 1e-9
    for who in ("b", "pb"):
        assert found.policy[game.infoset("J" + who), 1] == pytest.approx(1 / (1 + np.exp(1 / alpha)), abs=1e-9)
        assert found.policy[game.infoset("K" + who), 0] == pytest.approx(1 / (1 + np.exp(3 / alpha)), abs=1e-9)
    if alpha == 0.5:
        known = {"J": 0.28429, "Q": 0.39699, "K": 0.53613, "Qpb": 0.63823, "Jp": 0.31720, "Qp": 0.34615}
        for infoset, bets in (known | {"Kp": 0.67108, "Qb": 0.68399}).items():
            assert found.policy[game.infoset(infoset), 1] == pytest.approx(bets, abs=1e-5), infoset


AQRE = {
    "kuhn_poker": ((0.112410, -0.044835), (0.018895, -0.056240), (0.007201, -0.056969)),
    "dark_hex": ((0.177853, 0.42280), (0.029722, 0.49762), (0.013945, 0.49987)),
    "liars_dice": ((0.283754, -0.01058), (0.062881, 0.01012), (0.026455, 0.03389)),
    "leduc_poker": ((0.224817, -0.113054), (0.037148, -0.088702), (0.016730, -0.087925)),
}


@known_answer("mirror_descent_search/aqre")
@pytest.mark.parametrize(
    ("name", "index"),
    [
        *((name, i) for name in ("kuhn_poker", "dark_hex") for i in range(3)),
        ("leduc_poker", 0),
        *(pytest.param("liars_dice", i, marks=pytest.mark.slow) for i in range(3)),
        pytest.param("leduc_poker", 1, marks=pytest.mark.slow),
        pytest.param("leduc_poker", 2, marks=pytest.mark.slow),
    ],
)
def test_agent_quantal_responses(name, index):
    game, alpha = load(name), (0.5, 0.1, 0.05)[index]
    found = agent_quantal_response(game, alpha, tolerance=1e-9)
    assert found.residual <= 1e-9
    exploited, value = AQRE[name][index]
    assert exploitability(game, found.policy) == pytest.approx(exploited, abs=1.1e-6)
    assert found.value == pytest.approx(value, abs=1.1e-5)


@known_answer("mirror_descent_search/sequence-form")
def test_quantal_responses_in_sequence_form():
    game = load("kuhn_poker")
    for alpha, known in {0.5: 0.263934, 0.2: 0.159225, 0.1: 0.103694, 0.05: 0.046227}.items():
        found = quantal_response(game, alpha)
        assert exploitability(game, found.policy) == pytest.approx(known, abs=1.1e-6)
        assert saddle_gap(game, found.policy, alpha) == pytest.approx(0.0, abs=1e-10)
        if alpha == 0.5:
            assert found.value == pytest.approx(0.0408651, abs=1e-7)
            bets = [found.policy[game.infoset(card), 1] for card in "JQK"]
            np.testing.assert_allclose(bets, (0.38979, 0.39954, 0.42160), atol=1e-5)
        if alpha == 0.05:
            assert found.value == pytest.approx(-0.028715, abs=1e-6)
    hexagons = load("dark_hex")
    for alpha, known in {0.5: 0.394429, 0.2: 0.182208, 0.1: 0.066654, 0.05: 0.019365}.items():
        found = quantal_response(hexagons, alpha)
        assert exploitability(hexagons, found.policy) == pytest.approx(known, abs=1.1e-6)


@known_answer("mirror_descent_search/sequence-form")
@pytest.mark.parametrize(
    ("alpha", "step_size", "times", "known"),
    [
        (0.5, 0.125, (1, 10, 100), (0.1131, 0.03831, 7.24e-7)),
        (0.1, 0.025, (1, 10, 100, 1000), (0.4383, 0.4014, 0.1732, 1.73e-3)),
        (0.1, 0.9, (1, 10, 100), (0.3207, 0.0507, 2.29e-8)),
    ],
)
def test_gaps_of_sequence_form_mirror_descent(alpha, step_size, times, known):
    gap = metrics_in_game("mmd_sequence_form", "kuhn_poker", 1000, step_size=step_size, temperature=alpha)["saddle_gap"]
    np.testing.assert_allclose(at_iterations(gap, *times), known, rtol=2e-3)


@known_answer("mirror_descent_search/bregman")
def test_the_bregman_distance_falls_as_fast_as_proven():
    """B_psi(z*; z): the owner's reach under z* times KL(pi*(h) || pi(h)), summed over information sets."""
    game = load("kuhn_poker")
    known = {0.5: 0.234428, 0.2: 0.771997, 0.1: 1.576178, 0.05: 2.713125}
    for alpha, first in known.items():
        solution, eta = quantal_response(game, alpha).policy, alpha / 4
        with jrl.float64():
            reach = np.asarray(sequence_reach(game, jnp.asarray(solution)))[game.parent]

            def distance(log_policy, reach=reach, solution=solution):
                return float(np.sum(reach * np.sum(solution * (np.log(solution) - np.asarray(log_policy)), axis=1)))

            step = jax.jit(lambda z, eta=eta, alpha=alpha: dilated_step(game, z, eta, alpha))
            log_policy = jnp.log(jnp.asarray(uniform_policy(game)))
            assert distance(log_policy) == pytest.approx(first, abs=1e-6)
            for t in range(1, 300):
                log_policy = step(log_policy)
                assert distance(log_policy) <= first / (1 + eta * alpha) ** t + 1e-6


@known_answer("mirror_descent_search/bregman")
def test_reduced_plans_of_kuhn_poker():
    game = load("kuhn_poker")

    def plans(sequence):
        """Ways to fix what is done after a sequence, at information sets that can then be met."""
        following = np.flatnonzero(game.parent == sequence)
        return int(np.prod([sum(plans(2 + i * 2 + a) for a in (0, 1)) for i in following], dtype=int))

    assert (plans(0), plans(1)) == (27, 64)


@known_answer("mirror_descent_search/aqre-distance")
@pytest.mark.parametrize(
    ("name", "alpha", "known"),
    [
        ("kuhn_poker", 0.5, (0.452, 0.200, 1.48e-3, None)),
        ("kuhn_poker", 0.1, (2.70, 2.41, 0.752, 3.10e-2, 3.9e-10)),
        ("kuhn_poker", 0.05, (3.86, 3.69, 2.32, 0.261, 6.5e-4)),
        pytest.param("liars_dice", 0.1, (2.67, 2.49, 1.10, 2.56e-2), marks=pytest.mark.slow),
    ],
)
def test_distance_to_the_agent_quantal_response(name, alpha, known):
    """At t = 1, 10, 100, ..."""
    tolerance = 1e-13 if known[-1] is None or known[-1] < 1e-6 else 1e-7
    found = distances_to_agent_response(name, alpha, "current", 10 ** (len(known) - 1), tolerance)
    for t, value in zip([10**k for k in range(len(known))], known, strict=True):
        if value is None:
            assert found[t - 1] < 1e-12
        else:
            assert found[t - 1] == pytest.approx(value, rel=2e-2 if value > 1e-6 else 5e-2), t


def distances_to_agent_response(name, alpha, values, iterations, tolerance):
    """KL(iterate || solution), mean over information sets, after each iteration, eta a tenth of alpha.

    No probability of the solution counts as less than 1e-10, as in the authors' program.
    """
    env, game = jrl.make(f"game/{name}")
    constant = {"step_size": alpha / 10, "temperature": alpha, "step_decay": 0.0, "temperature_decay": 0.0}
    config = jrl.agents.MMDConfig(values=values, judge_every=iterations + 1, **constant)
    solution = np.maximum(agent_quantal_response(game, alpha, tolerance=tolerance).policy, 1e-10)
    log_solution = np.log(np.where(game.legal, solution, 1.0))
    with jrl.float64():
        agent = jrl.agents.mmd(env, game, config)

        def one(state, step):
            state, _ = agent.update(jax.random.key(0), state, step)
            log_policy = jnp.log(jnp.where(game.legal, state.policy, 1.0))
            return state, jnp.mean(jnp.sum(state.policy * (log_policy - log_solution), axis=1))

        steps = jnp.arange(iterations)
        return np.asarray(jax.jit(lambda state: jax.lax.scan(one, state, steps)[1])(agent.init(jax.random.key(0))))


@known_answer("mirror_descent_search/variants")
@pytest.mark.parametrize(
    ("name", "values", "known"),
    [
        ("kuhn_poker", "current", (0.0310, 6.78e-6)),
        ("kuhn_poker", "subgame", (0.0310, 6.78e-6)),
        ("kuhn_poker", "belief", (0.0307, 6.38e-6)),
        ("kuhn_poker", "opponent", (0.0306, 6.34e-6)),
        ("dark_hex", "current", (0.00483, 1.51e-6)),
        ("dark_hex", "subgame", (0.00483, 1.51e-6)),
        ("dark_hex", "belief", (0.00477, 1.39e-6)),
        ("dark_hex", "opponent", (0.00478, 1.38e-6)),
    ],
)
def test_distances_of_variants(name, values, known):
    found = at_iterations(distances_to_agent_response(name, 0.1, values, 5000, 1e-9), 1000, 5000)
    # Half a unit of the last digit.
    for value, answer in zip(found, known, strict=True):
        assert float(f"{value:.3g}") == pytest.approx(answer)


@known_answer("mirror_descent_search/one-step")
@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("kuhn_poker", (0.45833, 0.39139, 0.32857, 0.22642, 0.24367, 0.27331, 0.31878, 0.33217, 0.33333)),
        ("dark_hex", (0.41667, 0.40724, 0.39793, 0.37085, 0.32918, 0.25971, 0.20827, 0.22699, 0.25)),
        ("liars_dice", (0.65506, 0.63472, 0.61427, 0.55464, 0.47272, 0.37705, 0.31729, 0.36205, 0.31571)),
        ("leduc_poker", (2.37361, 1.75610, 1.67161, 1.86045, 2.22005, 2.51137, 2.72198, 2.83455, 3.07078)),
    ],
)
def test_one_exact_step_from_uniform(name, known):
    game = load(name)
    uniform = uniform_policy(game)
    with jrl.float64():
        q = action_values(game, jnp.asarray(uniform)).q
        start = jnp.log(jnp.where(game.legal, uniform, 1.0))
        steps = [jnp.exp(mirror_step(start, q, tau, game.legal)) for tau in (0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 50)]
    found = [exploitability(game, np.asarray(step) * game.legal) for step in steps]
    np.testing.assert_allclose(found, known, atol=6e-6)


TINY = {
    "A": (1.625, (1.645305, 1.820614, 2.246239), 2.25, 2.25),
    "B": (0.4375, (0.439843, 0.460579, 0.552181), 0.5625, 1.0),
    "C": (1.5, (1.533475, 1.738510, 1.813331), 1.8125, 2.25),
    "D": (1.3125, (1.395399, 1.956225, 2.249997), 2.25, 2.5),
    "E": (None, None, None, 10.0),
    "F": (1.388889, (1.427055, 1.683303, 1.878807), 1.888889, 7 / 3),
}


@known_answer("mirror_descent_search/tiny-hanabi")
@pytest.mark.parametrize("name", TINY)
def test_tiny_hanabi(name):
    start, steps, greedy, limit = TINY[name]
    game = load(f"tiny_hanabi_{name}")
    uniform = uniform_policy(game)
    if start is not None:
        assert expected_returns(game, uniform)[0] == pytest.approx(start, abs=1e-6)
        for eta, known in zip((0.1, 1.0, 10.0), steps, strict=True):
            assert after_one_step(game, uniform, eta) == pytest.approx(known, abs=1e-6)
        assert after_one_step(game, uniform, None) == pytest.approx(greedy, abs=1e-6)
    config = {"step_size": 0.1, "temperature": 0.0, "step_decay": 0.0, "least_probability": 0.0}
    assert metrics_in_game("mmd", f"tiny_hanabi_{name}", 3000, **config)["value/player_0"][2999] == pytest.approx(
        limit, abs=1e-4
    )


@known_answer("mirror_descent_search/tiny-hanabi")
@pytest.mark.parametrize(
    ("step_size", "known"),
    [
        (0.3, {"A": 0, "B": 0, "C": 0, "D": 0, "E": 0, "F": 0}),
        (10.0, {"A": 0, "B": 0.092, "C": 0.076, "D": 0.0005, "E": 0.025, "F": 0}),
        (None, {"A": 0, "B": 0.315, "C": 0.168, "D": 0.004, "E": 0.034, "F": 0.020}),
    ],
)
def test_how_often_a_step_lowers_the_return(step_size, known):
    for name, share in known.items():
        game = load(f"tiny_hanabi_{name}")
        policies = np.stack([random_policy(game, seed) for seed in range(2000)])

        def gain(policy, game=game):
            q = action_values(game, policy).q
            moved = one_step(jnp.log(policy), q, step_size, game.legal)
            return expected_returns(game, jnp.exp(moved) * game.legal)[0] - expected_returns(game, policy)[0]

        with jrl.float64():
            gains = jax.jit(jax.vmap(gain))(policies)
        lowered = float(np.mean(np.asarray(gains) < -1e-12))
        assert lowered == pytest.approx(share, abs=0.04 if share else 0.001), name
