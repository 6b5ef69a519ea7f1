"""Tabular MDPs whose kernel is one of a list: nature's parameter theta chooses it, and is not known to the learner.

Zouitine, Geist, Rachelson, Solving robust MDPs as a sequence of static RL problems (arXiv 2410.06212): the windy walk
of its appendix E. Its drawing was not readable; the layout is this suite's own, and so are all values on it.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.tabular import TabularEnv, TabularMDP
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.precision import in_float64
from jaxrl_suite.rows import check_rows

NORTH, SOUTH, EAST, WEST = range(4)


@jax.tree_util.register_pytree_with_keys_class
class KernelMDP:
    """An MDP with a list of kernels, as a pytree: parameters of `KernelEnv`; it has the fields of a `TabularMDP` too,
    whose transitions are those of the kernel in force.

    Attributes:
        kernels: P_theta(s'|s,a), [K, S, A, S].
        rewards: r(s,a), [S, A], or r(s,a,s'), [S, A, S] (`pays_on_arrival`).
        initial, horizon, discount: as in `TabularMDP`.
        parameters: theta of each kernel, [K, D]; by default its number.
        active: int32, which kernel is in force.
        is_rectangular: whether nature may choose the row of every pair by itself; if not, one kernel holds for all.

    Raises:
        ConfigError: naming what does not fit. Traced arrays are taken as they are.
    """

    def __init__(
        self,
        kernels: Any,
        rewards: Any,
        initial: Any = 0,
        discount: Any = 0.95,
        horizon: int | None = None,
        parameters: Any = None,
        active: Any = 0,
        is_rectangular: bool = False,
    ):
        self.kernels, self.rewards = (x if isinstance(x, jax.core.Tracer) else np.array(x) for x in (kernels, rewards))
        _check_shapes(self.kernels, self.rewards)
        first = TabularMDP(self.kernels[0], _expected(self.kernels[0], self.rewards), initial, horizon, discount)
        self.initial, self.discount, self.horizon = first.initial, first.discount, horizon
        count = len(self.kernels)
        parameters = np.arange(count, dtype=np.float64)[:, None] if parameters is None else parameters
        self.parameters = parameters if isinstance(parameters, jax.core.Tracer) else np.array(parameters, np.float64)
        if self.parameters.ndim != 2 or len(self.parameters) != count:
            raise ConfigError(f"parameters: shape {self.parameters.shape}: must be [{count}, D], one row a kernel")
        self.active = active if isinstance(active, jax.core.Tracer) else np.array(active, np.int32)
        self.is_rectangular = is_rectangular
        if not isinstance(self.kernels, jax.core.Tracer):
            check_rows("kernels", self.kernels, "kernel")
        if not isinstance(self.active, jax.core.Tracer) and not (
            self.active.shape == () and 0 <= self.active < count and self.active == active
        ):
            raise ConfigError(f"active = {active}: must be a kernel between 0 and {count - 1}")

    @property
    def num_states(self) -> int:
        """S."""
        return int(self.kernels.shape[-1])

    @property
    def num_actions(self) -> int:
        """A."""
        return int(self.kernels.shape[-2])

    @property
    def num_kernels(self) -> int:
        """K."""
        return int(self.kernels.shape[-4])

    @property
    def pays_on_arrival(self) -> bool:
        """Whether rewards depend on the state that is reached."""
        return self.rewards.ndim == 3

    @property
    def transitions(self) -> Any:
        """Of the kernel in force, [S, A, S]."""
        return (
            self.kernels[self.active] if isinstance(self.active, np.ndarray) else jnp.asarray(self.kernels)[self.active]
        )

    @property
    def max_steps_in_episode(self) -> int | None:
        return self.horizon

    def under(self, kernel: Any) -> TabularMDP:
        """The ordinary MDP of a kernel, [S, A, S], with expected rewards [S, A]."""
        return TabularMDP(kernel, _expected(kernel, self.rewards), self.initial, self.horizon, self.discount)

    def replace(self, **changes: Any) -> "KernelMDP":
        """A copy with other fields, checked again."""
        return KernelMDP(**{name: changes.pop(name, getattr(self, name)) for name in (*_LEAVES, *_STATIC)}, **changes)

    def tree_flatten_with_keys(self) -> tuple[tuple[Any, ...], Any]:
        leaves = tuple((jax.tree_util.GetAttrKey(name), getattr(self, name)) for name in _LEAVES)
        return leaves, (self.horizon, self.is_rectangular)

    @classmethod
    def tree_unflatten(cls, static: tuple[int | None, bool], children: Any) -> "KernelMDP":
        mdp = object.__new__(cls)
        for name, value in zip(_LEAVES, children, strict=True):
            setattr(mdp, name, value)
        mdp.horizon, mdp.is_rectangular = static
        return mdp

    def __repr__(self) -> str:
        kind = "rectangular" if self.is_rectangular else "shared"
        return f"<KernelMDP {self.num_states} states, {self.num_actions} actions, {self.num_kernels} {kind} kernels>"


_LEAVES = ("kernels", "rewards", "initial", "discount", "parameters", "active")
_STATIC = ("horizon", "is_rectangular")


def _check_shapes(kernels: Any, rewards: Any) -> None:
    if kernels.ndim != 4 or kernels.shape[1] != kernels.shape[3] or 0 in kernels.shape:
        raise ConfigError(f"kernels: shape {kernels.shape}: must be [K, S, A, S], at least one of each")
    if rewards.shape not in (kernels.shape[1:3], kernels.shape[1:]):
        pair, all_three = list(kernels.shape[1:3]), list(kernels.shape[1:])
        raise ConfigError(f"rewards: shape {rewards.shape}: must be {pair}, or {all_three} by the state reached")


def _expected(kernel: Any, rewards: Any) -> Any:
    """r(s,a) of rewards by the state reached."""
    return rewards if rewards.ndim == 2 else (kernel * rewards).sum(axis=-1)


class KernelEnv(TabularEnv):
    """A `KernelMDP` as an environment: its parameters say which kernel is in force, for a whole run or as long as the
    caller likes. Episodes end as in `TabularEnv`."""

    def _advance(self, key: jax.Array, state: Any, action: Any, params: Any) -> tuple[Any, ...]:
        return super()._advance(key, state, action, params.under(params.transitions))


@in_float64
def windy_walk(
    columns: int = 6,
    corridor: int = 3,
    least: float = 0.0,
    most: float = 0.5,
    kernels: int = 25,
    discount: float = 0.95,
) -> KernelMDP:
    """Six rows in which two walls make three corridors from West to East, each with a wind to the West.

    Every step pays -1 until the goal in the north-east corner is reached from the north-west one. The wind is alpha in
    the northern corridor, alpha^3 in the middle, alpha^6 in the southern (two rows): there going West succeeds, and
    whatever else is tried becomes a step West with the wind's probability. Actions: north, south, east, west. Walls are
    states too, that nobody comes to.

    Args:
        corridor: columns 1 to `corridor` of rows 1 and 3 are walls, and there rows 0, 2, 4 and 5 are windy.
        least, most, kernels: alpha is one of so many equally spaced values between the two.
    """
    _require(columns=columns, corridor=corridor, kernels=kernels)
    if corridor > columns - 2:
        raise ConfigError(f"corridor = {corridor}: must be <= columns - 2 = {columns - 2}")
    if not 0.0 <= least <= most <= 1.0:
        raise ConfigError(f"least = {least:g}, most = {most:g}: must be 0 <= least <= most <= 1")
    row, column = np.divmod(np.arange(6 * columns), columns)
    is_inside = (column >= 1) & (column <= corridor)
    is_wall = is_inside & ((row == 1) | (row == 3))
    is_over = is_wall | ((row == 0) & (column == columns - 1))
    place = np.arange(6 * columns)

    def moved(down: int, right: int) -> np.ndarray:
        target = np.clip(row + down, 0, 5) * columns + np.clip(column + right, 0, columns - 1)
        return np.where(is_over | is_wall[target], place, target)

    reached = np.stack([moved(-1, 0), moved(1, 0), moved(0, 1), moved(0, -1)], axis=1)
    intended = np.eye(len(place))[reached]
    blown = intended[:, WEST, None]
    power = np.array([1.0, np.inf, 3.0, np.inf, 6.0, 6.0])[row]
    alpha = np.linspace(least, most, kernels)
    wind = np.where(is_inside & ~is_over, alpha[:, None] ** np.where(is_inside, power, 1.0), 0.0)[..., None, None]
    rows = (1.0 - wind) * intended + wind * blown
    rewards = np.repeat(np.where(is_over, 0.0, -1.0)[:, None], 4, axis=1)
    return KernelMDP(rows, rewards, 0, discount, parameters=alpha[:, None])


def random_kernels(
    seed: int = 0,
    states: int = 5,
    actions: int = 2,
    kernels: int = 6,
    concentration: float = 0.3,
    discount: float = 0.9,
    is_rectangular: bool = False,
) -> KernelMDP:
    """Kernels with rows drawn from a symmetric Dirichlet, standard Gaussian rewards r(s,a); starts in state 0.

    By NumPy's generator of that seed, rows before rewards: an order under which the known counts come out exactly.
    """
    sizes = {"states": states, "actions": actions, "kernels": kernels}
    _require(**sizes)
    if not concentration > 0:
        raise ConfigError(f"concentration = {concentration!r}: must be > 0")
    generator = np.random.default_rng(seed)
    rows = generator.dirichlet(np.full(states, concentration), (kernels, states, actions))
    rewards = generator.normal(size=(states, actions))
    return KernelMDP(rows, rewards, 0, discount, is_rectangular=is_rectangular)


@in_float64
def bets(discount: float = 0.9) -> KernelMDP:
    """One decision between two bets on 1: left wins with probability 0.5 to 0.9, right with 0.6 to 0.7, each as nature
    likes. States: the choice, won, lost. The robust value is 0.6; kernel 0 is the kindest."""
    chances = np.array([[0.9, 0.7], [0.5, 0.6]])
    return KernelMDP(*_bets(chances), 0, discount, is_rectangular=True)


@in_float64
def duality_gap(delay: int = 0, discount: float = 0.9) -> KernelMDP:
    """Two bets on 1, of which nature lets just one win, whichever it likes but only once and for all.

    Seen by an agent that knows the kernel it is worth 1; the best deterministic policy is worth 0 and the best random
    one 1/2. `delay` steps are walked before the choice. States: the choice, won, lost, and the walk there, the start
    last.
    """
    if isinstance(delay, bool) or not isinstance(delay, int) or delay < 0:
        raise ConfigError(f"delay = {delay!r}: must be a whole number >= 0")
    kernels, rewards = _bets(np.array([[1.0, 0.0], [0.0, 1.0]]))
    size = 3 + delay
    longer, paid = np.zeros((2, size, 2, size)), np.zeros((size, 2, size))
    longer[:, :3, :, :3], paid[:3, :, :3] = kernels, rewards
    for state in range(3, size):
        longer[:, state, :, state - 1 if state > 3 else 0] = 1.0
    return KernelMDP(longer, paid, size - 1 if delay else 0, discount)


def _require(**sizes: int) -> None:
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"{name} = {value!r}: must be a whole number >= 1")


def _bets(chances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(kernels, rewards on arrival) of a choice between bets with chances [K, A] to win."""
    count, actions = chances.shape
    kernels = np.zeros((count, 3, actions, 3))
    kernels[:, 0, :, 1], kernels[:, 0, :, 2] = chances, 1.0 - chances
    kernels[:, 1, :, 1] = kernels[:, 2, :, 2] = 1.0
    rewards = np.zeros((3, actions, 3))
    rewards[0, :, 1] = 1.0
    return kernels, rewards


def _family(id: str, function: Callable[..., KernelMDP]) -> Callable[..., tuple[KernelEnv, KernelMDP]]:
    @functools.wraps(function)
    def build(**parameters: Any) -> tuple[KernelEnv, KernelMDP]:
        mdp = function(**parameters)
        return KernelEnv(id, mdp), mdp

    return build


def _long_walk(least: float = 0.0, most: float = 0.5, kernels: int = 25, discount: float = 0.95) -> KernelMDP:
    """A windy walk through corridors so long that each of the three is the best for some wind."""
    return windy_walk(18, 16, least, most, kernels, discount)


def _random_rectangular(
    seed: int = 0,
    states: int = 10,
    actions: int = 3,
    kernels: int = 5,
    concentration: float = 0.3,
    discount: float = 0.9,
) -> KernelMDP:
    return random_kernels(seed, states, actions, kernels, concentration, discount, True)


FAMILIES: dict[str, Callable[..., tuple[KernelEnv, KernelMDP]]] = {
    id: _family(id, function)
    for id, function in {
        "robust/windy-walk": windy_walk,
        "robust/windy-walk-long": _long_walk,
        "robust/random-shared": random_kernels,
        "robust/random-rectangular": _random_rectangular,
        "robust/bets": bets,
        "robust/duality-gap": duality_gap,
    }.items()
}

IDS = tuple(FAMILIES)
"""Ids of all families of this module."""
