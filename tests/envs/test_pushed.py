"""Environments that can be pushed: the specification's numbers, MuJoCo's dynamics, and what a push is and is not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.envs import physics, pushed_suite
from jaxrl_suite.envs.adversaries import PushedBodies
from jaxrl_suite.envs.pushed_tasks import IDS, SUITE_IDS
from jaxrl_suite.envs.tolerance import tolerance
from jaxrl_suite.errors import ConfigError, UnknownNameError
from tests.known_answers.ledger import known_answer


def bare(name):
    """(the environment under the family, its parameters)."""
    env, params = jrl.make(f"pushed/{name}")
    return env.env, params.env


@known_answer("qarl/cart-pole")
def test_forces_on_the_cart_pole():
    env, params = bare("cartpole-swingup")
    answers = {0.1: (0.53295891, 28.27490396), 1.0: (0.07011063, 3.71955748), 20.0: (0.00362630, 0.19238478)}
    with jrl.float64():
        still, force = jnp.zeros(4), jnp.array([2.0, 0.0])
        for mass, answer in answers.items():
            found = env.acceleration(still, jnp.zeros(1), force, params.replace(pole_mass=mass))
            np.testing.assert_allclose(found, answer, rtol=0, atol=1e-8)
        body = still
        for _ in range(10):
            body = env._moved(body, jnp.zeros(1), jnp.array([2.0, -1.0]), params)
    np.testing.assert_allclose(body, [0.00252762, 0.14489793, 0.04840539, 2.96613976], rtol=0, atol=1e-8)


@known_answer("qarl/point-mass")
def test_the_point_mass():
    env, params = bare("point-mass")
    with jrl.float64():
        start = jnp.array([0.0, 0.0, -1.5, 0.0])
        moved = env._moved(start, jnp.array([0.0, 1.0]), jnp.zeros(2), params)
        np.testing.assert_allclose(moved, [0.0, 0.0, -1.499104783240, 0.019820956648], rtol=0, atol=1e-12)
        moved = env._moved(start.at[2].set(-0.5), jnp.zeros(2), jnp.array([-10.0, 0.0]), params)
        np.testing.assert_allclose(moved, [-0.008952167597, -0.198209566480, -0.5, 0.0], rtol=0, atol=1e-12)
        assert float(env._reward(start, None, None, params)) == pytest.approx(-0.950212931632, abs=1e-12)


PENDULUM = """<mujoco><option timestep="0.02"><flag contact="disable"/></option><worldbody>
<body name="pushed"><joint name="hinge" type="hinge" axis="0 1 0" damping="0.1"/>
<geom type="capsule" fromto="0 0 0 0 0 0.5" size="0.02" mass="0.1"/>
<body name="other" pos="0 0 0.5"><geom type="sphere" size="0.05" mass="1"/></body></body></worldbody>
<actuator><motor joint="hinge" gear="1"/></actuator></mujoco>"""
ACROBOT = """<mujoco><default><joint damping="0.05"/><geom type="capsule" mass="1"/></default>
<option timestep="0.01" integrator="RK4"><flag constraint="disable"/></option><worldbody>
<body name="pushed"><joint type="hinge" axis="0 1 0"/><geom fromto="0 0 0 0 0 1" size="0.05"/>
<body name="other" pos="0 0 1"><joint name="elbow" type="hinge" axis="0 1 0"/>
<geom fromto="0 0 0 0 0 1" size="0.049"/></body></body></worldbody>
<actuator><motor joint="elbow" gear="2"/></actuator></mujoco>"""
CART_POLE = """<mujoco><option timestep="0.01" integrator="RK4"><flag contact="disable"/></option><worldbody>
<body name="other"><joint name="slide" type="slide" axis="1 0 0" damping="5e-4"/>
<geom type="box" size="0.2 0.15 0.1" mass="1"/>
<body name="pushed"><joint type="hinge" axis="0 1 0" damping="2e-6"/>
<geom type="capsule" fromto="0 0 0 0 0 1" size="0.045" mass="0.1"/></body></body></worldbody>
<actuator><motor joint="slide" gear="10"/></actuator></mujoco>"""


@pytest.mark.parametrize(
    ("name", "xml", "masses"),
    [
        ("pendulum-swingup", PENDULUM, {"pole_mass": 0.14, "bob_mass": 0.6}),
        ("acrobot-swingup", ACROBOT, {"upper_mass": 1.04, "lower_mass": 0.96}),
        ("cartpole-swingup", CART_POLE, {"pole_mass": 0.06, "cart_mass": 1.4}),
    ],
)
def test_dynamics_are_those_of_mujoco(name, xml, masses):
    mujoco = pytest.importorskip("mujoco")
    env, params = bare(name)
    model = mujoco.MjModel.from_xml_string(xml)
    for body, mass in zip(("pushed", "other"), masses.values(), strict=True):
        model.body(body).mass[:] = mass
    data, rng = mujoco.MjData(model), np.random.default_rng(0)
    with jrl.float64():
        move = jax.jit(functools.partial(env._moved, params=params.replace(**masses)))
        for _ in range(5):
            data.qpos[:], data.qvel[:] = rng.normal(size=(2, model.nq)) * 0.7
            body = jnp.concatenate([jnp.asarray(data.qpos), jnp.asarray(data.qvel)])
            for _ in range(3):
                action, force = rng.uniform(-1, 1, 1), rng.normal(size=2)
                data.ctrl[:] = action
                data.body("pushed").xfrc_applied[[0, 2]] = force
                mujoco.mj_step(model, data)
                body = move(body, jnp.asarray(action), jnp.asarray(force))
            np.testing.assert_allclose(body, [*data.qpos, *data.qvel], rtol=0, atol=1e-9)


def test_tolerances():
    shown = [tolerance(2.0, margin=2.0), tolerance(2.0, margin=2.0, at_margin=0.5, shape="linear")]
    shown += [tolerance(1.0, margin=1.0, at_margin=0.0, shape="quadratic"), tolerance(0.5, margin=1.0, at_margin=0.0,
              shape="quadratic"), tolerance(3.0, 0.0, 3.0), tolerance(3.1, 0.0, 3.0)]  # fmt: skip
    np.testing.assert_allclose(shown, [0.1, 0.5, 0.0, 0.75, 1.0, 0.0], atol=1e-6)
    # A walker's torso at 0.9 m, of 1.2 m wanted.
    assert float(tolerance(0.9, 1.2, np.inf, margin=0.6)) == pytest.approx(0.562341325, abs=1e-6)


QUICK = "pushed/reacher-easy"
"""The one task in MJX that compiles quickly."""


@pytest.mark.parametrize(
    "id", [pytest.param(id, marks=pytest.mark.slow) if id in SUITE_IDS and id != QUICK else id for id in IDS]
)
def test_a_push_is_clipped_and_holds_for_one_step(id):
    env, params = jrl.make(id)
    arena = PushedBodies(env)
    key, (_, state) = jax.random.key(1), env.reset(jax.random.key(0), params)
    if "point" in id:
        state = state.replace(env=state.env.replace(body=jnp.array([0.2, 0.1, -0.5, 0.3])))
    own, pushes = jnp.full(arena.actions, 0.3), arena.pushes
    alone = env.advance(key, state, own, params)
    unpushed = arena.advance(key, state, jnp.concatenate([own, jnp.zeros(pushes)]), params)
    jax.tree.map(np.testing.assert_array_equal, alone[:5], unpushed[:5])
    pushed = arena.advance(key, state, jnp.concatenate([own, -jnp.ones(pushes)]), params)
    beyond = arena.advance(key, state, jnp.concatenate([own, jnp.full(pushes, -7.0)]), params)
    jax.tree.map(np.testing.assert_array_equal, pushed[:5], beyond[:5])
    felt = pushed[2] != alone[2] if id == "pushed/quadratic" else jnp.any(pushed[0] != alone[0])
    assert bool(felt)
    # What was pushed goes on alone: nothing is left of the push, nor after a reset.
    assert not np.any(pushed[1].env.push)
    assert not np.any(env.reset(key, params)[1].env.push)


def test_wind_blows_left_only_where_it_is_so():
    env, params = bare("point-mass-leftward")
    np.testing.assert_allclose(env._force(jnp.array([0.7]), params), [0.0, 0.0])
    np.testing.assert_allclose(env._force(jnp.array([-0.7]), params), [-7.0, 0.0], rtol=1e-6)


def test_the_wall_stops_what_misses_the_gap():
    env, params = bare("point-mass")
    calm, still = jnp.zeros(2), jnp.zeros(2)
    through = env._moved(jnp.array([0.4, 0.0, -0.02, 1.0]), still, calm, params)
    stopped = env._moved(jnp.array([0.6, 0.2, -0.02, 1.0]), still, calm, params)
    down = env._moved(jnp.array([-0.9, 0.0, 0.02, -1.0]), still, calm, params)
    assert through[2] > 0.05
    np.testing.assert_allclose(stopped[2:], [-1e-4, 0.0], atol=1e-6)
    assert 0.18 < stopped[1] < 0.2
    np.testing.assert_allclose(down[2:], [1e-4, 0.0], atol=1e-6)
    edge = env._moved(jnp.array([1.99, 1.0, 1.0, 0.0]), still, calm, params)
    np.testing.assert_allclose(edge[:2], [2.0, 0.0], atol=1e-6)


def test_the_goal_ends_an_episode_and_time_cuts_it():
    env, params = jrl.make("pushed/point-mass")
    state = env.reset(jax.random.key(0), params)[1]
    near = state.replace(env=state.env.replace(body=jnp.array([0.0, 0.0, 1.45, 0.0])))
    *_, reward, terminated, truncated, _ = env.advance(jax.random.key(0), near, jnp.zeros(2), params)
    assert (float(reward), bool(terminated), bool(truncated)) == (0.0, True, False)
    late = state.replace(env=state.env.replace(step=jnp.int32(499)))
    assert [bool(x) for x in env.advance(jax.random.key(0), late, jnp.zeros(2), params)[3:5]] == [False, True]


def test_families_of_pushed_environments():
    env, params = jrl.make("pushed/cartpole-balance", params={"force_limit": 6.0})
    assert params.env.force_limit == 6.0
    np.testing.assert_allclose(
        np.asarray(env.grid(params, 11))[[0, 1, 11, -1]], [[1, 0.5], [1, 0.6], [2.9, 0.5], [20, 1.5]]
    )
    with pytest.raises(UnknownNameError, match="environment"):
        jrl.make("pushed/cartpole")
    with pytest.raises(ConfigError, match="force_limit = -1"):
        env.check_params(params.replace(env=params.env.replace(force_limit=-1.0)))


def test_without_its_packages_a_task_of_mjx_is_not_listed_but_names_them(monkeypatch):
    are_installed = all(physics.is_installed(package) for package in ("mujoco-mjx", "dm-control"))
    assert set(SUITE_IDS) <= set(IDS) if are_installed else not set(SUITE_IDS) & set(IDS)
    assert "pushed/hopper-stand" in SUITE_IDS
    monkeypatch.setattr(physics, "is_installed", lambda package: package != "dm-control")
    with pytest.raises(ConfigError, match="pushed/hopper-stand: needs dm-control: install the extra brax"):
        pushed_suite.made("hopper-stand")
    monkeypatch.setattr(physics, "is_installed", lambda package: False)
    with pytest.raises(ConfigError, match="pushed/hopper-stand: needs mujoco-mjx: install the extra brax"):
        pushed_suite.made("hopper-stand")


def test_options_are_of_the_tasks_that_have_them():
    with pytest.raises(ConfigError, match="pushed/cartpole-swingup: has no argument 'corrected'"):
        jrl.make("pushed/cartpole-swingup", corrected=True)
    with pytest.raises(ConfigError, match="pushed/hopper-stand: has no argument 'name'"):
        jrl.make("pushed/hopper-stand", name="hopper-hop")
    with pytest.raises(ConfigError, match="pushed/reacher-easy: corrected = True: no speed is measured here"):
        pushed_suite.made("reacher-easy", corrected=True)
