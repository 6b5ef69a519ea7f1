"""Search in small Hanabi with exact beliefs: what it adds to its blueprint, by step size, and to one player alone."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl_suite
from jaxrl_suite.agents import SearchConfig, SearchState, exact_hands, search
from jaxrl_suite.envs.seated import SeatedEnv
from jaxrl_suite.reproduction import Cell, Item, Training

STEP_SIZES = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
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


def small(scale: str) -> Item | None:
    """Mirror descent search by both players in small Hanabi, greedy search by both and by one; gains in points."""
    if scale == "smoke":
        return None
    name = "blueprint"
    trained = Training(name, "ppo", "hanabi/small", BLUEPRINT, SEEDS, 50)
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
        "2 colours, 5 ranks, 2 cards in a hand, 3 hint tokens, 1 life, lost games score 0; 10 points at most",
        f"{GAMES} games a seed, the same deals with and without search; the most likely action is played, search and "
        f"blueprint; {PARTICLES} hands a decision, drawn from the exact posterior, one rollout a hand and action, the "
        "same hands and random numbers for all actions; rollouts sample from the blueprint",
        "a smaller game than the paper's two, with blueprints of our own: what is shown is the gain over them",
    ]
    return Item("small-hanabi", "Search in small Hanabi, exact beliefs", [trained], cells, 5, notes)


def gains(config: SearchConfig, eta: float, seat: int | None, run: Any) -> np.ndarray:
    """Mean gain in points over the blueprint's own play, [seed]; by search in one seat, or in both (None)."""
    seeds = len(run.seeds)
    state = SearchState(run.state, jnp.full(seeds, eta), jnp.zeros(seeds))
    found = returns_of(search(run.agent, config, exact_hands), state, seat, run)
    return (found - returns_of(run.agent, run.state, seat, run)).mean(axis=1)


def returns_of(agent: Any, state: Any, seat: int | None, run: Any) -> np.ndarray:
    """[seed, game], of the agent in one seat, with its seed's blueprint in the other, or in both."""
    if seat is None:
        return jaxrl_suite.evaluate(agent, state, seeds=run.seeds, episodes=GAMES).returns
    seated = SeatedEnv(run.agent.info.env, run.agent, seat, greedy=True)
    found = []
    for index, seed in enumerate(run.seeds):
        mine = jax.tree.map(lambda x: x[index : index + 1], state)  # noqa: B023
        other = jax.tree.map(lambda x: x[index], run.state)  # noqa: B023
        where = {"env": seated, "env_params": seated.wrap_params(run.agent.info.env_params, other)}
        found.append(jaxrl_suite.evaluate(agent, mine, seeds=[seed], episodes=GAMES, **where).returns[0])
    return np.stack(found)
