"""How many environment steps a problem should need: bounds, GORP's exact effective horizon, and an optimistic learner.

What Laidlaw, Russell, Dragan, Bridging RL Theory and Practice with the Effective Horizon (NeurIPS 2023, arXiv
2304.09853) compare with what deep RL needed, beside `simple_bound` and `covering_length`. MDPs as in
`effective_horizon`; numbers too large for a float64 are inf.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.precision import exact
from jaxrl_suite.solvers.effective_horizon import (
    REWARD_PRECISION,
    is_end,
    planning_values,
    planning_window,
    simple_bound,
)
from jaxrl_suite.solvers.random_play_search import gorp_episodes, require_deterministic


class GorpHorizon(NamedTuple):
    """GORP's effective horizon.

    Attributes:
        horizon: H, the least of k + log_A m_k, inf where no depth has one.
        depth, episodes: the k and the m_k that give it, None where none does.
        by_depth: m_k for each depth asked for, float64; inf where `most` are not enough, NaN where it was not worked
            out, because it could not make H less.
    """

    horizon: float
    depth: int | None
    episodes: int | None
    by_depth: np.ndarray


def worst_case_steps(mdp: Any) -> float:
    """T ceil(A^T / 2): steps until half of all action sequences were tried. From memory of the paper, unverified."""
    return _as_float(mdp.horizon * -(-(mdp.num_actions**mdp.horizon) // 2))


def planning_window_bound(mdp: Any) -> float:
    """T^2 A^W, with the effective planning window W. From memory of the paper, unverified."""
    return _as_float(mdp.horizon**2 * mdp.num_actions ** int(planning_window(mdp)))


def effective_horizon_bound(mdp: Any, exploration: Any = None) -> float:
    """T^2 A^H, with `simple_bound`'s H: steps that GORP needs at most. For deterministic MDPs.

    Args:
        exploration: random play; as in `planning_values`.
    """
    horizon = float(simple_bound(mdp, exploration).horizon)
    with np.errstate(over="ignore"):
        return float(mdp.horizon**2 * np.float64(mdp.num_actions) ** horizon)


def gorp_effective_horizon(
    mdp: Any,
    depths: Sequence[int] = (1, 2, 3),
    ties: str = "random",
    most: int = 1_000_000,
    exploration: Any = None,
) -> GorpHorizon:
    """The effective horizon by its definition: the least k + log_A m_k, where GORP with sequences of k actions and m_k
    episodes for each succeeds with probability 1/2 or more.

    Args:
        depths: the k that are tried, smaller ones first. ties, exploration: as in `gorp_success`.
        most: episodes beyond which no more are tried.

    Raises:
        ConfigError: as `gorp_success`, and without depths.
    """
    if not len(depths):
        raise ConfigError("depths: none given, needs at least one")
    actions, best = mdp.num_actions, GorpHorizon(math.inf, None, None, np.zeros(0))
    found = {}
    for depth in sorted(depths):
        # More episodes than these would make H no less.
        useful = math.inf if best.depth is None else actions ** (best.horizon - depth) if actions > 1 else 0.0
        allowed = int(min(most, useful))
        episodes = gorp_episodes(mdp, depth, ties, allowed, exploration) if allowed >= 1 else None
        found[depth] = episodes or (math.inf if allowed == most else math.nan)
        horizon = (
            math.inf if episodes is None else depth + (math.log(episodes) / math.log(actions) if actions > 1 else 0)
        )
        if horizon < best.horizon:
            best = best._replace(horizon=horizon, depth=int(depth), episodes=episodes)
    return best._replace(by_depth=np.array([found[depth] for depth in depths], np.float64))


def ucb_steps(mdp: Any, seeds: int | Sequence[int] = 1, episodes: int = 10_000) -> np.ndarray:
    """Environment steps that an optimistic learner of the table takes until an episode is optimal, float64 [seed].

    It knows the largest reward r_max, and takes a pair of state and action that it never tried for a self-loop that
    pays r_max. In an episode it is greedy in the values of that model, ties within 1e-4 broken at random; after it all
    values are computed again, backward from the horizon. Episodes end early in states that are never left and pay
    nothing, which it knows.

    Args:
        mdp: a deterministic one. seeds: how many, from 0 on, or which. episodes: after which it gives up.

    Returns:
        inf for seeds that had no episode within 1e-4 of the best return.
    """
    require_deterministic(mdp)
    chosen = np.arange(seeds) if isinstance(seeds, (int, np.integer)) else np.asarray(seeds, np.int64)
    for name, value in (("seeds", len(chosen)), ("episodes", episodes)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ConfigError(f"{name} = {value!r}: must be a whole number >= 1")
    return _ucb_steps(mdp, chosen, episodes)


@exact
def _ucb_steps(mdp: Any, seeds: Any, episodes: Any) -> Any:
    which = jnp.argmax(mdp.probabilities, axis=-1)
    following = jnp.take_along_axis(mdp.successors, which[..., None], axis=-1)[..., 0]  # [S, A]
    ended, start = is_end(mdp), jnp.argmax(mdp.initial).astype(following.dtype)
    optimum, largest = planning_values(mdp).best[0, start], jnp.max(mdp.rewards)

    def action_values(is_known: jax.Array, later: jax.Array, at: Any) -> jax.Array:
        """The model's Q in the states `at`, from the values of the step after."""
        return jnp.where(is_known[at], mdp.rewards[at] + later[following[at]], largest + later[at][..., None])

    def planned(is_known: jax.Array) -> jax.Array:
        """Values of the steps after each step, [T, S]."""

        def backup(later: jax.Array, _: Any) -> tuple[jax.Array, jax.Array]:
            return jnp.max(action_values(is_known, later, slice(None)), axis=-1), later

        return jax.lax.scan(backup, jnp.zeros(mdp.num_states), length=mdp.horizon, xs=None, reverse=True)[1]

    def episode(key: jax.Array, is_known: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """(what is known after it, its return, its steps)."""

        def step(carry: Any, at: Any) -> tuple[Any, None]:
            state, known, total, steps = carry
            later, noise = at
            q = action_values(is_known, later, state)
            action = jnp.argmax(jnp.where(q >= jnp.max(q) - REWARD_PRECISION, noise, -1.0))
            alive = ~ended[state]
            total, steps = total + alive * mdp.rewards[state, action], steps + alive
            return (following[state, action], known.at[state, action].set(True), total, steps), None

        noise = jax.random.uniform(key, (mdp.horizon, mdp.num_actions))
        carry = (start, is_known, jnp.zeros_like(optimum), jnp.zeros((), jnp.int64))
        (_, known, total, steps), _ = jax.lax.scan(step, carry, (planned(is_known), noise))
        return known, total, steps

    def learn(seed: jax.Array) -> jax.Array:
        key = jax.random.key(seed)

        def goes_on(loop: Any) -> jax.Array:
            played, _, _, is_solved = loop
            return (played < episodes) & ~is_solved

        def play(loop: Any) -> Any:
            played, is_known, steps, _ = loop
            is_known, total, taken = episode(jax.random.fold_in(key, played), is_known)
            return played + 1, is_known, steps + taken, total >= optimum - REWARD_PRECISION

        is_known = jnp.broadcast_to(ended[:, None], mdp.rewards.shape)
        loop = (jnp.zeros((), jnp.int64), is_known, jnp.zeros((), jnp.int64), jnp.asarray(False))
        _, _, steps, is_solved = jax.lax.while_loop(goes_on, play, loop)
        return jnp.where(is_solved, steps.astype(jnp.float64), jnp.inf)

    return jax.vmap(learn)(seeds)


def _as_float(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf
