"""Cells, channels and stones are where the state has them; the same state in a wrapper is the same picture."""

import warnings
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from gymnax.environments.spaces import Box

import jaxrl_suite as jrl
from jaxrl_suite.drawing import frames, picture
from jaxrl_suite.drawing.canvas import BLUE, GOLD, GREEN, ORANGE, RED
from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.envs.board_env import Boards
from jaxrl_suite.envs.gridworld_images import COLOURS
from jaxrl_suite.envs.tetris import Tetris, TetrisParams
from jaxrl_suite.envs.wrappers import StickyActions, StickyState, TimeLimit, TimeLimitState
from jaxrl_suite.errors import ConfigError
from tests.drawing.scripted import cell, scripted, where

State = SimpleNamespace


def test_every_state_of_a_frozen_lake_is_its_cell():
    env, params = jrl.make("tabular/frozen-lake", size=8)
    for number in (0, 7, 19, 63):
        assert cell(picture(env, params, (number, 0)), RED, 48) == divmod(number, 8)
    assert cell(picture(env, params, (0, 0)), GREEN, 48) == (7, 7)


def test_the_deep_sea_goes_down_a_row_a_stage():
    env, params = jrl.make("tabular/deep-sea", size=5)
    for stage, column in ((0, 0), (3, 2), (5, 4)):
        image = picture(env, params, (column, stage))
        assert image.shape == (6 * 48, 5 * 48, 3)
        assert cell(image, RED, 48) == (stage, column)
    assert cell(image, GOLD, 48) == (4, 4)


def test_the_wind_of_the_kernel_in_force_is_seen():
    env, params = jrl.make("robust/windy-walk")
    calm, windy = (picture(env, params.replace(active=k), (7 * 3, 0)) for k in (0, 24))
    assert cell(windy, RED, 48) == (3, 3)
    changed = np.any(calm != windy, axis=-1).reshape(6, 48, 6, 48).any(axis=(1, 3))
    # Columns 1 to 3 of the northern and the middle corridor, and hardly of the southern two rows.
    expected = np.zeros((6, 6), bool)
    expected[np.ix_([0, 2, 4, 5], [1, 2, 3])] = True
    np.testing.assert_array_equal(changed, expected)


ROUTE = [2, 2, 1, 2, 2]
PLACES = [(1, 1), (1, 2), (1, 3), (1, 3), (2, 3), (3, 3)]


def test_an_episode_has_a_picture_before_and_after_each_step():
    env, params = jrl.make("grid/empty-5")
    episode = jrl.training.play_episode(scripted(env, params, ROUTE), (), seed=0)
    shown = frames(episode)
    assert shown.shape == (len(ROUTE) + 1, 160, 160, 3)
    assert [cell(image, COLOURS[0], 32) for image in shown] == PLACES


def test_a_table_is_drawn_as_what_it_was_made_of():
    env, params = jrl.make("table/grid/empty-5", observation="raw", sticky_actions=1e-9)
    shown = frames(jrl.training.play_episode(scripted(env, params, ROUTE), (), seed=0))
    assert [cell(image, COLOURS[0], 32) for image in shown] == PLACES
    with pytest.raises(ConfigError, match="stands for every end"):
        picture(env.env, params.env, (params.env.num_states - 1, 5))
    env, params = jrl.make("table/tabular/deep-sea", size=3)
    shown = frames(jrl.training.play_episode(scripted(env, params, [1]), (), seed=0))
    assert [cell(image, RED, 48) for image in shown] == [(0, 0), (1, 1), (2, 2), (3, 2)]


def test_wrappers_change_no_picture():
    env, params = jrl.make("CartPole-v1")
    state = State(x=0.5, theta=0.1)
    wrapped = TimeLimit(StickyActions(env, 0.5), 10)
    inside = TimeLimitState(StickyState(state, 0, True), 3)
    np.testing.assert_array_equal(
        picture(wrapped, wrapped.default_params, inside, action=1), picture(env, params, state)
    )


def test_a_minatar_game_is_its_channels():
    env, params = jrl.make("Breakout-MinAtar")
    observation = np.zeros((10, 10, 4), np.float32)
    observation[9, 4, 0] = observation[2, 7, 1] = observation[2, 7, 3] = 1.0
    image = picture(env, params, None, observation)
    assert image.shape == (320, 320, 3)
    cells = image[16::32, 16::32]
    night = cells[0, 0]
    assert {tuple(map(int, place)) for place in np.argwhere((cells != night).any(axis=-1))} == {(9, 4), (2, 7)}
    # Of two channels in a cell the first is seen: the ball before the brick.
    observation[2, 7, 3] = 0.0
    np.testing.assert_array_equal(picture(env, params, None, observation), image)
    with pytest.raises(ConfigError, match="observation: MinBreakout is drawn from it; must be given"):
        picture(env, params, None)


class Camera(BaseEnv):
    """Shows an image of so many channels."""

    def __init__(self, channels, high=1.0):
        self.id, self.default_params, self.space = "camera", State(), Box(0, high, (4, 5, channels))

    def observation_space(self, params):
        return self.space

    def action_space(self, params):
        return Box(0, 1, (1,))

    def _reset(self, key, params):
        raise NotImplementedError

    def _advance(self, key, state, action, params):
        raise NotImplementedError


def test_any_image_that_is_observed_is_a_picture():
    observation = np.zeros((4, 5, 3), np.float32)
    observation[1, 2] = [1.0, 0.5, 0.0]
    image = picture(Camera(3), State(), None, observation)
    assert image.shape == (4 * 64, 5 * 64, 3)
    assert image[64 + 10, 128 + 10].tolist() == [255, 128, 0]
    np.testing.assert_array_equal(picture(Camera(3, 255.0), State(), None, 255 * observation), image)
    grey = picture(Camera(1), State(), None, observation[..., :1])
    assert grey[64 + 10, 128 + 10].tolist() == [255, 255, 255]
    many = picture(Camera(7), State(), None, np.eye(7)[np.arange(20).reshape(4, 5) % 7])
    assert len(np.unique(many.reshape(-1, 3), axis=0)) == 7
    with pytest.raises(ConfigError, match="observation: Camera is drawn from it; must be given"):
        picture(Camera(7), State(), None)


def test_stones_are_in_their_cells():
    env, params = jrl.make("board/phantom_tic_tac_toe")
    never = np.zeros(9, np.int8)
    image = picture(env, params, Boards((1 << 0, 1 << 5), (0, 1 << 0), (never, never), 0))
    assert cell(image, BLUE, 120) == (0, 0)
    assert cell(image, ORANGE, 120) == (1, 2)
    # Player 1 has run into the cross.
    assert cell(image, RED, 120) == (0, 0)
    env, params = jrl.make("board/dark_hex")
    unknown = picture(env, params, Boards((1 << 4, 1 << 8), (0, 0), (never, never), 0))
    known = picture(env, params, Boards((1 << 4, 1 << 8), (1 << 8, 0), (never, never), 0))
    assert len(where(unknown, RED)) == 0
    assert len(where(known, RED)) > 0


def test_pgx_shows_the_first_seats_stones_alike_whoever_moves():
    pytest.importorskip("pgx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env, params = jrl.make("pgx/tic_tac_toe")
    episode = jrl.training.play_episode(scripted(env, params, [4, 2, 6]), (), seed=1, max_steps=3)
    shown = frames(episode)
    assert len(where(shown[0], BLUE)) == 0
    assert cell(shown[1], BLUE, 120) == cell(shown[2], BLUE, 120) == (1, 1)
    assert cell(shown[2], ORANGE, 120) == cell(shown[3], ORANGE, 120) == (0, 2)


def test_tetris_counts_columns_from_the_right():
    env, params = Tetris("linear/tetris", TetrisParams()), TetrisParams()
    # The last piece fills all of its two by two cells.
    image = picture(env, params, (0b000001_100000, 11, 0))
    found = where(image, BLUE)
    assert found[:, 0].min() < -0.9 * 150
    assert found[:, 0].max() > 0.9 * 150
    low, high = found[found[:, 0] < 0], found[found[:, 0] > 0]
    assert low[:, 1].max() < high[:, 1].min()
    assert len(where(image, ORANGE)) == pytest.approx(4 * 0.92**2 * (360 / 6.6) ** 2, rel=0.05)


def test_what_cannot_be_drawn_says_what_can_and_draws_by_a_function():
    env, params = jrl.make("tabular/trap")
    with pytest.raises(ConfigError, match=r"tabular/trap: there is no picture of it.*tabular/frozen-lake.*draw="):
        picture(env, params, (0, 0))
    for id in ("pushed/quadratic", "probe/never-ending", "game/kuhn_poker"):
        with pytest.raises(ConfigError, match=f"{id}: there is no picture of it"):
            picture(*jrl.make(id), None)

    def draw(state, params):
        return np.full((2, 3, 3), 10 * int(state[0]), np.uint8)

    episode = jrl.training.play_episode(scripted(env, params, [1, 0]), (), seed=0)
    assert frames(episode, draw)[:, 0, 0, 0].tolist() == [0, 20, 0]
    assert picture(env, params, (2, 0), draw=draw).shape == (2, 3, 3)
    with pytest.raises(ConfigError, match=r"draw: returned float64 \[2, 3\]: must be uint8 \[H, W, 3\]"):
        picture(env, params, (2, 0), draw=lambda state, params: np.zeros((2, 3)))
    with pytest.raises(ConfigError, match="must always be the same"):
        frames(episode, lambda state, params: np.zeros((1 + int(state[0]), 2, 3), np.uint8))


def test_a_state_that_is_not_finite_is_refused():
    with pytest.raises(ConfigError, match="the state to draw is not finite"):
        picture(*jrl.make("CartPole-v1"), State(x=np.nan, theta=0.0))


@pytest.mark.parametrize(
    "id",
    [
        "Reacher-misc",
        "Swimmer-misc",
        "PointRobot-misc",
        "FourRooms-misc",
        "MetaMaze-misc",
        "FrozenLake-misc",
        "DeepSea-bsuite",
        "Catch-bsuite",
        "tabular/chain",
    ],
)
def test_the_rest_begins_with_a_picture(id):
    env, params = jrl.make(id)
    observation, state = env.reset(jax.random.key(0), params)
    image = picture(env, params, state, observation)
    assert image.dtype == np.uint8
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 2
