"""Equilibria of matrix games and of Markov games with simultaneous moves, with a temperature for each player. Float64.

McKelvey and Palfrey (1995, 1998): x = softmax(P y / beta), y = softmax(-C' x / alpha), P and C what the row expects to
get and the column to lose. In a zero-sum game P = C, and the pair is the saddle point of x' P y + beta H(x) - alpha
H(y). Of a Markov game there are two soft fixed points, which differ unless it ends at once:

    soft_shapley      one value: V = x' Q y + beta H(x) - alpha H(y), the regularised game's own
    independent_soft  what two soft learners find, each of whose critics knows its own entropy only:
                      V_P = x' Q_P y + beta H(x), V_A = x' Q_A y - alpha H(y)
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.errors import ConfigError, JaxrlError
from jaxrl_suite.games.markov import checked_matrix
from jaxrl_suite.precision import exact

SCALES = 24
"""Temperatures on the way from where play is nearly uniform down to those that are asked for."""


class MatrixEquilibrium(NamedTuple):
    """row [m], column [n]: mixed strategies. value: x' A y. regularised: with the players' entropies, each times its
    temperature. nash_conv: what both could gain by best responses. residual: greatest error of a logit."""

    row: np.ndarray
    column: np.ndarray
    value: float
    regularised: float
    nash_conv: float
    residual: float


class MarkovEquilibrium(NamedTuple):
    """value: to the protagonist, [S]. adversary_value: what the adversary's critic says that the protagonist gets, [S];
    the same but for independent critics. row [S, A], column [S, O]. residual: greatest change of a value in a sweep.
    sweeps: how many there were."""

    value: np.ndarray
    adversary_value: np.ndarray
    row: np.ndarray
    column: np.ndarray
    residual: float
    sweeps: int


def matrix_nash(payoffs: Any) -> MatrixEquilibrium:
    """A Nash equilibrium of a matrix game [m, n] by two linear programs; the row maximises. One of several, if many.

    Raises:
        ConfigError: for payoffs that are no finite matrix.
    """
    payoffs = checked_matrix(payoffs)
    row, column = _maximin(payoffs), _maximin(-payoffs.T)
    value = float(row @ payoffs @ column)
    return MatrixEquilibrium(row, column, value, value, matrix_nash_conv(payoffs, row, column), 0.0)


def matrix_nash_conv(payoffs: Any, row: Any, column: Any) -> float:
    """What both players could gain together by best responses to (x [m], y [n]) in a matrix game [m, n]; >= 0."""
    return float(nash_conv(payoffs, row, column))


def matrix_quantal_response(payoffs: Any, beta: float, alpha: float) -> MatrixEquilibrium:
    """The logit equilibrium of a zero-sum matrix game [m, n], unique, by Newton's method down a ladder of temperatures.

    Args:
        beta: the row's temperature. alpha: the column's.

    Raises:
        ConfigError: for payoffs that are no finite matrix, or a temperature that is not positive.
    """
    payoffs = checked_matrix(payoffs)
    _check_temperatures(beta, alpha)
    found = _matrix_response(payoffs, beta, alpha)
    return MatrixEquilibrium(*found[:2], *(float(x) for x in found[2:]))


def shapley(game: Any, tolerance: float = 1e-12) -> MarkovEquilibrium:
    """Value and equilibrium of a zero-sum Markov game (Shapley 1953), by value iteration over linear programs."""

    def swept(value: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        q = game.rewards + game.discount * game.transitions @ value
        rows = np.stack([_maximin(matrix) for matrix in q])
        return np.min(np.einsum("sa,sao->so", rows, q), axis=1), rows, q

    value, sweeps, change = np.zeros(len(game.rewards)), 0, np.inf
    while change > tolerance:
        following = swept(value)[0]
        change, value, sweeps = float(np.max(np.abs(following - value))), following, sweeps + 1
    _, rows, q = swept(value)
    columns = np.stack([_maximin(-matrix.T) for matrix in q])
    return MarkovEquilibrium(value, value, rows, columns, change, sweeps)


def soft_shapley(game: Any, beta: float, alpha: float, tolerance: float = 1e-13, most: int = 10_000) -> Any:
    """The zero-sum soft fixed point, a contraction by gamma in the greatest difference of a value.

    Args:
        game: a `MarkovGame`. beta, alpha: temperatures of protagonist and adversary. most: sweeps.

    Returns:
        A MarkovEquilibrium.

    Raises:
        ConfigError: for a temperature that is not positive.
    """
    return _soft_values(game, beta, alpha, tolerance, most, False)


def independent_soft(game: Any, beta: float, alpha: float, tolerance: float = 1e-13, most: int = 10_000) -> Any:
    """The fixed point of two soft learners with critics of their own; arguments, result and errors as `soft_shapley`.

    Not a zero-sum game's saddle point: of several, the one that is reached from uniform play by cooling.
    """
    return _soft_values(game, beta, alpha, tolerance, most, True)


def soft_sweep(game: Any, values: Any, beta: Any, alpha: Any, independent: Any) -> Any:
    """One sweep of either iteration, traced: (protagonist's and adversary's values [2, S], row [S, A], column [S, O]).

    Args:
        values: [2, S]; of the zero-sum iteration, which keeps one value, twice the same. independent: bool, whether
            critics are the players' own.
    """
    gains, losses = (game.rewards + game.discount * game.transitions @ value for value in values)
    row, column, _ = jax.vmap(logit_pair, (0, 0, None, None))(gains, losses, beta, alpha)
    own, others = beta * entropy(row), alpha * entropy(column)
    got, lost = (jnp.einsum("sa,sao,so->s", row, q, column) for q in (gains, losses))
    shared, apart = got + own - others, (got + own, lost - others)
    return jnp.stack([jnp.where(independent, value, shared) for value in apart]), row, column


def logit_pair(gains: jax.Array, losses: jax.Array, beta: Any, alpha: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(x [m], y [n], greatest error of a logit) of a bimatrix game, traced; gains, losses [m, n] as in the header.

    The unknowns are both players' logits (p, q) at the fixed point p = P y / beta, q = -C' x / alpha. Starting from
    uniform play, temperatures are cooled in steps; at each, Newton steps are halved until the error falls.
    """
    rows, columns = gains.shape
    spans = [jnp.max(matrix) - jnp.min(matrix) for matrix in (gains, losses)]
    hottest = jnp.maximum(1.0, jnp.maximum(spans[0] / beta, spans[1] / alpha))
    # Logits have a constant to spare; payoffs near zero keep their digits.
    gains, losses = gains - jnp.mean(gains), losses - jnp.mean(losses)

    def error(logits: jax.Array, scale: jax.Array) -> jax.Array:
        x, y = jax.nn.softmax(logits[:rows]), jax.nn.softmax(logits[rows:])
        return logits - jnp.concatenate([gains @ y / (beta * scale), -(losses.T @ x) / (alpha * scale)])

    def slope(logits: jax.Array, scale: jax.Array) -> jax.Array:
        x, y = jax.nn.softmax(logits[:rows]), jax.nn.softmax(logits[rows:])
        spread_x, spread_y = (jnp.diag(p) - jnp.outer(p, p) for p in (x, y))
        upper = jnp.concatenate([jnp.eye(rows), -(gains @ spread_y) / (beta * scale)], axis=1)
        lower = jnp.concatenate([losses.T @ spread_x / (alpha * scale), jnp.eye(columns)], axis=1)
        return jnp.concatenate([upper, lower])

    def newton(logits: jax.Array, scale: jax.Array) -> jax.Array:
        def step(carry: Any) -> Any:
            logits, now, count = carry
            direction = jnp.linalg.solve(slope(logits, scale), now)
            lengths = 0.5 ** jnp.arange(12.0)
            tried = logits - lengths[:, None] * direction
            errors = jax.vmap(error, (0, None))(tried, scale)
            sizes = jnp.max(jnp.abs(errors), axis=1)
            best = jnp.argmin(sizes)
            is_better = sizes[best] < jnp.max(jnp.abs(now))
            logits, now = jax.tree.map(
                lambda new, old: jnp.where(is_better, new[best], old), (tried, errors), (logits, now)
            )
            return logits, now, jnp.where(is_better, count + 1, MOST_STEPS)

        start = logits, error(logits, scale), jnp.zeros((), int)
        # On the way down it is enough to be near.
        enough = jnp.where(scale > 1.0, 1e-3, 0.0)
        return jax.lax.while_loop(lambda c: (c[2] < MOST_STEPS) & (jnp.max(jnp.abs(c[1])) > enough), step, start)[0]

    scales = hottest ** jnp.linspace(1.0, 0.0, SCALES)
    logits, _ = jax.lax.scan(lambda z, scale: (newton(z, scale), ()), jnp.zeros(rows + columns), scales)
    left = jnp.max(jnp.abs(error(logits, jnp.ones(()))))
    return jax.nn.softmax(logits[:rows]), jax.nn.softmax(logits[rows:]), left


MOST_STEPS = 60
"""Newton steps at one temperature; they end when the error falls no more."""


@exact
def _matrix_response(payoffs: Any, beta: Any, alpha: Any) -> Any:
    row, column, left = logit_pair(payoffs, payoffs, beta, alpha)
    value = row @ payoffs @ column
    regularised = value + beta * entropy(row) - alpha * entropy(column)
    return row, column, value, regularised, nash_conv(payoffs, row, column), left


def _soft_values(game: Any, beta: Any, alpha: Any, tolerance: float, most: int, independent: bool) -> Any:
    _check_temperatures(beta, alpha)
    values, row, column, residual, sweeps = _iterated(game, beta, alpha, tolerance, most, independent)
    return MarkovEquilibrium(values[0], values[1], row, column, float(residual), int(sweeps))


@exact
def _iterated(game: Any, beta: Any, alpha: Any, tolerance: Any, most: Any, independent: Any) -> Any:
    def sweep(carry: Any) -> Any:
        following, row, column = soft_sweep(game, carry[0], beta, alpha, independent)
        return following, row, column, jnp.max(jnp.abs(following - carry[0])), carry[4] + 1

    states, actions, others = game.rewards.shape
    start = jnp.zeros((2, states)), jnp.zeros((states, actions)), jnp.zeros((states, others))
    start = *start, jnp.asarray(jnp.inf), jnp.zeros((), int)
    return jax.lax.while_loop(lambda c: (c[3] > tolerance) & (c[4] < most), sweep, start)


def entropy(distribution: jax.Array) -> jax.Array:
    """In nats, over the last axis; traced."""
    return jnp.sum(jax.scipy.special.entr(distribution), axis=-1)


def nash_conv(payoffs: Any, row: Any, column: Any) -> Any:
    """`matrix_nash_conv`, traced."""
    return (payoffs @ column).max() - (row @ payoffs).min()


def _maximin(payoffs: np.ndarray) -> np.ndarray:
    """The row's mixed strategy that guarantees it the most, [m]."""
    from scipy import optimize

    rows, columns = payoffs.shape
    # Variables: x and the guaranteed value v; v <= x' A of every column.
    bound = np.concatenate([-payoffs.T, np.ones((columns, 1))], axis=1)
    cost, total = np.append(np.zeros(rows), -1.0), np.append(np.ones(rows), 0.0)[None]
    limits = [(0, None)] * rows + [(None, None)]
    found = optimize.linprog(cost, bound, np.zeros(columns), total, [1.0], limits, method="highs")
    if found.status != 0:
        raise JaxrlError(f"the linear program of a matrix game was not solved: {found.message}")
    return found.x[:rows] / found.x[:rows].sum()


def _check_temperatures(beta: Any, alpha: Any) -> None:
    for name, temperature in (("beta", beta), ("alpha", alpha)):
        if not (np.isfinite(temperature) and temperature > 0):
            raise ConfigError(f"{name} = {temperature}: must be a finite number > 0")
