"""Gridworlds: enumerated and solved against known values, MiniGrid's rules one by one, and what the agent sees."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.envs.gridworld_layouts import BLUE, CLOSED, LOCKED, OPEN, parse
from jaxrl_suite.envs.gridworlds import IDS, GridWorld
from jaxrl_suite.errors import ConfigError, UnknownNameError

KEY = jax.random.key(0)
CHUNK = 64
"""States stepped at once: one size, so that one program does it."""

EMPTY = (5, 6, 8, 16)
FROZEN = {
    "grid/key-corridor": 156,
    "grid/door-key-5": 260,
    "grid/door-key-6": 1272,
    "grid/door-key-8": 8144,
    "grid/lava-gap-5": 4 * 6,
    "grid/lava-gap-6": 4 * 12,
    "grid/lava-gap-7": 4 * 20,
    "grid/simple-crossing-9": 4 * 34,
    "grid/lava-crossing-9": 4 * 34,
    "grid/four-rooms": 4 * 259,
}
"""States by id, so that no map changes unnoticed. Without keys and doors: four a cell that can be reached."""

ACTIONS = {"L": 0, "R": 1, "F": 2, "P": 3, "D": 4, "T": 5}


class Table(NamedTuple):
    """An enumerated environment: next_states [S, A] with -1 at the end, float64 rewards [S, A], start state 0.

    numbers: of states, by their bytes. observations: of every state but the first, by number.
    """

    next_states: np.ndarray
    rewards: np.ndarray
    numbers: dict[bytes, int]
    observations: dict[int, bytes]


@functools.cache
def stepper(id, **options):
    """The environment, its start, and a compiled step of `CHUNK` states with every action, and automatic reset."""
    env, params = jrl.make(id, **options)
    actions = jnp.arange(env.action_space(params).n)

    def step(state, action):
        observation, state, reward, terminated, truncated, _ = env.step(KEY, state, action, params)
        return observation, state, reward, terminated, truncated

    compiled = jax.jit(jax.vmap(jax.vmap(step, (None, 0)), (0, None)))
    start = jax.tree.map(np.asarray, env.reset(KEY, params)[1])
    return env, params, start, lambda states: jax.tree.map(np.asarray, compiled(states, actions))


@functools.cache
def enumerated(id, **options):
    """All states that can be reached without an end, breadth first and whatever the time."""
    _, _, start, step = stepper(id, **options)
    numbers, queue, observations = {packed(start).tobytes(): 0}, [start], {}
    next_states, rewards = [], []
    while len(rewards) < len(queue):
        chunk = queue[len(rewards) : len(rewards) + CHUNK]
        states = jax.tree.map(lambda *leaves: np.stack(leaves), *chunk, *[start] * (CHUNK - len(chunk)))
        observed, after, paid, is_over, _ = step(states)
        # The counter is not part of the situation: kept at zero, the horizon is never reached either.
        after = after.replace(steps=np.zeros_like(after.steps))
        names = packed(after, batch=is_over.shape)
        for i in range(len(chunk)):
            next_states.append(np.full(is_over.shape[1], -1))
            rewards.append(paid[i].astype(float))
            for action in np.flatnonzero(~is_over[i]):
                number = numbers.setdefault(names[i, action].tobytes(), len(queue))
                if number == len(queue):
                    queue.append(jax.tree.map(lambda leaf, at=(i, action): leaf[at], after))
                next_states[-1][action] = number
                seen = observed[i, action].tobytes()
                assert observations.setdefault(number, seen) == seen, "one state, one observation"
    return Table(np.array(next_states), np.array(rewards), numbers, observations)


def packed(state, batch=()):
    """The numbers of a state in one row."""
    return np.concatenate([leaf.reshape(*batch, -1) for leaf in jax.tree.leaves(state)], axis=-1, dtype=np.int32)


def start_value(table, backup, horizon=100, start=0):
    """Value of state `start` over `horizon` steps, float64, by `backup` of the action values [S, A]."""
    values = np.zeros(len(table.rewards) + 1)  # the last is that of the end
    for _ in range(horizon):
        values[:-1] = backup(table.rewards + values[table.next_states], axis=1)
    return values[start]


def play(env, params, moves, state=None):
    """States after each of the moves (letters of `ACTIONS`), rewards and ends."""
    state = env.reset(KEY, params)[1] if state is None else state
    states, rewards, ends = [], [], []
    for move in moves:
        _, state, reward, terminated, truncated = env.transition(KEY, state, ACTIONS[move], params)
        assert not truncated
        states.append(state)
        rewards.append(float(reward))
        ends.append(bool(terminated))
    return states, rewards, ends


@pytest.mark.parametrize("size", EMPTY)
def test_empty_rooms_have_their_states_and_values(size):
    table = enumerated(f"grid/empty-{size}")
    uniform = {5: 0.7620095947, 6: 0.4992805107, 8: 0.1784434416, 16: 0.00046040625}[size]
    assert table.rewards.shape == (4 * ((size - 2) ** 2 - 1), 3)
    assert start_value(table, np.max) == pytest.approx(1, abs=1e-9)
    assert start_value(table, np.mean) == pytest.approx(uniform, abs=1e-9)
    assert start_value(table, np.min) == 0


@pytest.mark.parametrize("size", EMPTY)
def test_empty_rooms_with_shaped_distance(size):
    table = enumerated(f"grid/empty-{size}", shaping="distance")
    best = {5: 1.5, 6: 1.7, 8: 2.1, 16: 3.7}[size]
    uniform = {5: 1.1710437, 6: 0.9541683, 8: 0.6972484, 16: 0.6882759}[size]
    assert len(table.rewards) == 4 * ((size - 2) ** 2 - 1)
    assert start_value(table, np.max) == pytest.approx(best, abs=1e-6)
    assert start_value(table, np.mean) == pytest.approx(uniform, abs=1e-6)
    assert start_value(table, np.min) == pytest.approx(-0.1, abs=1e-6)


@pytest.mark.parametrize(
    ("direction", "uniform", "digits"),
    [(None, 0.0032357130021994796, 15), (0, 0.0028518623, 10), (2, 0.0044524586, 10), (3, 0.0032357130021994796, 15)],
)
def test_the_key_corridor_has_its_states_and_values(direction, uniform, digits):
    table = enumerated("grid/key-corridor")
    env, params = jrl.make("grid/key-corridor", start_direction=direction)
    start = table.numbers[packed(jax.tree.map(np.asarray, env.reset(KEY, params)[1])).tobytes()]
    assert (start == 0) == (direction in (None, 3)), "it looks up unless asked otherwise"
    assert table.rewards.shape == (156, 6)
    assert start_value(table, np.max, start=start) == 1
    assert start_value(table, np.mean, start=start) == pytest.approx(uniform, abs=10.0**-digits)


@pytest.mark.parametrize("id", [id for id in IDS if "empty" not in id])
def test_every_map_can_be_solved_and_its_observations_tell_its_states_apart(id):
    table = enumerated(id)
    assert table.rewards.shape == (FROZEN[id], 6)
    assert start_value(table, np.max) == 1
    assert 0 <= start_value(table, np.mean) < 0.5
    assert len(set(table.observations.values())) == len(table.observations)


@pytest.mark.parametrize("options", [{"observation": "image"}, {"shaping": "doors,pickup"}])
def test_observations_tell_states_apart_in_other_modes(options):
    table = enumerated("grid/key-corridor", **options)
    assert len(table.rewards) >= 156
    assert len(set(table.observations.values())) == len(table.observations)


def test_images_are_minigrids_numbers():
    env, params = jrl.make("grid/key-corridor", observation="image")
    image = np.asarray(env.reset(KEY, params)[0]) * [10, 5, 3]
    wall, key, blue, agent, yellow, ball = [2, 5, 0], [5, 4, 0], [4, 2, 1], [10, 0, 3], [4, 4, 2], [6, 3, 0]
    np.testing.assert_allclose(image[1], [wall, key, blue, agent, yellow, ball, wall], atol=1e-6)
    np.testing.assert_allclose(image[0], [wall] * 7, atol=1e-6)


def test_the_key_corridor_is_solved_step_by_step():
    env, params = jrl.make("grid/key-corridor")
    moves = "LTFP" + "RRFT" + "LL" + "D" + "F" + "D" + "RRFFP"
    states, rewards, ends = play(env, params, moves)
    assert rewards == [0.0] * (len(moves) - 1) + [1.0]
    assert ends == [False] * (len(moves) - 1) + [True]
    at = dict(zip(("turn", "open", "enter", "lift", "", "", "", "unlock"), states, strict=False))
    assert at["open"].doors.tolist() == [OPEN, LOCKED]
    assert at["enter"].position.tolist() == [2, 1]
    assert at["lift"].objects.tolist() == [[-1, -1], [5, 1]]
    assert at["unlock"].doors.tolist() == [OPEN, OPEN]
    assert states[10].objects.tolist() == [[-1, -1], [5, 1]], "nothing is dropped into a doorway"
    assert states[12].objects.tolist() == [[1, 1], [5, 1]], "but into an empty cell"


def test_who_carries_something_picks_up_nothing_more():
    env, params = jrl.make("grid/key-corridor")
    states, rewards, ends = play(env, params, "LTFPRRFTFP")
    assert (rewards, any(ends)) == ([0.0] * 10, False)
    assert states[-1].objects.tolist() == [[-1, -1], [5, 1]]
    assert states[-1].position.tolist() == [4, 1]


def test_doors_open_and_close_and_locked_ones_ask_for_the_key():
    env, params = jrl.make("grid/key-corridor")
    states, _, _ = play(env, params, "LFTT" + "RRT")
    assert [state.doors.tolist()[0] for state in states] == [CLOSED, CLOSED, OPEN, CLOSED, CLOSED, CLOSED, CLOSED]
    assert states[1].position.tolist() == [3, 1], "a closed door blocks"
    assert states[-1].doors.tolist() == [CLOSED, LOCKED]
    start = env.reset(KEY, params)[1].replace(direction=jnp.int32(0), objects=jnp.array([[-1, -1], [5, 1]]))
    states, _, _ = play(env, params, "TTRTLTRRD", start)
    doors = [state.doors.tolist()[1] for state in states]
    assert doors[:6] == [OPEN, CLOSED, CLOSED, CLOSED, CLOSED, OPEN], "unlocked for good, and only the door ahead"
    unlocked = start.replace(objects=jnp.array([[1, 1], [5, 1]]), doors=jnp.array([CLOSED, CLOSED]))
    assert play(env, params, "T", unlocked)[0][0].doors.tolist() == [CLOSED, OPEN]


def test_a_key_of_another_colour_opens_nothing():
    env, params = jrl.make("grid/key-corridor")
    symbols = env.layout.object_symbols.copy()
    symbols[0, 1] = BLUE
    other = GridWorld("grid/blue-key", dataclasses.replace(env.layout, object_symbols=symbols))
    start = env.reset(KEY, params)[1].replace(direction=jnp.int32(0), objects=jnp.array([[-1, -1], [5, 1]]))
    assert play(env, params, "T", start)[0][0].doors.tolist() == [CLOSED, OPEN]
    assert play(other, params, "T", start)[0][0].doors.tolist() == [CLOSED, LOCKED]


def test_objects_block_and_goals_take_no_object():
    env, params = jrl.make("grid/door-key-5")
    states, _, _ = play(env, params, "RFFPF" + "D")
    assert states[2].position.tolist() == [1, 2], "the key blocks"
    assert states[4].position.tolist() == [1, 3], "once it is carried it does not"
    assert states[5].objects.tolist() == [[-1, -1]], "nor is it dropped into a wall"
    above_goal = states[4].replace(position=jnp.array([3, 2]), doors=jnp.array([OPEN]))
    states, rewards, ends = play(env, params, "DF", above_goal)
    assert states[0].objects.tolist() == [[-1, -1]]
    assert (rewards, ends) == ([0.0, 1.0], [False, True])


def test_lava_ends_with_nothing_or_with_the_shaping():
    env, params = jrl.make("grid/lava-gap-5")
    assert play(env, params, "TPDF")[1:] == ([0.0] * 4, [False, False, False, True])
    shaped, params = jrl.make("grid/lava-gap-5", shaping="lava")
    assert play(shaped, params, "F")[1:] == ([-1.0], [True])
    solved = play(shaped, params, "RFLFFRF")
    assert solved[1:] == ([0.0] * 6 + [1.0], [False] * 6 + [True])


def test_doors_and_first_pickups_pay_when_shaped():
    env, params = jrl.make("grid/key-corridor", shaping="doors,pickup")
    states, rewards, _ = play(env, params, "LTTTF" + "PDPD")
    assert rewards == pytest.approx([0, 0.2, -0.2, 0.2, 0, 0.2, 0, 0, 0])
    assert [state.picked.tolist() for state in states[4:6]] == [[False, False], [True, False]]
    assert play(env, params, "LTFPRRFTLLFDRRFFP")[1][-1] == pytest.approx(1.2)
    assert jrl.make("grid/key-corridor")[0].reset(KEY, params)[1].picked.shape == (0,)


def test_the_distance_to_a_target_is_gone_once_it_is_carried():
    env, params = jrl.make("grid/key-corridor", shaping="distance")
    _, rewards, ends = play(env, params, "LTFPRRFTLLFDRRFFP")
    # Two cells and a quarter turn away at the start, nothing at the end.
    assert sum(rewards) == pytest.approx(1.3, abs=1e-6)
    assert rewards[0] == pytest.approx(-0.1)
    assert ends[-1]


@pytest.mark.parametrize("options", [{"horizon": 3}, {"params": {"horizon": 3}}])
def test_the_horizon_is_an_end(options):
    env, params = jrl.make("grid/empty-5", **options)
    states, rewards, ends = play(env, params, "LLL")
    assert (rewards, ends) == ([0.0] * 3, [False, False, True])
    assert [int(state.steps) for state in states] == [1, 2, 3]
    assert params.max_steps_in_episode == 3


@pytest.mark.parametrize("id", IDS)
def test_random_play_goes_on_for_ever(id):
    env, params, start, step = stepper(id)
    space, rng = env.observation_space(params), np.random.default_rng(0)
    states, copies, ended = jax.tree.map(lambda leaf: np.stack([leaf] * CHUNK), start), np.arange(CHUNK), 0
    for _ in range(200):
        stepped = step(states)
        acted = rng.integers(env.action_space(params).n, size=CHUNK)
        seen, states, reward, terminated, truncated = jax.tree.map(lambda leaf, a=acted: leaf[copies, a], stepped)
        assert (seen.shape[1:], seen.dtype, reward.dtype) == (space.shape, space.dtype, np.float32)
        assert (seen.min(), seen.max()) == (0, 1)
        assert set(reward[terminated]) <= {0.0, 1.0}
        assert not reward[~terminated].any()
        assert not truncated.any()
        restarted = packed(states, (CHUNK,))[terminated]
        assert (restarted == packed(start)).all()
        ended += terminated.sum()
    assert ended >= 2 * CHUNK
    assert (states.steps < 100).all()


def test_scans_keep_their_types_under_sticky_actions():
    env, params = jrl.make("grid/key-corridor", sticky_actions=0.25, shaping="distance,doors,pickup")
    first = env.reset(KEY, params)

    def step(carry, key):
        action = env.action_space(params).sample(key)
        observation, state, reward, terminated, _, _ = env.step(key, carry[1], action, params)
        return (observation, state), (reward, terminated)

    last, (reward, terminated) = jax.lax.scan(step, first, jax.random.split(KEY, 200))
    assert jax.tree.map(jax.typeof, last) == jax.tree.map(jax.typeof, first)
    assert (reward.dtype, int(terminated.sum())) == (np.float32, 2)


@pytest.mark.parametrize(
    ("id", "options", "message"),
    [
        ("grid/empty-5", {"shaping": "doors"}, r"shaping = 'doors': must be none, or of distance$"),
        ("grid/lava-gap-5", {"shaping": "shaped"}, r"shaping = 'shaped': must be none, or of distance, lava \(joined"),
        ("grid/four-rooms", {"shaping": "distance,distance"}, r"shaping = 'distance,distance': must be"),
        ("grid/empty-5", {"start_direction": 4}, r"start_direction = 4: must be 0 \(right\), 1"),
        ("grid/empty-5", {"horizon": 0}, r"horizon = 0: must be a whole number >= 1"),
        ("grid/empty-5", {"observation": "raw"}, r"observation = 'raw': must be one of auto, image"),
        ("grid/empty-5", {"horizons": 5}, r"grid/empty-5: .*horizons"),
    ],
)
def test_options_there_are_not(id, options, message):
    with pytest.raises(ConfigError, match=message):
        jrl.make(id, **options)


def test_names_and_parameters_there_are_not():
    with pytest.raises(UnknownNameError, match="did you mean grid/empty-"):
        jrl.make("grid/empty-7")
    env, params = jrl.make("grid/empty-5")
    with pytest.raises(ConfigError, match="horizon = 0: must be a whole number >= 1"):
        env.check_params(params.replace(horizon=0))
    assert set(IDS) <= set(jrl.envs.list_envs())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("####", "#>x#", "####"), r"map: 'x': must be one of"),
        (("####", "#>G#", "###"), r"rows of different lengths"),
        (("####", "#>G.", "####"), r"border must be walls"),
        (("####", "#.G#", "####"), r"0 of agent: must be one"),
        (("#####", "#>Go#", "#####"), r"2 of goal or target"),
    ],
)
def test_what_is_no_map(rows, message):
    with pytest.raises(ConfigError, match=message):
        parse(rows)
