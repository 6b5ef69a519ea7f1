"""Games as environments, `make("game/kuhn_poker")`: one stream of decisions, of whoever's turn it is (self-play).

The reward is player 0's, paid at the end; in a zero-sum game player 1 gets the opposite.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.envs.observations import state_number
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.games.game import Game
from jaxrl_suite.games.registry import list_games, load
from jaxrl_suite.games.rules import CHANCE, END
from jaxrl_suite.sampling import sample_index


class Turns(NamedTuple):
    """What learners in self-play, and search, ask of a game.

    player(observation, params) -> int32 [...], whose turn it is. legal(observation, params) -> bool [..., A]. signs:
    what player 0's reward is multiplied with for each player. observe(state, params): what the player whose turn it is
    sees, of one state; the rest are of observations with any leading axes.
    """

    player: Callable[[Any, Any], jax.Array]
    legal: Callable[[Any, Any], jax.Array]
    signs: tuple[float, ...]
    observe: Callable[[Any, Any], Any]


class GameEnv(BaseEnv):
    """A game written out, stepped from node to node. Its parameters are the `Game`; a state is (node, stage), int32.

    Observations: `raw`, the number of the information set, int32; else it one-hot, float32 [I]. An illegal action is
    played as the lowest legal one. A step's info has `player`, whose turn it was, and `returns` [2], 0 until the end.
    """

    def __init__(self, id: str, game: Game, observation: str = "auto"):
        self.id, self.default_params, self.observation = id, game, observation
        self.observation_kind = "any" if observation == "raw" else "one_hot"
        is_shared = np.allclose(game.ends[:, 0], game.ends[:, 1])
        if game.is_zero_sum or is_shared:
            signs = (1.0, -1.0 if game.is_zero_sum else 1.0)
            self.turns = Turns(self._player, self._legal, signs, lambda state, params: self._observe(state[0], params))

    def _player(self, observation: jax.Array, params: Game) -> jax.Array:
        return jnp.asarray(params.player)[state_number(observation)]

    def _legal(self, observation: jax.Array, params: Game) -> jax.Array:
        return jnp.asarray(params.legal)[state_number(observation)]

    def observed_as(self, observation: str) -> "GameEnv":
        if observation not in ("auto", "raw"):
            return super().observed_as(observation)  # type: ignore[return-value]
        return GameEnv(self.id, self.default_params, observation)

    def check_params(self, params: Any) -> None:
        if not isinstance(params, Game):
            raise ConfigError(f"{self.id}: its parameters must be a Game, not {type(params).__name__}")

    def _own(self, params: Any) -> Any:
        return params

    def observation_space(self, params: Game) -> Any:
        from gymnax.environments import spaces

        if self.observation == "raw":
            return spaces.Discrete(params.num_infosets)
        return spaces.Box(0.0, 1.0, (params.num_infosets,), jnp.float32)

    def action_space(self, params: Game) -> Any:
        from gymnax.environments import spaces

        return spaces.Discrete(params.num_actions)

    def _reset(self, key: jax.Array, params: Game) -> tuple[Any, Any]:
        node = self._settled(key, jnp.zeros((), jnp.int32), params)
        return self._observe(node, params), (node, jnp.zeros((), jnp.int32))

    def _advance(self, key: jax.Array, state: Any, action: Any, params: Game) -> tuple[Any, ...]:
        node, stage = state
        nodes = jax.tree.map(jnp.asarray, params.nodes)
        legal = jnp.asarray(params.legal)[nodes.infoset[node]]
        played = jnp.where(legal[action], action, jnp.argmax(legal))
        following = self._settled(key, nodes.children[node, played], params)
        is_over = nodes.player[following] == END
        returns = jnp.where(is_over, nodes.returns[following], 0.0)
        info = {"player": nodes.player[node], "returns": returns}
        return self._observe(following, params), (following, stage + 1), returns[0], is_over, False, info

    def _settled(self, key: jax.Array, node: jax.Array, params: Game) -> jax.Array:
        """The node of a player's turn, or the end, that chance leads to."""
        nodes = jax.tree.map(jnp.asarray, params.nodes)
        for index in range(params.chances_in_a_row):
            uniform = jax.random.uniform(jax.random.fold_in(key, index), dtype=nodes.probability.dtype)
            drawn = nodes.children[node, sample_index(nodes.probability[node], uniform)]
            node = jnp.where(nodes.player[node] == CHANCE, drawn, node)
        return node

    def _observe(self, node: jax.Array, params: Game) -> jax.Array:
        return self.observation_of(jnp.asarray(params.nodes.infoset)[node], params)

    def observation_of(self, infoset: jax.Array, params: Game) -> jax.Array:
        """What is seen at an information set."""
        if self.observation == "raw":
            return infoset
        return jax.nn.one_hot(infoset, params.num_infosets, dtype=jnp.float32)


IDS = tuple(f"game/{name}" for name in list_games())


def make(id: str, **options: Any) -> tuple[GameEnv, Game]:
    """The environment `game/NAME` and the game.

    Args:
        **options: of the game's rules.

    Raises:
        UnknownNameError: for another name. ConfigError: as `games.load`.
    """
    game = load(id.removeprefix("game/"), **options)
    return GameEnv(id, game), game
