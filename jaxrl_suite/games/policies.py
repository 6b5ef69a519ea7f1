"""Joint policies of a game: arrays [I, A], one row an information set."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrl_suite.errors import ConfigError


def uniform_policy(game: Any) -> np.ndarray:
    """Every legal action alike, float64 [I, A]."""
    legal = np.asarray(game.legal, np.float64)
    return legal / legal.sum(axis=1, keepdims=True)


def first_action_policy(game: Any) -> np.ndarray:
    """Always the lowest legal action, float64 [I, A]."""
    legal = np.asarray(game.legal)
    return np.eye(legal.shape[1])[legal.argmax(axis=1)]


def random_policy(game: Any, seed: int, concentration: float = 1.0) -> np.ndarray:
    """Rows drawn from a symmetric Dirichlet over legal actions, float64 [I, A]."""
    legal = np.asarray(game.legal)
    drawn = np.random.default_rng(seed).gamma(concentration, size=legal.shape) * legal + 1e-300 * legal
    return drawn / drawn.sum(axis=1, keepdims=True)


def check_policy(game: Any, policy: Any) -> np.ndarray:
    """A policy as float64 [I, A].

    Raises:
        ConfigError: for another shape, a row that is no distribution, or weight on an illegal action; it names the
            information set.
    """
    policy, legal = np.asarray(policy, np.float64), np.asarray(game.legal)
    if policy.shape != legal.shape:
        raise ConfigError(f"policy of {game.id}: shape {policy.shape}: must be {list(legal.shape)}")

    def refuse(is_bad: np.ndarray, why: str) -> None:
        if is_bad.any():
            row = int(np.argmax(is_bad))
            name, numbers = game.names.infosets[row], np.array2string(policy[row], precision=6)
            raise ConfigError(f"policy of {game.id} at {name!r} (row {row}) = {numbers}: {why}")

    refuse(~np.isfinite(policy).all(axis=1), "must be finite")
    refuse(((policy != 0) & ~legal).any(axis=1), f"must be 0 for illegal actions; legal are {_legal(legal, policy)}")
    refuse((policy < 0).any(axis=1) | (np.abs(policy.sum(axis=1) - 1.0) > 1e-6), "must be probabilities that sum to 1")
    return policy


def _legal(legal: np.ndarray, policy: np.ndarray) -> list[int]:
    row = int(np.argmax(((policy != 0) & ~legal).any(axis=1)))
    return np.flatnonzero(legal[row]).tolist()


def softmax_policy(logits: Any, legal: Any) -> Any:
    """softmax over legal actions, [..., A]; illegal ones get 0."""
    masked = jnp.where(legal, logits, -jnp.inf)
    weights = jnp.exp(masked - jnp.max(masked, axis=-1, keepdims=True))
    return weights / jnp.sum(weights, axis=-1, keepdims=True)
