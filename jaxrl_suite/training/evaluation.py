"""Evaluation: whole episodes played through `start` and `act`, no learning. Episodes are spread over the devices."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.agent import Agent
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.precision import precision
from jaxrl_suite.training.episodes import Play, arena, begin, evaluation_keys, play_step
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
    env, params, limit = arena(agent, env, env_params, max_steps)
    with precision(agent.info.precision):
        plan = make_plan(episodes, devices)
        keys = place(pad(evaluation_keys(jnp.asarray(np.asarray(seeds), jnp.uint32), episodes), plan), plan)
        play = _player(agent, env, plan, greedy)
        played = play(keys, *replicate((state, params, jnp.int32(limit)), plan))
        return Evaluation(*(np.asarray(x)[..., :episodes] for x in played))


@functools.lru_cache(maxsize=32)
def _player(agent: Agent, env: Any, plan: Plan, greedy: bool) -> Any:
    def episode(key: jax.Array, state: Any, params: Any, limit: jax.Array) -> Any:
        play, key_steps = begin(agent, env, key, state, params)

        def is_running(play: Play) -> jax.Array:
            return jnp.logical_and(~play.ended, play.length < limit)

        def go_on(play: Play) -> Play:
            return play_step(agent, env, greedy, key_steps, state, params, play)[0]

        play = jax.lax.while_loop(is_running, go_on, play)
        return play.total, play.length, play.ended

    member = jax.vmap(episode, (0, None, None, None))

    def batch(keys: jax.Array, state: Any, params: Any, limit: jax.Array) -> Any:
        return jax.vmap(member, (0, 0, None, None))(jnp.swapaxes(keys, 0, 1), state, params, limit)

    # Every episode needs all of a member's state and only its own key: episodes are the axis that is spread.
    return jax.jit(over_members(batch, plan, (True, False, False, False), (1, 1, 1)))
