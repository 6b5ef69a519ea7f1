"""The effective horizon: how far an agent has to plan ahead of random play. Exact, float64, on sparse tables.

Laidlaw, Russell, Dragan, Bridging RL Theory and Practice with the Effective Horizon (NeurIPS 2023, arXiv 2304.09853);
Laidlaw, Zhu, Russell, Dragan, The Effective Horizon Explains Deep RL Performance in Stochastic Environments (ICLR 2024,
arXiv 2312.08369). The papers' texts were not at hand: definitions follow the authors' published program as described.

Functions take an MDP with a horizon T as successor indices (`jaxrl_suite.envs.SuccessorMDP`, or anything with its
fields): `successors` and `probabilities` [S, A, B], `rewards` [S, A], `initial` [S]. Rewards are undiscounted. Q^1 is
the action value of random play, Q^(k+1) one step of optimal planning on Q^k: an MDP is solved at depth k if every
policy greedy in Q^k, with every tie resolved in every way, is optimal. Random play is uniform, or what is given as
`exploration`: how often it takes each action, [A] or by state [S, A], in any unit.

Only state values are kept, [T + 1, S]; action values are made from those of the next step where they are needed, so
that a million states and actions fit in memory.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.precision import exact

REWARD_PRECISION = 1e-4
"""An action whose optimal value is lower by more than this is suboptimal."""

TIE = 1e-9
"""Relative: action values this near to the largest are tied with it. Absolute, it would swallow gaps of 1e-11."""


class Values(NamedTuple):
    """State values at each step, float64 [T + 1, S], zero at the last: of random play, of the best and of the worst
    policy."""

    random: Any
    best: Any
    worst: Any


class SimpleBound(NamedTuple):
    """horizon: H <= T, the bound on the effective horizon. depth: the k that gives it, 0 if none does (then H = T).
    samples: m at that depth, episodes for each action sequence. by_depth: m [depths] for k = 1, 2, ..., inf where a
    depth is not feasible, NaN beyond those looked at."""

    horizon: Any
    depth: Any
    samples: Any
    by_depth: Any


@exact
def planning_values(mdp: Any, exploration: Any = None) -> Values:
    """Values of random, best and worst play from every state at every step.

    Args:
        exploration: how often random play takes each action, [A] or [S, A], in any unit; None: all equally often.
    """

    def backup(following: Values, _: Any) -> tuple[Values, Values]:
        of_random, of_best, of_worst = (_action_values(mdp, value) for value in following)
        best, worst = jnp.max(of_best, axis=-1), jnp.min(of_worst, axis=-1)
        # Rounding must not put the random policy outside what is possible.
        here = Values(jnp.clip(_explored(of_random, exploration), worst, best), best, worst)
        return here, here

    zeros = jnp.zeros(mdp.num_states, mdp.rewards.dtype)
    _, values = jax.lax.scan(backup, Values(zeros, zeros, zeros), length=mdp.horizon, reverse=True, xs=None)
    return jax.tree.map(_with_end, values)


@exact
def reachable(mdp: Any) -> Any:
    """bool [T, S]: which states some policy visits at each step."""

    def forward(reached: jax.Array, _: Any) -> tuple[jax.Array, jax.Array]:
        return _spread(mdp, reached[:, None] & jnp.ones(mdp.num_actions, bool)), reached

    return jax.lax.scan(forward, mdp.initial > 0, length=mdp.horizon, xs=None)[1]


@exact
def solvable_depth(mdp: Any, exploration: Any = None) -> Any:
    """min_k, int32: the least depth at which the MDP is solved, at most T."""
    values = planning_values(mdp, exploration)
    return _least_depth(mdp, values.random, values.best)


@exact
def planning_window(mdp: Any) -> Any:
    """W, int32: the effective planning window, `solvable_depth` of planning from zero instead of from random play."""
    values = planning_values(mdp)
    return _least_depth(mdp, jnp.zeros_like(values.random), values.best)


def greedy_returns(mdp: Any, depths: int = 5, exploration: Any = None) -> Any:
    """J_1 ... J_depths, float64 [depths]: what the worst policy that is greedy in Q^k is worth from the start."""
    return _greedy_returns(mdp, jnp.arange(depths), exploration)


@exact
def _greedy_returns(mdp: Any, depths: Any, exploration: Any) -> Any:
    def at_depth(values: jax.Array, _: Any) -> tuple[jax.Array, jax.Array]:
        def backup(worst: jax.Array, following: jax.Array) -> tuple[jax.Array, jax.Array]:
            q = _action_values(mdp, following)
            is_greedy, _ = _greedy(q)
            played = jnp.where(is_greedy, _action_values(mdp, worst), jnp.inf)
            return jnp.min(played, axis=-1), jnp.max(q, axis=-1)

        zeros = jnp.zeros_like(values[0])
        worst, deeper = jax.lax.scan(backup, zeros, values[1:], reverse=True)
        return _with_end(deeper), jnp.sum(mdp.initial * worst)

    return jax.lax.scan(at_depth, planning_values(mdp, exploration).random, depths)[1]


def action_gaps(mdp: Any, depths: int = 5, exploration: Any = None) -> tuple[Any, Any]:
    """Delta_k, float64 [depths] each: the least gap between tied-best and other values of Q^k, inf where all tie.

    Returns:
        (over all states that some policy visits; over those that policies greedy in Q^k visit).
    """
    return _action_gaps(mdp, jnp.arange(depths), exploration)


@exact
def _action_gaps(mdp: Any, depths: Any, exploration: Any) -> Any:
    visited = reachable(mdp)

    def at_depth(values: jax.Array, _: Any) -> Any:
        def forward(carry: Any, here: Any) -> Any:
            reached, gap, gap_of_greedy = carry
            following, is_visited = here
            q = _action_values(mdp, following)
            is_greedy, top = _greedy(q)
            gaps = top - jnp.max(jnp.where(is_greedy, -jnp.inf, q), axis=-1)
            gap = jnp.minimum(gap, jnp.min(jnp.where(is_visited, gaps, jnp.inf)))
            gap_of_greedy = jnp.minimum(gap_of_greedy, jnp.min(jnp.where(reached, gaps, jnp.inf)))
            return (_spread(mdp, reached[:, None] & is_greedy), gap, gap_of_greedy), top

        none = jnp.asarray(jnp.inf, values.dtype)
        (_, *gaps), deeper = jax.lax.scan(forward, (mdp.initial > 0, none, none), (values[1:], visited))
        return _with_end(deeper), tuple(gaps)

    return jax.lax.scan(at_depth, planning_values(mdp, exploration).random, depths)[1]


def stochastic_effective_horizons(mdp: Any, depths: int = 5, exploration: Any = None) -> Any:
    """H-bar_k = k + log_A(1 / Delta_k^2), float64 [depths], over all states some policy visits; inf at depths below
    `solvable_depth`. The least of them is the stochastic effective horizon. Rewards are taken to sum to at most one.
    """
    import numpy as np

    k = np.arange(1, depths + 1)
    gaps, _ = action_gaps(mdp, depths, exploration)
    with np.errstate(divide="ignore"):
        found = k - 2.0 * np.log(gaps) / np.log(mdp.num_actions)
    return np.where(k >= int(solvable_depth(mdp, exploration)), found, np.inf)


@exact
def covering_length(mdp: Any) -> tuple[Any, Any]:
    """Bound on the covering length: ln(2 S A) over the least occupancy of a state and action under random play.

    Returns:
        (the bound; that least occupancy, which is the largest over steps). Pairs never met are left out.
    """

    def forward(states: jax.Array, _: Any) -> Any:
        weights = states[:, None, None] / mdp.num_actions * mdp.probabilities
        following = jnp.zeros_like(states).at[mdp.successors].add(weights)
        return following, states

    met = jnp.max(jax.lax.scan(forward, mdp.initial, length=mdp.horizon, xs=None)[1], axis=0) / mdp.num_actions
    is_counted = (met > 0) & ~is_end(mdp)
    least = jnp.min(jnp.where(is_counted, met, jnp.inf))
    pairs = jnp.sum(is_counted) * mdp.num_actions
    return jnp.log(2.0 * pairs) / least, least


@exact
def simple_bound(mdp: Any, exploration: Any = None) -> SimpleBound:
    """The bound of Theorem 5.4 of the NeurIPS paper, with the published program's constant 16 (the statement, from
    memory, has 6). For deterministic MDPs."""
    values = planning_values(mdp, exploration)
    actions, total = mdp.num_actions, mdp.horizon

    def spread_of(_: Any, here: Any) -> Any:
        random, best, worst = (_action_values(mdp, value) for value in here)
        return None, jnp.max((random - worst) * (best - worst), axis=-1)

    _, first = jax.lax.scan(spread_of, None, jax.tree.map(lambda x: x[1:], values))  # v_t(s), [T, S]

    def at_depth(loop: Any) -> Any:
        k, found, planned, spread, by_depth = loop
        logarithm = jnp.log(2.0 * total) + k * jnp.log(1.0 * actions)

        def forward(carry: Any, here: Any) -> Any:
            reached, samples = carry
            following, best_following, v = here
            q, q_best = _action_values(mdp, following), _action_values(mdp, best_following)
            top = jnp.max(q, axis=-1)
            sub = jnp.max(jnp.where(_suboptimal(q_best), q, -jnp.inf), axis=-1)
            gap = top - sub
            is_tied = gap <= TIE * jnp.abs(top)
            needed = jnp.where(is_tied, jnp.inf, jnp.maximum(1.0, jnp.ceil(16.0 * v / gap**2 * logarithm)))
            samples = jnp.maximum(samples, jnp.max(jnp.where(reached, needed, 1.0)))
            return (_spread(mdp, reached[:, None] & (q > sub[:, None])), samples), top

        stages = (planned[1:], values.best[1:], spread)
        (_, samples), deeper = jax.lax.scan(forward, (mdp.initial > 0, jnp.asarray(1.0)), stages)
        horizon = k + jnp.log(samples) / jnp.log(1.0 * actions)
        is_better = horizon < found.horizon
        found = SimpleBound(
            jnp.where(is_better, horizon, found.horizon),
            jnp.where(is_better, k, found.depth),
            jnp.where(is_better, samples, found.samples),
            None,
        )
        # At the last step nothing follows, and the spread stays.
        moved = jnp.max(jnp.max(_gathered(mdp, spread[1:]), axis=-1), axis=-1)
        return k + 1, found, _with_end(deeper), jnp.concatenate([moved, spread[-1:]]), by_depth.at[k - 1].set(samples)

    start = SimpleBound(jnp.asarray(1.0 * total), jnp.zeros((), jnp.int32), jnp.asarray(jnp.inf), None)
    loop = (jnp.ones((), jnp.int32), start, values.random, first, jnp.full(total, jnp.nan))
    _, found, _, _, by_depth = jax.lax.while_loop(lambda x: x[0] < x[1].horizon, at_depth, loop)
    return found._replace(by_depth=by_depth)


def _explored(q: jax.Array, exploration: Any) -> jax.Array:
    """Mean of action values [S, A] under random play: [S]."""
    if exploration is None:
        return jnp.mean(q, axis=-1)
    weights = jnp.asarray(exploration)
    return jnp.sum(q * weights, axis=-1) / jnp.sum(weights, axis=-1)


def _least_depth(mdp: Any, first: jax.Array, best: jax.Array) -> jax.Array:
    """The least k <= T at which no reachable greedy action of Q^k is suboptimal; Q^1 plans a step on values `first`."""

    def at_depth(loop: Any) -> Any:
        k, values, _ = loop

        def forward(carry: Any, here: Any) -> Any:
            reached, has_failed = carry
            following, best_following = here
            q = _action_values(mdp, following)
            is_greedy, top = _greedy(q)
            is_played = reached[:, None] & is_greedy
            has_failed |= jnp.any(is_played & _suboptimal(_action_values(mdp, best_following)))
            return (_spread(mdp, is_played), has_failed), top

        (_, has_failed), deeper = jax.lax.scan(forward, (mdp.initial > 0, jnp.asarray(False)), (values[1:], best[1:]))
        return k + 1, _with_end(deeper), has_failed

    loop = (jnp.zeros((), jnp.int32), first, jnp.asarray(True))
    return jax.lax.while_loop(lambda x: x[2] & (x[0] < mdp.horizon), at_depth, loop)[0]


def _action_values(mdp: Any, following: jax.Array) -> jax.Array:
    """Q [S, A] from the values of the next step [S]."""
    return mdp.rewards + jnp.sum(mdp.probabilities * following[mdp.successors], axis=-1)


def _gathered(mdp: Any, values: jax.Array) -> jax.Array:
    """values [..., S] of the successors: [..., S, A, B]."""
    return values[..., mdp.successors]


def _greedy(q: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(bool [S, A], which actions tie for the best; the best value [S])."""
    top = jnp.max(q, axis=-1)
    return q >= (top - TIE * jnp.abs(top))[:, None], top


def _suboptimal(q_best: jax.Array) -> jax.Array:
    """bool [S, A] from optimal action values."""
    return q_best < jnp.max(q_best, axis=-1, keepdims=True) - REWARD_PRECISION


def _spread(mdp: Any, is_played: jax.Array) -> jax.Array:
    """bool [S]: states that may follow the pairs of `is_played` [S, A]. However unlikely, they count."""
    may_follow = is_played[..., None] & (mdp.probabilities > 0)
    return jnp.zeros(mdp.num_states, bool).at[mdp.successors].max(may_follow)


def is_end(mdp: Any) -> jax.Array:
    """bool [S]: states that are never left and pay nothing."""
    own = jnp.arange(mdp.num_states)[:, None, None]
    stays = jnp.all((mdp.successors == own) | (mdp.probabilities == 0), axis=(1, 2))
    return stays & jnp.all(mdp.rewards == 0, axis=1)


def _with_end(values: jax.Array) -> jax.Array:
    """Values of T steps with the zeros after the last: [T + 1, S]."""
    return jnp.concatenate([values, jnp.zeros_like(values[:1])])
