"""Players of the 3 x 3 games, those that learn nothing, that learned by playing themselves, and that search; and games
between players."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl_suite
from jaxrl_suite.agents import SearchConfig, SearchState, first_action, search, uniform_play
from jaxrl_suite.cli.common import RUNS
from jaxrl_suite.envs.registry import register_family
from jaxrl_suite.envs.seated import SeatedEnv
from jaxrl_suite.reproduction import Training
from jaxrl_suite.reproduction.training import run_training

ENVS = {"dark hex": "board/dark_hex", "phantom tic-tac-toe": "board/phantom_tic_tac_toe"}
FIRST, UNIFORM = "first legal action", "uniform random"
SEARCHING = "uniform + search, 10 particles"
LEARNERS = {"PPO": "ppo", "NFSP": "nfsp", "MMD": "deep_mmd"}
QUICK = ("PPO", "MMD")
"""Those that are trained at the small scale."""
SELF_PLAY: dict[str, Any] = {
    "num_envs": 32,
    "rollout_length": 128,
    "num_minibatches": 8,
    "hidden_sizes": (128, 128),
    "learning_rate": 2.5e-4,
    "anneal_learning_rate": False,
    "discount": 1.0,
}
FICTITIOUS: dict[str, Any] = {"num_envs": 64, "hidden_sizes": (128, 128)}
"""Of NFSP: an update is one decision in each game; all else is its defaults."""
SEEDS = 5
KEPT = RUNS / "reproduce" / "mirror_descent_search" / "trainings"
"""Where the command keeps its trainings: a learner is trained once for all items."""


class Player(NamedTuple):
    """agent, and its states, a seed each."""

    agent: Any
    states: Any


def slug(*parts: str) -> str:
    return "-".join(parts).lower().replace(" ", "-").replace(",", "").replace("+", "and")


def learned_name(learner: str, millions: int) -> str:
    return f"{learner}, {millions} million steps"


def learning(game: str, name: str) -> Training:
    """The training of a learner by its `learned_name`: self-play, both players share the networks."""
    learner, millions = name.split(", ")
    steps = int(millions.split()[0]) * 1_000_000
    if learner == "NFSP":
        config = FICTITIOUS | {"total_updates": steps // FICTITIOUS["num_envs"]}
    else:
        config = SELF_PLAY | {"total_updates": steps // (SELF_PLAY["num_envs"] * SELF_PLAY["rollout_length"])}
    return Training(slug(game, name), LEARNERS[learner], ENVS[game], config, SEEDS, 10)


@functools.cache
def player_of(game: str, name: str) -> Player:
    """A player by its name; learners are trained where they have not been."""
    env, params = jaxrl_suite.make(ENVS[game])
    nothing = jnp.zeros(SEEDS)
    if name in FIXED:
        return Player(FIXED[name](env, params), nothing)
    if name == SEARCHING:
        return searching(uniform_play(env, params), nothing, SearchConfig())
    run = run_training(learning(game, name), KEPT, show=True)
    return Player(run.agent, run.state)


FIXED: dict[str, Callable[..., Any]] = {FIRST: first_action, UNIFORM: uniform_play}


def searching(blueprint: Any, states: Any, config: SearchConfig) -> Player:
    """The same player, searching."""
    every = jnp.ones(len(jax.tree.leaves(states)[0]))
    state = SearchState(states, config.step_size * every, config.temperature * every)
    return Player(search(blueprint, config), state)


def seated_returns(
    mine: Player, theirs: Player, seat: int, seeds: Any, episodes: int, greedy: bool, theirs_greedy: bool = False
) -> np.ndarray:
    """[seed, game], of one player in a seat against another in the rest, seed against seed."""
    env, params = mine.agent.info.env, mine.agent.info.env_params
    seated, found = SeatedEnv(env, theirs.agent, seat, greedy=theirs_greedy), []
    for index, seed in enumerate(seeds):
        one = jax.tree.map(lambda x: jnp.asarray(x[index : index + 1]), mine.states)  # noqa: B023
        other = jax.tree.map(lambda x: jnp.asarray(x[index]), theirs.states)  # noqa: B023
        where = {"env": seated, "env_params": seated.wrap_params(params, other)}
        played = jaxrl_suite.evaluate(mine.agent, one, seeds=[seed], episodes=episodes, greedy=greedy, **where)
        found.append(played.returns[0])
    return np.stack(found)


def from_a_seat(id: str, game: str, opponent: str) -> tuple[Any, Any]:
    """A 3 x 3 game for a learner in the first seat, or its parameter's; a first seed's player has the others."""
    env, params = jaxrl_suite.make(ENVS[game])
    player = player_of(game, opponent)
    seated = SeatedEnv(env, player.agent, 0)
    return seated, seated.wrap_params(params, jax.tree.map(lambda x: jnp.asarray(x[0]), player.states))


register_family("seat", f"{__name__}:from_a_seat")
