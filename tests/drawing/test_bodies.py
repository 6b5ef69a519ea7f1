"""Bodies: their angles, places and pushes are those of the state, in any kernel."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxrl_suite as jrl
from jaxrl_suite.drawing import picture
from jaxrl_suite.drawing.canvas import ORANGE, RED
from jaxrl_suite.envs.adversaries import PushedBodies
from jaxrl_suite.envs.pushed import PushedState
from jaxrl_suite.envs.robust_control import RobustState
from tests.drawing.scripted import angle, where

State = SimpleNamespace
ANGLES = st.floats(-np.pi, np.pi)


def turned(found, expected):
    """How far an angle is from another, the shorter way round."""
    return abs((found - expected + np.pi) % (2 * np.pi) - np.pi)


@pytest.mark.parametrize("theta", [-0.21, 0.0, 0.1])
def test_the_pole_leans_as_far_as_its_angle(theta):
    env, params = jrl.make("CartPole-v1")
    found = where(picture(env, params, State(x=0.0, theta=theta)), ORANGE)
    axis = np.linalg.svd(found - found.mean(axis=0), full_matrices=False)[2][0]
    assert turned(angle(axis if axis[1] > 0 else -axis), theta) < 0.01
    moved = where(picture(env, params, State(x=1.2, theta=theta)), ORANGE)
    np.testing.assert_allclose(moved.mean(axis=0) - found.mean(axis=0), [1.2 * 480 / 6.0, 0.0], atol=1.0)


@given(ANGLES)
@settings(max_examples=25, deadline=None)
def test_a_pendulum_points_where_its_angle_says(theta):
    env, params = jrl.make("Pendulum-v1")
    image = picture(env, params, State(theta=theta))
    assert image.shape == (360, 360, 3)
    # Upright is 0, and to the left is positive, as Gymnasium draws it.
    assert turned(angle(where(image, RED).mean(axis=0)), -theta) < 0.02
    env, params = jrl.make("pushed/pendulum-swingup")
    state = RobustState(PushedState(np.array([theta, 0.0]), np.zeros(2), 0), np.array([0.1, 1.0]))
    bob = where(picture(env, params, state), ORANGE).mean(axis=0)
    np.testing.assert_allclose(bob, 0.5 * 360 / 1.3 * np.array([np.sin(theta), np.cos(theta)]), atol=1.0)


@given(ANGLES, ANGLES)
@settings(max_examples=15, deadline=None)
def test_an_acrobots_links(first, second):
    env, params = jrl.make("Acrobot-v1")
    image = picture(env, params, State(joint_angle1=first, joint_angle2=second))
    assert image.shape == (360, 360, 3)
    # The first link hangs at 0; the second is drawn over it, so its own middle is where all of it is seen.
    scale = 360 / 4.6
    down = [np.array([np.sin(a), -np.cos(a)]) for a in (first, first + second)]
    np.testing.assert_allclose(where(image, ORANGE).mean(axis=0), scale * (down[0] + 0.5 * down[1]), atol=3.0)


@pytest.mark.parametrize("id", ["MountainCar-v0", "MountainCarContinuous-v0"])
def test_a_car_is_where_its_position_is(id):
    env, params = jrl.make(id)
    for position in (-1.2, -0.5, 0.3):
        image = picture(env, params, State(position=position))
        x, y = where(image, RED).mean(axis=0) * 2.0 / 480 + [-0.3, 0.08]
        assert abs(x - position) < 0.1
        assert 0.0 < y - 0.45 * np.sin(3 * position) < 0.12


@given(st.tuples(st.floats(-4, 4), ANGLES), st.floats(0.05, 1.0), st.floats(0.25, 2.0))
@settings(max_examples=15, deadline=None)
def test_any_kernel_and_any_state_has_a_picture(body, mass, length):
    env, params = jrl.make("robust/CartPole-v1")
    psi = np.array([mass, length], np.float32)
    image = picture(env, params, RobustState(State(x=body[0], theta=body[1]), psi))
    upright = picture(env, params, RobustState(State(x=0.0, theta=0.0), psi))
    assert image.shape == upright.shape
    assert image.dtype == np.uint8
    # The pole has round ends, 0.05 beyond what is its length.
    scale = 480 / max(6.0, 1.15 * 2 * length + 0.9)
    assert np.ptp(where(upright, ORANGE)[:, 1]) == pytest.approx((2 * length + 0.1) * scale, abs=6)


@pytest.mark.parametrize(
    ("id", "body", "acts_at"),
    [
        ("pushed/cartpole-swingup", [0.3, 0.0, 0.0, 0.0], [0.3, 0.5]),
        ("pushed/pendulum-swingup", [np.pi / 2, 0.0], [0.25, 0.0]),
        ("pushed/acrobot-swingup", [0.0, 1.0, 0.0, 0.0], [0.0, 0.5]),
        ("pushed/point-mass", [0.2, 0.0, -0.5, 0.0], [0.2, -0.5]),
    ],
)
def test_a_push_is_an_arrow_from_where_it_acts(id, body, acts_at):
    env, params = jrl.make(id)
    arena, inner = PushedBodies(env), env.env
    state = RobustState(PushedState(np.array(body), np.zeros(inner.pushes), 0), np.ones(2, np.float32))
    assert len(where(picture(arena, params, state), RED)) == 0
    own = np.zeros(inner.actions)
    calm = picture(arena, params, state, action=np.concatenate([own, np.zeros(2)]))
    assert len(where(calm, RED)) == 0
    image = picture(arena, params, state, action=np.concatenate([own, [0.6, -0.8]]))
    views = {"cartpole": 5.8, "pendulum": 1.3, "acrobot": 4.7, "point": 4.3}
    scale = image.shape[1] / views[id.split("/")[1].split("-")[0]]
    arrow = where(image, RED)
    shift = arrow.mean(axis=0) - scale * np.array(acts_at)
    assert turned(angle(shift), np.arctan2(0.6, -0.8)) < 0.15
    tip = arrow[np.argmax(arrow @ [0.6, -0.8])] - scale * np.array(acts_at)
    half = picture(arena, params, state, action=np.concatenate([own, [0.3, -0.4]]))
    shorter = where(half, RED)
    end = shorter[np.argmax(shorter @ [0.6, -0.8])] - scale * np.array(acts_at)
    assert np.hypot(*tip) == pytest.approx(2 * np.hypot(*end), rel=0.1)
    powerless = params.replace(env=params.env.replace(force_limit=0.0))
    nothing = picture(arena, powerless, state, action=np.concatenate([own, [0.6, -0.8]]))
    assert len(where(nothing, RED)) == 0


def test_wind_is_seen_where_it_blows():
    env, params = jrl.make("pushed/point-mass")
    arena = PushedBodies(env)
    for y, is_windy in ((-1.2, False), (-0.9, True), (0.2, False)):
        state = RobustState(PushedState(np.array([0.0, 0.0, y, 0.0]), np.zeros(2), 0), np.ones(2, np.float32))
        image = picture(arena, params, state, action=np.array([0.0, 0.0, 1.0, 0.0]))
        assert (len(where(image, RED)) > 0) == is_windy
