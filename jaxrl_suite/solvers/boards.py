"""Games in which only the piece is random: exact values over all boards, float64."""

from typing import Any

import numpy as np


def board_values(next_board: Any, reward: Any, horizon: int, policy: Any = None) -> np.ndarray:
    """Expected total reward before the first piece is shown, [H + 1, boards]: entry h is of h pieces to come.

    Every piece is as likely as any other, whatever has been done.

    Args:
        next_board, reward: [board, piece, action]. policy: None for the best one; "uniform"; or probabilities or
            actions of each stage, [H, board, piece, action] or ints [H, board, piece].
    """
    next_board, reward = np.asarray(next_board), np.asarray(reward, np.float64)
    values = np.zeros((horizon + 1, len(next_board)))
    for left in range(1, horizon + 1):
        of_actions = reward + values[left - 1][next_board]
        here = policy if policy is None or isinstance(policy, str) else np.asarray(policy)[horizon - left]
        values[left] = _followed(of_actions, here).mean(axis=-1)
    return values


def _followed(of_actions: np.ndarray, policy: Any) -> np.ndarray:
    if policy is None:
        return of_actions.max(axis=-1)
    if isinstance(policy, str):
        return of_actions.mean(axis=-1)
    if policy.ndim == of_actions.ndim:
        return (policy * of_actions).sum(axis=-1)
    return np.take_along_axis(of_actions, policy[..., None], axis=-1)[..., 0]
