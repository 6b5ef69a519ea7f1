"""Sets of the MuJoCo tasks, and what writes parameters: without brax and MJX."""

import dataclasses
import functools
import types

import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite import envs
from jaxrl_suite.envs import brax_env, mjx_env, physics, robust_physics
from jaxrl_suite.envs.physics import SETS, TASKS
from jaxrl_suite.envs.robust_control import unit_grid
from jaxrl_suite.errors import ConfigError, UnknownNameError
from jaxrl_suite.sampling import between
from tests.known_answers.ledger import known_answer

# Upper ends of the published sets, in the order of their parameters; all lower ends are 0.1 but those given.
TWO = {"ant": (3, 3), "halfcheetah": (4, 7), "hopper": (3, 3), "humanoidstandup": (16, 8), "walker2d": (4, 5)}
THREE = {"ant": 3, "halfcheetah": 3, "hopper": 4, "walker2d": 6}


def test_two_and_three_parameters_as_published():
    for task, ends in TWO.items():
        assert tuple(high for _, high in SETS[task]["2"].values()) == ends
    for task, end in THREE.items():
        assert list(SETS[task]["3"].items())[:2] == list(SETS[task]["2"].items())
        assert list(SETS[task]["3"].values())[2][1] == end
    lower = {low for sets in SETS.values() for low, _ in sets["2"].values()}
    assert lower == {0.1, 0.01, 1.0}
    assert SETS["inverted_pendulum"]["2"] == {"pole_mass": (1.0, 31.0), "cart_mass": (1.0, 11.0)}
    assert [task for task in TASKS if "3" not in SETS[task]] == ["inverted_pendulum"]


def test_the_two_readings_of_ant_and_humanoid_standup():
    assert list(SETS["ant"]["3"]) == ["torso_mass", "front_left_leg_mass", "front_right_leg_mass"]
    assert list(SETS["ant"]["3-m2td3"]) == ["torso_mass", "front_left_leg_mass", "front_left_ankle_mass"]
    assert TASKS["ant"].bodies["front_right_leg_mass"] == 5
    assert TASKS["ant"].bodies["front_left_ankle_mass"] == 4
    rrls, m2td3 = SETS["humanoidstandup"]["3"], SETS["humanoidstandup"]["3-m2td3"]
    assert (rrls["left_thigh_mass"][1], rrls["right_foot_mass"][1]) == (5, 8)
    assert (m2td3["left_thigh_mass"][1], m2td3["right_foot_mass"][1]) == (8, 5)


@pytest.mark.parametrize("task", TASKS)
def test_sets_are_boxes_of_the_tasks_parameters(task):
    for name, ranges in SETS[task].items():
        assert set(ranges) <= set(TASKS[task].names)
        assert len(ranges) == int(name[0])
        assert all(0 < low < high for low, high in ranges.values())
    assert set(TASKS[task].bodies) == {name for name in TASKS[task].names if name != "friction"}
    assert ("friction" in TASKS[task].names) == (TASKS[task].friction != "none")


@known_answer("iwocs/grid-points")
def test_grids_of_the_sets_leave_the_upper_end_out():
    shares = unit_grid(1, 10, "lower")[:, 0]
    friction = between(*SETS["hopper"]["2"]["friction"], shares)
    np.testing.assert_allclose(friction, 0.1 + 0.29 * np.arange(10), atol=1e-6)
    assert friction[-1] == pytest.approx(2.71)
    assert between(*SETS["humanoidstandup"]["2"]["torso_mass"], shares)[-1] == pytest.approx(14.41)


def model_of_two_geoms(floor=1.0, foot=2.0):
    """A floor and a foot (bodies 0 and 1), as MuJoCo's model has them."""
    friction = np.array([[floor, 0.005, 0.0001], [foot, 0.005, 0.0001]])
    return types.SimpleNamespace(
        body_mass=np.array([0.0, 3.5, 4.5]), geom_friction=friction, geom_bodyid=np.array([0, 1])
    )


def test_friction_is_the_floors_for_hopper_and_everythings_for_half_cheetah():
    model = model_of_two_geoms()
    friction = jnp.asarray(model.geom_friction)
    for task, expected in (("hopper", [0.3, 2.0]), ("walker2d", [0.3, 2.0]), ("halfcheetah", [0.3, 0.3])):
        params = dataclasses.replace(physics.nominal(TASKS[task], model), friction=0.3)
        written = physics.with_friction(TASKS[task], friction, model.geom_bodyid, params)
        np.testing.assert_array_equal(written[:, 0], np.float32(expected))
        np.testing.assert_array_equal(written[:, 1:], friction[:, 1:])
    assert physics.with_friction(TASKS["inverted_pendulum"], friction, model.geom_bodyid, None) is friction


def test_nominal_parameters_are_the_models():
    params = physics.nominal(TASKS["hopper"], model_of_two_geoms(floor=0.7))
    assert params == physics.HopperParams(float(np.float32(0.7)), torso_mass=3.5, thigh_mass=4.5)
    assert params.max_steps_in_episode == 1000


@pytest.mark.parametrize("id", ["brax/hopper", "mjx/hopper", "robust/brax/hopper", "robust/mjx/hopper"])
def test_without_the_extra_it_is_named(monkeypatch, id):
    monkeypatch.setattr(physics, "is_installed", lambda package: False)
    engines = {"brax": brax_env.make, "mjx": mjx_env.make}
    # Not the registry's, which keeps what it has made.
    monkeypatch.setattr(robust_physics, "make_env", lambda id: (engines[id.partition("/")[0]](id), None))
    maker = engines.get(id.partition("/")[0], robust_physics.make)
    with pytest.raises(ConfigError, match=r"(brax|mjx)/hopper: needs (brax|mujoco-mjx): install the extra brax"):
        maker(id)


def test_a_missing_model_is_named():
    with pytest.raises(ConfigError, match=r"mjx/hopper: needs the model a.xml of jax, which is not there"):
        physics.model_file("mjx/hopper", "jax", "a.xml")
    with pytest.raises(ConfigError, match=r"of no_such_package, which is not there: install the extra brax"):
        physics.model_file("mjx/hopper", "no_such_package", "a.xml")


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match="did you mean brax/hopper"):
        brax_env.make("brax/hoper")
    with pytest.raises(UnknownNameError, match="did you mean mjx/walker2d"):
        mjx_env.make("mjx/walker")
    with pytest.raises(UnknownNameError, match=r"unknown set of robust/mjx/hopper '4': known: 1, 2, 3"):
        robust_physics.make("robust/mjx/hopper", ranges="4")
    with pytest.raises(UnknownNameError, match=r"uncertain parameter of robust/mjx/hopper 'torso': did you mean torso"):
        robust_physics.make("robust/mjx/hopper", ranges={"torso": (1.0, 2.0)})


def test_only_what_can_be_made_is_listed():
    listed = {id for id in envs.list_envs() if "brax/" in id or "mjx/" in id}
    expected = {
        f"{prefix}/{task}" for prefix, name in physics.PACKAGES.items() if physics.is_installed(name) for task in TASKS
    }
    assert listed == expected | {f"robust/{id}" for id in expected}


# Rewards and ends, from the tasks' formulas, in NumPy. x, z, angle: of the root joint; contact: [B, 6].


def np_cost(action, weight):
    return weight * np.square(action).sum()


def np_hopper(before, qpos, qvel, torso, contact, action):
    state = np.concatenate([qpos, qvel])[2:]
    alive = qpos[1] > 0.7 and abs(qpos[2]) < 0.2 and np.all(np.abs(state) < 100)
    return (qpos[0] - before.qpos[0]) / 0.008 + alive - np_cost(action, 1e-3), not alive


def np_walker2d(before, qpos, qvel, torso, contact, action):
    alive = 0.8 < qpos[1] < 2.0 and abs(qpos[2]) < 1.0
    return (qpos[0] - before.qpos[0]) / 0.008 + alive - np_cost(action, 1e-3), not alive


def np_half_cheetah(before, qpos, qvel, torso, contact, action):
    return (qpos[0] - before.qpos[0]) / 0.05 - np_cost(action, 0.1), False


def np_ant(before, qpos, qvel, torso, contact, action):
    alive = bool(np.isfinite(qpos).all() and np.isfinite(qvel).all() and 0.2 <= qpos[2] <= 1.0)
    impact = 5e-4 * np.square(np.clip(contact, -1, 1)).sum()
    return (torso[0] - before.torso[0]) / 0.05 + alive - np_cost(action, 0.5) - impact, not alive


def np_humanoid_standup(before, qpos, qvel, torso, contact, action):
    impact = min(0.5e-6 * np.square(contact).sum(), 10.0)
    return qpos[2] / 0.003 + 1 - np_cost(action, 0.1) - impact, False


def np_inverted_pendulum(before, qpos, qvel, torso, contact, action):
    alive = bool(np.isfinite(np.concatenate([qpos, qvel])).all() and abs(qpos[1]) <= 0.2)
    return float(alive), not alive


REFERENCES = {
    "ant": (np_ant, 15, 14, 0.01, [(2, 0.1), (2, 1.1), (7, np.nan)]),
    "halfcheetah": (np_half_cheetah, 9, 9, 0.01, []),
    "hopper": (np_hopper, 6, 6, 0.002, [(1, 0.69), (2, 0.21), (2, -0.21), (5, 101.0), (5, -101.0), (5, np.nan)]),
    "humanoidstandup": (np_humanoid_standup, 24, 23, 0.003, []),
    "inverted_pendulum": (np_inverted_pendulum, 2, 2, 0.02, [(1, 0.21), (1, -0.21), (0, np.inf)]),
    "walker2d": (np_walker2d, 9, 9, 0.002, [(1, 0.79), (1, 2.01), (2, 1.01), (2, -1.01)]),
}
HEIGHT = {"ant": (2, 0.5), "hopper": (1, 1.2), "walker2d": (1, 1.2)}


@functools.cache
def case(task, seed):
    """(state before, qpos, qvel, torso [2], contact [14, 6], action) of a healthy step."""
    _, nq, nv, _, _ = REFERENCES[task]
    rng = np.random.default_rng(seed)
    qpos = 0.1 * rng.uniform(-1, 1, nq)
    if task in HEIGHT:
        qpos[HEIGHT[task][0]] = HEIGHT[task][1]
    contact = rng.normal(scale=10.0 ** rng.uniform(-1, 4), size=(14, 6))
    before = types.SimpleNamespace(qpos=qpos + 0.1 * rng.normal(size=nq), torso=rng.normal(size=2))
    return before, qpos, rng.normal(size=nv), rng.normal(size=2), contact, rng.uniform(-1, 1, 8)


def both(task, before, qpos, qvel, torso, contact, action):
    """Our (reward, terminated) and NumPy's."""
    reference, _, _, substep, _ = REFERENCES[task]
    of = mjx_env._TASKS[task]
    xpos = np.zeros((14, 3))
    xpos[1, :2] = torso
    after = types.SimpleNamespace(qpos=jnp.asarray(qpos), qvel=jnp.asarray(qvel), xpos=jnp.asarray(xpos))
    ours = of.reward(mjx_env.Step(before, after, contact, jnp.asarray(action), substep * of.substeps, substep))
    return ours, reference(before, qpos, qvel, torso, contact, action)


@pytest.mark.parametrize("task", TASKS)
def test_rewards_and_terminations_are_the_tasks(task):
    for seed in range(5):
        (reward, terminated), (expected, is_over) = both(task, *case(task, seed))
        np.testing.assert_allclose(reward, expected, rtol=1e-4, atol=1e-4)
        assert not terminated
        assert not is_over
    for index, value in REFERENCES[task][4]:
        before, qpos, *others = case(task, 0)
        qpos = np.array(qpos)
        qpos[index] = value
        (reward, terminated), (expected, is_over) = both(task, before, qpos, *others)
        assert terminated
        assert is_over
        np.testing.assert_allclose(reward, expected, rtol=1e-4, atol=1e-4)
