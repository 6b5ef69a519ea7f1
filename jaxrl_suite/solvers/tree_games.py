"""Values, best responses and exploitability in games written out as arrays: exact, float64, without a tree walk.

All follows from the reach of sequences: x(s) of a player's sequence s is the product of its own probabilities along s.
Symbols: I information sets, A actions, S sequences (see `games.game`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.games.policies import check_policy
from jaxrl_suite.precision import exact


class ActionValues(NamedTuple):
    """Of a joint policy pi, both players' information sets.

    counterfactual: [I, A], sum over histories of the chance and the other player's reach, times the owner's return from
    there on if it plays a and then pi. weight: [I], sum of those reaches. own_reach: [I], the owner's. value: [I],
    counterfactual values averaged over pi.
    """

    counterfactual: jax.Array
    weight: jax.Array
    own_reach: jax.Array
    value: jax.Array

    @property
    def q(self) -> jax.Array:
        """q^pi(h, a), [I, A]: expected return given that h was reached; 0 where the others never let it happen."""
        return per_visit(self.counterfactual, self.weight)


Revise = Callable[[jax.Array, Any], jax.Array]
"""revise(q, rows): the new policy, [n, A], at the information sets `rows` (a slice, or their numbers), whose values are
q, [n, A]."""


class BestResponse(NamedTuple):
    """value: [2], what each player gets by its best response to the other. policy: [I, A], which that is (ties: the
    lowest action)."""

    value: jax.Array
    policy: jax.Array


def per_visit(total: jax.Array, weight: jax.Array) -> jax.Array:
    """total / weight, [n, A] and [n]; 0 where there is no weight."""
    is_met = weight > 0
    return jnp.where(is_met[:, None], total / jnp.where(is_met, weight, 1.0)[:, None], 0.0)


def sequence_reach(game: Any, policy: jax.Array) -> jax.Array:
    """x, [S]: each sequence's reach by its owner alone."""
    reach, actions = jnp.ones(2, policy.dtype), game.num_actions
    for start, end in spans(game):
        before = reach[game.parent[start:end]]
        reach = jnp.concatenate([reach, (before[:, None] * policy[start:end]).reshape(-1)])
    assert len(reach) == 2 + game.num_infosets * actions
    return reach


def action_values(game: Any, policy: jax.Array, own_bonus: Any = None, other_bonus: Any = None) -> ActionValues:
    """Counterfactual values of all actions under a joint policy [I, A]; traced, in the caller's precision.

    Args:
        own_bonus: [I], paid to the owner whenever it comes to an information set. other_bonus: [I], paid to the other
            player then. None: nothing.
    """

    def mean(total: jax.Array, weight: jax.Array, rows: slice) -> jax.Array:
        return jnp.sum(policy[rows] * total, axis=-1)

    return _backward(game, policy, mean, own_bonus, other_bonus)[0]


def subgame_revision(game: Any, policy: jax.Array, revise: Revise) -> tuple[jax.Array, jax.Array]:
    """(action values q [I, A], new policy [I, A]) of subgame updates, from the last information sets to the first.

    At later decisions of its owner a value follows the new policy, at the other's the old one, with which the
    information set is also reached. Sokota et al. 2024 (arXiv 2304.13138), section 3.2. Traced, in the caller's
    precision.
    """
    revised = []

    def mean(total: jax.Array, weight: jax.Array, rows: slice) -> jax.Array:
        revised.append(revise(per_visit(total, weight), rows))
        return jnp.sum(revised[-1] * total, axis=-1)

    values = _backward(game, policy, mean)[0]
    return values.q, jnp.concatenate(revised[::-1])


def _backward(
    game: Any,
    policy: jax.Array,
    reduce: Callable[[jax.Array, jax.Array, slice], jax.Array],
    own_bonus: Any = None,
    other_bonus: Any = None,
) -> tuple[ActionValues, jax.Array]:
    """(values from the last information sets to the first, each player's value of the whole game [2]).

    Args:
        reduce: counterfactual values [n] of the information sets `rows`, from those of their actions [n, A] and the
            sets' weights [n].
    """
    reach, actions = sequence_reach(game, policy), game.num_actions
    gained = game.gains @ reach
    of_actions = gained[2 : len(reach)].reshape(-1, actions)
    weight = gained[len(reach) :]
    if other_bonus is not None:
        of_actions = of_actions + (game.meets @ (reach[game.parent] * other_bonus))[2:].reshape(-1, actions)
    following: Any = 0.0
    q_levels, value_levels = [], []
    for level, (start, end) in reversed(list(enumerate(spans(game)))):
        rows = slice(start, end)
        q = of_actions[rows] + following
        value = reduce(q, weight[rows], rows)
        if own_bonus is not None:
            value = value + weight[rows] * own_bonus[rows]
        q_levels.append(q)
        value_levels.append(value)
        following = game.children[level] @ value
        following = following.reshape(-1, actions) if level else following
    q, value = jnp.concatenate(q_levels[::-1]), jnp.concatenate(value_levels[::-1])
    return ActionValues(q, weight, reach[game.parent], value), gained[:2] + following


def spans(game: Any) -> list[tuple[int, int]]:
    """(first, last + 1) information set of each level."""
    return list(zip(game.levels[:-1], game.levels[1:], strict=True))


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    compiled = exact(function)

    def call(game: Any, policy: Any) -> Any:
        traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((game, policy)))
        return compiled(game, policy if traced else check_policy(game, policy))

    call.__name__, call.__doc__ = function.__name__, function.__doc__
    return call


@_checked
def expected_returns(game: Any, policy: Any) -> Any:
    """What each player gets by a joint policy, float64 [2].

    Raises:
        ConfigError: for what is no policy (see `games.check_policy`).
    """
    return _expected_returns(game, policy)


def _expected_returns(game: Any, policy: jax.Array) -> jax.Array:
    reach = sequence_reach(game, policy)
    likely = game.ends_chance * reach[game.ends_sequence[:, 0]] * reach[game.ends_sequence[:, 1]]
    return likely @ game.ends


@_checked
def best_response(game: Any, policy: Any) -> BestResponse:
    """Each player's best response to the other's part of a joint policy.

    Raises:
        ConfigError: as `expected_returns`.
    """
    return _best_response(game, policy)


def _best_response(game: Any, policy: jax.Array) -> BestResponse:
    legal = jnp.asarray(game.legal)

    def best(total: jax.Array, weight: jax.Array, rows: slice) -> jax.Array:
        return jnp.max(jnp.where(legal[rows], total, -jnp.inf), axis=-1)

    values, total = _backward(game, policy, best)
    chosen = jnp.argmax(jnp.where(legal, values.counterfactual, -jnp.inf), axis=-1)
    return BestResponse(total, jax.nn.one_hot(chosen, game.num_actions, dtype=policy.dtype))


@_checked
def nash_conv(game: Any, policy: Any) -> Any:
    """NashConv: the sum over players of what a best response gains on the policy; 0 at a Nash equilibrium.

    Raises:
        ConfigError: as `expected_returns`.
    """
    return _nash_conv(game, policy)


def _nash_conv(game: Any, policy: jax.Array) -> jax.Array:
    return jnp.sum(_best_response(game, policy).value - _expected_returns(game, policy))


def exploitability(game: Any, policy: Any) -> Any:
    """Half of NashConv, in zero-sum games: what a best responder gets on average over both seats.

    Raises:
        ConfigError: as `expected_returns`, and for a game that is not zero-sum (take `nash_conv`).
    """
    if not game.is_zero_sum:
        raise ConfigError(f"exploitability of {game.id}: must be a zero-sum game; nash_conv is for any")
    return 0.5 * nash_conv(game, policy)
