"""The paper's tables on MuJoCo's six tasks: IWOCS on SAC beside nominal, randomised and adversarially trained learners.

One item a task and number of uncertain parameters. All learn from as many steps; searches are not counted, as in the
paper. What IWOCS's default policy reaches alone is a row of its own.
"""

import functools
import itertools
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl_suite.agents import kernel_returns
from jaxrl_suite.envs import physics
from jaxrl_suite.reproduction import Cell, Estimate, Item, Target, Training, of_means
from jaxrl_suite.reproduction.loading import import_file

control = import_file(Path(__file__).parent / "control.py", "jaxrl_experiments_iwocs_control")

SETS = {name: tuple(size for size in ("2", "3") if size in sets) for name, sets in physics.SETS.items()}
"""By task: its numbers of uncertain parameters in the paper."""

ENGINE = "brax"
"""The engine's environments, with its default backend: on every other one masses or friction do not act, or it is
slower (`jaxrl bench physics`)."""

SMALL: dict[str, Any] = {
    "num_envs": 4,
    "gradient_steps": 2,
    "batch_size": 128,
    "buffer_size": 200_000,
    "learning_starts": 4000,
    "hidden_sizes": (64, 64),
}
PAPERS: dict[str, Any] = {"num_envs": 8, "gradient_steps": 8}
"""A minibatch a step, as there, but of eight environments at once."""

LEARNER = {"cpu": SMALL, "full": PAPERS}
BLOCK = {"cpu": 12_500, "full": 50_000}
"""Environment steps of a block."""

KERNEL_BLOCKS = {"cpu": 4, "full": 16}
DEFAULT_BLOCKS = {"cpu": {"2": 8}, "full": {"2": 32, "3": 36}}
KERNELS = {"cpu": {"2": 2}, "full": {"2": 3, "3": 4}}
SEARCH = {"cpu": {"population": 32, "thresholds": (0.2, 0.4, 0.6, 0.8, 1.0)}, "full": {}}
SEEDS = {"cpu": 5, "full": 10}
EPISODES = {"cpu": 5, "full": 30}
POINTS = 10


def methods(scale: str, parameters: str) -> dict[str, tuple[str, dict[str, Any], dict[str, Any]]]:
    """By name: agent, settings, and options of the environment."""
    learner = LEARNER[scale]
    blocks = total_blocks(scale, parameters)
    updates = BLOCK[scale] // learner["num_envs"]
    plain = learner | {"total_updates": blocks * updates}
    sequence = learner | SEARCH[scale] | {
        "total_updates": blocks,
        "block_updates": updates,
        "default_blocks": DEFAULT_BLOCKS[scale][parameters],
        "kernels": KERNELS[scale][parameters],
    }  # fmt: skip
    randomised = {"randomness": 1.0}
    found: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
        "TD3": ("td3", plain, {}),
        "SAC": ("sac", plain, {}),
        "DR (TD3)": ("td3", plain, randomised),
        "M2TD3": ("m2td3", plain, {}),
        "RARL": ("rarl", plain, {}),
        "IWOCS": ("sac_iwocs", sequence, {}),
    }
    if scale == "full":
        found |= {
            "SoftM2TD3": ("m2td3", plain | {"soft": True}, {}),
            "IWOCS*": ("sac_iwocs", sequence | {"search": "grid"}, {}),
        }
    return found


def task(name: str, parameters: str, published: dict[str, Any], scale: str) -> Item | None:
    """A row of the paper's tables, and IWOCS' way to the worst case by seed."""
    if scale == "smoke" or (scale == "cpu" and name != "inverted_pendulum"):
        return None
    key = f"{name}-{parameters}"
    trained = {
        label: Training(
            control.slug(f"{key} {label}").replace("*", "-grid").replace("(", "").replace(")", ""), agent,
            f"robust/{ENGINE}/{name}", config, SEEDS[scale], 1 if agent == "sac_iwocs" else 250,
            options | {"ranges": parameters},
        )
        for label, (agent, config, options) in methods(scale, parameters).items()
    }  # fmt: skip
    steps = total_blocks(scale, parameters) * BLOCK[scale]
    printed = published["mujoco"][key] | {"sac": published["nominal-sac"].get(key)}
    cells = list(itertools.chain(*(cells_of(label, trained, printed, scale, steps) for label in trained)))
    cells += paths(trained["IWOCS"], parameters, scale)
    kernels = POINTS ** int(parameters)
    notes = [
        f"{steps:,} steps a seed for every method; IWOCS: {DEFAULT_BLOCKS[scale][parameters] * BLOCK[scale]:,} for the "
        f"default policy, {KERNEL_BLOCKS[scale] * BLOCK[scale]:,} for each of at most {KERNELS[scale][parameters]} "
        "kernels; its best candidate by the search's worst return",
        f"deterministic policies, {kernels:,} kernels, {EPISODES[scale]} episodes each, the same starts for all; the "
        "worst is the least mean over these; both ends: M2TD3's grid; without upper ends: IWOCS' and RRLS'",
        "normalised: (v - v_TD3) / |v_M2TD3 - v_TD3| with our own TD3 and M2TD3, both ends; its interval is over seeds "
        "of all three",
        f"deviations: {deviation(scale, steps)}; RARL is TD3's here, there DDPG's",
        "rows of seeds: b_i the worst return found for the policy of i kernels (0: the default alone), T_i the kernel "
        "it is found at, a_i what kernel i's own policy gets on it",
    ]
    both = functools.partial(worst_and_average, scale)
    title = f"{name.replace('_', ' ')}, {parameters} uncertain parameters"
    return Item(f"{key.replace('_', '-')}", title, list(trained.values()), cells, 5, notes, None, both)


def total_blocks(scale: str, parameters: str) -> int:
    return DEFAULT_BLOCKS[scale][parameters] + KERNELS[scale][parameters] * KERNEL_BLOCKS[scale]


def deviation(scale: str, steps: int) -> str:
    engine = "brax's generalized physics, not MuJoCo's"
    if scale == "full":
        return f"{engine}; eight environments at once"
    return f"{engine}; {steps:,} steps where the paper has 4 million, smaller networks, minibatches and searches"


def cells_of(label: str, trained: dict[str, Training], printed: Any, scale: str, steps: int) -> list[Cell]:
    """Raw and normalised numbers of a method, and of IWOCS' default policy alone."""
    training, reason, found = trained[label], deviation(scale, steps), []
    rows = {label: False} | ({f"{label}: default alone": True} if label.startswith("IWOCS") else {})
    for row, is_default in rows.items():
        for column, (ends, reduce) in control.MEASURES.items():
            measure = functools.partial(score, ends, reduce, scale, is_default)
            target = None if is_default else raw_target(label, column, printed)
            found.append(Cell(row, column, training.name, measure, target, reason if target else "", digits=1))
    for index, kind in enumerate(("worst", "average")):
        names = tuple(dict.fromkeys((training.name, trained["TD3"].name, trained["M2TD3"].name)))
        measure = functools.partial(normalised, training.name, trained["TD3"].name, trained["M2TD3"].name, index)
        value = printed[f"normalised_{kind}"].get(label)
        is_copied = kind == "average" and label in printed.get("copied", ())
        target = None
        if value is not None and not is_copied:
            target = printed_target(value, 1.0, "tables 1 and 2")
        note = "copied from another cell in the paper: no target" if is_copied else reason
        found.append(
            Cell(label, f"normalised {kind}", names, measure, target, note if target or is_copied else "", digits=2)
        )
    return found


def raw_target(label: str, column: str, printed: Any) -> Target | None:
    """The printed number measured on this column's grid, if there is one."""
    kind = "average" if column.startswith("average") else "worst"
    own_grid = "without upper ends" if label.startswith("IWOCS") else "both ends"
    unit = printed["units"][kind]
    if label == "SAC" and kind == "worst" and printed["sac"] and "without" in column:
        return printed_target(printed["sac"], unit, "table 10")
    value = printed[kind].get(label)
    if value is None or (kind == "worst" and own_grid not in column):
        return None
    if kind == "average" and label in printed.get("copied", ()):
        return None
    return printed_target(value, unit, "tables 8 and 9")


def printed_target(value: list[float], unit: float, source: str) -> Target:
    """Within three of the errors printed beside it, and half of its last digit."""
    return Target(unit * value[0], unit * (3 * value[1] + 0.005), "published", source)


def score(ends: str, reduce: Any, scale: str, is_default: bool, run: Any) -> np.ndarray:
    """Worst or mean return over a grid, [seed]."""
    return reduce(control.returns_of(run, ends, POINTS, EPISODES[scale], is_default), axis=-1)


def worst_and_average(scale: str, run: Any) -> np.ndarray:
    """[seed, 2], on the grid with both ends."""
    returns = control.returns_of(run, "both", POINTS, EPISODES[scale])
    return np.stack([returns.min(axis=-1), returns.mean(axis=-1)], axis=-1)


def normalised(name: str, zero: str, one: str, index: int, scores: dict[str, np.ndarray]) -> Estimate:
    """(v - v_TD3) / |v_M2TD3 - v_TD3| of means over seeds, with a bootstrap interval over the seeds of all three."""

    def ratio(means: dict[str, Any]) -> Any:
        scale = np.abs(means[one] - means[zero])
        return np.where(scale > 0, (means[name] - means[zero]) / np.where(scale > 0, scale, 1.0), np.nan)

    values = {key: scores[key][:, index] for key in sorted({name, zero, one})}
    return of_means(ratio, values, f"{len(values[name])} seeds")


def paths(training: Training, parameters: str, scale: str) -> list[Cell]:
    """By seed: the worst returns and kernels of the sequence, and each kernel's own policy on it."""
    found = []
    for seed in range(SEEDS[scale]):
        for i in range(KERNELS[scale][parameters] + 1):
            columns = {f"b_{i}": functools.partial(searched, "worst/return", i)}
            columns |= {
                f"T_{i + 1}, parameter {k + 1}": functools.partial(kernel, k, i) for k in range(int(parameters))
            }
            if i > 0:
                columns[f"a_{i}"] = functools.partial(own_return, i - 1, scale)
            for column, measure in columns.items():
                one = functools.partial(lambda measure, seed, run: measure(run)[seed : seed + 1], measure, seed)
                found.append(Cell(f"IWOCS, seed {seed}", column, training.name, one, digits=2, is_exact=True))
    return found


def searched(metric: str, i: int, run: Any) -> np.ndarray:
    """What the search of the policy of i kernels found, [seed]; NaN where the sequence had ended before."""
    config = run.agent.info.config
    block = config.default_blocks + i * config.kernel_blocks - 1
    values = np.asarray(run.metrics[metric], np.float64)
    return values[:, block] if block < values.shape[1] else np.full(len(values), np.nan)


def kernel(parameter: int, i: int, run: Any) -> np.ndarray:
    return searched(f"worst/{run.agent.info.env.names[parameter]}", i, run)


@functools.lru_cache(maxsize=8)
def own_return(index: int, scale: str, run: Any) -> np.ndarray:
    """Mean return of kernel `index`'s policy on that kernel, [seed]; NaN where it was not trained.

    Played once for the cells of all seeds.
    """
    kernels = run.state.kernels
    # That kernel in the first slot, counting always, and no other.
    first = np.r_[index, np.delete(np.arange(kernels.threshold.shape[1]), index)]
    moved = type(kernels)(*(_taken(part, first) for part in kernels))
    moved = moved._replace(threshold=np.full_like(np.asarray(moved.threshold), np.inf))
    state = run.state.replace(kernels=moved, best=np.ones_like(run.state.best))
    returns = kernel_returns(run.agent, state, run.seeds, np.asarray(kernels.psi)[:, index], EPISODES[scale])
    own = returns.mean(axis=-1).diagonal()
    return np.where(np.asarray(run.state.count) > index, own, np.nan)


def _taken(part: Any, order: np.ndarray) -> Any:
    import jax

    return jax.tree.map(lambda x: np.asarray(x)[:, order], part)
