"""IWOCS on tables: the windy walk in all its numbers, and how often random problems end with a certificate."""

import functools
import itertools
import tomllib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl_suite as jrl
from jaxrl_suite import results
from jaxrl_suite.agents import IWOCSConfig, iwocs
from jaxrl_suite.agents.iwocs import CERTIFIED, REPEATED, RUNNING, greedy
from jaxrl_suite.envs.robust_tabular import KernelEnv, KernelMDP, random_kernels, windy_walk
from jaxrl_suite.reproduction import Cell, Item, Target, Training
from jaxrl_suite.solvers import (
    FiniteKernels,
    policy_evaluation,
    robust_policy_iteration,
    robust_value_iteration,
    value_iteration,
)

HERE = Path(__file__).parent
KNOWN = tomllib.loads((HERE / "known_answers.toml").read_text())
PUBLISHED = tomllib.loads((HERE / "published.toml").read_text())
DERIVED = "derived or computed from the definitions, float64"


def outcomes(batch: KernelMDP, config: IWOCSConfig) -> dict[str, np.ndarray]:
    """IWOCS on a batch of MDPs, [N]: status, iterations, upper and lower bound at the end, best lower bound."""
    first = jax.tree.map(lambda x: np.asarray(x[0]), batch)
    env = KernelEnv("robust/batch", first)

    def one(mdp: KernelMDP) -> dict[str, jax.Array]:
        agent, key = iwocs(env, mdp, config), jax.random.key(0)

        def iterate(loop: Any) -> Any:
            state, metrics = agent.update(key, loop[0], loop[0].iteration)
            return state, metrics["bound/lower"], metrics["bound/upper"]

        start = agent.init(key), jnp.zeros(()), jnp.zeros(())
        state, lower, upper = jax.lax.while_loop(lambda loop: loop[0].status == RUNNING, iterate, start)
        counts = {"status": state.status, "iterations": state.iteration}
        return counts | {"upper": upper, "lower": lower, "best": state.best}

    with jrl.float64():
        return {name: np.asarray(x) for name, x in jax.jit(jax.vmap(one))(batch).items()}


@functools.cache
def random_problems(count: int, is_rectangular: bool) -> KernelMDP:
    """So many MDPs at once, of seeds 0, 1, ...: of one kernel for all states and actions, or rectangular."""
    sizes = (10, 3, 5) if is_rectangular else (5, 2, 6)
    drawn = [random_kernels(seed, *sizes, is_rectangular=is_rectangular) for seed in range(count)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *drawn)


def best_deterministic(batch: KernelMDP) -> np.ndarray:
    """[N]: the most that a deterministic policy is worth against the worst kernel of the list, all policies tried."""
    actions, states = batch.num_actions, batch.num_states
    policies = np.array(list(itertools.product(range(actions), repeat=states)), np.int32)

    def one(mdp: KernelMDP) -> jax.Array:
        def worst(policy: jax.Array) -> jax.Array:
            return jnp.min(jax.vmap(lambda k: policy_evaluation(mdp.under(k), policy).start_value)(mdp.kernels))

        return jnp.max(jax.vmap(worst)(policies))

    with jrl.float64():
        return np.asarray(jax.jit(jax.vmap(one))(batch))


def robust_optimum(batch: KernelMDP) -> np.ndarray:
    """[N], of the rectangular hull."""
    with jrl.float64():
        solve = jax.vmap(lambda mdp: robust_policy_iteration(mdp, FiniteKernels(mdp.kernels)).start_value)
        return np.asarray(jax.jit(solve)(batch))


class Statistics:
    """What is counted over a batch of random problems, each computed once and when first asked for."""

    def __init__(self, count: int, is_rectangular: bool, **config: Any):
        self.count, self.is_rectangular, self.config = count, is_rectangular, IWOCSConfig(**config)

    @functools.cached_property
    def problems(self) -> KernelMDP:
        return random_problems(self.count, self.is_rectangular)

    @functools.cached_property
    def found(self) -> dict[str, np.ndarray]:
        return outcomes(self.problems, self.config)

    def ended(self, status: int) -> float:
        return float((self.found["status"] == status).sum())

    def gap(self) -> float:
        return float((self.found["upper"] - self.found["lower"]).max())

    def mean_iterations(self) -> float:
        return float(self.found["iterations"].mean())

    def most_iterations(self) -> float:
        return float(self.found["iterations"].max())

    def best_found(self) -> float:
        return float((self.found["best"] >= best_deterministic(self.problems) - 1e-9).sum())

    def error(self) -> float:
        """The most by which a certified value misses the robust optimum."""
        is_certified = self.found["status"] == CERTIFIED
        return float(np.abs(self.found["best"] - robust_optimum(self.problems))[is_certified].max(initial=0.0))


def certificates(scale: str) -> Item:
    """How random problems end, by who chooses how much."""
    shared = 20 if scale == "smoke" else 200
    rectangular = 10 if scale == "smoke" else 100
    runs = {
        "one kernel for all, greedy in the least Q": Statistics(shared, False),
        "one kernel for all, own actions": Statistics(shared, False, candidate="own_action"),
        "rectangular, worst everywhere": Statistics(rectangular, True),
        "rectangular, kept off the policy": Statistics(rectangular, True, off_path="kept"),
        "rectangular, nominal off the policy": Statistics(rectangular, True, off_path="nominal"),
    }
    cells = []
    for row, run in runs.items():
        known = {} if scale == "smoke" else KNOWN["certificates"].get(row, {})
        measures = {
            "certified": lambda run=run: run.ended(CERTIFIED),
            "repeated": lambda run=run: run.ended(REPEATED),
            "mean iterations": run.mean_iterations,
            "most iterations": run.most_iterations,
            "largest gap": run.gap,
        }
        if run.is_rectangular:
            measures["error of a certified value"] = run.error
        else:
            measures["best deterministic policy found"] = run.best_found
        for name, measure in measures.items():
            target = known.get(name)
            target = None if target is None else Target(*target, "known answer", DERIVED)
            digits = 2 if name in ("mean iterations", "largest gap") else 0
            cells.append(Cell(row, name, None, measure, target, digits=digits))
    notes = [
        f"{shared} problems of one kernel for all: 5 states, 2 actions, 6 kernels; {rectangular} rectangular ones: "
        "10 states, 3 actions, 5 kernels; rows Dirichlet(0.3), Gaussian rewards, discount 0.9",
        "own actions: the rule of deep IWOCS, the best action of the kernel whose own value is least",
        "problem i is drawn by NumPy's generator of seed i, rows before rewards: an order found by trying a few, under "
        "which the known counts come out exactly, so they are of these very problems; drawn otherwise, about 84 of 200 "
        "were certified",
    ]
    return Item("certificates", "How IWOCS ends on random problems", [], cells, 5, notes)


def known(value: float, margin: float = 1e-5) -> Target:
    """Printed with six digits after the point."""
    return Target(value, margin, "known answer", DERIVED)


@functools.cache
def walk(name: str) -> KernelMDP:
    return windy_walk() if name == "six" else windy_walk(18, 16)


@functools.cache
def optimum(name: str, alpha: float) -> Any:
    mdp = walk(name)
    return value_iteration(mdp.under(mdp.kernels[np.argmin(np.abs(mdp.parameters[:, 0] - alpha))]))


def straight(alpha: float) -> float:
    """The value of the policy that is best without wind, under the wind alpha."""
    mdp = walk("six")
    with jrl.float64():
        policy = np.asarray(greedy(jnp.asarray(optimum("six", 0.0).action_value)))
    kernel = mdp.kernels[np.argmin(np.abs(mdp.parameters[:, 0] - alpha))]
    return float(policy_evaluation(mdp.under(kernel), policy).start_value)


@functools.cache
def switch() -> float:
    """The wind from which the middle corridor is better than the northern one, by bisection."""
    low, high = 0.0, 0.5
    while high - low > 1e-9:
        alpha = (low + high) / 2
        mdp = windy_walk(least=alpha, most=alpha, kernels=1)
        north_and_east = value_iteration(mdp.under(mdp.kernels[0])).action_value[0]
        low, high = (low, alpha) if north_and_east[1] > north_and_east[2] + 1e-12 else (alpha, high)
    return high


@functools.cache
def robust(name: str) -> Any:
    mdp = walk(name)
    return robust_value_iteration(mdp, FiniteKernels(mdp.kernels))


def sweeps_gap(name: str, sweeps: int) -> float:
    """How far the start's value is off after so many sweeps of robust value iteration."""
    mdp = walk(name)
    found = robust_value_iteration(mdp, FiniteKernels(mdp.kernels), max_iterations=sweeps)
    return abs(float(found.start_value - robust(name).start_value))


WALKS = {"six": "robust/windy-walk", "long": "robust/windy-walk-long"}
SAMPLED = {"evaluation": "monte_carlo", "gap": 0.15, "solver_tolerance": 1e-3}


def at(metric: str, iteration: int, run: Any) -> np.ndarray:
    """[seed]; after a seed has ended, what it ended with."""
    return run.metrics[metric][:, min(iteration, run.metrics[metric].shape[1] - 1)].astype(float)


def iterations(run: Any) -> np.ndarray:
    """[seed], until it ended."""
    return np.argmax(run.metrics["finished"], axis=1) + 1.0


def windy(scale: str) -> Item:
    """The windy walk: optimal values by wind, the robust one, and IWOCS from several first kernels."""
    facts, cells = KNOWN["windy-walk"], []
    for name, title in (("six", "6 columns"), ("long", "18 columns")):
        for alpha, value in facts[name]["optimal"].items():
            row, wind = f"{title}, alpha = {alpha}", float(alpha)
            cells.append(Cell(row, "optimal value", None, functools.partial(_best, name, wind), known(value), digits=6))
        robust_value = functools.partial(_robust_value, name)
        cells.append(Cell(title, "robust value", None, robust_value, known(facts[name]["robust"]), digits=6))
        for sweeps, value in facts[name]["sweeps"].items():
            measure = functools.partial(sweeps_gap, name, int(sweeps))
            cells.append(Cell(title, f"error after {sweeps} sweeps", None, measure, known(value, 1e-6), digits=6))
    for alpha, value in facts["straight"].items():
        measure = functools.partial(straight, float(alpha))
        cells.append(Cell(f"straight north, alpha = {alpha}", "value", None, measure, known(value), digits=6))
    cells.append(
        Cell("6 columns", "wind from which the middle is better", None, switch, known(facts["switch"], 1e-6), digits=6)
    )
    trainings = []
    for case in facts["iwocs"]:
        changes = {"first_kernel": case["first_kernel"]}
        training = Training(slug(case, "exact"), "iwocs", WALKS[case["walk"]], changes, 5)
        trainings.append(training)
        row = f"IWOCS, {'6' if case['walk'] == 'six' else '18'} columns, from alpha = {case['from']}"
        for i, (upper, lower) in enumerate(case["bounds"]):
            for metric, value in (("upper", upper), ("lower", lower)):
                measure = functools.partial(at, f"bound/{metric}", i)
                column = f"{metric} bound, iteration {i}"
                cells.append(Cell(row, column, training.name, measure, known(value), digits=6, is_exact=True))
        target = known(len(case["bounds"]), 0.0)
        cells.append(Cell(row, "iterations", training.name, iterations, target, digits=0, is_exact=True))
        cells.append(Cell(row, "sweeps of value iteration", training.name, sweeps_used, digits=0, is_exact=True))
    sampled = Training("six-sampled", "iwocs", WALKS["six"], SAMPLED, 5 if scale == "smoke" else 100)
    trainings.append(sampled)
    row, published = "IWOCS, 6 columns, 300 rollouts a kernel", PUBLISHED["windy-walk"]
    two = Target(published["iterations"], 0.0, "published", published["source"])
    layout = "the paper's layout, first kernel and tolerance are not known"
    cells += [
        Cell(row, "iterations", sampled.name, iterations, two, layout, digits=2),
        Cell(row, "exact worst value of the last candidate", sampled.name, last_worst, digits=6),
        Cell(row, "estimated lower bound, last", sampled.name, functools.partial(at, "bound/lower", 99), digits=4),
    ]
    notes = [
        "the layout and all values on it are this suite's: the paper's drawing was not readable, it prints no value",
        "exact: value iteration to 1e-12, candidates evaluated by linear solves; rollouts: the paper's 1e-3 and 300",
    ]
    return Item("windy-walk", "The windy walk", trainings, cells, 5, notes, None if scale == "smoke" else figure)


def _best(name: str, alpha: float) -> float:
    return float(optimum(name, alpha).start_value)


def _robust_value(name: str) -> float:
    return float(robust(name).start_value)


def slug(case: dict[str, Any], kind: str) -> str:
    return f"{case['walk']}-{case['first_kernel']}-{kind}"


def sweeps_used(run: Any) -> np.ndarray:
    return at("backups", 10**6, run)


def last_worst(run: Any) -> np.ndarray:
    return at("value/worst", 10**6, run)


def figure(runs: Any, path: Path) -> None:
    """The start's value over sweeps: robust value iteration on the hull beside IWOCS, a point an iteration."""
    mdp = walk("six")
    sweeps = np.arange(1, 121)
    values = [
        robust_value_iteration(mdp, FiniteKernels(mdp.kernels), max_iterations=int(n)).start_value for n in sweeps
    ]
    run = runs["six-0-exact"]
    last = int(iterations(run)[0])
    done = run.metrics["backups"][0, :last]
    # A bound holds from the sweep after which it is known until there is a next one.
    known_from = np.searchsorted(done, sweeps, side="right") - 1
    lines = [results.Curve("robust value iteration", sweeps, np.array(values)[None])]
    for name in ("upper", "lower"):
        of_iterations = run.metrics[f"bound/{name}"][0, :last]
        held = np.where(known_from < 0, np.nan, of_iterations[np.maximum(known_from, 0)])
        lines.append(results.Curve(f"IWOCS, {name} bound", sweeps, held[None]))
    results.learning_curves(
        lines,
        "value of the start",
        path,
        title="Windy walk, 25 winds",
        levels={"robust value": float(robust("six").start_value)},
        xlabel="sweeps over all states",
        window=1,
    )
