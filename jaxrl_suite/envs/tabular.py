"""Tabular Markov decision processes: arrays that can be solved exactly, and stepped like any environment."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.envs.linear_features import LinearFeatures, one_hot_features
from jaxrl_suite.envs.observations import check_mode, encode, encoded_space
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.rows import TOLERANCE, check_rows, where
from jaxrl_suite.sampling import sample_index


@jax.tree_util.register_pytree_with_keys_class
class TabularMDP:
    """A finite MDP as a pytree of arrays: parameters of `TabularEnv` and argument of `jaxrl_suite.solvers`.

    The horizon and the shapes are static, all numbers are leaves: a batch of MDPs is one whose leaves have a further
    leading axis, made by `vmap`.

    Attributes:
        transitions: P(s'|s,a), [S, A, S], or P_h of each stage, [H, S, A, S].
        rewards: r(s,a), [S, A], or [H, S, A]: expected and known.
        initial: distribution of the first state, [S].
        discount: in [0, 1], multiplies every later stage's value once more.
        horizon: H, stages of an episode; None where it goes on for ever (then `discount` < 1).

    Raises:
        ConfigError: naming the first offending state, action and stage. Traced arrays are taken as they are.
    """

    def __init__(
        self, transitions: Any, rewards: Any, initial: Any = 0, horizon: int | None = None, discount: Any = 1.0
    ):
        arrays = [_array(x) for x in (transitions, rewards, discount)]
        self.transitions, self.rewards, self.discount = arrays
        self.horizon = horizon
        _check_shapes(self)
        self.initial = _distribution(initial, self.num_states)
        if not any(isinstance(x, jax.core.Tracer) for x in (*arrays, self.initial)):
            _check_numbers(self)

    @property
    def num_states(self) -> int:
        """S."""
        return int(self.transitions.shape[-1])

    @property
    def num_actions(self) -> int:
        """A."""
        return int(self.rewards.shape[-1])

    @property
    def is_staged(self) -> bool:
        """Whether transitions or rewards depend on the stage."""
        return self.transitions.ndim == 4 or self.rewards.ndim == 3

    @property
    def max_steps_in_episode(self) -> int | None:
        return self.horizon

    def replace(self, **changes: Any) -> "TabularMDP":
        """A copy with other arrays, horizon or discount, checked again."""
        names = ("transitions", "rewards", "initial", "horizon", "discount")
        return TabularMDP(**{name: changes.pop(name, getattr(self, name)) for name in names}, **changes)

    def tree_flatten_with_keys(self) -> tuple[tuple[Any, ...], Any]:
        names = ("transitions", "rewards", "initial", "discount")
        return tuple((jax.tree_util.GetAttrKey(name), getattr(self, name)) for name in names), self.horizon

    @classmethod
    def tree_unflatten(cls, horizon: int | None, children: Any) -> "TabularMDP":
        mdp = object.__new__(cls)
        mdp.transitions, mdp.rewards, mdp.initial, mdp.discount = children
        mdp.horizon = horizon
        return mdp

    def __repr__(self) -> str:
        ends = f"horizon {self.horizon}" if self.horizon is not None else f"discount {self.discount}"
        return f"<TabularMDP {self.num_states} states, {self.num_actions} actions, {ends}>"


def _array(value: Any) -> Any:
    if isinstance(value, jax.core.Tracer):
        return value
    # A copy, so that the caller's later changes do not reach it.
    return np.array(value, np.float64)


def _distribution(initial: Any, states: int) -> Any:
    if isinstance(initial, jax.core.Tracer):
        return initial
    given = np.asarray(initial)
    if given.ndim == 0 and np.issubdtype(given.dtype, np.integer):
        if not 0 <= given < states:
            raise ConfigError(f"initial = {given}: must be a state between 0 and {states - 1}, or a distribution")
        return _array(np.eye(states)[int(given)])
    return _array(initial)


def _check_shapes(mdp: TabularMDP) -> None:
    transitions, rewards, horizon = mdp.transitions, mdp.rewards, mdp.horizon
    if transitions.ndim not in (3, 4) or transitions.shape[-3] != transitions.shape[-1]:
        raise ConfigError(f"transitions: shape {transitions.shape}: must be [S, A, S], or [H, S, A, S] with stages")
    if 0 in transitions.shape:
        raise ConfigError(f"transitions: shape {transitions.shape}: needs at least one state, action and stage")
    expected = transitions.shape[-3:-1]
    if rewards.ndim not in (2, 3) or rewards.shape[-2:] != expected:
        states, actions = expected
        raise ConfigError(
            f"rewards: shape {rewards.shape}: must be [{states}, {actions}], or [H, {states}, {actions}] with stages"
        )
    if horizon is not None and (isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1):
        raise ConfigError(f"horizon = {horizon!r}: must be a whole number >= 1, or None")
    for name, array, plain in (("transitions", transitions, 3), ("rewards", rewards, 2)):
        if array.ndim > plain and array.shape[0] != horizon:
            raise ConfigError(f"{name}: {array.shape[0]} stages, but horizon = {horizon}: must be equal")


def _check_numbers(mdp: TabularMDP) -> None:
    if mdp.discount.shape or not 0.0 <= mdp.discount <= 1.0:
        raise ConfigError(f"discount = {mdp.discount}: must be one number between 0 and 1")
    if mdp.horizon is None and mdp.discount == 1.0:
        raise ConfigError("horizon = None: needs a discount < 1, or give a horizon")
    if mdp.initial.shape != (mdp.num_states,):
        raise ConfigError(f"initial: shape {mdp.initial.shape}: must be [{mdp.num_states}], or one state's number")
    check_rows("transitions", mdp.transitions)
    check_rows("initial", mdp.initial)
    bad = np.argwhere(~np.isfinite(mdp.rewards))
    if len(bad):
        raise ConfigError(f"rewards{where(bad[0], mdp.rewards.ndim - 2)}: {mdp.rewards[tuple(bad[0])]}: not finite")


class NumberedStates(BaseEnv):
    """An environment whose parameters are an MDP with numbered states: what such environments share.

    Observations are the state, encoded as `adapt` says: by default one-hot float32 [S], its number int32 where
    `observation` is `raw`. Rewards are the expected ones, r(s,a). An environment state is (state, stage), both int32.

    Raises:
        ConfigError: for an encoding there is not.
    """

    def __init__(self, id: str, mdp: Any, observation: str = "auto"):
        self.id, self.default_params, self.observation = id, mdp, observation
        check_mode(observation, self._states(mdp), id)

    def observed_as(self, observation: str) -> "NumberedStates":
        return type(self)(self.id, self.default_params, observation)

    def linear_features(self, params: Any) -> LinearFeatures:
        """One-hot: every MDP with numbered states is a linear one."""
        return one_hot_features(params.num_states, params.num_actions)

    def observation_space(self, params: Any) -> Any:
        return encoded_space(self.observation, self._states(params), None)

    def _states(self, params: Any) -> Any:
        from gymnax.environments import spaces

        return spaces.Discrete(params.num_states)

    def action_space(self, params: Any) -> Any:
        from gymnax.environments import spaces

        return spaces.Discrete(params.num_actions)

    def _reset(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        state = sample_index(jnp.asarray(params.initial), jax.random.uniform(key))
        return self.observe(state, params), (state, jnp.zeros((), jnp.int32))

    def observe(self, state: jax.Array, params: Any) -> jax.Array:
        """The observation of a state, int32 []."""
        return encode(self.observation, self._states(params), state)


class TabularEnv(NumberedStates):
    """A tabular MDP as an environment. Its parameters are a `TabularMDP`.

    Episodes of a horizon terminate at its end, where values are zero by definition; others where nothing can follow any
    more: in a state that no action leaves and that pays nothing.
    """

    def _advance(self, key: jax.Array, state: Any, action: Any, params: TabularMDP) -> tuple[Any, ...]:
        here, stage = state
        transitions = _at_stage(params.transitions, stage, 4)
        rewards = _at_stage(params.rewards, stage, 3)
        following = sample_index(transitions[here, action], jax.random.uniform(key))
        stage = stage + 1
        if params.horizon is None:
            stays = jnp.all(transitions[following, :, following] > 1 - TOLERANCE)
            is_over = stays & jnp.all(rewards[following] == 0)
        else:
            is_over = stage >= params.horizon
        return self.observe(following, params), (following, stage), rewards[here, action], is_over, False, {}


def _at_stage(array: Any, stage: jax.Array, staged: int) -> jax.Array:
    array = jnp.asarray(array)
    return array[stage] if array.ndim == staged else array
