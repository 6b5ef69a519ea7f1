"""Trees of games: what is drawn where, how a policy shows, and what is refused."""

import matplotlib.colors
import numpy as np
import pytest

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.games import load, matrix_game, random_policy, uniform_policy
from jaxrl_suite.results import game_tree

KUHN = {"chance": 4, "player 0": 12, "player 1": 12, "end": 30}


def parts(figure):
    """What the picture is made of, by label."""
    (axes,) = figure.axes
    return {collection.get_label(): collection for collection in axes.collections}


def places(figure, labels=("chance", "player 0", "player 1", "end", "more below")):
    """{label: where its nodes are, [n, 2]}."""
    return {label: np.asarray(part.get_offsets()) for label, part in parts(figure).items() if label in labels}


def edges(figure):
    return np.array(parts(figure)["moves"].get_segments())


def texts(figure):
    (axes,) = figure.axes
    return [text.get_text() for text in axes.texts]


@pytest.fixture(scope="module")
def kuhn():
    return load("kuhn_poker")


@pytest.fixture(scope="module")
def drawn(kuhn):
    return game_tree(kuhn, actions=["pass", "bet"])


def test_all_of_kuhn_poker_is_there(drawn):
    assert {label: len(where) for label, where in places(drawn).items()} == KUHN
    assert len(edges(drawn)) == sum(KUHN.values()) - 1
    shown = texts(drawn)
    assert (shown.count("pass"), shown.count("bet")) == (24, 24)
    assert (shown.count("1/3"), shown.count("1/2")) == (3, 6)
    # Of each deal's five ends: a fold of either player, showdowns for 1, and for 2 after one of two calls.
    payoffs = [text for text in shown if text[:1] in "+\N{MINUS SIGN}"]
    assert {text: payoffs.count(text) for text in set(payoffs)} == {
        "+1": 9, "\N{MINUS SIGN}1": 9, "+2": 6, "\N{MINUS SIGN}2": 6,
    }  # fmt: skip


def test_nodes_carry_their_information_set_and_arcs_join_it(kuhn, drawn):
    (axes,) = drawn.axes
    named = {(round(x, 6), y): t.get_text() for t in axes.texts for x, y in [t.get_position()]}
    names = [[named[round(x, 6), y] for x, y in places(drawn)[f"player {p}"]] for p in (0, 1)]
    assert set(names[0]) | set(names[1]) == set(kuhn.names.infosets)
    assert all(of_one.count(name) == 2 for of_one in names for name in of_one)
    arcs = parts(drawn)["information set"].get_segments()
    assert len(arcs) == kuhn.num_infosets
    for arc in arcs:
        left, right = (named[round(float(x), 6), float(y)] for x, y in (arc[0], arc[-1]))
        assert left == right


def test_leaves_are_in_order_and_parents_over_the_middle(drawn):
    ends = places(drawn)["end"]
    assert sorted(ends[:, 0].tolist()) == list(range(30))
    for above, below in edges(drawn):
        assert below[1] == above[1] - 1
    tops, bottoms = edges(drawn)[:, 0], edges(drawn)[:, 1]
    for x, y in {tuple(top) for top in tops}:
        of_children = bottoms[(tops == (x, y)).all(axis=1), 0]
        assert x == pytest.approx((of_children.min() + of_children.max()) / 2)
    every = np.concatenate(list(places(drawn).values()))
    assert len({tuple(where) for where in every}) == len(every)


def test_movers_differ_in_shape_and_in_colour(drawn):
    found = parts(drawn)
    nodes = [found[label] for label in KUHN]
    assert len({part.get_paths()[0].vertices.round(3).tobytes() for part in nodes}) == 4
    assert len({matplotlib.colors.to_hex(part.get_edgecolor()[0]) for part in nodes}) == 4
    (axes,) = drawn.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [*KUHN, "information set"]


def test_edges_follow_the_policy(kuhn):
    policy = 0.5 * random_policy(kuhn, 0) + 0.25
    policy[kuhn.infoset("J")] = [1.0, 0.0]
    figure = game_tree(kuhn, policy)
    nodes, likely = kuhn.nodes, []
    # Nodes are numbered from left to right, each before its children, as edges are.
    parent = {int(child): place for place, row in enumerate(nodes.children) for child in row if child}
    for child in range(1, len(nodes.player)):
        above = parent[child]
        branch = nodes.children[above].tolist().index(child)
        of_chance = nodes.player[above] < 0
        likely.append(nodes.probability[above, branch] if of_chance else policy[nodes.infoset[above], branch])
    likely, drawn = np.array(likely), parts(figure)["moves"]
    for numbers in (drawn.get_linewidths(), drawn.get_colors()[:, 3]):
        least, most = np.min(numbers), np.max(numbers)
        assert 0 < least < most
        np.testing.assert_allclose(numbers, least + (most - least) * likely, atol=1e-6)
    assert texts(figure).count("0\n1.00") == 2
    assert texts(figure).count(f"1\n{policy[kuhn.infoset('Qpb'), 1]:.2f}") == 2
    assert len(set(parts(game_tree(kuhn))["moves"].get_linewidths())) == 1


def test_a_depth_leaves_out_what_comes_later(kuhn):
    figure = game_tree(kuhn, uniform_policy(kuhn), 3)
    found = {label: len(where) for label, where in places(figure).items()}
    assert found == {"chance": 4, "player 0": 6, "more below": 12}
    assert len(edges(figure)) == 21
    assert len(edges(game_tree(kuhn, depth=9))) == 57


def test_both_payoffs_where_they_do_not_cancel():
    game = load("tiny_hanabi_A")
    figure = game_tree(game)
    assert {label: len(where) for label, where in places(figure).items()} == {
        "chance": 3, "player 0": 4, "player 1": 8, "end": 16,
    }  # fmt: skip
    assert texts(figure).count("3\n3") == int((game.ends[:, 0] == 3).sum())


def test_it_is_saved_as_the_other_figures_are(kuhn, tmp_path):
    game_tree(load("perturbed_rps"), path=tmp_path / "rps.png", actions=["rock", "paper", "scissors"])
    assert {p.name for p in tmp_path.iterdir()} == {"rps.svg", "rps.png"}
    assert all(p.stat().st_size > 1000 for p in tmp_path.iterdir())


def test_what_cannot_be_drawn_is_refused(kuhn):
    leduc = load("leduc_poker")
    with pytest.raises(ConfigError, match=r"leduc_poker: 9,457 nodes: at most 400 can be drawn; depth=4 draws 247"):
        game_tree(leduc)
    assert sum(len(where) for where in places(game_tree(leduc, depth=2)).values()) == 37
    with pytest.raises(ConfigError, match="its first move alone has 450 branches"):
        game_tree(matrix_game(np.zeros((450, 1))), depth=1)
    with pytest.raises(ConfigError, match="depth = 0: must be a whole number"):
        game_tree(kuhn, depth=0)
    with pytest.raises(ConfigError, match=r"policy of kuhn_poker: shape \(12, 3\): must be \[12, 2\]"):
        game_tree(kuhn, np.ones((12, 3)) / 3)
    policy = uniform_policy(kuhn)
    policy[kuhn.infoset("Kb")] = [0.5, 0.6]
    with pytest.raises(ConfigError, match=r"policy of kuhn_poker at 'Kb' \(row \d+\) = .*sum to 1"):
        game_tree(kuhn, policy)
    with pytest.raises(ConfigError, match="1 names: kuhn_poker has 2 actions"):
        game_tree(kuhn, actions=["pass"])
