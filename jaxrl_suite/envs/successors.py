"""Sparse tables of finite MDPs: for each state and action the few states that may follow, instead of a whole row."""

from typing import Any

import jax
import numpy as np

from jaxrl_suite.envs.tabular import TabularMDP
from jaxrl_suite.errors import ConfigError


@jax.tree_util.register_pytree_with_keys_class
class SuccessorMDP:
    """A finite MDP with a horizon as successor indices: argument of `jaxrl_suite.solvers.effective_horizon`.

    An episode that ends goes to a state that stays where it is and pays nothing.

    Attributes:
        successors: int32 [S, A, B], the states that may follow. One that is never drawn has probability 0.
        probabilities: float64 [S, A, B], of each; rows sum to one. B is 1 where nothing is random.
        rewards: float64 [S, A], expected.
        initial: float64 [S], distribution of the first state.
        horizon: T, steps of an episode; static.

    Raises:
        ConfigError: naming the first offending state and action. Traced arrays are taken as they are.
    """

    def __init__(self, successors: Any, probabilities: Any, rewards: Any, initial: Any, horizon: int):
        self.successors, self.probabilities, self.rewards = successors, probabilities, rewards
        self.initial, self.horizon = initial, horizon
        if not any(isinstance(x, jax.core.Tracer) for x in (successors, probabilities, rewards, initial)):
            self._check()

    @classmethod
    def from_table(cls, following: Any, rewards: Any, horizon: int, start: int = 0) -> "SuccessorMDP":
        """A deterministic MDP from a table of next states.

        Args:
            following: ints [S, A], -1 where the episode ends. rewards: [S, A]. start: the first state.
        """
        following, rewards = np.asarray(following), np.asarray(rewards, np.float64)
        if following.ndim != 2 or following.shape != rewards.shape:
            raise ConfigError(f"following: shape {following.shape}: must be [S, A], as rewards {list(rewards.shape)}")
        states, actions = following.shape
        _refuse((following < -1) | (following >= states), following, f"must be -1 to {states - 1}", "following")
        ended = np.where(following == -1, states, following)
        successors = np.concatenate([ended, np.full((1, actions), states)])[..., None]
        rewards = np.concatenate([rewards, np.zeros((1, actions))])
        if not 0 <= start < states:
            raise ConfigError(f"start = {start}: must be 0 to {states - 1}")
        initial = np.zeros(states + 1)
        initial[start] = 1.0
        return cls(successors, np.ones(successors.shape), rewards, initial, horizon)

    @classmethod
    def from_tabular(cls, mdp: TabularMDP) -> "SuccessorMDP":
        """The same MDP as successor indices. One whose rows depend on the stage gets a state for each stage and state.

        Raises:
            ConfigError: without a horizon, or with a discount other than 1.
        """
        if mdp.horizon is None or float(mdp.discount) != 1.0:
            raise ConfigError(
                f"horizon = {mdp.horizon}, discount = {float(mdp.discount):g}: needs a horizon and discount 1"
            )
        transitions, rewards = np.asarray(mdp.transitions, np.float64), np.asarray(mdp.rewards, np.float64)
        initial = np.asarray(mdp.initial, np.float64)
        if transitions.ndim == 3 and rewards.ndim == 2:
            return cls(*_few(transitions), rewards, initial, mdp.horizon)
        horizon, states, actions = mdp.horizon, mdp.num_states, mdp.num_actions
        transitions = np.broadcast_to(transitions, (horizon, states, actions, states))
        rewards = np.broadcast_to(rewards, (horizon, states, actions)).reshape(-1, actions)
        successors, probabilities = _few(transitions.reshape(-1, actions, states))
        total = horizon * states
        # What follows is a stage on; after the last stage there is one state more, where nothing is paid.
        successors = successors + states * (1 + np.arange(total) // states)[:, None, None]
        successors = np.concatenate([np.minimum(successors, total), np.full((1, *successors.shape[1:]), total)])
        last = np.zeros((1, *probabilities.shape[1:]))
        last[..., 0] = 1.0
        return cls(
            successors,
            np.concatenate([probabilities, last]),
            np.concatenate([rewards, np.zeros((1, actions))]),
            np.concatenate([initial, np.zeros(total + 1 - states)]),
            horizon,
        )

    def sticky(self, probability: float = 0.25) -> "SuccessorMDP":
        """This MDP with sticky actions: from the second step on, the action executed last is executed again with this
        probability instead of the chosen one, and is part of the state.

        State s with last action b is number s A + b; first states, which have no last action, are numbered behind them.
        """
        if not 0.0 <= probability <= 1.0:
            raise ConfigError(f"probability = {probability!r}: must be >= 0 and <= 1")
        states, actions = self.num_states, self.num_actions
        remembered = self.successors * actions + np.arange(actions)[:, None]  # [S, A, B]
        shape = (states, actions, actions, self.successors.shape[-1])  # state, last action, chosen action, what follows
        chosen, stuck = remembered[:, None], remembered[:, :, None]
        successors = np.concatenate([np.broadcast_to(chosen, shape), np.broadcast_to(stuck, shape)], axis=-1)
        likely = np.concatenate(
            [
                np.broadcast_to((1.0 - probability) * self.probabilities[:, None], shape),
                np.broadcast_to(probability * self.probabilities[:, :, None], shape),
            ],
            axis=-1,
        )
        rewards = (1.0 - probability) * self.rewards[:, None] + probability * self.rewards[:, :, None]
        first = np.flatnonzero(self.initial > 0)
        start = np.zeros((len(first), actions, successors.shape[-1]))
        start[..., : remembered.shape[-1]] = self.probabilities[first]
        fresh = np.concatenate([remembered[first]] * 2, axis=-1)
        return SuccessorMDP(
            np.concatenate([successors.reshape(states * actions, actions, -1), fresh]),
            np.concatenate([likely.reshape(states * actions, actions, -1), start]),
            np.concatenate([rewards.reshape(states * actions, actions), self.rewards[first]]),
            np.concatenate([np.zeros(states * actions), self.initial[first]]),
            self.horizon,
        )

    @property
    def num_states(self) -> int:
        return self.rewards.shape[-2]

    @property
    def num_actions(self) -> int:
        return self.rewards.shape[-1]

    @property
    def max_steps_in_episode(self) -> int:
        return self.horizon

    def _check(self) -> None:
        if isinstance(self.horizon, bool) or not isinstance(self.horizon, (int, np.integer)) or self.horizon < 1:
            raise ConfigError(f"horizon = {self.horizon!r}: must be a whole number >= 1")
        rewards, successors = np.asarray(self.rewards, np.float64), np.asarray(self.successors)
        probabilities, initial = np.asarray(self.probabilities, np.float64), np.asarray(self.initial, np.float64)
        if rewards.ndim != 2 or 0 in rewards.shape:
            raise ConfigError(f"rewards: shape {rewards.shape}: must be [S, A]")
        if successors.ndim != 3 or successors.shape[:2] != rewards.shape:
            raise ConfigError(
                f"successors: shape {successors.shape}: must be [{rewards.shape[0]}, {rewards.shape[1]}, B]"
            )
        if probabilities.shape != successors.shape:
            raise ConfigError(f"probabilities: shape {probabilities.shape}: must be {list(successors.shape)}")
        if initial.shape != rewards.shape[:1]:
            raise ConfigError(f"initial: shape {initial.shape}: must be [{rewards.shape[0]}]")
        states = rewards.shape[0]
        is_far = ((successors < 0) | (successors >= states)).any(axis=-1)
        _refuse(is_far, successors, f"must be states 0 to {states - 1}", "successors")
        is_row = (probabilities >= 0).all(axis=-1) & (np.abs(probabilities.sum(axis=-1) - 1.0) <= 1e-6)
        _refuse(~is_row, probabilities, "must be probabilities that sum to 1", "probabilities")
        _refuse(~np.isfinite(rewards), rewards, "must be finite", "rewards")
        if (initial < 0).any() or abs(initial.sum() - 1.0) > 1e-6:
            raise ConfigError(f"initial: sums to {initial.sum():g}: must be probabilities that sum to 1")
        self.successors, self.probabilities = successors.astype(np.int32), probabilities
        self.rewards, self.initial, self.horizon = rewards, initial, int(self.horizon)

    def tree_flatten_with_keys(self) -> tuple[Any, int]:
        names = ("successors", "probabilities", "rewards", "initial")
        return tuple((jax.tree_util.GetAttrKey(name), getattr(self, name)) for name in names), self.horizon

    @classmethod
    def tree_unflatten(cls, horizon: int, leaves: Any) -> "SuccessorMDP":
        made = object.__new__(cls)
        made.successors, made.probabilities, made.rewards, made.initial = leaves
        made.horizon = horizon
        return made

    def __repr__(self) -> str:
        return f"<SuccessorMDP {self.num_states} states, {self.num_actions} actions, horizon {self.horizon}>"


def _few(transitions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(successors, probabilities) [S, A, B] of dense rows [S, A, S'], B the most that any row has."""
    width = max(1, int((transitions > 0).sum(axis=-1).max()))
    successors = np.argsort(-transitions, axis=-1, kind="stable")[..., :width]
    return successors, np.take_along_axis(transitions, successors, axis=-1)


def _refuse(is_bad: np.ndarray, values: np.ndarray, allowed: str, name: str) -> None:
    if is_bad.any():
        state, action = np.argwhere(is_bad)[0]
        raise ConfigError(f"{name} of state {state}, action {action} = {values[state, action]}: {allowed}")
