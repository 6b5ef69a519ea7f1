"""Players of the 3 x 3 games against each other, and what search makes of two blueprints."""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl_suite.agents import SearchConfig
from jaxrl_suite.reproduction import Cell, Item, Target, Training
from jaxrl_suite.reproduction.loading import import_file

players = import_file(Path(__file__).parent / "opponents.py", "jaxrl_experiments_mirror_descent_search_opponents")
PRINTED = {"first legal action": "Arbitrary", "uniform random": "Random"}
"""What the paper calls them."""
FEW = SearchConfig(num_particles=10)
MANY = SearchConfig(num_particles=100, step_size=10.0, temperature=0.05)
GAMES = {"cpu": 1000, "full": 10_000}


def matches(published: dict[str, Any], scale: str) -> Item | None:
    """Returns of the players in the columns against those in the rows, both seats, times 100."""
    if scale == "smoke":
        return None
    millions, games = (1, GAMES["cpu"]) if scale == "cpu" else (10, GAMES["full"])
    learners = players.QUICK if scale == "cpu" else players.LEARNERS
    learned = [players.learned_name(learner, millions) for learner in learners]
    ranks = [players.FIRST, players.UNIFORM, *learned]
    trainings, cells = [], []
    for game, env in players.ENVS.items():
        trained = {name: players.learning(game, name) for name in learned}
        # Those that learn nothing have a training for its seeds.
        trained |= {
            name: Training(players.slug(game, name), agent, env, {}, players.SEEDS)
            for name, agent in ((players.FIRST, "first_action"), (players.UNIFORM, "uniform_play"))
        }
        trainings += trained.values()
        for row, name in enumerate(ranks):
            for column in ranks[row + 1 :]:
                measure = functools.partial(against, game, name, None, games)
                about = printed(published, game, name, column, millions)
                cells.append(Cell(f"{game}, against {name}", column, trained[column].name, measure, digits=0, **about))
            for column, config, share in ((players.UNIFORM, FEW, 1), (learned[-1], MANY, 10)):
                measure = functools.partial(against, game, name, config, games // share)
                header = f"{column} + search, {config.num_particles} particles"
                cells.append(Cell(f"{game}, against {name}", header, trained[column].name, measure, digits=0))
    notes = [
        f"{games} games a seed and seat, a tenth of that with 100 particles; seed against seed, actions are drawn",
        f"search: uniform magnet; {FEW.num_particles} particles: eta {FEW.step_size:g}, from uniform play; "
        f"{MANY.num_particles}: eta {MANY.step_size:g}, alpha {MANY.temperature:g}, from MMD; the paper prints neither",
    ]
    return Item("matches", "3 x 3 games, players against each other", trainings, cells, 5, notes)


def printed(published: dict[str, Any], game: str, row: str, column: str, millions: int) -> dict[str, Any]:
    def name(player: str) -> str:
        return PRINTED.get(player, player.split(",")[0])

    value = published["matches"][game].get(f"{name(row)}, {name(column)}")
    if value is None:
        return {}
    ours = [player for player in (row, column) if player not in PRINTED]
    deviation = f"networks of {millions} million steps, the paper's of 10 million" if ours and millions != 10 else ""
    margin = 3 * value[1] + 1
    return {"target": Target(value[0], margin, "published", "MMD paper, tables 3 and 4"), "deviation": deviation}


def against(game: str, opponent: str, config: SearchConfig | None, games: int, run: Any) -> np.ndarray:
    """Mean return times 100, [seed], of a run's agent (with a config: searching) against a player, over both seats."""
    mine = players.Player(run.agent, run.state)
    if config is not None:
        mine = players.searching(run.agent, run.state, config)
    theirs = players.player_of(game, opponent)
    found = [players.seated_returns(mine, theirs, seat, run.seeds, games, greedy=False) for seat in (0, 1)]
    return 100 * np.mean(found, axis=(0, 2))
