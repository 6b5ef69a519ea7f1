"""Families of tabular MDPs: pure functions of their parameters, which may be traced, so that a batch is a `vmap`.

Sizes are Python ints. By name: `make("tabular/golden-ratio")`, and the others of `IDS`.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.tabular import TabularEnv, TabularMDP
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.lookup import made
from jaxrl_suite.precision import in_float64


@in_float64
def random_mdp(key: Any, states: int = 5, actions: int = 5, horizon: int = 3, concentration: float = 1.0) -> TabularMDP:
    """Stage-dependent rows drawn from a symmetric Dirichlet, rewards uniform in [0, 1]; starts in state 0.

    Args:
        key: a JAX key, or a seed. concentration: of the Dirichlet; 1 is uniform on the simplex, less is sparser.
    """
    _require(states=states, actions=actions, horizon=horizon)
    key = jax.random.key(key) if isinstance(key, (int, np.integer)) else key
    key_rows, key_rewards = jax.random.split(key)
    alpha = jnp.full(states, concentration)
    transitions = jax.random.dirichlet(key_rows, alpha, (horizon, states, actions))
    rewards = jax.random.uniform(key_rewards, (horizon, states, actions))
    return TabularMDP(transitions, rewards, 0, horizon)


@in_float64
def golden_ratio_mdp(states: int = 5, actions: int = 5, horizon: int = 3) -> TabularMDP:
    """A stage-dependent MDP that looks random but needs no generator: fractional parts of multiples of irrationals.

    With phi = (sqrt(5) - 1) / 2 and psi = sqrt(2) - 1, zero-based: rewards are frac(phi (1 + a + A s + A S h)), rows
    are -log frac(psi (1 + s' + S (a + A (s + S h)))), normalised. Starts in state 0.
    """
    _require(states=states, actions=actions, horizon=horizon)
    h, s, a, following = np.ogrid[:horizon, :states, :actions, :states]
    phi, psi = (math.sqrt(5.0) - 1.0) / 2.0, math.sqrt(2.0) - 1.0
    rewards = (phi * (1 + a + actions * s + actions * states * h))[..., 0] % 1.0
    weights = -np.log((psi * (1 + following + states * (a + actions * (s + states * h)))) % 1.0)
    return TabularMDP(weights / weights.sum(axis=-1, keepdims=True), rewards, 0, horizon)


@in_float64
def chain(length: int = 5, slip: float = 0.2, small: float = 2.0, large: float = 10.0, horizon: int = 20) -> TabularMDP:
    """A chain: action 1 goes on, paying `large` in the last state (which it stays in); action 0 goes back to the
    first and pays `small`. With probability `slip` the other action is carried out.

    Strens, A Bayesian framework for reinforcement learning (2000): 5 states, slip 0.2, rewards 2 and 10.
    """
    _require(length=length, horizon=horizon)
    on = jnp.eye(length)[jnp.minimum(jnp.arange(length) + 1, length - 1)]
    back = jnp.broadcast_to(jnp.eye(length)[0], (length, length))
    paid_on = large * (jnp.arange(length) == length - 1)
    paid_back = jnp.full(length, 1.0) * small

    def slipped(intended: Any, other: Any) -> Any:
        return (1.0 - slip) * intended + slip * other

    transitions = jnp.stack([slipped(back, on), slipped(on, back)], axis=1)
    rewards = jnp.stack([slipped(paid_back, paid_on), slipped(paid_on, paid_back)], axis=1)
    return TabularMDP(transitions, rewards, 0, horizon)


@in_float64
def combination_lock(code: Any, actions: int = 2) -> TabularMDP:
    """A lock: at stage h only action code[h] keeps it open; open at the end pays 1, nothing else pays.

    States: 0 open, 1 shut for good. The horizon is the length of the code; uniform actions are worth A^-H.

    Args:
        code: ints [H] in [0, actions).
    """
    code = code if isinstance(code, jax.Array) else np.asarray(code)
    _require(actions=actions)
    if code.ndim != 1 or not len(code):
        raise ConfigError(f"code: shape {code.shape}: must be a sequence of actions")
    if not isinstance(code, jax.core.Tracer) and (np.min(code) < 0 or np.max(code) >= actions):
        raise ConfigError(f"code = {np.asarray(code).tolist()}: must be actions between 0 and {actions - 1}")
    horizon = len(code)
    is_right = (jnp.arange(actions) == jnp.asarray(code)[:, None]).astype(float)
    opened = jnp.stack([is_right, 1.0 - is_right], axis=-1)
    shut = jnp.broadcast_to(jnp.array([0.0, 1.0]), opened.shape)
    rewards = jnp.zeros((horizon, 2, actions)).at[-1, 0].set(is_right[-1])
    return TabularMDP(jnp.stack([opened, shut], axis=1), rewards, 0, horizon)


@in_float64
def deep_sea(size: int = 8, move_cost: float = 0.01, right: Any = None) -> TabularMDP:
    """DeepSea: `size` stages down, one column a state; right costs move_cost / size, and 1 is paid for going right in
    the last stage from the last column. The best value is 1 - move_cost. Osband et al. 2020 (bsuite).

    Args:
        right: ints [size, size], which action goes right at each stage and column; None: action 1 everywhere.
    """
    _require(size=size)
    right = jnp.ones((size, size), int) if right is None else jnp.asarray(right)
    goes_right = (jnp.arange(2) == right[..., None]).astype(float)
    columns = jnp.arange(size)
    to_right, to_left = jnp.minimum(columns + 1, size - 1), jnp.maximum(columns - 1, 0)
    identity = jnp.eye(size)
    transitions = (
        goes_right[..., None] * identity[to_right][:, None]
        + (1.0 - goes_right)[..., None] * (identity[to_left][:, None])
    )
    treasure = jnp.zeros((size, size)).at[-1, -1].set(1.0)
    rewards = goes_right * (treasure[..., None] - move_cost / size)
    return TabularMDP(transitions, rewards, 0, size)


@in_float64
def trap() -> TabularMDP:
    """Two steps in which random play misleads: action 0 leads to a state that pays 0.5 whatever is done, action 1 to
    one that pays 0.9 or nothing. Best 0.9, greedy on random play 0.5."""
    transitions, rewards = jnp.zeros((3, 2, 3)), jnp.array([[0.0, 0.0], [0.5, 0.5], [0.9, 0.0]])
    transitions = transitions.at[0, 0, 1].set(1.0).at[0, 1, 2].set(1.0).at[1:, :, 0].set(1.0)
    return TabularMDP(transitions, rewards, 0, 2)


@in_float64
def coin() -> TabularMDP:
    """Two steps in which a plan made beforehand is worth half: whatever is done first, a coin decides which action then
    pays 1. Best 1, the best fixed list of actions 0.5."""
    transitions = jnp.zeros((3, 2, 3)).at[0, :, 1:].set(0.5).at[1:, :, 0].set(1.0)
    return TabularMDP(transitions, jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), 0, 2)


MAPS = {
    4: ("SFFF", "FHFH", "FFFH", "HFFG"),
    8: ("SFFFFFFF", "FFFFFFFF", "FFFHFFFF", "FFFFFHFF", "FFFHFFFF", "FHHFFFHF", "FHFFHFHF", "FFFHFFFG"),
}
"""Frozen lakes by size: start, frozen, hole, goal (as in Gymnasium)."""


@in_float64
def frozen_lake(size: int = 4, slip: float = 1 / 3, horizon: int | None = None) -> TabularMDP:
    """FrozenLake: a goal that pays 1, holes that end it, and ice: each sideways direction has probability `slip`.

    Actions: left, down, right, up. Holes and goal keep the state for ever and pay nothing.

    Args:
        size: 4 or 8. slip: in [0, 1/2]; 1/3 in Gymnasium. horizon: default 100, or 200 for size 8.
    """
    if size not in MAPS:
        raise ConfigError(f"size = {size}: must be one of {', '.join(map(str, MAPS))}")
    cells = "".join(MAPS[size])
    is_over = np.isin(list(cells), ["H", "G"])
    pays = np.array(list(cells)) == "G"
    place = np.arange(size * size)
    row, column = np.divmod(place, size)
    moves = ((0, -1), (1, 0), (0, 1), (-1, 0))
    reached = [np.clip(row + r, 0, size - 1) * size + np.clip(column + c, 0, size - 1) for r, c in moves]
    reached = [np.where(is_over, place, target) for target in reached]
    step = jnp.stack([jnp.eye(size * size)[target] for target in reached], axis=1)
    sideways = jnp.roll(step, 1, axis=1) + jnp.roll(step, -1, axis=1)
    transitions = (1.0 - 2.0 * slip) * step + slip * sideways
    rewards = jnp.where(is_over[:, None], 0.0, transitions @ pays.astype(float))
    return TabularMDP(transitions, rewards, 0, {4: 100, 8: 200}[size] if horizon is None else horizon)


def _require(**sizes: int) -> None:
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"{name} = {value!r}: must be a whole number >= 1")


def _random_by_seed(seed: int = 0, **sizes: Any) -> TabularMDP:
    return random_mdp(seed, **sizes)


def _lock_by_seed(length: int = 5, actions: int = 2, seed: int = 0) -> TabularMDP:
    _require(length=length, actions=actions)
    return combination_lock(np.random.default_rng(seed).integers(actions, size=length), actions)


FAMILIES: dict[str, Callable[..., TabularMDP]] = {
    "tabular/golden-ratio": golden_ratio_mdp,
    "tabular/random": _random_by_seed,
    "tabular/chain": chain,
    "tabular/lock": _lock_by_seed,
    "tabular/trap": trap,
    "tabular/coin": coin,
    "tabular/deep-sea": deep_sea,
    "tabular/frozen-lake": frozen_lake,
}

IDS = tuple(FAMILIES)
"""Ids of all tabular families; their parameters are keyword arguments of `make`."""


def make(id: str, **parameters: Any) -> tuple[TabularEnv, TabularMDP]:
    """The environment called `id`, and the MDP, which is its parameters.

    Args:
        **parameters: of the family's function.

    Raises:
        UnknownNameError: if there is no such family. ConfigError: for a parameter it does not have.
    """
    mdp = made("environment", id, FAMILIES, **parameters)
    return TabularEnv(id, mdp), mdp
