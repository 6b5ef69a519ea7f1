"""Robustness on tasks in plain JAX, at full scale in MuJoCo-MJX too: QARL, SAC, robust adversarial RL and three others.

All protagonists learn from as many of their own steps; those with an adversary play as many again for it.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np

import jaxrl_suite
from jaxrl_suite import results
from jaxrl_suite.agents import kernel_returns, opposed
from jaxrl_suite.reproduction import Cell, Estimate, Item, Target, Training, of_means

SMALL: dict[str, Any] = {
    "episode_steps": 250,
    "hidden_sizes": (64, 64),
    "batch_size": 128,
    "critic_starts": 1250,
    "actor_starts": 2500,
    "actor_rate": 3e-4,
    "critic_rate": 1e-3,
    "temperature_rate": 1e-3,
}
"""Networks of a sixteenth of the size, episodes of half the length, and steps three times as large: there are fewer."""

TINY = {
    "episode_steps": 30,
    "critic_starts": 50,
    "actor_starts": 100,
    "hidden_sizes": (16, 16),
    "batch_size": 32,
}
PROFILE = {"smoke": SMALL | TINY, "cpu": SMALL, "full": {}}
ITERATIONS = {"smoke": 3, "cpu": 60, "full": 200}
SEEDS = {"smoke": 2, "cpu": 5, "full": 15}
POINTS = {"smoke": 3, "cpu": 11, "full": 11}
EPISODES = {"smoke": 2, "cpu": 20, "full": 20}

PLAIN = {
    "point-mass": {"force": 10.0, "threshold": -80.0},
    "cartpole-balance": {"force": 2.0, "threshold": 10.0},
    "cartpole-swingup": {"force": 2.0, "threshold": 10.0},
    "pendulum-swingup": {"force": 1.0, "threshold": 0.6, "box_episodes": 10},
}
IN_MJX = {
    "ball-in-cup-catch": {"force": 0.005, "threshold": 10.0},
    "cheetah-run": {"force": 1.0, "threshold": 10.0},
    "hopper-stand": {"force": 1.0, "threshold": 1.0},
    "hopper-hop": {"force": 1.0, "threshold": 1.0},
    "reacher-easy": {"force": 0.1, "threshold": 10.0, "box_episodes": 10},
    "reacher-hard": {"force": 0.1, "threshold": 10.0, "box_episodes": 10},
    "walker-stand": {"force": 1.0, "threshold": 10.0},
    "walker-walk": {"force": 1.0, "threshold": 10.0},
    "walker-run": {"force": 1.0, "threshold": 10.0},
}
TASKS = PLAIN | IN_MJX
"""force: the adversary's limit, in newtons, as the sweep of `forces` says, the tasks' defaults; in MJX, where it has
not been run, the authors' default. threshold: xi, on discounted returns: the authors'; a tenth of what SAC ends with
for the pendulum, and a tenth of the way there from standing still for the point mass."""

AT = {"smoke": ("cartpole-balance",), "cpu": tuple(PLAIN), "full": tuple(TASKS)}
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "SAC": ("qarl", {"adversary": "none"}),
    "RARL": ("qarl", {"adversary": "soft"}),
    "QARL": ("qarl", {}),
    "force curriculum": ("qarl", {"adversary": "capped"}),
    "CAT": ("cat", {}),
    "MixedNE-LD": ("mixed_nash", {}),
}
WITH_ADVERSARY = ("RARL", "QARL", "force curriculum")


def training(task: str, method: str, scale: str, times: int = 1, more: Any = METHODS) -> Training:
    """Of a method among `more`, with so many times the iterations."""
    (agent, config), profile, iterations = more[method], PROFILE[scale], times * ITERATIONS[scale]
    steps = profile.get("episode_steps", 500)
    settings = profile | {"total_updates": iterations, "buffer_size": 5 * steps * iterations} | config
    if agent == "qarl" and settings.get("adversary", "quantal") in ("quantal", "capped"):
        settings |= {"threshold": TASKS[task]["threshold"]}
    params = {"max_steps_in_episode": steps, "force_limit": TASKS[task]["force"]}
    return Training(slug(task, method), agent, f"pushed/{task}", settings, SEEDS[scale], 1, {"params": params},
                    quick_compile=scale == "smoke")  # fmt: skip


def slug(task: str, method: str) -> str:
    return f"{task}-{method.lower().replace(' ', '-')}"


def comparison(task: str, published: dict[str, Any], scale: str) -> Item | None:
    """A task: what each method gets undisturbed, against its own adversary, and over the box of masses."""
    if task not in AT[scale]:
        return None
    methods = ("SAC", "QARL") if scale == "smoke" else tuple(METHODS)
    trained = {method: training(task, method, scale) for method in methods}
    cells = []
    for method, of in trained.items():
        measures = {"undisturbed": undisturbed, "over the box": over_box, "least of the box": least_of_box}
        if method in WITH_ADVERSARY:
            measures |= {"against its adversary": against}
        if scale != "smoke":
            measures |= {f"over {name}": functools.partial(along, index) for index, name in enumerate(("1st", "2nd"))}
        for column, measure in measures.items():
            cells.append(Cell(method, column, of.name, functools.partial(measure, scale), digits=1))
        for index, kind in enumerate(("performance", "robustness")):
            if method == "SAC":
                continue
            target = reason = None
            if method == "QARL":
                target = Target(published["relative-to-sac"][kind], 0.0, "published", "headline table, from reviews")
                of_what = "one task of plain JAX" if task in PLAIN else "one task"
                reason = f"{of_what}, {deviation(scale)}; there the mean over 15 of MuJoCo"
            names = (of.name, trained["SAC"].name)
            measure = functools.partial(relative, *names, index)
            cells.append(Cell(method, f"{kind}, % over SAC", names, measure, target, reason or "", digits=1))
        if method == "QARL":
            cells += curriculum(of, scale)
    title = f"{task}: robustness over two parameters"
    return Item(task, title, list(trained.values()), cells, 5, notes_of(task, scale), functools.partial(figure, scale),
                functools.partial(both_scores, scale))  # fmt: skip


def deviation(scale: str) -> str:
    if scale == "full":
        return "the paper's settings, of which the number of seeds, the force and the threshold are ours"
    steps = PROFILE[scale]["episode_steps"]
    return f"{ITERATIONS[scale]} iterations of episodes of {steps} steps, networks {PROFILE[scale]['hidden_sizes']}"


def notes_of(task: str, scale: str) -> list[str]:
    points, about, steps = POINTS[scale], TASKS[task], PROFILE[scale].get("episode_steps", 500)
    return [
        f"undiscounted returns, stochastic policies; undisturbed and against the adversary: {EPISODES[scale]} "
        f"episodes; the box: {points} x {points} values, {in_box(task)} episode(s) each, from the same starts in every "
        f"cell; 1st, 2nd: {points} of one parameter alone",
        f"forces up to {about['force']:g} N; threshold {about['threshold']:g} on discounted returns; QARL's "
        "players see a temperature of 0 when judged",
        f"{deviation(scale)}; a protagonist learns from {5 * ITERATIONS[scale] * steps:,} steps of its own",
        "% over SAC: (v - v_SAC) / |v_SAC| of means over seeds; the paper's numbers are known from its reviews alone",
        "MixedNE-LD: critics bootstrap with the adversary's own action, where the authors' program draws the other's",
    ]


def curriculum(of: Training, scale: str) -> list[Cell]:
    """How far the teacher came, and how far it could have."""
    periods = ITERATIONS[scale] // 3
    fastest = f"of at most {min(13, periods)} steps"
    return [
        Cell("QARL", "shape k at the end", of.name, lambda run: np.asarray(run.state.shape, float), digits=2),
        Cell("QARL", f"teacher's steps, {fastest}", of.name, steps_taken, digits=1),
    ]


def steps_taken(run: Any) -> np.ndarray:
    """How often k fell, [seed]."""
    shapes = run.metrics["teacher/shape"]
    return (np.diff(shapes, axis=1, prepend=50.0) < 0).sum(axis=1).astype(float)


_PLAYED: dict[Any, np.ndarray] = {}


def played(run: Any, what: str, play: Any) -> np.ndarray:
    """Played once for all cells and figures."""
    if (run.path, what) not in _PLAYED:
        _PLAYED[run.path, what] = play()
    return _PLAYED[run.path, what]


def undisturbed(scale: str, run: Any) -> np.ndarray:
    return played(run, "alone", lambda: mean_return(run.agent, run.state, run, scale))


def against(scale: str, run: Any) -> np.ndarray:
    return mean_return(opposed(run.agent), run.state, run, scale)


def mean_return(agent: Any, state: Any, run: Any, scale: str) -> np.ndarray:
    """Of stochastic play, [seed]."""
    where = {"seeds": run.seeds, "episodes": EPISODES[scale], "greedy": False}
    return jaxrl_suite.evaluate(agent, state, **where).returns.mean(axis=1)


def box(scale: str, run: Any) -> np.ndarray:
    """Returns over the grid, [seed, points^2]."""

    def play() -> np.ndarray:
        grid = run.agent.info.env.grid(run.agent.info.env_params, POINTS[scale])
        return at_kernels(run, grid)

    return played(run, "box", play)


def over_box(scale: str, run: Any) -> np.ndarray:
    return box(scale, run).mean(axis=1)


def least_of_box(scale: str, run: Any) -> np.ndarray:
    return box(scale, run).min(axis=1)


def along(index: int, scale: str, run: Any) -> np.ndarray:
    """Mean return over values of one parameter, the other nominal, [seed]."""
    env, params = run.agent.info.env, run.agent.info.env_params
    nominal = np.array([params.kernel[name] for name in env.names], np.float32)
    line = np.tile(nominal, (POINTS[scale], 1))
    name = env.names[index]
    line[:, index] = np.linspace(params.low[name], params.high[name], POINTS[scale])
    return at_kernels(run, line).mean(axis=1)


def at_kernels(run: Any, points: np.ndarray) -> np.ndarray:
    """Mean returns at each of the kernels, [seed, point]."""
    episodes = in_box(run.agent.info.env.id.removeprefix("pushed/"))
    return kernel_returns(run.agent, run.state, run.seeds, points, episodes, greedy=False).mean(axis=-1)


def in_box(task: str) -> int:
    """Episodes in each cell of the box: one, as in the paper, but for tasks that start anywhere. There one start in all
    cells would decide."""
    return TASKS[task].get("box_episodes", 1)


def both_scores(scale: str, run: Any) -> np.ndarray:
    """Undisturbed and over the box, [seed, 2]."""
    return np.stack([undisturbed(scale, run), over_box(scale, run)], axis=1)


def relative(name: str, base: str, index: int, scores: dict[str, np.ndarray]) -> Estimate:
    """Change in per cent of the mean over seeds, with a bootstrap interval over the seeds of both."""

    def change(means: dict[str, Any]) -> Any:
        # Of a pendulum that never swings up, the mean of a draw of seeds may be 0.
        with np.errstate(divide="ignore", invalid="ignore"):
            return 100.0 * (means[name] - means[base]) / np.abs(means[base])

    return of_means(change, {key: scores[key][:, index] for key in (name, base)}, f"{len(scores[name])} seeds")


def figure(scale: str, runs: Any, path: Path) -> None:
    """Heat maps side by side."""
    first = next(iter(runs.values()))
    env, params = first.agent.info.env, first.agent.info.env_params
    axes = [np.linspace(params.low[n], params.high[n], POINTS[scale]) for n in env.names]
    task, shape = env.id.removeprefix("pushed/"), (POINTS[scale],) * 2
    trained = {method: runs[slug(task, method)] for method in METHODS if slug(task, method) in runs}
    maps = {method: box(scale, run).mean(axis=0).reshape(shape) for method, run in trained.items()}
    names = [name.replace("_", " ") for name in env.names]
    results.heat_maps(maps, *axes, path, xlabel=names[0], ylabel=names[1], title=task)
