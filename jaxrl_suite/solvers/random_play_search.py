"""How likely GORP (Greedy Over Random Policy) finds an optimal plan, exactly, where returns are 0 or 1.

Laidlaw, Russell, Dragan, Bridging RL Theory and Practice with the Effective Horizon (NeurIPS 2023, arXiv 2304.09853).
At every step GORP plays each of the A^k sequences of k actions in m episodes, goes on at random, and keeps the first
action of the sequence with the largest mean. With returns of 0 or 1 the sums are binomial, so its chance of success is
a recursion over steps and states, no simulation.

MDPs are deterministic, as successor indices (`jaxrl_suite.envs.SuccessorMDP`, or anything with its fields).
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln, xlog1py, xlogy

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.precision import exact
from jaxrl_suite.solvers.effective_horizon import REWARD_PRECISION, planning_values

TIES = ("first", "random")
LARGEST_BLOCK = 1 << 22
"""Numbers of an array above which the nodes of an integral are not computed all at once."""


def gorp_success(mdp: Any, depth: int, episodes: int, ties: str = "random", exploration: Any = None) -> float:
    """The probability with which GORP returns an optimal plan.

    Args:
        depth: k, actions of a sequence. episodes: m, for each sequence.
        ties: which of the sequences with the largest mean is kept: the first in lexicographic order, or any of them.
        exploration: how it goes on after a sequence; as in `planning_values`.

    Raises:
        ConfigError: for an MDP that is not deterministic, or whose returns are not 0 or 1; for sizes below 1.
    """
    for name, value in (("depth", depth), ("episodes", episodes)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ConfigError(f"{name} = {value!r}: must be a whole number >= 1")
    if ties not in TIES:
        raise ConfigError(f"ties = {ties!r}: must be one of {', '.join(TIES)}")
    require_deterministic(mdp)
    _require_binary(mdp)
    # Sums fit in arrays of a power of four, so that nearby m share a program.
    bits = int(episodes).bit_length()
    capacity = 1 << (bits + bits % 2)
    return float(_success(int(depth), capacity, ties)(mdp, float(episodes), exploration))


def gorp_episodes(
    mdp: Any, depth: int, ties: str = "random", most: int = 1_000_000, exploration: Any = None
) -> int | None:
    """m_k: the least number of episodes a sequence with which GORP succeeds with probability 1/2 or more.

    More episodes are taken never to be worse. Returns None if `most` are not enough.
    """
    low, high = 0, 1
    while gorp_success(mdp, depth, high, ties, exploration) < 0.5:
        if high >= most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        is_enough = gorp_success(mdp, depth, middle, ties, exploration) >= 0.5
        low, high = (low, middle) if is_enough else (middle, high)
    return high


def require_deterministic(mdp: Any) -> None:
    """Raises ConfigError where the start or a step of an MDP depends on chance."""
    if (np.asarray(mdp.probabilities).max(axis=-1) < 1.0).any() or np.asarray(mdp.initial).max() < 1.0:
        raise ConfigError("mdp: its steps depend on chance: must be deterministic")


def _require_binary(mdp: Any) -> None:
    rewards = np.asarray(mdp.rewards)
    if not np.isin(rewards, (0.0, 1.0)).all():
        raise ConfigError(f"mdp: rewards such as {rewards[~np.isin(rewards, (0.0, 1.0))][0]:g}: must be 0 or 1")
    pays = rewards == 1.0
    after = np.asarray(mdp.successors)[np.arange(len(rewards))[:, None], np.arange(rewards.shape[1])][pays]
    following = after[np.arange(len(after)), np.asarray(mdp.probabilities)[pays].argmax(axis=-1)]
    if _pays_later(mdp)[following].any():
        raise ConfigError("mdp: pays more than once in an episode: returns must be 0 or 1")


def _pays_later(mdp: Any) -> np.ndarray:
    """bool [S]: whether any reward can still be had from a state."""
    rewards, successors = np.asarray(mdp.rewards), np.asarray(mdp.successors)
    is_real = np.asarray(mdp.probabilities) > 0
    found = (rewards > 0).any(axis=1)
    while True:
        wider = found | (found[successors] & is_real).any(axis=(1, 2))
        if (wider == found).all():
            return found
        found = wider


@functools.lru_cache(maxsize=64)
def _success(depth: int, capacity: int, ties: str) -> Any:
    """The recursion of these sizes, compiled: (mdp, m < capacity, exploration) -> probability."""

    @exact
    def success(mdp: Any, episodes: Any, exploration: Any) -> Any:
        values = planning_values(mdp, exploration)
        # Which of the successors it is; B is 1 but where somebody left room.
        which = jnp.argmax(mdp.probabilities, axis=-1)
        following = jnp.take_along_axis(mdp.successors, which[..., None], axis=-1)[..., 0]  # [S, A]

        def chances(at: Any) -> jax.Array:
            """Probability of return 1 from each state by each sequence and random play after it, [S, A^k].

            Args:
                at: values of random play at the step after each action of the sequence, [k, S], zero beyond the end;
                    and bool [k], whether that action still belongs to the episode.
            """
            later, is_played = at
            chance = jnp.zeros((mdp.num_states, 0))
            for j in reversed(range(depth)):
                after = later[j][following][..., None] if j == depth - 1 else chance[following]  # [S, A, A^(k-1-j)]
                paid = (mdp.rewards[..., None] + after) * is_played[j]
                chance = paid.reshape(mdp.num_states, -1)
            return chance

        def backup(success: jax.Array, step: jax.Array) -> tuple[jax.Array, None]:
            steps = step + 1 + jnp.arange(depth)
            later = jnp.where((steps <= mdp.horizon)[:, None], values.random[jnp.minimum(steps, mdp.horizon)], 0.0)
            wins = _wins(jnp.clip(chances((later, steps <= mdp.horizon)), 0.0, 1.0), episodes, capacity, ties)
            wins = wins.reshape(mdp.num_states, mdp.num_actions, -1).sum(axis=-1)
            optimal = mdp.rewards + values.best[step + 1][following]
            is_optimal = optimal >= optimal.max(axis=-1, keepdims=True) - REWARD_PRECISION
            return jnp.sum(jnp.where(is_optimal, wins * success[following], 0.0), axis=-1), None

        ones = jnp.ones(mdp.num_states, mdp.rewards.dtype)
        success, _ = jax.lax.scan(backup, ones, jnp.arange(mdp.horizon), reverse=True)
        return jnp.sum(mdp.initial * success)

    return success


def _wins(chance: jax.Array, episodes: jax.Array, capacity: int, ties: str) -> jax.Array:
    """Probability that each arm has the largest of binomial sums, [S, N], from its chance of one [S, N]."""
    sums = jnp.arange(capacity, dtype=chance.dtype)
    missed, p = jnp.maximum(episodes - sums, 0.0), chance[..., None]
    choose = gammaln(episodes + 1) - gammaln(sums + 1) - gammaln(missed + 1)
    at = jnp.where(sums <= episodes, jnp.exp(choose + xlogy(sums, p) + xlog1py(missed, -p)), 0.0)
    below = jnp.concatenate([jnp.zeros_like(at[..., :1]), jnp.cumsum(at, axis=-1)[..., :-1]], axis=-1)
    if ties == "first":
        beats = _by_others(below, below + at)
    else:
        # A tie is broken in an arm's favour with 1 / (1 + number of others): the integral of z^number over [0, 1].
        nodes, weights = np.polynomial.legendre.leggauss(chance.shape[-1] // 2 + 1)
        at_once = max(1, min(len(nodes), LARGEST_BLOCK // at.size))
        missing = (0, -len(nodes) % at_once)
        blocks = [np.pad(x, missing).reshape(-1, at_once) for x in ((nodes + 1.0) / 2.0, weights / 2.0)]

        def add(beats: jax.Array, block: Any) -> tuple[jax.Array, None]:
            z, weight = (x[:, None, None, None] for x in block)
            beaten = below + z * at
            return beats + jnp.sum(weight * _by_others(beaten, beaten), axis=0), None

        beats, _ = jax.lax.scan(add, jnp.zeros_like(at), blocks)
    return jnp.sum(at * beats, axis=-1)


def _by_others(earlier: jax.Array, later: jax.Array) -> jax.Array:
    """For each arm, the product of `earlier` over the arms before it and of `later` over those after it.

    Arms are the last axis but one.
    """

    def times(product: jax.Array, factor: jax.Array) -> tuple[jax.Array, jax.Array]:
        return product * factor, product

    earlier, later = jnp.moveaxis(earlier, -2, 0), jnp.moveaxis(later, -2, 0)
    ones = jnp.ones_like(earlier[0])
    before, after = jax.lax.scan(times, ones, earlier)[1], jax.lax.scan(times, ones, later, reverse=True)[1]
    return jnp.moveaxis(before * after, 0, -2)
