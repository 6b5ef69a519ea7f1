"""Tetris on two rows of six columns, a benchmark of linear MDPs: every board in a table, and exact values.

Tan, Fan, Wei, Hybrid Reinforcement Learning Breaks Sample Size Barriers in Linear MDPs (NeurIPS 2024), the rules as its
published program has them.

A board is an int in [0, 4096): bit i is column i, counted from the right, of the bottom row, bit 6 + i that of the
upper row. A piece fills some of two columns of two rows: `lower + 64 * upper` with lower in 1 to 3, upper in 0 to 3,
twelve in all, each as likely. Action 4 * column + turns puts the piece, turned clockwise, with its right edge at
`column` in 0 to 4. Full rows vanish; as long as there are more than two, the lowest is taken away, for a reward of -1.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.envs.linear_features import LinearFeatures, block_features
from jaxrl_suite.errors import ConfigError, UnknownNameError

COLUMNS, TURNS = 5, 4
NUM_BOARDS, NUM_ACTIONS, NUM_FEATURES, NUM_BLOCKS = 4096, COLUMNS * TURNS, 8, 80
PIECES = np.array([lower + 64 * upper for upper in range(4) for lower in range(1, 4)], np.int32)
ROW = 63


class Tables(NamedTuple):
    """next_board: int16 [board, piece, action]. reward: int8, likewise, 0 to -2. features: float64 [board, 8].
    block: int32 [piece, action], the block of phi that the features of the board go to."""

    next_board: np.ndarray
    reward: np.ndarray
    features: np.ndarray
    block: np.ndarray


def turned(piece: Any, turns: int) -> Any:
    """Pieces (ints) turned clockwise; with an empty lower row they come down."""
    lower, upper = piece & 3, piece >> 6
    for _ in range(turns):
        # The right column becomes the lower row, its bottom to the left.
        lower, upper = 2 * (lower & 1) + (upper & 1), 2 * (lower >> 1) + (upper >> 1)
    return np.where(lower == 0, upper, lower + 64 * upper)


def dropped(board: Any, piece: Any) -> tuple[Any, Any]:
    """(the board, the reward) after pieces, turned and shifted, come down; arrays of ints of any one shape."""
    board, piece = np.broadcast_arrays(board, piece)
    for _ in range(2):
        # It lies above whatever is in its way, also one row further up: nothing can slide in from the side.
        piece = np.where((piece & board) | ((piece << 6) & board), piece << 6, piece)
    board = board | piece
    board = np.where((board >> 6) & ROW == ROW, (board & ROW) | (board >> 12 << 6), board)
    board = np.where(board & ROW == ROW, board >> 6, board)
    lost = np.zeros_like(board)
    for _ in range(2):
        is_high = board >= NUM_BOARDS
        board, lost = np.where(is_high, board >> 6, board), lost + is_high
    return board, -lost


def board_features(board: Any) -> np.ndarray:
    """float64 [..., 8]: the greatest height, holes, wells, and five differences of neighbouring heights.

    Columns are listed from the left. A hole is an empty cell under a full
    one; a well is a column lower than its neighbours.
    """
    columns = np.arange(6)[::-1]
    lower, upper = (np.asarray(board)[..., None] >> columns) & 1, (np.asarray(board)[..., None] >> (columns + 6)) & 1
    heights = np.where(upper == 1, 2, lower)
    rises = np.diff(heights, axis=-1)
    edge = np.ones((*heights.shape[:-1], 1), bool)
    is_well = np.concatenate([edge, rises < 0], axis=-1) & np.concatenate([rises > 0, edge], axis=-1)
    holes = ((upper == 1) & (lower == 0)).sum(axis=-1)
    summary = np.stack([heights.max(axis=-1), holes, is_well.sum(axis=-1)], axis=-1)
    return np.concatenate([summary, rises], axis=-1).astype(np.float64)


@functools.cache
def tables() -> Tables:
    """Everything about the game, computed once."""
    boards, actions = np.arange(NUM_BOARDS), np.arange(NUM_ACTIONS)
    placed = np.stack([turned(PIECES, turns) for turns in range(TURNS)], axis=-1)  # [piece, turns]
    following, reward = dropped(boards[:, None, None], placed[:, actions % TURNS] << (actions // TURNS))
    block = 16 * (actions // TURNS) + ((placed & 3) + 4 * (placed >> 6))[:, actions % TURNS]
    return Tables(following.astype(np.int16), reward.astype(np.int8), board_features(boards), block.astype(np.int32))


def features(board: int, piece: int, action: int) -> np.ndarray:
    """phi(s, a), float64 [640]: the board's features in the block of the turned piece and its column.

    Args:
        piece: its index in `PIECES`.
    """
    phi = np.zeros((NUM_BLOCKS, NUM_FEATURES))
    phi[tables().block[piece, action]] = tables().features[board]
    return phi.reshape(-1)


@functools.cache
def reachable_boards() -> np.ndarray:
    """Boards that can come up in a game, int [2780], ascending."""
    known, new = {0}, {0}
    while new:
        new = set(tables().next_board[list(new)].reshape(-1).tolist()) - known
        known |= new
    return np.array(sorted(known))


def uniform_episodes(seed: int, episodes: int, horizon: int = 40) -> np.ndarray:
    """Episodes of uniformly random actions, float64 [episodes, 3, horizon + 1]: states' numbers, actions, rewards; the
    last action and reward of each are 0 and unused."""
    rng, found = np.random.default_rng(seed), tables()
    pieces = rng.integers(len(PIECES), size=(horizon + 1, episodes))
    actions = rng.integers(NUM_ACTIONS, size=(horizon, episodes))
    board, played = np.zeros(episodes, int), np.zeros((3, horizon + 1, episodes))
    for t in range(horizon):
        taken = (board, pieces[t], actions[t])
        played[:, t] = board * len(PIECES) + pieces[t], actions[t], found.reward[taken]
        board = found.next_board[taken].astype(int)
    played[0, horizon] = board * len(PIECES) + pieces[horizon]
    return np.moveaxis(played, -1, 0)


@functools.cache
def leading_directions(dimension: int, seed: int, shifted: bool, episodes: int = 200) -> np.ndarray:
    """The projection to the `dimension` directions in which features of uniform play are largest, float64 [640, d]: the
    first right singular vectors of all its rows.

    Args:
        shifted: as in `make`.
    """
    played = uniform_episodes(seed, episodes).astype(int)
    states = played[:, 0, 1:] if shifted else played[:, 0, :-1]
    boards, pieces = np.divmod(states, len(PIECES))
    found = tables()
    rows = np.zeros((boards.size, NUM_BLOCKS, NUM_FEATURES))
    block = found.block[pieces, played[:, 1, :-1]].ravel()
    rows[np.arange(boards.size), block] = found.features[boards.ravel()]
    return np.linalg.svd(rows.reshape(boards.size, -1), full_matrices=False)[2][:dimension].T.copy()


@struct.dataclass
class TetrisParams:
    """projection: float64 [640, d], of phi to what linear learners see."""

    projection: Any = None
    max_steps_in_episode: int = struct.field(pytree_node=False, default=40)


class Tetris(BaseEnv):
    """The game. Observations: the twelve cells and the piece, one-hot, float32 [24]; or, `raw`, the state's number
    12 * board + piece, int32. An environment state is (board, piece, stage), all int32."""

    def __init__(self, id: str, params: TetrisParams, observation: str = "auto"):
        self.id, self.default_params, self.observation = id, params, observation

    def observed_as(self, observation: str) -> "Tetris":
        if observation not in ("auto", "raw"):
            return super().observed_as(observation)  # type: ignore[return-value]
        return Tetris(self.id, self.default_params, observation)

    def linear_features(self, params: TetrisParams) -> LinearFeatures:
        """phi, projected; states are numbered as `raw` observations."""
        found = tables()
        return block_features(found.features, found.block, params.projection)

    def observation_space(self, params: Any) -> Any:
        from gymnax.environments import spaces

        if self.observation == "raw":
            return spaces.Discrete(NUM_BOARDS * len(PIECES))
        return spaces.Box(0, 1, (12 + len(PIECES),), jnp.float32)

    def action_space(self, params: Any) -> Any:
        from gymnax.environments import spaces

        return spaces.Discrete(NUM_ACTIONS)

    def _reset(self, key: jax.Array, params: TetrisParams) -> tuple[Any, Any]:
        zero = jnp.zeros((), jnp.int32)
        piece = jax.random.randint(key, (), 0, len(PIECES), jnp.int32)
        return self._observe(zero, piece), (zero, piece, zero)

    def _advance(self, key: jax.Array, state: Any, action: Any, params: TetrisParams) -> tuple[Any, ...]:
        board, piece, stage = state
        known = tables()
        following = jnp.asarray(known.next_board)[board, piece, action].astype(jnp.int32)
        reward = jnp.asarray(known.reward)[board, piece, action]
        drawn, stage = jax.random.randint(key, (), 0, len(PIECES), jnp.int32), stage + 1
        is_over = stage >= params.max_steps_in_episode
        return self._observe(following, drawn), (following, drawn, stage), reward, is_over, False, {}

    def _observe(self, board: jax.Array, piece: jax.Array) -> jax.Array:
        if self.observation == "raw":
            return board * len(PIECES) + piece
        cells = (board >> jnp.arange(12)) & 1
        return jnp.concatenate([cells, jax.nn.one_hot(piece, len(PIECES), dtype=jnp.int32)]).astype(jnp.float32)


IDS = ("linear/tetris",)


def make(
    id: str, dimension: int = 60, seed: int = 0, shifted: bool = False, horizon: int = 40
) -> tuple[Tetris, TetrisParams]:
    """The environment, and its parameters.

    Args:
        dimension: d, directions that linear learners see, of 200 uniform episodes drawn by `seed`; 640: phi itself.
        shifted: the published programs' quirk: these directions are of phi(s', a), the state that followed.
        horizon: pieces an episode.

    Raises:
        UnknownNameError: for another id. ConfigError: for a dimension there is not.
    """
    if id not in IDS:
        raise UnknownNameError("environment", id, IDS)
    size = NUM_BLOCKS * NUM_FEATURES
    if not 1 <= dimension <= size:
        raise ConfigError(f"dimension = {dimension}: must be between 1 and {size}")
    projection = np.eye(size) if dimension == size else leading_directions(dimension, seed, shifted)
    params = TetrisParams(projection, horizon)
    return Tetris(id, params), params
