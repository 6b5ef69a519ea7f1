"""Evaluation: whole episodes played through `start` and `act`, no learning. Episodes are spread over the devices."""

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
from jaxrl_suite.training.placement import Plan, make_plan, over_members, pad, place, replicate


class Evaluation(NamedTuple):
    """returns: float32 [..., episode], undiscounted; lengths: int32 [..., episode]; ended: bool [..., episode].

    Leading axes are the state's ([seed], or [setting, seed]). An episode that had not ended within `max_steps` has
    `ended` False and the return so far.
    """

    returns: np.ndarray
    lengths: np.ndarray
    ended: np.ndarray


def evaluate(
    agent: Agent,
    state: Any,
    *,
    seeds: Any,
    episodes: int = 64,
    greedy: bool = True,
    max_steps: int | None = None,
    env: Any = None,
    env_params: Any = None,
    devices: int | None = None,
) -> Evaluation:
    """Plays `episodes` whole episodes with every member of `state`, each from its seed's own evaluation stream.

    Args:
        state: states with a leading axis [seed].
        seeds: [seed] the seeds of that axis.
        greedy: the policy's mode instead of a sample.
        max_steps: limit on the length of an episode; needed only where the environment has no time limit.
        env: environment to play in instead of the agent's own, with `env_params` of its own: a game from one seat.
        env_params: parameters to play under, instead of the agent's own.
        devices: how many the episodes are spread over; default: all that JAX shows (see `use_cores`).

    Raises:
        ConfigError: if `env` comes without its parameters, `episodes` or `max_steps` is not positive, or the
            environment's limit is unknown, or there are not so many devices.
    """
    if episodes < 1:
        raise ConfigError(f"episodes = {episodes}: must be >= 1")
    if env is not None and env_params is None:
        raise ConfigError(f"env = {env.id}: must come with env_params")
    if processes.count() > 1:
        raise ConfigError("evaluate: must be called in one process")
    params = agent.info.env_params if env_params is None else env_params
    limit = time_limit(params) if max_steps is None else max_steps
    if limit < 1:
        raise ConfigError(f"max_steps = {limit}: must be >= 1")
    with precision(agent.info.precision):
        plan = make_plan(episodes, devices)
        keys = place(pad(_keys(jnp.asarray(np.asarray(seeds), jnp.uint32), episodes), plan), plan)
        play = _player(agent, agent.info.env if env is None else env, plan, greedy)
        played = play(keys, *replicate((state, params, jnp.int32(limit)), plan))
        return Evaluation(*(np.asarray(x)[..., :episodes] for x in played))


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
def _keys(seeds: jax.Array, episodes: int) -> jax.Array:
    """[episode, member]."""

    def of_member(seed: jax.Array) -> jax.Array:
        return jax.random.split(jax.random.fold_in(jax.random.key(seed), EVALUATION), episodes)

    return jax.vmap(of_member, out_axes=1)(seeds)


@functools.lru_cache(maxsize=32)
def _player(agent: Agent, env: Any, plan: Plan, greedy: bool) -> Any:
    def episode(key: jax.Array, state: Any, params: Any, limit: jax.Array) -> Any:
        key_start, key_reset, key_steps = jax.random.split(key, 3)
        observation, env_state = env.reset(key_reset, params)
        memory = agent.start(key_start, state)

        def is_running(loop: Any) -> jax.Array:
            return jnp.logical_and(~loop[-1], loop[0] < limit)

        def play_step(loop: Any) -> Any:
            length, observation, env_state, memory, total, _ = loop
            key_act, key_env = jax.random.split(jax.random.fold_in(key_steps, length))
            action, memory = agent.act(key_act, state, memory, observation, greedy)
            observation, env_state, reward, terminated, truncated = env.transition(key_env, env_state, action, params)
            return length + 1, observation, env_state, memory, total + reward, terminated | truncated

        loop = (jnp.int32(0), observation, env_state, memory, jnp.float32(0.0), jnp.asarray(False))
        length, *_, total, ended = jax.lax.while_loop(is_running, play_step, loop)
        return total, length, ended

    member = jax.vmap(episode, (0, None, None, None))

    def batch(keys: jax.Array, state: Any, params: Any, limit: jax.Array) -> Any:
        return jax.vmap(member, (0, 0, None, None))(jnp.swapaxes(keys, 0, 1), state, params, limit)

    # Every episode needs all of a member's state and only its own key: episodes are the axis that is spread.
    return jax.jit(over_members(batch, plan, (True, False, False, False), (1, 1, 1)))
