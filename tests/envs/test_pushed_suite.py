"""The control suite's tasks in MJX: steps are those of MuJoCo in C under the same forces, masses and friction."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("mujoco.mjx")

import mujoco

import jaxrl_suite as jrl
from jaxrl_suite.agents import QARLConfig, qarl
from jaxrl_suite.envs import control_suite, physics, pushed_suite
from tests.known_answers.ledger import known_answer

pytestmark = pytest.mark.skipif(not physics.is_installed("dm-control"), reason="needs dm-control's models")

KEY = jax.random.key(0)
SPEEDS = {"walker-walk": 1.0, "walker-run": 8.0}
# Observation, action, push; seconds of a step and of one of the physics; uncertain parameters and their ranges.
TABLE = {
    "ball-in-cup-catch": (8, 2, 2, 0.02, 0.002, {"ball_mass": 0.06545, "cup_mass": 0.06515}, [(0.01, 0.11)] * 2, 0.005),
    "cheetah-run": (17, 6, 6, 0.01, 0.01, {"torso_mass": 6.2502, "friction": 1.0}, [(3, 9), (0.1, 1.9)], 1.0),
    "hopper-stand": (15, 4, 2, 0.02, 0.005, {"torso_mass": 4.8284, "friction": 1.0}, [(1, 9), (0.1, 1.9)], 1.0),
    "reacher-easy": (6, 2, 2, 0.02, 0.02, {"arm_mass": 0.04189, "hand_mass": 0.03561}, [(0.02, 0.06), (0.02, 0.05)],
                     0.1),
    "walker-stand": (24, 6, 4, 0.025, 0.0025, {"torso_mass": 10.673, "friction": 0.7}, [(5, 15), (0.1, 1.3)], 1.0),
}  # fmt: skip
SAME = {"hopper-hop": "hopper-stand", "reacher-hard": "reacher-easy", "walker-walk": "walker-stand",
        "walker-run": "walker-stand"}  # fmt: skip
PUSHED = {"ball": ("ball",), "cheetah": ("torso", "bfoot", "ffoot"), "hopper": ("foot",), "reacher": ("arm",),
          "walker": ("right_foot", "left_foot")}  # fmt: skip
QUICK = ("hopper-hop", "reacher-hard")
STEPPED = (
    "hopper-hop",
    "reacher-hard",
    "hopper-stand",
    "ball-in-cup-catch",
    "walker-run",
    "walker-stand",
    "cheetah-run",
)
stepped = pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in STEPPED]
)


def robot(name):
    return name.partition("-")[0]


def bare(name, **options):
    """(the environment under the family, its parameters)."""
    env, params = jrl.make(f"pushed/{name}", **options)
    return env.env, params.env


@known_answer("qarl/suite-tasks")
@pytest.mark.parametrize("name", control_suite.TASKS)
def test_sizes_seconds_masses_and_ranges(name):
    observed, actions, pushes, seconds, substep, nominal, ranges, force = TABLE[SAME.get(name, name)]
    env, params = jrl.make(f"pushed/{name}")
    assert (env.env.observed, env.env.actions, env.env.pushes) == (observed, actions, pushes)
    assert env.env.model.opt.timestep == pytest.approx(substep)
    assert env.env.task.substeps * env.env.model.opt.timestep == pytest.approx(seconds)
    assert env.names == tuple(nominal)
    assert [(params.low[n], params.high[n]) for n in nominal] == ranges
    for parameter, value in nominal.items():
        assert params.kernel[parameter] == pytest.approx(value, rel=2e-4)
        if parameter != "friction":
            assert env.env.model.body(parameter.removesuffix("_mass")).mass[0] == pytest.approx(value, rel=2e-4)
    assert (params.env.force_limit, params.max_steps_in_episode) == (force, 500)


def in_c(env, params):
    """MuJoCo's model with these parameters."""
    model = copy.copy(env.model)
    for name in env.task.physics.bodies:
        model.body(name.removesuffix("_mass")).mass[:] = getattr(params, name)
        if env.task.file == "ball_in_cup":
            # What C keeps of bodies that only slide, and MJX computes anew.
            dof = model.body(name.removesuffix("_mass")).dofadr[0]
            model.dof_M0[dof : dof + 2] = getattr(params, name)
    if env.task.physics.friction == "all":
        model.geom_friction[:, 0] = params.friction
    return model


def observed(name, model, data, target):
    """As the suite's documentation has it."""
    if name.startswith("ball"):
        return np.concatenate([data.qpos, data.qvel])
    if name.startswith("reacher"):
        return np.concatenate([data.qpos, target - data.geom("finger").xpos[:2], data.qvel])
    if name.startswith("walker"):
        turned = [(data.body(i).xmat[0], data.body(i).xmat[2]) for i in range(1, model.nbody)]
        return np.concatenate([np.ravel(turned), [data.body("torso").xpos[2]], data.qvel])
    touch = [np.log1p(data.sensor(f"touch_{end}").data) for end in ("toe", "heel")] if robot(name) == "hopper" else []
    return np.concatenate([data.qpos[1:], data.qvel, *touch])


def linear(speed, wanted, margin, at_margin):
    return 1.0 if speed >= wanted else max(1.0 - (1.0 - at_margin) * (wanted - speed) / margin, 0.0)


def rewarded(name, data, target, action):
    """The specification's formulas."""
    speed = None if robot(name) in ("ball", "reacher") else data.sensor("torso_subtreelinvel").data[0]
    if name == "ball-in-cup-catch":
        away = np.abs(data.site("target").xpos - data.body("ball").xpos)
        return float(away[0] < 0.05 - 0.025 and away[2] < 0.05 - 0.025)
    if name == "reacher-hard":
        return float(np.linalg.norm(target - data.geom("finger").xpos[:2]) <= 0.015 + 0.01)
    if name == "cheetah-run":
        return np.clip(speed / 10.0, 0.0, 1.0)
    if robot(name) == "hopper":
        stands = float(0.6 <= data.body("torso").xipos[2] - data.body("foot").xipos[2] <= 2.0)
        return stands * (linear(speed, 2.0, 1.0, 0.5) if name == "hopper-hop" else (5.0 - np.mean(action**2)) / 5.0)
    short = max(1.2 - data.body("torso").xpos[2], 0.0) / 0.6
    stands = (3.0 * 0.1 ** (short**2) + (1.0 + data.body("torso").xmat[8]) / 2.0) / 4.0
    speeds = SPEEDS.get(name)
    return stands if speeds is None else stands * (5.0 * linear(speed, speeds, speeds / 2.0, 0.5) + 1.0) / 6.0


def lively(name, env, model):
    """Data from which steps earn something, and a target."""
    data, (qpos, target) = mujoco.MjData(model), env.task.start(KEY, env.model)
    data.qpos[:], data.qvel[:] = qpos, 0.1 * np.random.default_rng(1).normal(size=model.nv)
    if robot(name) in ("cheetah", "hopper", "walker"):
        data.joint("rootx").qvel[:] = 1.7
    if robot(name) == "hopper":
        data.qpos[:] = model.qpos0 + np.array([0, 0.1, 0.05, 0.1, -0.3, 0.6, 0.1])
    if name == "ball-in-cup-catch":
        # In the cup, but not on its wall yet, where MJX's contacts are not quite MuJoCo's.
        data.qpos[2:], data.qvel[3] = (0.0, 0.36), 0.3
    mujoco.mj_forward(model, data)
    data.qacc_warmstart[:] = 0.0
    return data, None if target is None else jnp.asarray(data.geom("finger").xpos[:2] + 0.005)


@known_answer("qarl/suite-steps")
@stepped
def test_a_step_is_mujocos(name):
    with jrl.float64():
        env = pushed_suite.made(name, iterations=100, line_search=50)
        params = env.default_params
        params = params.replace(**{n: 1.2 * getattr(params, n) for n in control_suite.TASKS[name][1]})
        model = in_c(env, params)
        data, target = lively(name, env, model)
        still, rng = jnp.zeros(model.nv), np.random.default_rng(0)
        body = control_suite.SuiteBody(jnp.asarray(data.qpos), jnp.asarray(data.qvel), still, target, {})

        @jax.jit
        def move(body, action, force):
            moved = env._moved(body, action, force, params)
            return moved.replace(sensed={}), env._seen(moved), env._reward(moved, action, force, params)

        rewards = []
        for t in range(4):
            action = rng.uniform(-1, 1, env.actions) * 0.3
            # The last step is without any: what came before it is gone.
            force = 5.0 * env.default_params.force_limit * rng.normal(size=env.pushes) * (t < 3)
            data.ctrl[:] = action
            for pushed, components in zip(PUSHED[robot(name)], force.reshape(-1, 2), strict=True):
                data.body(pushed).xfrc_applied[list(env.task.axes)] = components
            mujoco.mj_step(model, data, nstep=env.task.substeps)
            mujoco.mj_step1(model, data)
            body, seen, reward = move(body, jnp.asarray(action), jnp.asarray(force))
            np.testing.assert_allclose(body.qpos, data.qpos, rtol=0, atol=1e-8)
            np.testing.assert_allclose(seen, observed(name, model, data, target), rtol=1e-6, atol=1e-6)
            assert float(reward) == pytest.approx(rewarded(name, data, target, action), abs=1e-7)
            rewards.append(float(reward))
    assert max(rewards) > 0.0


@stepped
def test_a_start_is_mujocos(name):
    """Of the joints drawn: settled, and with the touch of its forces."""
    with jrl.float64():
        env = pushed_suite.made(name, iterations=100, line_search=50)
        body = jax.jit(env._start)(KEY, env.default_params)
        model = in_c(env, env.default_params)
        data = mujoco.MjData(model)
        data.qpos[:] = env.task.start(KEY, env.model)[0]
        for _ in range(env.task.settling):
            mujoco.mj_step(model, data)
        mujoco.mj_forward(model, data)
        np.testing.assert_allclose(body.qpos, data.qpos, rtol=0, atol=1e-6)
        np.testing.assert_allclose(env._seen(body), observed(name, model, data, body.target), rtol=1e-5, atol=1e-5)
    assert env.task.settling == (200 if name == "cheetah-run" else 0)


def starts(name, count=500):
    env, _ = bare(name)
    return env.model, jax.vmap(lambda key: env.task.start(key, env.model))(jax.random.split(KEY, count))


def test_joints_start_anywhere_within_their_limits():
    for name, turned in (("hopper-stand", 2), ("walker-run", 2), ("cheetah-run", None), ("reacher-easy", 0)):
        model, (qpos, _) = starts(name)
        low, high = model.jnt_range.T.copy()
        is_free = ~model.jnt_limited.astype(bool)
        low[is_free], high[is_free] = model.qpos0[is_free], model.qpos0[is_free]
        if turned is not None:
            low[turned], high[turned] = -np.pi, np.pi
        width = np.where(high > low, high - low, 1.0)
        shares = (np.asarray(qpos) - low) / width
        assert np.all((shares >= -1e-5) & (shares <= 1 + 1e-5)), name
        np.testing.assert_allclose(shares.std(axis=0), np.where(high > low, 1 / np.sqrt(12), 0.0), atol=0.03)
        assert np.abs(np.corrcoef(shares[:, -1], shares[:, -2])[0, 1]) < 0.15


def test_a_ball_starts_free_and_a_target_within_reach():
    model, (qpos, _) = starts("ball-in-cup-catch")
    data = mujoco.MjData(model)
    for place in np.asarray(qpos):
        data.qpos[:] = place
        mujoco.mj_forward(model, data)
        assert data.ncon == 0
    low, high = qpos.min(axis=0), qpos.max(axis=0)
    np.testing.assert_allclose(low, [0, 0, -0.2, 0.2], atol=0.01)
    np.testing.assert_allclose(high, [0, 0, 0.2, 0.5], atol=0.01)
    assert np.any(np.all(np.abs(qpos[:, 2:] - jnp.array([0.0, 0.35])) < 0.015, axis=1)), "also within the cup"
    _, (_, target) = starts("reacher-easy")
    radius = np.hypot(*np.asarray(target).T)
    np.testing.assert_allclose([radius.min(), radius.max()], [0.05, 0.2], atol=0.005)
    assert np.all(np.abs(target.mean(axis=0)) < 0.02)


@known_answer("qarl/suite-rewards")
def test_rewards_at_known_places():
    still, high = jnp.zeros(4), {"height": 1.0}
    assert float(control_suite.run_cheetah({"speed": 5.0}, still)) == pytest.approx(0.5)
    assert float(control_suite.hop_hopper(high | {"speed": 1.5}, still)) == pytest.approx(0.75)
    assert float(control_suite.hop_hopper(high | {"speed": 0.0}, still)) == 0.0
    assert float(control_suite.hop_hopper({"height": 0.59, "speed": 3.0}, still)) == 0.0
    assert float(control_suite.stand_hopper(high, jnp.array([1.0, 0.0, 0.0, 0.0]))) == pytest.approx(0.95)
    low = {"height": 0.9, "upright": -1.0, "speed": 0.0}
    assert float(control_suite.stand_walker(low, still)) == pytest.approx(0.75 * 0.562341325)
    assert float(control_suite.stand_walker(low | {"upright": 1.0}, still)) == pytest.approx(0.75 * 0.562341325 + 0.25)
    assert float(control_suite.move_walker(low, still, 1.0)) == pytest.approx(0.75 * 0.562341325 / 6.0)
    assert float(control_suite.reach({"to_target": jnp.array([0.0, 0.02])}, still, 0.015)) == 1.0
    assert float(control_suite.reach({"to_target": jnp.array([0.0, 0.03])}, still, 0.015)) == 0.0


@known_answer("qarl/stale-mass")
def test_a_changed_mass_is_missing_from_the_total_that_speed_is_divided_by():
    for corrected in (False, True):
        env, params = bare("cheetah-run", corrected=corrected)
        data = env._blank.replace(qpos=jnp.asarray(env.model.qpos0), qvel=jnp.zeros(env.model.nv).at[0].set(2.0))
        sensed = jax.jit(lambda params, env=env, data=data: env._body(env.written(params), data, None).sensed)
        for mass, factor in ((9.0, 1.19641), (3.0, 0.76784)):
            speed = float(sensed(params.replace(torso_mass=mass))["speed"])
            assert speed / 2.0 == pytest.approx(1.0 if corrected else factor, abs=1e-5)


@pytest.mark.parametrize("name", ["cheetah-run", "walker-run", "ball-in-cup-catch", "reacher-easy"])
def test_parameters_change_their_own_entries_alone(name):
    env, params = bare(name)
    names = list(control_suite.TASKS[name][1])
    after = env.written(params.replace(**dict.fromkeys(names, 0.07)))
    bodies = {env.model.body(n.removesuffix("_mass")).id for n in names if n != "friction"}
    assert set(np.flatnonzero(after.body_mass != env._model.body_mass)) == bodies
    is_rough = "friction" in names
    assert np.all(after.geom_friction[:, 0] == np.float32(0.07)) == is_rough
    untouched = after.replace(body_mass=env._model.body_mass, geom_friction=env._model.geom_friction)
    for found, expected in zip(jax.tree.leaves(untouched), jax.tree.leaves(env._model), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(after.geom_friction[:, 1:], env._model.geom_friction[:, 1:])


@pytest.mark.parametrize("name", ["cheetah-run", "hopper-hop", "reacher-easy", "walker-walk", "ball-in-cup-catch"])
def test_a_push_is_a_force_on_the_bodies_that_are_pushed(name):
    env, params = bare(name)
    params = params.replace(force_limit=2.0)
    push = jnp.linspace(-1.5, 0.5, env.pushes)
    external = np.asarray(env.external(env._force(push, params)))
    places = [(env.model.body(body).id, axis) for body in PUSHED[robot(name)] for axis in env.task.axes]
    expected = np.zeros((env.model.nbody, 6))
    for place, value in zip(places, 2.0 * np.clip(push, -1, 1), strict=True):
        expected[place] = value
    np.testing.assert_allclose(external, expected, rtol=1e-6)
    assert not np.any(env.external(env._force(jnp.zeros(env.pushes), params)))


@pytest.mark.slow
def test_qarl_learns_here():
    env, params = jrl.make("pushed/hopper-stand", params={"max_steps_in_episode": 6}, iterations=2, line_search=2)
    config = QARLConfig(episodes=2, episode_steps=6, critic_starts=3, actor_starts=6, hidden_sizes=(8,), batch_size=4,
                        buffer_size=12, total_updates=1)  # fmt: skip
    run = jrl.train(qarl(env, params, config), seeds=1, updates=1)
    assert all(np.all(np.isfinite(values)) for name, values in run.metrics.items() if "episode" in name)
