"""Board games in the dark whose trees are too large to be written out, `make("board/dark_hex")`: stepped, by bits.

The rules are those of `games.boards`; here a set of cells is the bits of one integer, cell c being bit c, so that many
games are a few integer operations together.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.envs.game_env import Turns
from jaxrl_suite.errors import ConfigError, UnknownNameError
from jaxrl_suite.games.boards import EMPTY, DarkBoard, DarkHex, PhantomTicTacToe

BOARDS: dict[str, Callable[..., DarkBoard]] = {
    "dark_hex": functools.partial(DarkHex, size=3),
    "phantom_tic_tac_toe": PhantomTicTacToe,
}
MOST_CELLS = 16
"""Of a board: all sets of its cells are looked at once, for those that win."""


@struct.dataclass
class BoardParams:
    """max_steps_in_episode: attempts of the longest game."""

    max_steps_in_episode: int


class Boards(NamedTuple):
    """A game's state; each pair is player 0's and 1's. stones: int32, cells with the player's own. found: int32, cells
    where it ran into the other's. order: int8 [cells], the how-manieth attempt of the player each cell was, 0 if none.
    turn: int32, whose turn it is."""

    stones: tuple[jax.Array, jax.Array]
    found: tuple[jax.Array, jax.Array]
    order: tuple[jax.Array, jax.Array]
    turn: jax.Array


class BoardEnv(BaseEnv):
    """A board game in the dark. An illegal attempt is played as the lowest legal one.

    Observations show all that the mover knows, in the order in which it came to know it. Which cells are empty in its
    view, which hold its stones, which the other's, [3 cells]; its attempts; whose turn it is. In `raw`, int8, attempts
    are numbers 1, 2, ... by cell, 0 for none, [cells]; else, float32, the cell of each attempt one-hot [cells x cells].
    """

    def __init__(self, id: str, rules: DarkBoard, observation: str = "auto"):
        self.cells = rules.num_actions
        if self.cells > MOST_CELLS:
            raise ConfigError(f"{id}: size = {rules.size}: must be <= {int(MOST_CELLS**0.5)}")
        self.id, self.rules, self.observation = id, rules, observation
        self.observation_kind = "any" if observation == "raw" else "bits"
        self.default_params = BoardParams(2 * self.cells - 1)
        self.wins = (winning_sets(rules, 0), winning_sets(rules, 1))
        self.turns = Turns(lambda o, _: o[..., -1].astype(jnp.int32), self._legal, (1.0, -1.0), self._observe)

    def _legal(self, observation: jax.Array, params: Any) -> jax.Array:
        return observation[..., : self.cells] > 0

    def observed_as(self, observation: str) -> "BoardEnv":
        if observation not in ("auto", "raw"):
            return super().observed_as(observation)  # type: ignore[return-value]
        return BoardEnv(self.id, self.rules, observation)

    def observation_space(self, params: Any) -> Any:
        from gymnax.environments import spaces

        if self.observation == "raw":
            return spaces.Box(0, self.cells, (4 * self.cells + 1,), jnp.int8)
        return spaces.Box(0.0, 1.0, (3 * self.cells + self.cells**2 + 1,), jnp.float32)

    def action_space(self, params: Any) -> Any:
        from gymnax.environments import spaces

        return spaces.Discrete(self.cells)

    def _reset(self, key: jax.Array, params: Any) -> tuple[Any, Boards]:
        none, never = jnp.zeros((), jnp.int32), jnp.zeros(self.cells, jnp.int8)
        state = Boards((none, none), (none, none), (never, never), none)
        return self._observe(state, params), state

    def _advance(self, key: jax.Array, state: Boards, action: Any, params: Any) -> tuple[Any, ...]:
        is_first = state.turn == 0
        mine, found = _mover(is_first, state.stones), _mover(is_first, state.found)
        theirs = jnp.where(is_first, state.stones[1], state.stones[0])
        full = (1 << self.cells) - 1
        legal = full & ~(mine | found)
        cell = jnp.int32(1) << action
        # The lowest set bit where the attempt is illegal.
        cell = jnp.where(legal & cell, cell, legal & -legal)
        is_free = (theirs & cell) == 0
        attempt = jax.lax.population_count(mine | found) + 1
        is_here = ((cell >> jnp.arange(self.cells)) & 1).astype(bool)
        # Each player's order depends on itself alone: where nobody looks at it, it is not computed.
        first, second = (
            jnp.where(is_here & (state.turn == p), attempt.astype(jnp.int8), x) for p, x in enumerate(state.order)
        )
        mine, found = jnp.where(is_free, mine | cell, mine), jnp.where(is_free, found, found | cell)
        has_won = jnp.where(is_first, _holds(mine, self.wins[0]), _holds(mine, self.wins[1]))
        is_over = has_won | ((mine | theirs) == full)
        turn = jnp.where(is_free | self.rules.abrupt, 1 - state.turn, state.turn)
        state = Boards(
            _with_mover(is_first, mine, state.stones),
            _with_mover(is_first, found, state.found),
            (first, second),
            turn,
        )
        reward = jnp.where(has_won, jnp.where(is_first, 1.0, -1.0), 0.0)
        return self._observe(state, params), state, reward, is_over, False, {}

    def _observe(self, state: Boards, params: Any) -> jax.Array:
        is_first = state.turn == 0
        mine, found, order = (_mover(is_first, pair) for pair in (state.stones, state.found, state.order))
        own, other = (((cells >> jnp.arange(self.cells)) & 1).astype(bool) for cells in (mine, found))
        dtype = jnp.int8 if self.observation == "raw" else jnp.float32
        attempts = order if self.observation == "raw" else jax.nn.one_hot(order - 1, self.cells, axis=0).reshape(-1)
        parts = (~(own | other), own, other, attempts, state.turn[None])
        return jnp.concatenate([part.astype(dtype) for part in parts])


def winning_sets(rules: DarkBoard, player: int) -> np.ndarray:
    """int32, as bits: the sets of cells that win for a player and would not without any one of them."""

    def wins(cells: int) -> bool:
        return rules.winner(tuple(player if cells >> c & 1 else EMPTY for c in range(rules.num_actions))) == player

    winning = {cells for cells in range(1 << rules.num_actions) if wins(cells)}
    least = [s for s in winning if not any(s >> c & 1 and s ^ (1 << c) in winning for c in range(rules.num_actions))]
    return np.array(sorted(least), np.int32)


def _holds(cells: jax.Array, sets: np.ndarray) -> jax.Array:
    """Whether one of the sets lies within the cells; written out, so that it fuses."""
    held = jnp.zeros((), bool)
    for each in sets.tolist():
        held = held | ((cells & each) == each)
    return held


def _mover(is_first: jax.Array, pair: tuple[jax.Array, jax.Array]) -> jax.Array:
    return jnp.where(is_first, *pair)


def _with_mover(is_first: jax.Array, new: jax.Array, pair: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    return jnp.where(is_first, new, pair[0]), jnp.where(is_first, pair[1], new)


IDS = tuple(f"board/{name}" for name in BOARDS)


def make(id: str, **options: Any) -> BoardEnv:
    """The environment `board/NAME`.

    Args:
        **options: of the game's rules: `abrupt`, and `size` of dark hex.

    Raises:
        UnknownNameError: for another name. ConfigError: for options it does not have, or too large a board.
    """
    name = id.removeprefix("board/")
    if name not in BOARDS:
        raise UnknownNameError("board game", name, BOARDS)
    try:
        rules = BOARDS[name](**options)
    except TypeError as error:
        raise ConfigError(f"{id}: {error}") from None
    return BoardEnv(id, rules)
