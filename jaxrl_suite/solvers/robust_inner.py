"""Nature's inner problem: the distribution of the next state that is worth least, out of those a set allows.

sigma = min over p in the set of p . v. Plain pure functions of one row, (v, nominal row, size of the set) -> (sigma,
worst row); batched by `vmap`, where an unbatched `v` is sorted once for all rows. Float64 expected.

Iyengar, Robust dynamic programming (2005); Nilim and El Ghaoui (2005); Wiesemann, Kuhn, Rustem, Robust Markov decision
processes (2013). Symbols: v [S] values of the next state, p0 [S] the nominal row, A actions.
"""

from typing import Any

import jax
import jax.numpy as jnp

HALVINGS = 64
"""Of an interval by bisection: as many as float64 can tell apart."""

COLDEST, HOTTEST = 1e-12, 1e12
"""Temperatures of a tilted row, over the span of its values, between which it is looked for."""

Worst = tuple[jax.Array, jax.Array]


def worst_of_kernels(v: jax.Array, rows: jax.Array) -> Worst:
    """The least of finitely many rows [K, S], the lowest among equals."""
    values = rows @ v
    least = jnp.argmin(values)
    return values[least], rows[least]


def worst_l1(v: jax.Array, nominal: jax.Array, radius: Any, absolutely_continuous: bool = False) -> Worst:
    """|p - p0|_1 <= radius: half of it is moved from the best states to the worst one.

    Args:
        absolutely_continuous: the worst state is sought where p0 > 0 only, else among all.
    """
    order = jnp.argsort(v, descending=True)
    # The lowest of v is the last in order, so that nothing is taken from it before all others are empty.
    target = jnp.argmin(jnp.where(nominal > 0, v, jnp.inf)) if absolutely_continuous else order[-1]
    moved = jnp.minimum(radius / 2.0, 1.0 - nominal[target])
    taken = _in_turn(nominal[order], moved)
    row = nominal.at[order].add(-taken).at[target].add(jnp.sum(taken))
    return row @ v, row


def least_l1(v: jax.Array, by_next: jax.Array, radius: jax.Array, absolutely_continuous: bool = False) -> jax.Array:
    """sigma of many rows at once, [N], as `worst_l1` has it, without the rows.

    From the best state down, every row gives up what lies there until it has given up enough: seldom more than a few
    states, and each is one stretch of memory.

    Args:
        by_next: nominal rows by next state, [S', N]. radius: [N].
    """
    order = jnp.argsort(v, descending=True)
    if absolutely_continuous:
        least = jnp.min(jnp.where(by_next > 0, v[:, None], jnp.inf), axis=0)
        amount = radius / 2.0
    else:
        least = jnp.broadcast_to(v[order[-1]], radius.shape)
        amount = jnp.minimum(radius / 2.0, 1.0 - by_next[order[-1]])

    def is_left(loop: Any) -> jax.Array:
        left, _, rank = loop
        return jnp.any(left > 0.0) & (rank < len(v))

    def give(loop: Any) -> Any:
        left, lost, rank = loop
        state = order[rank]
        taken = jnp.minimum(left, by_next[state])
        return left - taken, lost + taken * (v[state] - least), rank + 1

    start = amount, jnp.zeros_like(amount), jnp.zeros((), jnp.int32)
    return v @ by_next - jax.lax.while_loop(is_left, give, start)[1]


def worst_box(v: jax.Array, low: jax.Array, high: jax.Array) -> Worst:
    """low <= p <= high: from `low` upwards, the worst states are filled first."""
    order = jnp.argsort(v)
    added = _in_turn((high - low)[order], 1.0 - jnp.sum(low))
    row = low.at[order].add(added)
    return row @ v, row


def worst_interval(v: jax.Array, nominal: jax.Array, radius: Any) -> Worst:
    """|p - p0| <= radius in every state."""
    return worst_box(v, jnp.maximum(nominal - radius, 0.0), jnp.minimum(nominal + radius, 1.0))


def worst_kl(v: jax.Array, nominal: jax.Array, radius: Any) -> Worst:
    """KL(p | p0) <= radius: p is p0 tilted, proportional to p0 exp(-v / t), by bisection on the temperature t.

    Where even all mass on the worst states of p0 is near enough (radius >= -log of their mass), it is put there.
    """
    x, _ = _scaled(v, nominal)

    def tilted(temperature: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(row, its divergence). In `expm1`, for at high temperatures the divergence is a small difference."""
        row = nominal * jnp.exp(-x / temperature)
        row = row / jnp.sum(row)
        log_sum = jnp.log1p(jnp.sum(nominal * jnp.expm1(-x / temperature)))
        return row, -(row @ x) / temperature - log_sum

    def halve(_: Any, bracket: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        cold, hot = bracket
        middle = (cold + hot) / 2.0
        is_too_far = tilted(jnp.exp(middle))[1] > radius
        return jnp.where(is_too_far, middle, cold), jnp.where(is_too_far, hot, middle)

    logs = jnp.log(jnp.asarray(COLDEST, v.dtype)), jnp.log(jnp.asarray(HOTTEST, v.dtype))
    row = tilted(jnp.exp(jax.lax.fori_loop(0, HALVINGS, halve, logs)[1]))[0]
    at_worst = jnp.where(x <= 0.0, nominal, 0.0)
    mass = jnp.sum(at_worst)
    row = jnp.where(radius >= -jnp.log(mass), at_worst / mass, row)
    row = jnp.where(radius > 0.0, row, nominal)
    return row @ v, row


def worst_chi_square(v: jax.Array, nominal: jax.Array, radius: Any) -> Worst:
    """sum (p - p0)^2 / p0 <= radius: p / p0 falls linearly in v down to zero, and stays there.

    For every set of the k worst states the row that is linear on it, zero elsewhere and at the allowed distance is
    known; of those without negative entries the least is the solution.
    """
    x, span = _scaled(v, nominal)
    x = jnp.where(nominal > 0, x, jnp.inf)
    order = jnp.argsort(x)
    p, values = nominal[order], jnp.where(jnp.isfinite(x[order]), x[order], 0.0)
    mass = jnp.cumsum(p)
    mean = jnp.cumsum(p * values) / mass
    # Centred on what is worst, where a spread is small beside the value itself.
    variance = jnp.maximum(jnp.cumsum(p * values**2) / mass - mean**2, 0.0)
    left = (1.0 + radius) * mass - 1.0
    slope = jnp.sqrt(jnp.maximum(left, 0.0) / jnp.where(variance > 0, variance, 1.0)) * (variance > 0)
    is_allowed = (left >= 0.0) & (1.0 - slope * (values - mean) >= 0.0)
    value = jnp.where(is_allowed, mean - jnp.sqrt(jnp.maximum(left, 0.0) * variance), jnp.inf)
    count = jnp.argmin(value)
    inside = jnp.where(jnp.arange(len(p)) <= count, p, 0.0)
    weights = inside * jnp.maximum(1.0 - slope[count] * (values - mean[count]), 0.0)
    weights = jnp.where(jnp.any(is_allowed), weights, p)
    row = jnp.zeros_like(nominal).at[order].set(weights / jnp.sum(weights))
    row = jnp.where((radius > 0.0) & (span > 0.0), row, nominal)
    return row @ v, row


def worst_contamination(v: jax.Array, nominal: jax.Array, share: Any) -> Worst:
    """p = (1 - share) p0 + share q, whatever q."""
    row = ((1.0 - share) * nominal).at[jnp.argmin(v)].add(share)
    return row @ v, row


def worst_state_l1(v: jax.Array, nominal: jax.Array, radius: Any, policy: jax.Array) -> Worst:
    """sum over actions of |p_a - p0_a|_1 <= radius, against a policy [A]: v and nominal [A, S].

    Mass is moved where it hurts most for its amount: pi_a (v_a(s') - min v_a), over all actions and states together.

    Returns:
        (sum over actions of pi_a p_a . v_a, rows [A, S]).
    """
    harm = policy[:, None] * (v - jnp.min(v, axis=-1, keepdims=True))
    order = jnp.argsort(harm, axis=None, descending=True)
    removable = jnp.where(harm > 0, nominal, 0.0).ravel()
    taken = jnp.zeros_like(removable).at[order].set(_in_turn(removable[order], radius / 2.0)).reshape(v.shape)
    rows = nominal - taken + _at_least(v) * jnp.sum(taken, axis=-1, keepdims=True)
    return jnp.sum(policy * jnp.sum(rows * v, axis=-1)), rows


def best_against_state_l1(v: jax.Array, nominal: jax.Array, radius: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The best policy against that set, which may have to be random: (its value, policy [A], worst rows [A, S]).

    Nature brings every action down to at most u, at the least cost xi_a(u) of the radius; its best u spends all of it,
    found by bisection (Ho, Petrik, Wiesemann 2018; from memory, unverified). The policy plays the actions that cost
    anything, in proportion to that cost's slope: then no u is better for nature.
    """
    order = jnp.argsort(v, axis=-1, descending=True)
    sorted_v, sorted_p = jnp.take_along_axis(v, order, axis=-1), jnp.take_along_axis(nominal, order, axis=-1)
    least = sorted_v[:, -1]
    rates = sorted_v - least[:, None]
    # Moving what lies on the worst states brings nothing: an action is at its least without.
    mass = _from_zero(jnp.cumsum(jnp.where(rates > 0, sorted_p, 0.0), axis=-1))
    lost = _from_zero(jnp.cumsum(sorted_p * rates, axis=-1))
    start, floor = jnp.sum(nominal * v, axis=-1), jnp.max(least)

    def cost(u: jax.Array) -> jax.Array:
        """The mass, half the radius, that brings each action down to u, [A]."""
        return jax.vmap(jnp.interp)(jnp.maximum(start - u, 0.0), lost, mass)

    def halve(_: Any, bracket: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bracket
        middle = (low + high) / 2.0
        is_too_dear = jnp.sum(cost(middle)) > radius / 2.0
        return jnp.where(is_too_dear, middle, low), jnp.where(is_too_dear, high, middle)

    value = jax.lax.fori_loop(0, HALVINGS, halve, (floor, jnp.max(start)))[1]
    needed = start - value
    # The state from which each action's last mass is taken, and what it costs there to go down by one.
    last = jax.vmap(lambda knots, x: jnp.searchsorted(knots, x, side="left"))(lost[:, 1:], needed)
    rate = jnp.take_along_axis(rates, jnp.minimum(last, v.shape[-1] - 1)[:, None], axis=-1)[:, 0]
    weights = jnp.where((needed > 0.0) & (rate > 0.0), 1.0 / jnp.where(rate > 0.0, rate, 1.0), 0.0)
    highest = jax.nn.one_hot(jnp.argmax(start), len(start), dtype=v.dtype)
    lowest = jax.nn.one_hot(jnp.argmax(least), len(start), dtype=v.dtype)
    is_floor = jnp.sum(cost(floor)) <= radius / 2.0
    policy = jnp.where(jnp.sum(weights) > 0.0, weights, highest)
    policy = jnp.where(is_floor, lowest, policy / jnp.sum(policy))
    value = jnp.where(is_floor, floor, value)
    taken = jax.vmap(_in_turn)(sorted_p, cost(value))
    taken = jax.vmap(lambda p, index, x: jnp.zeros_like(p).at[index].set(x))(nominal, order, taken)
    return value, policy, nominal - taken + _at_least(v) * jnp.sum(taken, axis=-1, keepdims=True)


def _in_turn(room: jax.Array, amount: Any) -> jax.Array:
    """What of `amount` each place takes, [S], if every one takes all it has room for before the next."""
    before = jnp.cumsum(room) - room
    return jnp.clip(amount - before, 0.0, room)


def _scaled(v: jax.Array, nominal: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(values from 0, the worst, to 1, the best, where p0 > 0, and 0 elsewhere; the span of them)."""
    inside = nominal > 0
    least = jnp.min(jnp.where(inside, v, jnp.inf))
    span = jnp.max(jnp.where(inside, v, -jnp.inf)) - least
    # Elsewhere 1: no state without probability may pass for a worst one, and p0 = 0 takes it out of every sum.
    return jnp.where(inside, (v - least) / jnp.where(span > 0, span, 1.0), 1.0), span


def _at_least(v: jax.Array) -> jax.Array:
    """One-hot rows of the worst state, [A, S]."""
    return jax.nn.one_hot(jnp.argmin(v, axis=-1), v.shape[-1], dtype=v.dtype)


def _from_zero(sums: jax.Array) -> jax.Array:
    return jnp.concatenate([jnp.zeros_like(sums[:, :1]), sums], axis=-1)
