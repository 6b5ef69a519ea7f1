"""A game seen from one seat: the other players are part of the environment.

What sits there is anything with `start` and `act` (an agent, one that searches too): the environment gets it as
functions, and its state is among the environment's parameters, so another one of its kind is no new program.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.envs.game_env import Turns
from jaxrl_suite.envs.wrappers import OnePerArguments
from jaxrl_suite.errors import ConfigError


@struct.dataclass
class SeatedParams:
    """env: the game's parameters. player: the state of the agent in the other seats. seat: whose view it is."""

    env: Any
    player: Any
    seat: int


@struct.dataclass
class SeatedState:
    """env: the game's state. memory: the other seats' players', shared by them."""

    env: Any
    memory: Any


class SeatedEnv(BaseEnv, metaclass=OnePerArguments):
    """The game `env` for the player in one seat, who decides only at its own turns and is paid its own reward.

    Parameters are `SeatedParams`: build them by `wrap_params(env_params, state)`. The seat is among them: all seats are
    one program.

    Args:
        env: a game in self-play, with `turns`. player: an agent of that game, for all other seats. seat: 0, 1, ...,
            that `wrap_params` writes. greedy: whether the player plays greedily.

    Raises:
        ConfigError: for an environment that is no such game, or a seat it does not have.
    """

    def __init__(self, env: Any, player: Any, seat: int, greedy: bool = False):
        turns = getattr(env, "turns", None)
        if turns is None:
            raise ConfigError(f"SeatedEnv: {env.id}: must be a game, with turns")
        if seat not in range(len(turns.signs)):
            raise ConfigError(f"SeatedEnv: seat = {seat!r}: must be one of 0 to {len(turns.signs) - 1}")
        self.env, self.player, self.seat, self.greedy = env, player, seat, greedy
        self.id = f"{env.id}+against({player.info.name}, seat {seat})"
        self.turns = Turns(
            lambda o, p: jnp.zeros_like(turns.player(o, p.env)),
            lambda o, p: turns.legal(o, p.env),
            (1.0,),
            lambda s, p: turns.observe(s.env, p.env),
        )

    def wrap_params(self, params: Any, player: Any) -> SeatedParams:
        """The parameters: the game's own, the other player's state (of one member), and the seat."""
        return SeatedParams(params, player, self.seat)

    def check_params(self, params: Any) -> None:
        self.env.check_params(params.env)
        seats = len(self.env.turns.signs)
        if not np.isin(params.seat, np.arange(seats)).all():
            raise ConfigError(f"{self.id}: seat = {params.seat}: must be one of 0 to {seats - 1}")

    def _own(self, params: Any) -> Any:
        return params

    def observation_space(self, params: SeatedParams) -> Any:
        return self.env.observation_space(params.env)

    def action_space(self, params: SeatedParams) -> Any:
        return self.env.action_space(params.env)

    def _reset(self, key: jax.Array, params: SeatedParams) -> tuple[Any, SeatedState]:
        key_env, key_start, key_play = jax.random.split(key, 3)
        observation, state = self.env.reset(key_env, params.env)
        begun = SeatedState(state, self.player.start(key_start, params.player))
        observation, state, _, _, _ = self._until_own_turn(key_play, observation, begun, params)
        return observation, state

    def _advance(self, key: jax.Array, state: SeatedState, action: Any, params: SeatedParams) -> tuple[Any, ...]:
        key_step, key_play = jax.random.split(key)
        result = self.env.transition(key_step, state.env, action, params.env)
        observation, inner, reward, terminated, truncated = result
        observation, state, further, terminated, truncated = self._until_own_turn(
            key_play, observation, SeatedState(inner, state.memory), params, terminated, truncated
        )
        sign = jnp.asarray(self.env.turns.signs, jnp.float32)[params.seat]
        return observation, state, sign * (reward + further), terminated, truncated, {}

    def _until_own_turn(
        self,
        key: jax.Array,
        observation: Any,
        state: SeatedState,
        params: SeatedParams,
        terminated: Any = False,
        truncated: Any = False,
    ) -> tuple[Any, SeatedState, jax.Array, jax.Array, jax.Array]:
        """The others play: (observation, state, player 0's reward, terminated, truncated)."""

        def is_theirs(carry: Any) -> jax.Array:
            _, observation, _, _, terminated, truncated = carry
            return ~terminated & ~truncated & (self.env.turns.player(observation, params.env) != params.seat)

        def one_turn(carry: Any) -> Any:
            count, observation, state, total, _, _ = carry
            key_act, key_step = jax.random.split(jax.random.fold_in(key, count))
            action, memory = self.player.act(key_act, params.player, state.memory, observation, self.greedy)
            result = self.env.transition(key_step, state.env, action, params.env)
            observation, inner, reward, terminated, truncated = result
            return count + 1, observation, SeatedState(inner, memory), total + reward, terminated, truncated

        flags = jnp.asarray(terminated), jnp.asarray(truncated)
        carry = (jnp.int32(0), observation, state, jnp.float32(0.0), *flags)
        return jax.lax.while_loop(is_theirs, one_turn, carry)[1:]
