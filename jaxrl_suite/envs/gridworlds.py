"""Gridworlds by MiniGrid's rules on fixed maps: deterministic MDPs, small enough to be enumerated and solved exactly.

    grid/empty-5 -6 -8 -16      an empty room; turns and forward only
    grid/key-corridor           open a door, fetch a key, open another door, pick up the ball behind it
    grid/door-key-5 -6 -8       a key, a locked door, a goal behind it
    grid/lava-gap-5 -6 -7       a wall of lava with one gap
    grid/lava-crossing-9        two rivers of lava, each with one gap; simple-crossing-9: of wall
    grid/four-rooms             four rooms joined by gaps, 19 x 19

Actions, in MiniGrid's order: 0 turn left, 1 turn right, 2 forward, 3 pick up, 4 drop, 5 toggle. The empty rooms have
the first three only; nobody has MiniGrid's seventh, `done`. One object can be carried at a time. It is picked up from,
and dropped into, the cell ahead, which must be completely empty for it (no doorway, no goal, no lava). Toggling opens
and closes doors; a locked one opens for who carries the key of its colour, and is an ordinary open door from then on.
Walls, objects and doors that are not open block the way.

Reaching the goal, or picking up the target ball, pays 1 and ends the episode; lava ends it and pays 0.

Shapings add to these rewards, and may be joined by commas:
    distance   0.1 times what the step took off the distance to the goal or target: |dx| + |dy| plus the turns needed,
               as if there were no walls. Every map has it.
    doors      0.2 for every door newly open, -0.2 for one newly closed: maps with doors.
    pickup     0.2 for the first pick-up of each object, the target included: maps with a key.
    lava       -1 for dying: maps with lava.

The maps are in `gridworld_layouts`, with a word on which of them are MiniGrid's and which are this suite's.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.envs.gridworld_layouts import (
    AGENT,
    CLOSED,
    DOOR,
    EMPTY,
    GOAL,
    KEY,
    LAVA,
    LAYOUTS,
    LEGEND,
    OPEN,
    RED,
    WALL,
    Layout,
    Symbol,
)
from jaxrl_suite.errors import ConfigError, UnknownNameError

LEFT, RIGHT, FORWARD, PICK_UP, DROP, TOGGLE = range(6)
"""Actions."""

DIRECTIONS = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], np.int32)
"""What forward adds to (x, y), by direction: right, down, left, up."""

SHAPINGS = ("distance", "doors", "pickup", "lava")
MODES = ("auto", "image")
LARGEST = Symbol(AGENT, 5, 3)
"""MiniGrid's largest numbers, by which images are scaled."""

IDS = tuple(LAYOUTS)
"""Ids of all gridworlds."""


@struct.dataclass
class GridParams:
    """horizon: steps after which an episode ends, whole and >= 1."""

    horizon: int = 100

    @property
    def max_steps_in_episode(self) -> int:
        return self.horizon


@struct.dataclass
class GridState:
    """All that decides what follows. Equal situations are equal states; `steps` is the only part that knows of time.

    position: int32 [2], the agent's cell (x, y). direction: int32, 0 right, 1 down, 2 left, 3 up.
    objects: int32 [O, 2], cells of the objects; (-1, -1) for the one that is carried.
    doors: int32 [D], states of the doors: 0 open, 1 closed, 2 locked.
    picked: bool [O], which objects were picked up at least once; [0] without the shaping that pays for it.
    steps: int32, taken in this episode.
    """

    position: jax.Array
    direction: jax.Array
    objects: jax.Array
    doors: jax.Array
    picked: jax.Array
    steps: jax.Array

    @property
    def is_carried(self) -> jax.Array:
        """bool [O], at most one is true."""
        return self.objects[:, 0] < 0


class GridWorld(BaseEnv):
    """A map with MiniGrid's rules: deterministic, one start. Its parameters are `GridParams`.

    The horizon is an end of the episode (`terminated`), not a cut: the problem is the finite-horizon one, whose values
    are zero after the last step. The observation does not tell the time; all else about the state it determines.

    Observations, in either mode from the same symbols (kind, colour, state), which are MiniGrid's, the agent drawn over
    what it stands on:
        auto: float32 [C K + O], for a multi-layer perceptron: a one-hot vector over the K symbols of this map, for each
            of the C cells that are no wall, row by row; then a flag an object, whether it is carried.
        image: float32 [H, W, 3], the symbols of all cells divided by MiniGrid's largest numbers, (10, 5, 3). A carried
            object is the one that is missing.
    With the shaping `pickup`, objects that were picked up before show state 1 instead of 0.

    Raises:
        ConfigError: for a shaping that the map has no use for, or an encoding or a direction there is not.
    """

    def __init__(
        self,
        id: str,
        layout: Layout,
        params: GridParams | None = None,
        shaping: str = "none",
        start_direction: int | None = None,
        observation: str = "auto",
    ):
        self.id, self.layout, self.shaping, self.observation = id, layout, shaping, observation
        self.default_params = GridParams() if params is None else params
        self.direction = layout.direction if start_direction is None else start_direction
        self.shapings = _checked_shapings(shaping, layout, id)
        _check_direction(self.direction, id)
        if observation not in MODES:
            raise ConfigError(f"{id}: observation = {observation!r}: must be one of {', '.join(MODES)}")
        self.check_params(self.default_params)
        self._symbols = _possible_symbols(layout, "pickup" in self.shapings)
        self._rows, self._columns = np.nonzero(layout.ground[..., 0] != WALL)

    def observed_as(self, observation: str) -> "GridWorld":
        return GridWorld(self.id, self.layout, self.default_params, self.shaping, self.direction, observation)

    def observation_space(self, params: GridParams) -> Any:
        from gymnax.environments import spaces

        flat = (len(self._rows) * len(self._symbols) + len(self.layout.objects),)
        shape = flat if self.observation == "auto" else self.layout.ground.shape
        return spaces.Box(0.0, 1.0, shape, jnp.float32)

    def action_space(self, params: GridParams) -> Any:
        from gymnax.environments import spaces

        return spaces.Discrete(self.layout.num_actions)

    def check_params(self, params: GridParams) -> None:
        super().check_params(params)
        if np.min(params.horizon) < 1:
            raise ConfigError(f"{self.id}: horizon = {params.horizon}: must be a whole number >= 1")

    def _reset(self, key: jax.Array, params: GridParams) -> tuple[jax.Array, GridState]:
        remembered = len(self.layout.objects) if "pickup" in self.shapings else 0
        state = GridState(
            position=jnp.asarray(self.layout.start),
            direction=jnp.asarray(self.direction, jnp.int32),
            objects=jnp.asarray(self.layout.objects),
            doors=jnp.asarray(self.layout.door_symbols[:, 2]),
            picked=jnp.zeros(remembered, jnp.bool_),
            steps=jnp.zeros((), jnp.int32),
        )
        return self._observe(state), state

    def _advance(self, key: jax.Array, state: GridState, action: Any, params: GridParams) -> tuple[Any, ...]:
        after = self._moved(state, action)
        x, y = after.position
        ground = jnp.asarray(self.layout.ground)[y, x, 0]
        is_dead = ground == LAVA
        is_solved = after.is_carried[self.layout.target] if self.layout.target >= 0 else ground == GOAL
        is_over = is_dead | is_solved | (after.steps >= params.horizon)
        reward = is_solved.astype(jnp.float32) + self._shaped(state, after, is_dead)
        return self._observe(after), after, reward, is_over, False, {}

    def _moved(self, state: GridState, action: Any) -> GridState:
        """The state after the agent acted, by the rules alone."""
        layout = self.layout
        ahead = state.position + jnp.asarray(DIRECTIONS)[state.direction]
        ground = jnp.asarray(layout.ground)[ahead[1], ahead[0], 0]
        has_object = jnp.all(state.objects == ahead, axis=1)
        has_door = jnp.all(jnp.asarray(layout.doors) == ahead, axis=1)
        is_carried = state.is_carried

        is_shut = jnp.any(has_door & (state.doors != OPEN))
        is_blocked = (ground == WALL) | is_shut | jnp.any(has_object)
        goes = (action == FORWARD) & ~is_blocked
        turn = jnp.where(action == RIGHT, 1, jnp.where(action == LEFT, 3, 0))

        is_bare = (ground == EMPTY) & ~jnp.any(has_object) & ~jnp.any(has_door)
        lifted = has_object & (action == PICK_UP) & ~jnp.any(is_carried)
        dropped = is_carried & (action == DROP) & is_bare
        objects = jnp.where(dropped[:, None], ahead, jnp.where(lifted[:, None], -1, state.objects))

        opens = jnp.any(jnp.asarray(_fits(layout)) & is_carried, axis=1)
        toggled = jnp.where(state.doors == OPEN, CLOSED, OPEN)
        can_toggle = has_door & (action == TOGGLE) & ((state.doors <= CLOSED) | opens)
        return GridState(
            position=jnp.where(goes, ahead, state.position),
            direction=(state.direction + turn) % 4,
            objects=objects,
            doors=jnp.where(can_toggle, toggled, state.doors),
            picked=state.picked | lifted[: len(state.picked)],
            steps=state.steps + 1,
        )

    def _shaped(self, state: GridState, after: GridState, is_dead: jax.Array) -> Any:
        """What the shapings add to the reward of a step, float32."""
        total = jnp.zeros((), jnp.float32)
        if "distance" in self.shapings:
            total += np.float32(0.1) * (self._distance(state) - self._distance(after)).astype(jnp.float32)
        if "doors" in self.shapings:
            newly_open = jnp.sum(after.doors == OPEN) - jnp.sum(state.doors == OPEN)
            total += np.float32(0.2) * newly_open.astype(jnp.float32)
        if "pickup" in self.shapings:
            total += np.float32(0.2) * jnp.sum(after.picked & ~state.picked).astype(jnp.float32)
        if "lava" in self.shapings:
            total -= is_dead.astype(jnp.float32)
        return total

    def _distance(self, state: GridState) -> jax.Array:
        """Steps and turns to the goal or target if there were no walls, an int; 0 once the target is carried."""
        layout = self.layout
        aim = state.objects[layout.target] if layout.target >= 0 else jnp.asarray(layout.aim)
        offset = aim - state.position
        facing = jnp.sum(jnp.sign(offset) * jnp.asarray(DIRECTIONS)[state.direction])
        is_aligned = jnp.any(offset == 0)
        turns = jnp.where(is_aligned, 1 - facing, jnp.where(facing < 0, 2, 1))
        distance = jnp.sum(jnp.abs(offset)) + turns
        is_there = jnp.all(offset == 0) | jnp.all(aim < 0)
        return jnp.where(is_there, 0, distance)

    def _observe(self, state: GridState) -> jax.Array:
        cells = self._drawn(state)
        if self.observation == "image":
            return cells.astype(jnp.float32) / jnp.asarray(LARGEST, jnp.float32)
        cells = cells[self._rows, self._columns]
        is_symbol = jnp.all(cells[:, None] == jnp.asarray(self._symbols), axis=-1)
        return jnp.concatenate([is_symbol.ravel(), state.is_carried]).astype(jnp.float32)

    def _drawn(self, state: GridState) -> jax.Array:
        """The symbols of all cells, int32 [H, W, 3]."""
        layout = self.layout
        cells = jnp.asarray(layout.ground)
        if len(layout.doors):
            doors = jnp.asarray(layout.door_symbols).at[:, 2].set(state.doors)
            cells = cells.at[layout.doors[:, 1], layout.doors[:, 0]].set(doors)
        if len(layout.objects):
            objects = jnp.asarray(layout.object_symbols)
            objects = objects.at[: len(state.picked), 2].set(state.picked.astype(jnp.int32))
            # A row below the map is outside of it; a negative one would count from the end.
            row = jnp.where(state.is_carried, len(layout.ground), state.objects[:, 1])
            cells = cells.at[row, state.objects[:, 0]].set(objects, mode="drop")
        x, y = state.position
        return cells.at[y, x].set(jnp.stack([jnp.int32(AGENT), jnp.int32(RED), state.direction]))


def _fits(layout: Layout) -> np.ndarray:
    """Which objects are keys to which doors, bool [D, O]."""
    is_key = layout.object_symbols[:, 0] == KEY
    return is_key & (layout.object_symbols[:, 1] == layout.door_symbols[:, None, 1])


def _possible_symbols(layout: Layout, shows_picked: bool) -> np.ndarray:
    """Every symbol that a cell without wall can show, int32 [K, 3]."""
    ground = layout.ground[layout.ground[..., 0] != WALL]
    symbols = {LEGEND["."], *(Symbol(*cell) for cell in ground.tolist())}
    for kind, colour, _ in layout.object_symbols.tolist():
        symbols |= {Symbol(kind, colour, picked) for picked in range(2 if shows_picked else 1)}
    for _, colour, state in layout.door_symbols.tolist():
        symbols |= {Symbol(DOOR, colour, s) for s in (OPEN, CLOSED, state)}
    symbols |= {Symbol(AGENT, RED, direction) for direction in range(len(DIRECTIONS))}
    return np.array(sorted(symbols), np.int32)


def _checked_shapings(shaping: str, layout: Layout, where: str) -> tuple[str, ...]:
    """The shapings that `shaping` names. Raises ConfigError for one that this map has no use for."""
    is_key = layout.object_symbols[:, 0] == KEY
    useful = (True, len(layout.doors) > 0, is_key.any(), (layout.ground[..., 0] == LAVA).any())
    allowed = [name for name, is_useful in zip(SHAPINGS, useful, strict=True) if is_useful]
    asked = () if shaping == "none" else tuple(str(shaping).split(","))
    if any(name not in allowed for name in asked) or len(set(asked)) != len(asked):
        joined = " (joined by commas)" if len(allowed) > 1 else ""
        raise ConfigError(f"{where}: shaping = {shaping!r}: must be none, or of {', '.join(allowed)}{joined}")
    return asked


def _check_direction(direction: Any, where: str) -> None:
    if isinstance(direction, bool) or not isinstance(direction, int) or not 0 <= direction <= 3:
        raise ConfigError(f"{where}: start_direction = {direction!r}: must be 0 (right), 1 (down), 2 (left) or 3 (up)")


def make(
    id: str, shaping: str = "none", horizon: int = 100, start_direction: int | None = None
) -> tuple[GridWorld, GridParams]:
    """The gridworld called `id`, and its parameters.

    Args:
        shaping: `none`, or what is added to the rewards: some of `distance`, `doors`, `pickup`, `lava`, joined by
            commas, as far as the map has a use for them.
        horizon: steps after which an episode ends; it can be changed in the parameters, too.
        start_direction: where the agent looks at the start: 0 right, 1 down, 2 left, 3 up; None: as the map is drawn.

    Raises:
        UnknownNameError: if there is no such gridworld.
        ConfigError: for an argument that cannot work.
    """
    if id not in LAYOUTS:
        raise UnknownNameError("environment", id, IDS)
    if isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1:
        raise ConfigError(f"{id}: horizon = {horizon!r}: must be a whole number >= 1")
    params = GridParams(horizon)
    return GridWorld(id, LAYOUTS[id], params, shaping, start_direction), params
