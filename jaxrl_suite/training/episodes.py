"""Whole episodes, played through `start` and `act`, no learning: a step of one, and one of them kept state by state."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.agent import Agent
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.precision import precision
from jaxrl_suite.training import processes
from jaxrl_suite.training.members import EVALUATION

CHUNK = 64
"""Steps that are compiled as one scan when an episode is kept, whatever the limit on its length."""


class Play(NamedTuple):
    """An episode under way. length: int32, steps so far. observation, env_state: the environment's. memory: the
    agent's. total: float32, undiscounted return so far. ended: bool, terminated or truncated."""

    length: jax.Array
    observation: Any
    env_state: Any
    memory: Any
    total: jax.Array
    ended: jax.Array


class Episode(NamedTuple):
    """An episode of T steps, arrays on the host.

    Attributes:
        env, env_params: what was played in.
        states, observations: the environment's, leaves [T + 1, ...]: before the first step, and after each.
        actions: leaves [T, ...]. rewards: float32 [T].
        ended: whether the environment ended it; False where a limit on its length did.
    """

    env: Any
    env_params: Any
    states: Any
    observations: Any
    actions: Any
    rewards: np.ndarray
    ended: bool


def play_episode(
    agent: Agent,
    state: Any,
    *,
    seed: int,
    number: int = 0,
    greedy: bool = True,
    max_steps: int | None = None,
    env: Any = None,
    env_params: Any = None,
) -> Episode:
    """Plays one episode of one member and keeps every state; what `evaluate` plays as this seed's episode `number`.

    Args:
        state: of one member, without leading axes (`Run.member`).
        seed: the member's. number: >= 0.
        greedy, max_steps, env, env_params: as of `evaluate`.

    Raises:
        ConfigError: as `evaluate` does, and for a negative number.
    """
    if number < 0:
        raise ConfigError(f"number = {number}: must be >= 0")
    env, params, limit = arena(agent, env, env_params, max_steps)
    with precision(agent.info.precision):
        # In so many at once, so that episodes share a program.
        key = evaluation_keys(jnp.asarray([seed], jnp.uint32), CHUNK * (number // CHUNK + 1))[number, 0]
        start, go_on = _recorder(agent, env, greedy)
        play, key_steps = start(key, state, params)
        kept = [jax.tree.map(lambda x: x[None], (play.env_state, play.observation))]
        played: list[Any] = []
        while not play.ended and play.length < limit:
            play, (after, step) = go_on(key_steps, state, params, play)
            kept.append(after)
            played.append(step)
        # Beyond the end the last chunk went on with states that mean nothing.
        actions, rewards, ended = _joined(played)
        length = min(int(np.argmax(ended)) + 1 if ended.any() else len(ended), limit)
        states, observations = jax.tree.map(lambda x: x[: length + 1], _joined(kept))
        actions = jax.tree.map(lambda x: x[:length], actions)
        return Episode(env, params, states, observations, actions, rewards[:length], bool(ended[:length].any()))


def arena(agent: Agent, env: Any, env_params: Any, max_steps: int | None) -> tuple[Any, Any, int]:
    """(environment, parameters, limit on an episode's length) to play in; see `evaluate`.

    Raises:
        ConfigError: if `env` comes without its parameters, there is no positive limit, or there are several processes.
    """
    if env is not None and env_params is None:
        raise ConfigError(f"env = {env.id}: must come with env_params")
    if processes.count() > 1:
        raise ConfigError("evaluation: must be called in one process")
    params = agent.info.env_params if env_params is None else env_params
    limit = time_limit(params) if max_steps is None else max_steps
    if limit < 1:
        raise ConfigError(f"max_steps = {limit}: must be >= 1")
    return agent.info.env if env is None else env, params, limit


def time_limit(params: Any) -> int:
    """The environment's own limit on steps. Raises ConfigError if its parameters have none."""
    known = getattr(params, "max_steps_in_episode", None)
    if known is not None:
        return int(np.max(known))
    if hasattr(params, "env"):
        return time_limit(params.env)
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        if getattr(path[-1], "name", "") == "max_steps_in_episode":
            return int(np.max(leaf))
    raise ConfigError("max_steps: the environment has no max_steps_in_episode, so evaluation needs a limit")


@functools.partial(jax.jit, static_argnums=1)
def evaluation_keys(seeds: jax.Array, episodes: int) -> jax.Array:
    """[episode, member]: an episode's key is the same whatever their number."""

    def of_member(seed: jax.Array) -> jax.Array:
        return jax.random.split(jax.random.fold_in(jax.random.key(seed), EVALUATION), episodes)

    return jax.vmap(of_member, out_axes=1)(seeds)


def begin(agent: Agent, env: Any, key: jax.Array, state: Any, params: Any) -> tuple[Play, jax.Array]:
    """(an episode before its first step, the key of its steps)."""
    key_start, key_reset, key_steps = jax.random.split(key, 3)
    observation, env_state = env.reset(key_reset, params)
    memory = agent.start(key_start, state)
    return Play(jnp.int32(0), observation, env_state, memory, jnp.float32(0.0), jnp.asarray(False)), key_steps


def play_step(
    agent: Agent, env: Any, greedy: bool, key_steps: jax.Array, state: Any, params: Any, play: Play
) -> tuple[Play, Any, jax.Array]:
    """(the episode after one more step, its action, its reward)."""
    length, observation, env_state, memory, total, _ = play
    key_act, key_env = jax.random.split(jax.random.fold_in(key_steps, length))
    action, memory = agent.act(key_act, state, memory, observation, greedy)
    observation, env_state, reward, terminated, truncated = env.transition(key_env, env_state, action, params)
    after = Play(length + 1, observation, env_state, memory, total + reward, terminated | truncated)
    return after, action, reward


@functools.lru_cache(maxsize=32)
def _recorder(agent: Agent, env: Any, greedy: bool) -> tuple[Any, Any]:
    """(begin, the next `CHUNK` steps and what they left)."""

    def go_on(key_steps: jax.Array, state: Any, params: Any, play: Play) -> Any:
        def step(play: Play, _: Any) -> Any:
            after, action, reward = play_step(agent, env, greedy, key_steps, state, params, play)
            kept = (after.env_state, after.observation), (action, reward, after.ended)
            return after._replace(ended=play.ended | after.ended), kept

        return jax.lax.scan(step, play, length=CHUNK)

    return jax.jit(functools.partial(begin, agent, env)), jax.jit(go_on)


def _joined(parts: list[Any]) -> Any:
    """Along the first axis, on the host as far as NumPy knows the kind (keys stay JAX's)."""

    def joined(*leaves: jax.Array) -> Any:
        if jnp.issubdtype(leaves[0].dtype, jax.dtypes.extended):
            return jnp.concatenate(leaves)
        return np.concatenate([np.asarray(leaf) for leaf in leaves])

    return jax.tree.map(joined, *parts)
