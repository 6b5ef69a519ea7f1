"""Search in Hanabi: a small game with exact beliefs, by step size; the paper's two games with learned ones."""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl_suite
from jaxrl_suite.agents import HandConfig, SearchConfig, SearchState, exact_hands, learn_hands, learned_hands, search
from jaxrl_suite.reproduction import Cell, Item, Target, Training
from jaxrl_suite.reproduction.loading import import_file

players = import_file(Path(__file__).parent / "opponents.py", "jaxrl_experiments_mirror_descent_search_opponents")

STEP_SIZES = (0.0, 3.0, 10.0, 30.0, 100.0, 1000.0)
PARTICLES, GAMES, SEEDS = 50, 100, 5
BLUEPRINT = {
    "num_envs": 64,
    "rollout_length": 64,
    "num_minibatches": 8,
    "hidden_sizes": (128, 128),
    "activation": "relu",
    "learning_rate": 1e-3,
    "ent_coef": 0.05,
    "total_updates": 750,
}


LIVES: dict[int, dict[str, Any]] = {
    1: {"suffix": "", "lives": "1 life", "config": {}, "options": {}, "notes": []},
    3: {
        "suffix": "-3-lives",
        "lives": "3 lives",
        "config": {"ent_coef": 0.02},
        "options": {"lives": 3},
        "notes": ["played after no fall over step sizes had been seen with one life, whose blueprints risk nothing"],
    },
}
"""What is of its own with so many lives: names, the blueprint's training, the game's options, notes."""


def small(lives: int, scale: str) -> Item | None:
    """Mirror descent search by both players in small Hanabi, greedy search by both and by one; gains in points."""
    if scale == "smoke":
        return None
    of = LIVES[lives]
    name = f"blueprint{of['suffix']}"
    trained = Training(name, "ppo", "hanabi/small", BLUEPRINT | of["config"], SEEDS, 50, of["options"])
    cells = [
        Cell(
            "blueprint", "return", name, lambda run: returns_of(run.agent, run.state, None, run).mean(axis=1), digits=2
        )
    ]
    for eta in STEP_SIZES:
        gain = functools.partial(gains, SearchConfig(num_particles=PARTICLES), eta, None)
        cells.append(Cell(f"mirror descent search by both, eta={eta:g}", "gain", name, gain, digits=2))
    greedy = functools.partial(SearchConfig, num_particles=PARTICLES, update="greedy")
    rows = {
        "greedy search by both": (greedy(), None),
        "greedy search by the first player": (greedy(), 0),
        "SPARTA, first player, threshold 0.05": (greedy(threshold=0.05), 0),
    }
    for row, (config, seat) in rows.items():
        cells.append(Cell(row, "gain", name, functools.partial(gains, config, 0.0, seat), digits=2))
    notes = [
        f"2 colours, 5 ranks, 2 cards in a hand, 3 hint tokens, {of['lives']}, lost games score 0; 10 points at most",
        f"{GAMES} games a seed, the same deals with and without search; the most likely action is played, search and "
        f"blueprint; {PARTICLES} hands a decision, drawn from the exact posterior, one rollout a hand and action, the "
        "same hands and random numbers for all actions; rollouts sample from the blueprint",
        "a smaller game than the paper's two, with blueprints of our own: what is shown is the gain over them",
    ]
    title = "Search in small Hanabi, exact beliefs"
    return Item(f"small-hanabi{of['suffix']}", title, [trained], cells, 5, notes + of["notes"])


@functools.cache
def with_search(agent: Any, config: SearchConfig) -> Any:
    """One agent for all step sizes, which are part of its state: one compilation."""
    return search(agent, config, exact_hands)


def gains(config: SearchConfig, eta: float, seat: int | None, run: Any) -> np.ndarray:
    """Mean gain in points over the blueprint's own play, [seed]; by search in one seat, or in both (None)."""
    seeds = len(run.seeds)
    state = SearchState(run.state, jnp.full(seeds, eta), jnp.zeros(seeds))
    found = returns_of(with_search(run.agent, config), state, seat, run)
    return (found - returns_of(run.agent, run.state, seat, run)).mean(axis=1)


def returns_of(agent: Any, state: Any, seat: int | None, run: Any) -> np.ndarray:
    """[seed, game], of the agent in one seat, with its seed's blueprint in the other, or in both."""
    if seat is None:
        return jaxrl_suite.evaluate(agent, state, seeds=run.seeds, episodes=GAMES).returns
    mine, theirs = players.Player(agent, state), players.Player(run.agent, run.state)
    return players.seated_returns(mine, theirs, seat, run.seeds, GAMES, greedy=True, theirs_greedy=True)


PAPERS = {"5-card 8-hint": "hanabi/standard", "7-card 4-hint": "hanabi/7-card-4-hint"}
LARGE = {
    "num_envs": 1024,
    "rollout_length": 64,
    "num_minibatches": 16,
    "hidden_sizes": (512, 512),
    "activation": "relu",
    "learning_rate": 5e-4,
    "ent_coef": 0.02,
    "total_updates": 30_000,
}
BUDGET = {"rollouts": 10_000, "games": 400, "at_once": 20}
HANDS = HandConfig(num_games=256, total_updates=50_000, learning_rate=2.5e-4)
SWEEP = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)

# For minutes of one accelerator: blueprints far below the paper's.
BRIEF = LARGE | {"num_envs": 256, "total_updates": 1000}
BRIEF_HANDS = HandConfig(width=256, num_games=128, total_updates=400)
BRIEF_BUDGET = {"rollouts": 1000, "games": 40, "at_once": 40}
BRIEF_SWEEP = (3.0, 10.0, 30.0, 100.0)


def papers(published: dict[str, Any], scale: str) -> Item | None:
    """Mirror descent search by both players in the paper's games, beliefs learned, beside the published returns."""
    if scale != "full":
        return None
    return large("hanabi", "Search in Hanabi, learned beliefs", published, PAPERS, LARGE, HANDS, BUDGET)


def brief(name: str, scale: str) -> Item | None:
    """One of them with less of everything: blueprints of minutes, a tenth of the rollouts; nothing to compare with."""
    if scale != "full":
        return None
    title = f"Search in Hanabi, {name}, learned beliefs, blueprints of minutes"
    item = f"hanabi-brief-{name.split('-')[0]}"
    return large(item, title, {}, {name: PAPERS[name]}, BRIEF, BRIEF_HANDS, BRIEF_BUDGET, sweep=BRIEF_SWEEP)


def large(
    item: str,
    title: str,
    published: dict[str, Any],
    games: dict[str, str],
    config: dict[str, Any],
    hands: HandConfig,
    budget: dict[str, int],
    seeds: int = 5,
    sweep: tuple[float, ...] = SWEEP,
) -> Item:
    """games: environments by name. budget: rollouts a decision, games a seed, and how many are played at once."""
    trainings, cells = [], []
    for name, env in games.items():
        trained = Training(name.replace(" ", "-"), "ppo", env, config, seeds, 100)
        trainings.append(trained)
        printed = published.get(name, {})
        play = functools.partial(large_returns, hands, tuple(budget.items()))

        def cell(row: str, measure: Any, name: str = name, training: str = trained.name, **target: Any) -> Cell:
            return Cell(f"{name}, {row}", "return", training, measure, digits=2, **target)

        blueprint = printed_return(printed, "blueprint", "a blueprint of our own")
        cells.append(cell("blueprint", lambda run, play=play: play(None, run).mean(axis=1), **blueprint))
        for eta in sweep:
            row = f"mirror descent search by both, eta={eta:g}"
            target = printed_return(printed, "search", "on a blueprint of our own, and beliefs learned from it")
            measure = functools.partial(lambda play, eta, run: play(eta, run).mean(axis=1), play, eta)
            cells.append(cell(row, measure, **(target if eta == 30 else {})))
            gain = functools.partial(lambda play, eta, run: (play(eta, run) - play(None, run)).mean(axis=1), play, eta)
            cells.append(Cell(f"{name}, {row}", "gain", trained.name, gain, digits=3))
    steps = config["total_updates"] * config["num_envs"] * config["rollout_length"]
    notes = [
        f"{budget['games']} games a seed, the same deals with and without search; {budget['rollouts']:,} rollouts a "
        "decision over all actions, the same hands for each; the most likely action is played; rollouts sample",
        f"blueprints: PPO that played itself for {steps / 1e6:,.0f} million steps; beliefs: {hands.total_updates:,} "
        f"updates of {hands.num_games} of its games",
        "the paper plays 2,000 games and more of one blueprint, 10,000 rollouts a decision, and prints no step size",
    ]
    return Item(item, title, trainings, cells, 5, notes)


def printed_return(printed: dict[str, Any], what: str, deviation: str) -> dict[str, Any]:
    if what not in printed:
        return {}
    value, error = printed[what]
    return {"target": Target(value, 3 * error, "published", "MDS paper, tables 1 and 2"), "deviation": deviation}


@functools.lru_cache(maxsize=2)
def beliefs(hands: HandConfig, run: Any) -> Any:
    """Of each seed's blueprint, the parameters of the model of hands, [seed, ...]."""
    learn = jax.vmap(lambda state, key: learn_hands(run.agent, state, hands, key)[0])
    keys = jax.vmap(jax.random.key)(jnp.asarray(run.seeds, jnp.uint32))
    return learn(jax.tree.map(jnp.asarray, run.state), keys)


@functools.lru_cache(maxsize=16)
def large_returns(hands: HandConfig, budget: tuple[tuple[str, int], ...], eta: float | None, run: Any) -> np.ndarray:
    """[seed, game], by search with a step size, or by the blueprint (None); a part of the games at a time."""
    chosen, seeds = dict(budget), np.asarray(run.seeds)
    rules, at_once = run.agent.info.env.rules, chosen["at_once"]
    count = max(1, chosen["rollouts"] // rules.num_actions)
    agent, state = run.agent, run.state
    if eta is not None:
        agent = search(run.agent, SearchConfig(num_particles=count), learned_hands(hands))
        every = jnp.ones(len(seeds))
        state = SearchState(run.state, eta * every, 0 * every, beliefs(hands, run))
    parts = [
        # Games of their own in each part: another seed, the same with and without search.
        jaxrl_suite.evaluate(agent, state, seeds=seeds + 1000 * part, episodes=at_once).returns
        for part in range(chosen["games"] // at_once)
    ]
    return np.concatenate(parts, axis=1)
