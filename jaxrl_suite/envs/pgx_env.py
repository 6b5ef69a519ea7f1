"""pgx's two-player games as environments, `make("pgx/tic_tac_toe")`: needs the extra `games`.

One stream of decisions, of whoever's turn it is; the reward is that of the player who was seated first, which pgx calls
player 0 or 1 at random. Some of pgx's observations are no information sets: `ALIASED` says which, and making one warns.
"""

import importlib
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.envs.game_env import Turns
from jaxrl_suite.errors import ConfigError, UnknownNameError

ALIASED = {
    "kuhn_poker": "its observation shows the card and the chips alone, 6 keys for 12 information sets: who opens and "
    "who answers a pass look alike; game/kuhn_poker tells them apart",
    "leduc_holdem": "its observation shows cards and chips paid, not who did what when, so there is no perfect recall; "
    "game/leduc_poker keeps it",
}
"""Games whose observations are not what a player knows, and why."""


@struct.dataclass
class PgxParams:
    """max_steps_in_episode: decisions after which an episode is cut off."""

    max_steps_in_episode: int = 1000


class PgxEnv(BaseEnv):
    """A game of pgx for two players.

    Observations, float32: pgx's own, flattened; which actions are legal, [A]; and whose turn it is, 0 for the player
    who was seated first. An illegal action is played as the lowest legal one. A state is (pgx's state, the seat's
    player, stage).
    """

    def __init__(self, id: str, game: Any):
        if game.num_players != 2:
            raise ConfigError(f"{id}: has {game.num_players} players; must be a game of two")
        self.id, self.default_params, self.game = id, PgxParams(), game
        self.size = int(np.prod(game.observation_shape)) + game.num_actions + 1
        self.turns = Turns(lambda o, _: o[..., -1].astype(jnp.int32), self._legal, (1.0, -1.0), self._seen)

    def _legal(self, observation: jax.Array, params: Any) -> jax.Array:
        return observation[..., -1 - self.game.num_actions : -1] > 0

    def observation_space(self, params: Any) -> Any:
        from gymnax.environments import spaces

        return spaces.Box(-jnp.inf, jnp.inf, (self.size,), jnp.float32)

    def action_space(self, params: Any) -> Any:
        from gymnax.environments import spaces

        return spaces.Discrete(self.game.num_actions)

    def _reset(self, key: jax.Array, params: PgxParams) -> tuple[Any, Any]:
        state = self.game.init(key)
        first = state.current_player.astype(jnp.int32)
        return self._observe(state, first), (state, first, jnp.zeros((), jnp.int32))

    def _advance(self, key: jax.Array, state: Any, action: Any, params: PgxParams) -> tuple[Any, ...]:
        before, first, stage = state
        legal = before.legal_action_mask
        after = self.game.step(before, jnp.where(legal[action], action, jnp.argmax(legal)).astype(jnp.int32), key)
        stage, is_over = stage + 1, after.terminated | after.truncated
        is_cut = (stage >= params.max_steps_in_episode) & ~is_over
        return self._observe(after, first), (after, first, stage), after.rewards[first], is_over, is_cut, {}

    def _seen(self, state: Any, params: Any) -> jax.Array:
        return self._observe(*state[:2])

    def _observe(self, state: Any, first: jax.Array) -> jax.Array:
        parts = (state.observation.reshape(-1), state.legal_action_mask, (state.current_player != first)[None])
        return jnp.concatenate([part.astype(jnp.float32) for part in parts])


def make(id: str) -> PgxEnv:
    """The environment `pgx/NAME`; warns where its observations are no information sets.

    Raises:
        ConfigError: without pgx, or for a game of other than two players. UnknownNameError: for another name.
    """
    try:
        # By name: where the extra is not installed type checkers do not find it either.
        pgx = importlib.import_module("pgx")
    except ImportError:
        raise ConfigError(f"{id}: needs pgx: install the extra games") from None
    name = id.removeprefix("pgx/")
    if name not in pgx.available_envs():
        raise UnknownNameError("pgx game", name, pgx.available_envs())
    if name in ALIASED:
        warnings.warn(f"{id}: {ALIASED[name]}", stacklevel=2)
    return PgxEnv(id, pgx.make(name))
