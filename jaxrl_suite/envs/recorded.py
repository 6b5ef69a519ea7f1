"""Episodes as arrays: played and recorded where observations show the state's number and episodes have a fixed length.

Offline data are such episodes in one array, float64 [episodes, 3, H + 1]: states' numbers, actions and rewards, of
which the last two's ends are 0 and unused.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.envs.observations import number_of_states, shows_number, state_number
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.precision import float64


@struct.dataclass
class Episodes:
    """states: int32 [M, H + 1], actions: int32 [M, H], rewards [M, H] of the episodes so far, offline ones first;
    length: how many they are."""

    states: jax.Array
    actions: jax.Array
    rewards: jax.Array
    length: jax.Array

    @property
    def is_real(self) -> jax.Array:
        """bool [M, 1]: which rows are episodes and not yet empty."""
        return (jnp.arange(len(self.states)) < self.length)[:, None]

    def recorded(self, shifted: bool) -> jax.Array:
        """int32 [M, H], the states whose features go into the data: of each step, or of the state that followed."""
        return self.states[:, 1:] if shifted else self.states[:, :-1]


def horizon_of(env: Any, env_params: Any) -> int:
    """H, steps an episode. Raises ConfigError where episodes have no fixed length."""
    horizon = getattr(env_params, "horizon", None) or getattr(env_params, "max_steps_in_episode", None)
    if horizon is None:
        raise ConfigError(f"{env.id}: must have a horizon, as make('tabular/lock') has")
    return int(horizon)


def check_shows_number(env: Any, env_params: Any) -> None:
    """Raises ConfigError unless observations show which state it is."""
    if not shows_number(env, env_params):
        raise ConfigError(f"{env.id}: must show its state's number: make(…, observation='raw')")


def play_recorded(
    env: Any, env_params: Any, key: jax.Array, horizon: int, choose: Callable[[jax.Array, jax.Array, jax.Array], Any]
) -> Episodes:
    """An episode by `choose(key, stage, state's number) -> action`, without leading axis."""
    key_reset, key_episode = jax.random.split(key)
    first, env_state = env.reset(key_reset, env_params)

    def act_and_step(carry: Any, inputs: Any) -> tuple[Any, Any]:
        (here, env_state), (h, key) = carry, inputs
        key_act, key_step = jax.random.split(key)
        action = choose(key_act, h, here).astype(jnp.int32)
        following, env_state, reward, _, _ = env.transition(key_step, env_state, action, env_params)
        return (state_number(following), env_state), (here, action, reward.astype(float))

    inputs = (jnp.arange(horizon), jax.random.split(key_episode, horizon))
    (last, _), (states, actions, rewards) = jax.lax.scan(act_and_step, (state_number(first), env_state), inputs)
    return Episodes(jnp.append(states, last), actions, rewards, jnp.ones((), jnp.int32))


def record_episodes(env: Any, env_params: Any, episodes: int, policy: Any = None, seed: int = 0) -> np.ndarray:
    """Offline data: episodes of a policy, float64 [episodes, 3, H + 1] (see above).

    Args:
        policy: probabilities of actions, [H, S, A] or [S, A]; None for uniform play.

    Raises:
        ConfigError: for an environment whose observations do not show the state's number or whose episodes have no
            fixed length, no episodes, or a policy of another shape or that is none.
    """
    horizon, num_actions = horizon_of(env, env_params), int(env.action_space(env_params).n)
    check_shows_number(env, env_params)
    if episodes < 1:
        raise ConfigError(f"episodes = {episodes}: must be >= 1")
    if policy is None:
        policy = np.full(num_actions, 1.0 / num_actions)
    else:
        policy = _checked(np.asarray(policy, np.float64), (horizon, number_of_states(env, env_params), num_actions))

    def play(key: jax.Array, logits: jax.Array) -> Episodes:
        def choose(key: jax.Array, h: jax.Array, here: jax.Array) -> jax.Array:
            of_state = logits if logits.ndim == 1 else logits[here] if logits.ndim == 2 else logits[h, here]
            return jax.random.categorical(key, of_state)

        return play_recorded(env, env_params, key, horizon, choose)

    with float64(), np.errstate(divide="ignore"):
        keys = jax.random.split(jax.random.key(seed), episodes)
        played = jax.jit(jax.vmap(play, (0, None)))(keys, jnp.asarray(np.log(policy)))
    data = np.zeros((episodes, 3, horizon + 1))
    data[:, 0], data[:, 1, :-1], data[:, 2, :-1] = played.states, played.actions, played.rewards
    return data


def _checked(policy: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if policy.shape not in (shape, shape[1:]):
        raise ConfigError(f"policy: shape {policy.shape}: must be {list(shape)} or {list(shape[1:])}")
    if (policy < 0).any() or not np.allclose(policy.sum(axis=-1), 1.0, atol=1e-6):
        raise ConfigError("policy: must be probabilities, not negative and 1 in sum over actions")
    return policy


def dataset_counts(states: Any, actions: Any, mdp: Any) -> np.ndarray:
    """Counts int32 [H, S, A, S] of trajectories in a tabular MDP, as tabular agents take their `dataset`.

    Args:
        states: whole numbers [episodes, H + 1]. actions: whole numbers [episodes, H].

    Raises:
        ConfigError: for an empty dataset, other shapes, or states and actions that the MDP does not have.
    """
    states, actions = np.asarray(states), np.asarray(actions)
    if len(states) == 0:
        raise ConfigError("dataset: empty: at least one episode is needed to learn from")
    horizon = mdp.horizon
    if states.shape[1:] != (horizon + 1,) or actions.shape != (len(states), horizon):
        raise ConfigError(
            f"dataset: shapes {states.shape} and {actions.shape}: must be [episodes, {horizon + 1}] states and "
            f"[episodes, {horizon}] actions"
        )
    for name, values, count in (("state", states, mdp.num_states), ("action", actions, mdp.num_actions)):
        is_bad = (values != np.floor(values)) | (values < 0) | (values >= count)
        if is_bad.any():
            raise ConfigError(f"dataset: {name} {values[is_bad][0]:g}: must be a whole number from 0 to {count - 1}")
    states, actions = states.astype(int), actions.astype(int)
    counts = np.zeros((horizon, mdp.num_states, mdp.num_actions, mdp.num_states), np.int32)
    np.add.at(counts, (np.arange(horizon), states[:, :-1], actions, states[:, 1:]), 1)
    return counts
