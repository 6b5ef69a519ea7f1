"""Equilibria of two-player zero-sum games: Nash by a linear program, quantal response by fixed points. Float64."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.errors import ConfigError, JaxrlError
from jaxrl_suite.games.policies import check_policy, softmax_policy, uniform_policy
from jaxrl_suite.precision import exact
from jaxrl_suite.solvers.tree_games import action_values, expected_returns, sequence_reach, spans


class Equilibrium(NamedTuple):
    """value: of the game to player 0. policy: float64 [I, A]."""

    value: float
    policy: np.ndarray


class QuantalResponse(NamedTuple):
    """policy: float64 [I, A]. value: of it to player 0. residual: how far it is from its own logit response, the
    greatest difference of a probability. iterations: how many it took."""

    policy: np.ndarray
    value: float
    residual: float
    iterations: int


def nash_equilibrium(game: Any) -> Equilibrium:
    """The game's value and an equilibrium, by the sequence-form linear program (Koller, Megiddo, von Stengel 1996).

    Raises:
        ConfigError: for a game that is not zero-sum.
    """
    _require_zero_sum(game, "nash_equilibrium")
    plans = [_maximin(game, player) for player in (0, 1)]
    reach = np.zeros(2 + game.legal.size)
    for _, sequences, plan in plans:
        reach[sequences] = plan
    own = np.maximum(reach[2:].reshape(game.legal.shape), 0.0) * game.legal
    total = own.sum(axis=1, keepdims=True)
    # Where its owner never comes, it plays uniformly.
    policy = np.where(total > 1e-12, own / np.maximum(total, 1e-300), uniform_policy(game))
    return Equilibrium(float(plans[0][0]), policy)


def _maximin(game: Any, player: int) -> tuple[float, np.ndarray, np.ndarray]:
    """(what a player can guarantee itself, its sequences, their reach)."""
    from scipy import optimize, sparse

    mine, theirs = _sequences(game, player), _sequences(game, 1 - player)
    payoffs = sparse.coo_matrix(
        (
            game.ends_chance * game.ends[:, player],
            (theirs.place[game.ends_sequence[:, 1 - player]], mine.place[game.ends_sequence[:, player]]),
        ),
        (len(theirs.numbers), len(mine.numbers)),
    )
    # Variables: the plan x and the other's value v of each of its information sets, of the whole game first. The other
    # minimises: F' v <= A x.
    rows = theirs.constraints.T
    bound = sparse.hstack([-payoffs, rows]).tocsr()
    equal = sparse.hstack([mine.constraints, sparse.coo_matrix((mine.constraints.shape[0], rows.shape[1]))]).tocsr()
    plans, values = len(mine.numbers), theirs.constraints.shape[0]
    right = np.zeros(mine.constraints.shape[0])
    right[0] = 1.0
    cost = np.zeros(plans + values)
    cost[plans] = -1.0
    free = [(0, None)] * plans + [(None, None)] * values
    none = np.zeros(len(theirs.numbers))
    found = optimize.linprog(cost, bound, none, equal, right, free, method="highs")
    if found.status != 0:
        raise JaxrlError(f"{game.id}: the linear program was not solved: {found.message}")
    return -found.fun, mine.numbers, found.x[: len(mine.numbers)]


class _Plan(NamedTuple):
    """numbers: a player's sequences, the empty one first. place: of each sequence among them. constraints: sparse, a
    row for the empty sequence and one for each information set: its actions' reach less that of the one before it."""

    numbers: np.ndarray
    place: np.ndarray
    constraints: Any


def _sequences(game: Any, player: int) -> _Plan:
    from scipy import sparse

    infosets = np.flatnonzero(np.asarray(game.player) == player)
    legal = np.asarray(game.legal)
    of_actions = np.argwhere(legal & (np.asarray(game.player) == player)[:, None])
    numbers = np.concatenate([[player], 2 + of_actions @ [game.num_actions, 1]])
    place = np.full(2 + legal.size, -1)
    place[numbers] = np.arange(len(numbers))
    row = np.full(len(legal), -1)
    row[infosets] = 1 + np.arange(len(infosets))
    rows = np.concatenate([[0], row[of_actions[:, 0]], row[infosets]])
    columns = np.concatenate([[0], place[numbers[1:]], place[np.asarray(game.parent)[infosets]]])
    signs = np.concatenate([np.ones(len(numbers)), -np.ones(len(infosets))])
    return _Plan(numbers, place, sparse.coo_matrix((signs, (rows, columns)), (1 + len(infosets), len(numbers))))


def agent_quantal_response(
    game: Any, temperature: float, step_size: float | None = None, tolerance: float = 1e-12, most: int = 1_000_000
) -> QuantalResponse:
    """Agent quantal response equilibrium: at every information set pi = softmax(q^pi / alpha). In a matrix game, the
    quantal response equilibrium. Any game of two players.

    Magnetic mirror descent with a uniform magnet: logits move towards q / alpha, by a share of eta alpha / (1 + eta
    alpha), until no probability is further than `tolerance` from its response.

    Args:
        temperature: alpha. step_size: eta; None: a tenth of alpha. most: iterations.

    Raises:
        ConfigError: for a temperature that is not positive.
    """
    _require_positive(temperature)
    pull = temperature * (temperature / 10 if step_size is None else step_size)
    policy, residual, iterations = _agent_quantal_response(game, temperature, pull / (1 + pull), tolerance, most)
    return QuantalResponse(policy, float(expected_returns(game, policy)[0]), float(residual), int(iterations))


@exact
def _agent_quantal_response(game: Any, temperature: Any, damping: Any, tolerance: Any, most: Any) -> Any:
    def response(logits: jax.Array) -> jax.Array:
        return action_values(game, softmax_policy(logits, game.legal)).q / temperature

    def moved(carry: Any) -> Any:
        logits, _, iteration = carry
        aim = response(logits)
        difference = softmax_policy(aim, game.legal) - softmax_policy(logits, game.legal)
        return (1.0 - damping) * logits + damping * aim, jnp.max(jnp.abs(difference)), iteration + 1

    start = (jnp.zeros(game.legal.shape), jnp.asarray(jnp.inf), jnp.zeros((), int))
    logits, residual, iterations = jax.lax.while_loop(lambda c: (c[1] > tolerance) & (c[2] < most), moved, start)
    return softmax_policy(logits, game.legal), residual, iterations


def dilated_step(game: Any, log_policy: jax.Array, step_size: Any, temperature: Any) -> jax.Array:
    """One iteration of sequence-form magnetic mirror descent with dilated entropy, both players at once; traced.

    Sokota et al. 2023 (arXiv 2206.05825), section C.3: z' minimises eta (<F(z), z'> + alpha psi(z')) + B_psi(z'; z),
    with psi the dilated entropy, weights 1.

    Args:
        log_policy: [I, A]; illegal actions anything finite. step_size: eta. temperature: alpha.
    """
    actions = game.num_actions
    policy = jnp.exp(log_policy) * game.legal
    gained = (game.gains @ sequence_reach(game, policy))[2 : 2 + policy.size].reshape(-1, actions)
    total = step_size * gained + jnp.where(game.legal, log_policy, 0.0) + 1.0 - _children_count(game)
    return _dilated_response(game, total / (1.0 + step_size * temperature), 1.0)[0]


def _children_count(game: Any) -> jax.Array:
    """How many of the owner's information sets come right after each sequence, [I, A]."""
    counts = jnp.zeros(2 + game.legal.size).at[game.parent].add(1.0)
    return counts[2:].reshape(game.legal.shape)


def _dilated_response(game: Any, gains: jax.Array, temperature: Any) -> tuple[jax.Array, jax.Array]:
    """(log pi [I, A], value of each player's treeplex [2]) of argmax <gains, z> - temperature psi(z)."""
    actions, following = game.num_actions, jnp.zeros(2)
    levels = []
    for level, (start, end) in reversed(list(enumerate(spans(game)))):
        q = gains[start:end] + (following if levels else 0.0)
        logits = jnp.where(game.legal[start:end], q / temperature, -1e30)
        levels.append(jnp.where(game.legal[start:end], jax.nn.log_softmax(logits, axis=-1), -1e30))
        value = temperature * jax.scipy.special.logsumexp(logits, axis=-1)
        following = game.children[level] @ value
        following = following.reshape(-1, actions) if level else following
    return jnp.concatenate(levels[::-1]), following


def dilated_entropy(game: Any, log_policy: jax.Array) -> jax.Array:
    """psi of each player's plan, [2]: sum over information sets of the owner's reach times sum pi log pi; traced."""
    policy = jnp.exp(log_policy) * game.legal
    reach = sequence_reach(game, policy)[game.parent]
    own = reach * jnp.sum(policy * jnp.where(game.legal, log_policy, 0.0), axis=-1)
    return jnp.stack([jnp.sum(jnp.where(game.player == player, own, 0.0)) for player in (0, 1)])


@exact
def regularised_gap(game: Any, log_policy: Any, temperature: Any) -> Any:
    """`saddle_gap` of log-probabilities [I, A], for learners that have these; may be traced."""
    policy = jnp.exp(log_policy) * game.legal
    reach = sequence_reach(game, policy)
    gained = (game.gains @ reach)[: len(reach)]
    best = _dilated_response(game, gained[2:].reshape(game.legal.shape), temperature)[1] + gained[:2]
    return jnp.sum(best + temperature * dilated_entropy(game, log_policy))


def saddle_gap(game: Any, policy: Any, temperature: float) -> float:
    """Gap of the entropy-regularised saddle point: 0 at the quantal response equilibrium and nowhere else.

    What both players together gain by best responses, each less alpha times its dilated entropy psi.

    Args:
        policy: [I, A]. temperature: alpha.

    Raises:
        ConfigError: for what is no policy, a temperature that is not positive, or a game that is not zero-sum.
    """
    _require_zero_sum(game, "saddle_gap")
    _require_positive(temperature)
    with np.errstate(divide="ignore"):
        log_policy = np.maximum(np.log(check_policy(game, policy)), -1e30)
    return float(regularised_gap(game, log_policy, temperature))


def quantal_response(
    game: Any, temperature: float, step_size: float | None = None, tolerance: float = 1e-12, most: int = 1_000_000
) -> QuantalResponse:
    """Quantal response equilibrium of a zero-sum game, in its reduced normal form: best against the other with alpha
    times the entropy of the plan added. Found by sequence-form magnetic mirror descent.

    Args:
        temperature: alpha. step_size: eta; None: alpha over the square of the greatest entry of the sequence-form
            matrix, for which convergence is proven. tolerance: of the greatest change of a probability, over eta alpha.

    Raises:
        ConfigError: for a temperature that is not positive, or a game that is not zero-sum.
    """
    _require_positive(temperature)
    _require_zero_sum(game, "quantal_response")
    eta = step_size or temperature / np.max(np.abs(game.gains.weights[_payoff_pieces(game)])) ** 2
    policy, residual, iterations = _quantal_response(game, eta, temperature, tolerance, most)
    return QuantalResponse(policy, float(expected_returns(game, policy)[0]), float(residual), int(iterations))


def _payoff_pieces(game: Any) -> np.ndarray:
    """The rows of `gains.weights` that hold payoffs."""
    pieces = np.asarray(game.gains.pieces)[: 2 + game.legal.size]
    return np.unique(pieces[pieces < len(game.gains.weights)])


@exact
def _quantal_response(game: Any, eta: Any, temperature: Any, tolerance: Any, most: Any) -> Any:
    def moved(carry: Any) -> Any:
        log_policy, _, iteration = carry
        following = dilated_step(game, log_policy, eta, temperature)
        change = jnp.max(jnp.abs(jnp.exp(following) - jnp.exp(log_policy)))
        return following, change / (eta * temperature), iteration + 1

    start = jnp.where(game.legal, -jnp.log(jnp.sum(game.legal, axis=1, keepdims=True)), -1e30)
    carry = (start, jnp.asarray(jnp.inf), jnp.zeros((), int))
    found = jax.lax.while_loop(lambda c: (c[1] > tolerance) & (c[2] < most), moved, carry)
    return jnp.exp(found[0]) * game.legal, found[1], found[2]


def _require_positive(temperature: float) -> None:
    if not temperature > 0:
        raise ConfigError(f"temperature = {temperature}: must be > 0")


def _require_zero_sum(game: Any, what: str) -> None:
    if not game.is_zero_sum:
        raise ConfigError(f"{what} of {game.id}: must be a zero-sum game")
