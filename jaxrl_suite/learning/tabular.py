"""What tabular learners share: counts, the model they give, and one episode played on arrays."""

import functools
import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.sampling import sample_index

WRITTEN_OUT_STAGES = 8
"""Loops over up to so many stages are written out: a loop costs more than a few stages' work."""

WRITTEN_OUT_STATES = 16
"""Expectations over up to so many next states are written out as sums: shorter than a call of a matrix product."""


TIE = 1e-9
"""Relative difference of action values up to which they are tied."""


class Episode(NamedTuple):
    """One episode: states int32 [H + 1], actions int32 [H], and the return, a float."""

    states: jax.Array
    actions: jax.Array
    total: jax.Array


def is_written_out(horizon: int) -> bool:
    """Whether `scan_stages` writes its stages out."""
    return horizon <= WRITTEN_OUT_STAGES


def scan_stages(function: Any, carry: Any, stages: Any, horizon: int, reverse: bool = False) -> Any:
    """`lax.scan` over stages. Short horizons are written out: there the carry may change its shape from stage to stage.

    Returns:
        (the last carry, the results stacked by stage; None where the function returns none).
    """
    if not is_written_out(horizon):
        return jax.lax.scan(function, carry, stages, length=horizon, reverse=reverse)
    results = [None] * horizon
    for index in reversed(range(horizon)) if reverse else range(horizon):
        carry, results[index] = function(carry, jax.tree.map(lambda x, index=index: x[index], stages))
    return carry, jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)


def staged(mdp: Any) -> tuple[jax.Array, jax.Array]:
    """(transitions [H, S, A, S], rewards [H, S, A]) of an MDP with a horizon, stationary ones repeated."""
    transitions, rewards = jnp.asarray(mdp.transitions), jnp.asarray(mdp.rewards)
    rows = (mdp.horizon, mdp.num_states, mdp.num_actions)
    return jnp.broadcast_to(transitions, (*rows, mdp.num_states)), jnp.broadcast_to(rewards, rows)


def play_episode(uniforms: jax.Array, mdp: Any, policy: jax.Array) -> Episode:
    """One episode of `policy` [H, S, A] in an MDP with a horizon.

    Args:
        uniforms: [2H + 1] in [0, 1), all of the episode's chance (see `episode_uniforms`).
    """
    transitions, rewards = staged(mdp)
    first = sample_index(jnp.asarray(mdp.initial), uniforms[0])

    def step(state: jax.Array, stage: Any) -> tuple[jax.Array, Any]:
        rows, paid, actions, uniform = stage
        action = sample_index(actions[state], uniform[0])
        following = sample_index(rows[state, action], uniform[1])
        return following, (state, action, paid[state, action])

    stages = (transitions, rewards, policy, uniforms[1:].reshape(mdp.horizon, 2))
    last, (states, actions, paid) = scan_stages(step, first, stages, mdp.horizon)
    return Episode(jnp.append(states, last), actions, jnp.sum(paid))


def episode_uniforms(key: jax.Array, mdp: Any) -> jax.Array:
    """The chance of one episode, [2H + 1]: the first state, then an action and a next state a stage."""
    return jax.random.uniform(key, (2 * mdp.horizon + 1,), jnp.asarray(mdp.rewards).dtype)


def add_episode(counts: jax.Array, episode: Episode) -> jax.Array:
    """Counts int32 [H, S, A, S] with an episode's transitions added."""
    stages = jnp.arange(counts.shape[0])
    return counts.at[stages, episode.states[:-1], episode.actions, episode.states[1:]].add(1)


def empirical(counts: jax.Array, dtype: Any) -> tuple[jax.Array, jax.Array]:
    """(n_h(s,a) as `dtype` [H, S, A], P-hat [H, S, A, S]); rows never visited are zero."""
    visits = jnp.sum(counts, axis=-1)
    model = counts / jnp.maximum(visits, 1)[..., None].astype(dtype)
    return visits.astype(dtype), model


def by_next_state(model: jax.Array) -> jax.Array:
    """P-hat [H, S, A, S'] as [H, S', S * A]: each row holds all pairs of a state and an action.

    Sums over next states then run along the pairs, which a processor does many at a time.
    """
    return jnp.moveaxis(model, -1, 1).reshape(model.shape[0], model.shape[-1], -1)


def next_state_mean(rows: jax.Array, values: jax.Array) -> jax.Array:
    """Expected `values` [C, S] of the next state, [C, S * A]; rows: [S', S * A], a stage of `by_next_state`."""
    if len(rows) > WRITTEN_OUT_STATES:
        return values @ rows
    return functools.reduce(operator.add, [row * values[:, x, None] for x, row in enumerate(rows)])


def next_state_variance(rows: jax.Array, values: jax.Array, mean: jax.Array) -> jax.Array:
    """Variance of `values` [C, S] of the next state, [C, S * A], given its mean; rows as in `next_state_mean`.

    Centred: the difference of moments cancels, and its root is what matters.
    """
    if len(rows) > WRITTEN_OUT_STATES:
        return jnp.sum(rows * (values[:, :, None] - mean[:, None]) ** 2, axis=1)
    terms = [row * (values[:, x, None] - mean) ** 2 for x, row in enumerate(rows)]
    return functools.reduce(operator.add, terms)


def stored(tree: Any) -> Any:
    """The arrays as they are, each computed once: XLA on a CPU would compute them anew inside every user."""
    return jax.lax.optimization_barrier(tree)


def random_greedy(key: jax.Array, q: jax.Array) -> jax.Array:
    """int32 [S]: for each state one of the actions whose value [S, A] is largest, each with equal probability.

    Ties are relative to the largest value: sums that should be equal differ by rounding.
    """
    top = jnp.max(q, axis=-1, keepdims=True)
    is_best = q >= top - TIE * jnp.abs(top)
    return jnp.argmax(jnp.where(is_best, jax.random.uniform(key, q.shape), -1.0), axis=-1).astype(jnp.int32)
