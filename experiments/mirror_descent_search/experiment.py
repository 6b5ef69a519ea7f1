"""Magnetic mirror descent in games written out: curves, equilibria, last iterates, settings, networks in self-play."""

import functools
import itertools
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl_suite import results
from jaxrl_suite.agents.memoryless import policy_table
from jaxrl_suite.games import load, uniform_policy
from jaxrl_suite.reproduction import Cell, Experiment, Item, Target, Training
from jaxrl_suite.reproduction.loading import import_file
from jaxrl_suite.solvers import agent_quantal_response, exploitability, nash_equilibrium, quantal_response

HERE = Path(__file__).parent
search = import_file(HERE / "search.py", "jaxrl_experiments_mirror_descent_search_search")
matches = import_file(HERE / "matches.py", "jaxrl_experiments_mirror_descent_search_matches")
hanabi = import_file(HERE / "hanabi.py", "jaxrl_experiments_mirror_descent_search_hanabi")
variants = import_file(HERE / "variants.py", "jaxrl_experiments_mirror_descent_search_variants")
KNOWN = tomllib.loads((HERE / "known_answers.toml").read_text())
PUBLISHED = tomllib.loads((HERE / "published.toml").read_text())
REFERENCE = "independent program, float64"
GAMES = ("kuhn_poker", "dark_hex", "liars_dice", "leduc_poker")
ANNEALED: dict[str, tuple[float, float]] = {
    "kuhn_poker": (1.0, 1.0),
    "dark_hex": (1.0, 1.0),
    "liars_dice": (2.0, 1.0),
    "leduc_poker": (1.0, 5.0),
}
REACH_WEIGHTED: dict[str, tuple[float, float]] = {
    "kuhn_poker": (2.0, 2.0),
    "dark_hex": (1.0, 1.0),
    "liars_dice": (100.0, 2.0),
    "leduc_poker": (500.0, 10.0),
}
SAMPLED: dict[str, tuple[float, float]] = {
    "kuhn_poker": (0.1, 50.0),
    "dark_hex": (0.35, 50.0),
    "liars_dice": (2.0, 200.0),
    "leduc_poker": (1.0, 300.0),
}
ESTIMATES = ("unbiased", "baseline", "mean")
CONSTANT = {"step_decay": 0.0, "temperature_decay": 0.0}
MOVING: dict[str, Any] = {"step_size": 0.1, "temperature": 1.0, "magnet": "moving", **CONSTANT}
TOTAL = {"smoke": 100, "cpu": 100_000, "full": 100_000}


def known(value: float, relative: float = 1e-4, absolute: float = 0.0) -> Target:
    return Target(value, max(relative * abs(value), absolute), "known answer", REFERENCE)


def named(schedule: tuple[float, float]) -> dict[str, Any]:
    return dict(zip(("step_size", "temperature"), schedule, strict=True))


def methods(game: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """By name, with the authors' schedules."""
    annealed, weighted = named(ANNEALED[game]), named(REACH_WEIGHTED[game])
    found: dict[str, tuple[str, dict[str, Any]]] = {
        "annealed": ("mmd", annealed),
        "moving magnet": ("mmd", MOVING),
        "reach-weighted": ("mmd", weighted | {"weighting": "reach"}),
        "MaxEnt": ("mmd", annealed | {"objective": "max_entropy"}),
        "MiniMaxEnt": ("mmd", annealed | {"objective": "minimax_entropy"}),
        "CFR": ("cfr", {}),
        "CFR+": ("cfr", {"plus": True}),
    }
    if game == "leduc_poker":
        found["Euclidean"] = ("mmd", {"step_size": 2.0, "temperature": 1.0, "update": "euclidean"})
    return found


def after(iterations: int, run: Any) -> np.ndarray:
    """Exploitability after so many iterations, [seed]."""
    return run.metrics["exploitability"][:, iterations - 1]


def slug(*parts: str) -> str:
    return "-".join(parts).lower().replace(" ", "-").replace("+", "-plus")


def curves(scale: str) -> Item:
    """Exploitability over iterations of mirror descent's variants and CFR's on four games."""
    trainings, cells = [], []
    games = ("kuhn_poker",) if scale == "smoke" else GAMES
    for game, method in [(name, method) for name in games for method in methods(name)]:
        agent, config = methods(game)[method]
        config = config | {"total_updates": TOTAL[scale]}
        trainings.append(Training(slug(game, method), agent, f"game/{game}", config, 1))
        row = f"{game}, {method}"
        answers = dict(zip(KNOWN["curves"]["iterations"], KNOWN["curves"].get(row, []), strict=False))
        answers |= dict(zip(KNOWN["later"]["iterations"], KNOWN["later"].get(row, []), strict=False))
        for t in (1, 10, 100, 1000, 3000, 10_000, 30_000, 100_000):
            if t <= TOTAL[scale]:
                cells.append(exact_cell(row, t, trainings[-1].name, answers.get(t)))
    notes = [
        "simultaneous updates, exact action values, float64; annealed: eta and alpha over sqrt(t); moving magnet: eta "
        "0.1, alpha 1, the magnet goes 5 % to the policy in an iteration; CFR and CFR+: the average policy",
        "below 1e-9 the least probability of 1e-10 and rounding decide",
    ]
    return Item("curves", "Exploitability over iterations", trainings, cells, 1, notes, curve_figure)


def exact_cell(row: str, t: int, training: str, answer: float | None) -> Cell:
    target = None if answer is None else known(answer, 1e-3 if t > 10_000 else 1e-4, 2e-10)
    measure = functools.partial(after, t)
    return Cell(row, f"after {t:,}", training, measure, target, digits=6, is_exact=True)


def curve_figure(runs: Any, path: Path) -> None:
    """Leduc, or the last game there is, on logarithmic axes."""
    name = next(game for game in reversed(GAMES) if slug(game, "annealed") in runs)
    lines = []
    for method in ("annealed", "moving magnet", "CFR", "CFR+"):
        found = runs[slug(name, method)].metrics["exploitability"]
        times = np.flatnonzero(~np.isnan(found[0]))
        lines.append(results.Curve(method, times + 1, np.maximum(found[:, times], 1e-12)))
    labels = {"path": path, "window": 1, "title": name, "xlabel": "iterations", "logarithmic": True}
    results.learning_curves(lines, "exploitability", **labels)


def equilibria(scale: str) -> Item | None:
    """Values, uniform play and quantal response equilibria, all by exact solvers."""
    if scale == "smoke":
        return None
    cells = []
    for game, answers in KNOWN["games"].items():
        cells += [
            solved(f"{game}", "value, linear program", functools.partial(value_of, game), answers["value"]),
            solved(f"{game}", "uniform, exploitability", functools.partial(uniform_of, game), answers["uniform"]),
        ]
    for game, by_temperature in KNOWN["agent-quantal-response"].items():
        for alpha, (exploited, value) in by_temperature.items():
            row = f"{game}, agent quantal response, alpha={alpha}"
            for column, index, answer in (("exploitability", 0, exploited), ("value", 1, value)):
                measure = functools.partial(agent_response, game, float(alpha), index)
                cells.append(solved(row, column, measure, answer, 1.1e-6 if index == 0 else 1.1e-5))
    for game, by_temperature in KNOWN["quantal-response"].items():
        for alpha, exploited in by_temperature.items():
            row = f"{game}, quantal response, alpha={alpha}"
            measure = functools.partial(response, game, float(alpha))
            cells.append(solved(row, "exploitability", measure, exploited, 1.1e-6))
    return Item("equilibria", "Equilibria of four games", [], cells, 1, ["residuals of all fixed points below 1e-9"])


def solved(row: str, column: str, measure: Any, answer: float, margin: float = 1e-9) -> Cell:
    return Cell(row, column, None, measure, known(answer, 0.0, margin), digits=7)


def value_of(game: str) -> float:
    return nash_equilibrium(load(game)).value


def uniform_of(game: str) -> float:
    return float(exploitability(load(game), uniform_policy(load(game))))


@functools.cache
def agent_pair(game: str, alpha: float) -> tuple[float, float]:
    found = agent_quantal_response(load(game), alpha, tolerance=1e-9)
    if found.residual > 1e-9:
        raise ArithmeticError(f"{game}, alpha {alpha}: residual {found.residual:g}")
    return float(exploitability(load(game), found.policy)), found.value


def agent_response(game: str, alpha: float, index: int) -> float:
    return agent_pair(game, alpha)[index]


def response(game: str, alpha: float) -> float:
    return float(exploitability(load(game), quantal_response(load(game), alpha).policy))


def last_iterates(scale: str) -> Item:
    """Perturbed rock, paper, scissors: without a magnet the iterate cycles, with one it settles."""
    total = 100 if scale == "smoke" else 10_000
    runs: dict[str, dict[str, Any]] = {
        "mirror descent": {"step_size": 0.1, "temperature": 0.0, **CONSTANT},
        "magnet, alpha=0.1": {"step_size": 0.1, "temperature": 0.1, **CONSTANT},
        "magnet, annealed": {"step_size": 0.1, "temperature": 0.2, "step_decay": 0.0},
        "magnet, moving": {"step_size": 0.1, "temperature": 0.1, "magnet": "moving", **CONSTANT},
    }
    trainings, cells = [], []
    answers = {("magnet, alpha=0.1", t): v for t, v in ((1, 0.11171), (10, 0.11390), (100, 0.036823), (1000, 0.030041))}
    for label, config in runs.items():
        name = slug(label).replace(",", "").replace("=", "")
        trainings.append(Training(name, "mmd", "game/perturbed_rps", config | {"total_updates": total}, 1))
        for t in (t for t in (1, 10, 100, 1000, 10_000) if t <= total):
            answer = answers.get((label, t))
            target = None if answer is None else known(answer, 1e-4, 6e-6)
            measure = functools.partial(after, t)
            cells.append(Cell(label, f"after {t:,}", name, measure, target, digits=6, is_exact=True))
    notes = ["payoffs scaled to [0, 1]; from uniform play, simultaneous updates, no averages"]
    return Item("last-iterates", "Last iterates", trainings, cells, 1, notes, last_figure)


def last_figure(runs: Any, path: Path) -> None:
    lines = []
    for name in runs:
        found = runs[name].metrics["exploitability"]
        times = np.flatnonzero(~np.isnan(found[0]))
        lines.append(results.Curve(name.replace("-", " "), times + 1, np.maximum(found[:, times], 1e-12)))
    labels = {"path": path, "window": 1, "title": "Perturbed rock, paper, scissors", "xlabel": "iterations"}
    results.learning_curves(lines, "exploitability", logarithmic=True, **labels)


def sampled(scale: str) -> Item:
    """One game an iteration instead of the whole tree, action values estimated from its returns."""
    trainings, cells = [], []
    seeds, total = (2, 100) if scale == "smoke" else (10, TOTAL[scale])
    for game, estimate in itertools.product(("kuhn_poker",) if scale == "smoke" else GAMES, ESTIMATES):
        config = named(SAMPLED[game]) | {"estimate": estimate, "total_updates": total}
        trained = Training(slug(game, estimate), "mmd_sampled", f"game/{game}", config, seeds)
        trainings.append(trained)
        for t in (t for t in (100, 1000, 10_000, 100_000) if t <= total):
            measure = functools.partial(after, t)
            cells.append(Cell(f"{game}, {estimate}", f"after {t:,}", trained.name, measure, digits=4))
    for estimate in () if scale == "smoke" else ESTIMATES:
        # The largest step size that the theory allows for payoffs in [0, 1] is alpha.
        config = named((BANDIT / 10, BANDIT)) | {"temperature_decay": 0.0, "estimate": estimate, "total_updates": total}
        trained = Training(slug("bandit", estimate), "mmd_sampled", "game/perturbed_rps", config, 30)
        trainings.append(trained)
        row = f"perturbed_rps, alpha={BANDIT:g}, {estimate}"
        cells.append(Cell(row, "KL to the solution", trained.name, bandit_distance, digits=6))
    notes = [
        "one game an iteration, the whole step at each information set that came up; eta and alpha over sqrt(t)",
        "perturbed_rps: bandit feedback at a fixed temperature, eta = alpha / (10 sqrt(t)), 30 seeds; the divergence "
        "KL(quantal response, last iterate), mean over both players",
    ]
    return Item("sampled", "Sampled games and bandit feedback", trainings, cells, 10, notes)


BANDIT = 0.2


def bandit_distance(run: Any) -> np.ndarray:
    solution = agent_quantal_response(load("perturbed_rps"), BANDIT).policy
    return np.sum(solution * np.log(solution / run.state.policy), axis=-1).mean(axis=-1)


STEP_SIZES = (0.25, 1.0, 4.0, 16.0)
TEMPERATURES = (0.1, 0.5, 2.0, 5.0)
DECAYS = (0.0, 0.5)


def settings(scale: str) -> Item | None:
    """Step sizes x temperatures x schedules, all in one program a game."""
    if scale == "smoke":
        return None
    trainings, cells = [], []
    grid = {"step_size": STEP_SIZES, "temperature": TEMPERATURES, "step_decay": DECAYS, "temperature_decay": DECAYS}
    names = {0.0: "constant", 0.5: "falling"}
    for game in ("kuhn_poker", "leduc_poker"):
        trained = Training(game, "mmd", f"game/{game}", {"total_updates": 3000}, 1, grid=grid)
        trainings.append(trained)
        for index, (eta, alpha, of_eta, of_alpha) in enumerate(itertools.product(*grid.values())):
            row = f"{game}, eta={eta:g} {names[of_eta]}, alpha={alpha:g} {names[of_alpha]}"
            measure = functools.partial(of_setting, index)
            cells.append(Cell(row, "after 3,000", trained.name, measure, digits=6, is_exact=True))
    notes = ["behavioural form; falling: over sqrt(t); all 64 settings of a game in one program"]
    return Item("settings", "Step sizes, temperatures and schedules", trainings, cells, 1, notes)


def of_setting(index: int, run: Any) -> np.ndarray:
    return run.metrics["exploitability"][index, :, -1]


def networks(scale: str) -> Item:
    """Deep MMD beside PPO in self-play, judged exactly."""
    games = {"kuhn_poker": 400, "leduc_poker": 1000} if scale != "smoke" else {"kuhn_poker": 20}
    updates = {"smoke": 1, "cpu": 1, "full": 10}[scale]
    common = {
        "num_envs": 64,
        "rollout_length": 16,
        "discount": 1.0,
        "gae_lambda": 1.0,
        "learning_rate": 1e-3,
        "hidden_sizes": (64, 64),
    }
    trainings, cells = [], []
    for game, budget in games.items():
        total = budget * updates
        reference = float(total * common["num_envs"] * common["rollout_length"])
        for label, agent, config in (
            ("PPO", "ppo", {}),
            ("deep MMD", "deep_mmd", {"reference_steps": reference}),
        ):
            config = common | config | {"total_updates": total}
            trained = Training(slug(game, label), agent, f"game/{game}", config, 2 if scale == "smoke" else 5, 10)
            trainings.append(trained)
            cells.append(Cell(f"{game}, {label}", "exploitability", trained.name, network_exploitability, digits=4))
    notes = [
        "both players share the networks; the last policy, exact; settings of this suite, PPO with an entropy bonus of "
        "0.01, deep MMD with the paper's schedule reaching eta = alpha = 0.05 at the end",
    ]
    return Item("networks", "Networks in self-play", trainings, cells, 5, notes)


def network_exploitability(run: Any) -> np.ndarray:
    game = run.agent.info.env_params
    return np.array([float(exploitability(game, policy)) for policy in policy_table(run)])


SEARCH_PAPER = (
    "The Update-Equivalence Framework for Decision-Time Planning. "
    "Sokota, Farina, Wu, Hu, Wang, Kolter, Brown; ICLR 2024, arXiv 2304.13138"
)
SEARCH_ITEMS = ("variants", "tiny-hanabi", "boards", "head-to-head", "particles", "exploitability")
HANABI_ITEMS = ("small-hanabi", "small-hanabi-3-lives", "hanabi", "hanabi-brief-5", "hanabi-brief-7")

EXPERIMENT = Experiment(
    "mirror_descent_search",
    "A Unified Approach to Reinforcement Learning, Quantal Response Equilibria, and Two-Player Zero-Sum Games",
    "Sokota, D'Orazio, Kolter, Loizou, Lanctot, Mitliagkas, Brown, Kroer; ICLR 2023, arXiv 2206.05825",
    "The tabular figures are images: the same schedules are held against numbers of an independent program.",
    {
        "curves": curves,
        "equilibria": equilibria,
        "last-iterates": last_iterates,
        "sampled": sampled,
        "settings": settings,
        "networks": networks,
        "variants": functools.partial(variants.variants, KNOWN),
        "tiny-hanabi": functools.partial(variants.tiny_hanabi, KNOWN),
        "boards": functools.partial(search.boards, KNOWN),
        "head-to-head": functools.partial(search.head_to_head, KNOWN),
        "particles": search.particles,
        "matches": functools.partial(matches.matches, PUBLISHED),
        "exploitability": functools.partial(search.exploitability, PUBLISHED),
        "small-hanabi": functools.partial(hanabi.small, 1),
        "small-hanabi-3-lives": functools.partial(hanabi.small, 3),
        "hanabi": functools.partial(hanabi.papers, PUBLISHED["hanabi"]),
        **{f"hanabi-brief-{name[0]}": functools.partial(hanabi.brief, name) for name in hanabi.PAPERS},
    },
    dict.fromkeys((*SEARCH_ITEMS, *HANABI_ITEMS), SEARCH_PAPER),
)
