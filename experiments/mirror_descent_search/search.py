"""Search at decision time in 3 x 3 games: exact values, search against uniform play, best responses learned to both."""

import functools
import itertools
import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl_suite
from jaxrl_suite.agents import SearchConfig, SearchState, search
from jaxrl_suite.envs.seated import SeatedEnv
from jaxrl_suite.games.boards import DarkHex, PhantomTicTacToe
from jaxrl_suite.reproduction import Cell, Item, Target, Training
from jaxrl_suite.reproduction.loading import import_file
from jaxrl_suite.solvers import dark_responses, dark_uniform_value

players = import_file(Path(__file__).parent / "opponents.py", "jaxrl_experiments_mirror_descent_search_opponents")
REFERENCE = "independent program"
SEATS = ("first seat", "second seat")
GAMES: dict[str, dict[str, Any]] = {
    "dark hex": {"rules": DarkHex(3), "env": "board/dark_hex"},
    "phantom tic-tac-toe": {"rules": PhantomTicTacToe(), "env": "board/phantom_tic_tac_toe"},
    "classical dark hex": {"rules": DarkHex(3, abrupt=False), "env": None},
    "abrupt phantom tic-tac-toe": {"rules": PhantomTicTacToe(abrupt=True), "env": None},
}
PLAYED = [game for game, about in GAMES.items() if about["env"]]


@functools.cache
def solved(game: str, seat: int) -> tuple[float, dict[float, float]]:
    """(the best response's value, those of exact search by step size), in one seat against uniform play."""
    found = dark_responses(GAMES[game]["rules"], seat, TAUS)
    return found.best, dict(zip(TAUS, found.searched.tolist(), strict=True))


TAUS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, math.inf)


def boards(known: dict[str, Any], scale: str) -> Item | None:
    """Exact values against uniform play: of itself, of best responses, of search with infinitely many particles."""
    if scale == "smoke":
        return None
    cells = []
    for game, about in GAMES.items():
        answers, rules = known["boards"][game], about["rules"]
        value = functools.partial(dark_uniform_value, rules)
        cells.append(exactly(f"{game}, uniform play", SEATS[0], value, answers["uniform"], 1e-11))
        for seat, column in enumerate(SEATS):
            best = functools.partial(lambda g, s: solved(g, s)[0], game, seat)
            cells.append(exactly(f"{game}, best response", column, best, answers["best"][seat], 1e-9))
            for index, tau in enumerate(TAUS):
                answer = answers["search"][seat][index] if "search" in answers else None
                measure = functools.partial(lambda g, s, t: solved(g, s)[1][t], game, seat, tau)
                cells.append(exactly(f"{game}, search, tau={tau:g}", column, measure, answer, 1.1e-6))
    notes = [
        "search: one exact step of magnetic mirror descent from uniform play at every information set, softmax(tau q); "
        "the returns of the responder against uniform play"
    ]
    return Item("boards", "3 x 3 games against uniform play", [], cells, 1, notes)


def exactly(row: str, column: str, measure: Any, answer: float | None, margin: float) -> Cell:
    target = None if answer is None else Target(answer, margin, "known answer", REFERENCE)
    return Cell(row, column, None, measure, target, digits=6)


def head_to_head(known: dict[str, Any], scale: str) -> Item:
    """Search with few particles against uniform play."""
    seeds, games = (2, 50) if scale == "smoke" else (10, 2000)
    trainings, cells = [], []
    for game in PLAYED[:1] if scale == "smoke" else PLAYED:
        about = GAMES[game]
        # Nothing is learned: the training is there for its seeds.
        options = {"observation": "raw"}
        trainings.append(Training(game.replace(" ", "-"), "uniform_play", about["env"], {}, seeds, env_options=options))
        variants = [(10, tau, False) for tau in (1.0, 5.0, 10.0, 50.0)] + [(10, 10.0, True), (100, 10.0, False)]
        variants, seats = (variants[:1], SEATS[:1]) if scale == "smoke" else (variants, SEATS)
        for (particles, tau, shared), (seat, column) in itertools.product(variants, enumerate(seats)):
            row = f"{game}, {particles} particles, tau={tau:g}{', shared randomness' if shared else ''}"
            count = games if particles == 10 else games // 10
            measure = functools.partial(searched, seat, tau, particles, shared, count)
            answer = known["head-to-head"].get(row)
            target = None
            if answer is not None:
                # Ten thousand games there: three standard errors of a difference of two such means.
                target = Target(answer[seat], 3 * math.sqrt(2) * 0.01, "known answer", f"{REFERENCE}, 10,000 games")
            cells.append(Cell(row, column, trainings[-1].name, measure, target, digits=3))
    notes = [
        f"returns of the searcher; {games} games a seed and seat, a tenth of that with 100 particles; uniform "
        "blueprint and magnet, one rollout an action and particle, survivors drawn back to the full number",
        "the paper leaves the particle filter's conventions open, and in the second seat of phantom tic-tac-toe ours "
        "differ from the known answers' in a way that could not be found; a plain program of ours agrees with ours",
    ]
    return Item("head-to-head", "Search against uniform play", trainings, cells, 5, notes)


def particles(scale: str) -> Item | None:
    """Search against uniform play by how many particles it has, up to infinitely many."""
    if scale == "smoke":
        return None
    seeds, games, tau = 5, 400, 10.0
    trainings, cells = [], []
    for game in PLAYED:
        about = GAMES[game]
        options = {"observation": "raw"}
        trainings.append(Training(game.replace(" ", "-"), "uniform_play", about["env"], {}, seeds, env_options=options))
        for seat, column in enumerate(SEATS):
            for count in (1, 3, 10, 30, 100):
                measure = functools.partial(searched, seat, tau, count, False, games)
                cells.append(Cell(f"{game}, {count} particles", column, trainings[-1].name, measure, digits=3))
            limit = functools.partial(lambda g, s, t: solved(g, s)[1][t], game, seat, tau)
            cells.append(Cell(f"{game}, infinitely many particles", column, None, limit, digits=3))
    notes = [f"returns of the searcher, tau = {tau:g}, {games} games a seed and seat; the last rows are exact"]
    return Item("particles", "Search by its number of particles", trainings, cells, 5, notes)


def searched(seat: int, tau: float, particles: int, shared: bool, games: int, run: Any) -> np.ndarray:
    """Mean return of the searcher, [seed]."""
    blueprint, seeds = run.agent, len(run.seeds)
    env, params = blueprint.info.env, blueprint.info.env_params
    agent = search(blueprint, SearchConfig(num_particles=particles, share_randomness=shared))
    state = SearchState(jnp.zeros(seeds), jnp.full(seeds, tau), jnp.zeros(seeds))
    seated = SeatedEnv(env, blueprint, seat)
    where = {"env": seated, "env_params": seated.wrap_params(params, jnp.zeros(()))}
    found = jaxrl_suite.evaluate(agent, state, seeds=run.seeds, episodes=games, greedy=False, **where)
    return found.returns.mean(axis=1)


def opponents(scale: str) -> list[str]:
    """Whom best responses are learned to."""
    millions, learners = ((1,), players.QUICK) if scale == "cpu" else ((1, 10), players.LEARNERS)
    learned = [players.learned_name(learner, count) for learner in learners for count in millions]
    return [players.FIRST, players.UNIFORM, players.SEARCHING, *learned]


STEPS = {"cpu": 200_000, "full": 10_000_000}
RESPONSE = {
    "num_envs": 8,
    "train_frequency": 1,
    "gradient_steps": 2,
    "batch_size": 64,
    "hidden_sizes": (64, 64, 64),
    "learning_rate": 5e-4,
    "discount": 0.99,
    "final_epsilon": 0.1,
    "exploration_fraction": 0.5,
    "reset_pool": 4,
}


def exploitability(published: dict[str, Any], scale: str) -> Item | None:
    """Approximate exploitability: what DQN learns to get against a player, mean over both seats, times 100."""
    if scale == "smoke":
        return None
    trainings, cells = [], []
    deviation = (
        "" if scale == "full" else f"best responses learn for {STEPS[scale]:,} steps, the paper's for 10 million"
    )
    for game, opponent in itertools.product(PLAYED, opponents(scale)):
        config = RESPONSE | {"total_updates": STEPS[scale] // RESPONSE["num_envs"]}
        options, both = {"game": game, "opponent": opponent}, {"env.seat": (0, 1)}
        waits = opponent not in (*players.FIXED, players.SEARCHING)
        name = players.slug(game, opponent)
        trainings.append(Training(name, "dqn", "seat/board", config, 5, 100, options, grid=both, waits=waits))
        printed = published["approximate-exploitability"][game].get(opponent)
        target = None if printed is None else Target(printed[0], 3 * printed[1] + 1, "published", "MDS paper, table 3")
        cells.append(Cell(f"{game}, {opponent}", "exploitability x 100", name, response_return, target, deviation))
        if opponent == players.UNIFORM:
            exact = functools.partial(lambda g: 50 * (solved(g, 0)[0] + solved(g, 1)[0]), game)
            cells.append(Cell(f"{game}, {opponent}", "exact", None, exact, digits=2))
    notes = [
        "DQN with legal actions only, this suite's settings; 2,000 greedy games a seed and seat; a learned best "
        "response is a lower bound, whatever its interval: none can exceed the exact one but by chance of its games",
        "PPO, NFSP, MMD: networks of this suite's settings that played themselves, the first of five seeds of each; "
        "the paper's are of five",
    ]
    return Item("exploitability", "Approximate exploitability", trainings, cells, 5, notes)


def response_return(run: Any) -> np.ndarray:
    """Mean return of the greedy best responses in both seats, times 100, [seed]."""
    found = []
    for seat in (0, 1):
        state = jax.tree.map(lambda x, seat=seat: x[seat], run.state)
        params = run.agent.info.env_params.replace(seat=seat)
        where = {"env": run.agent.info.env, "env_params": params}
        played = jaxrl_suite.evaluate(run.agent, state, seeds=run.seeds, episodes=2000, greedy=True, **where)
        found.append(played.returns.mean(axis=1))
    return 100 * np.mean(found, axis=0)
