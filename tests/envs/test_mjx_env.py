"""MuJoCo's tasks in MJX: a step is that of MuJoCo itself, in C and float64, and parameters act as they do there."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("mujoco.mjx")

import mujoco

from jaxrl_suite import envs
from jaxrl_suite.envs.mjx_env import MjxEnv
from jaxrl_suite.envs.physics import TASKS
from jaxrl_suite.errors import ConfigError
from tests.envs.physics_play import player, under_kernels, undiscounted
from tests.known_answers.ledger import known_answer

KEY = jax.random.key(0)
SIZES = {
    "ant": (105, 8, 1.0),
    "halfcheetah": (17, 6, 1.0),
    "hopper": (11, 3, 1.0),
    "humanoidstandup": (348, 17, 0.4),
    "inverted_pendulum": (4, 1, 3.0),
    "walker2d": (17, 6, 1.0),
}
SECONDS = {
    "ant": 0.05,
    "halfcheetah": 0.05,
    "hopper": 0.008,
    "humanoidstandup": 0.015,
    "inverted_pendulum": 0.04,
    "walker2d": 0.008,
}
CONTACTS = ("ant", "hopper", "humanoidstandup")
QUICK = ("hopper", "inverted_pendulum")
LIFTED = {"ant": 0.2, "humanoidstandup": 2.0}
"""Metres, so that steps come before a capsule meets the floor: there MJX' friction is another pyramid's."""
tasks = pytest.mark.parametrize(
    "task", [task if task in QUICK else pytest.param(task, marks=pytest.mark.slow) for task in TASKS]
)


@pytest.mark.parametrize("task", TASKS)
def test_sizes_limits_and_seconds(task):
    env, params = envs.make(f"mjx/{task}")
    size, actions, limit = SIZES[task]
    space = env.action_space(params)
    assert env.observation_space(params).shape == (size,)
    assert space.shape == (actions,)
    np.testing.assert_array_equal(space.low, np.full(actions, -limit, np.float32))
    np.testing.assert_array_equal(space.high, np.full(actions, limit, np.float32))
    assert env._of.substeps * env.model.opt.timestep == pytest.approx(SECONDS[task])


@known_answer("iwocs/nominal-kernel")
@pytest.mark.parametrize("task", TASKS)
def test_writing_nominal_parameters_changes_no_bit_and_others_their_body_alone(task):
    env, params = envs.make(f"mjx/{task}")
    written, untouched = env.written(jax.tree.map(jnp.asarray, params)), env._model
    for found, expected in zip(jax.tree.leaves(written), jax.tree.leaves(untouched), strict=True):
        np.testing.assert_array_equal(found, expected)
    names = {"front_left_ankle": "", "back_thigh": "bthigh"}
    for name, body in TASKS[task].bodies.items():
        after = env.written(params.replace(**{name: 2.5}))
        assert list(np.flatnonzero(after.body_mass != untouched.body_mass)) == [body]
        assert after.body_mass[body] == 2.5
        np.testing.assert_array_equal(after.body_inertia, untouched.body_inertia)
        np.testing.assert_array_equal(after.body_subtreemass, untouched.body_subtreemass)
        what = name.removesuffix("_mass")
        assert env.model.body(body).name == names.get(what, what)


def in_c(env, params, state, action):
    """MuJoCo's own data after a control step from our state, with these parameters."""
    model = copy.copy(env.model)
    model.opt.iterations, model.opt.ls_iterations = 100, 50
    for name, body in env.task.bodies.items():
        model.body_mass[body] = getattr(params, name)
    # MuJoCo in C keeps the nominal sums of masses, about whose centres it observes; MJX adds them up anew.
    model.body_subtreemass[:] = model.body_mass
    for body in range(model.nbody - 1, 0, -1):
        model.body_subtreemass[model.body_parentid[body]] += model.body_subtreemass[body]
    if env.task.friction == "floor":
        model.geom_friction[model.geom("floor").id, 0] = params.friction
    elif env.task.friction == "all":
        model.geom_friction[:, 0] = params.friction
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:], data.qacc_warmstart[:] = state.qpos, state.qvel, state.warm_start
    data.ctrl[:] = action
    mujoco.mj_step(model, data, nstep=env._of.substeps)
    mujoco.mj_rnePostConstraint(model, data)
    return data


def observed(task, data):
    """The observation of the task's documentation."""
    qpos, qvel, contact = data.qpos, data.qvel, data.cfrc_ext[1:].ravel()
    if task == "inverted_pendulum":
        parts = [qpos, qvel]
    elif task == "halfcheetah":
        parts = [qpos[1:], qvel]
    elif task == "ant":
        parts = [qpos[2:], qvel, np.clip(contact, -1, 1)]
    elif task == "humanoidstandup":
        parts = [qpos[2:], qvel, data.cinert[1:].ravel(), data.cvel[1:].ravel(), data.qfrc_actuator[6:], contact]
    else:
        parts = [qpos[1:], np.clip(qvel, -10, 10)]
    return np.concatenate(parts)


def rewarded(task, before, data, action):
    """The reward of the task's documentation."""
    work = np.square(action).sum()
    forward = (data.qpos[0] - float(before.qpos[0])) / SECONDS[task]
    if task == "inverted_pendulum":
        return float(abs(data.qpos[1]) <= 0.2)
    if task == "halfcheetah":
        return forward - 0.1 * work
    if task == "ant":
        forward = (data.xpos[1, 0] - float(before.torso[0])) / SECONDS[task]
        return forward + 1 - 0.5 * work - 5e-4 * np.square(np.clip(data.cfrc_ext, -1, 1)).sum()
    if task == "humanoidstandup":
        impact = min(0.5e-6 * np.square(data.cfrc_ext).sum(), 10.0)
        return data.qpos[2] / 0.003 + 1 - 0.1 * work - impact
    return forward + 1 - 1e-3 * work


@tasks
def test_a_step_is_mujocos(task):
    """Each of some steps in a row, from our state; with other parameters than the nominal ones."""
    env, params = envs.make(f"mjx/{task}")
    params = params.replace(**{name: 1.2 * getattr(params, name) for name in TASKS[task].names})
    _, state = env.reset(KEY, params)
    if task in LIFTED:
        state = state.replace(qpos=state.qpos.at[2].add(LIFTED[task]))
    space = env.action_space(params)
    for t in range(8):
        # Half as strong as random ones, so that none falls.
        action = 0.5 * space.sample(jax.random.fold_in(KEY, t))
        before = state
        observation, state, reward, terminated, truncated = env.transition(KEY, state, action, params)
        data = in_c(env, params, before, np.asarray(action))
        if task in LIFTED and (data.contact.geom == 0).any():
            break
        expected = observed(task, data)
        scale = 1.0 + np.abs(expected)
        assert np.abs((observation - expected) / scale).max() < 5e-3
        np.testing.assert_allclose(reward, rewarded(task, before, data, np.asarray(action)), rtol=2e-3, atol=5e-3)
        assert (bool(terminated), bool(truncated)) == (False, False)
    assert state.steps >= (4 if task in LIFTED else 8)


@pytest.mark.slow
def test_where_ants_legs_meet_the_floor_motion_is_mujocos_but_for_the_pyramids_turn():
    """With a round cone of friction, which looks alike from all sides, contacts agree as well."""
    env, params = envs.make("mjx/ant")
    round_cone = copy.copy(env.model)
    round_cone.opt.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    env, contacts = MjxEnv(env.id, round_cone, env._mjx), 0
    _, state = env.reset(KEY, params)
    for t in range(8):
        action = 0.5 * env.action_space(params).sample(jax.random.fold_in(KEY, t))
        before = state
        _, state, *_ = env.transition(KEY, state, action, params)
        data = in_c(env, params, before, np.asarray(action))
        np.testing.assert_allclose(state.qpos, data.qpos, atol=1e-3)
        np.testing.assert_allclose(state.qvel, data.qvel, atol=5e-3, rtol=5e-3)
        contacts += data.ncon > 0
    assert contacts >= 2


@pytest.mark.parametrize("task", ["inverted_pendulum", *(pytest.param(t, marks=pytest.mark.slow) for t in CONTACTS)])
def test_nothing_of_mjxs_data_that_matters_is_left_behind(task):
    """Control steps of our state are those of MJX's own data carried on."""
    env, params = envs.make(f"mjx/{task}")
    _, state = env.reset(KEY, params)
    action = 0.5 * env.action_space(params).high
    carried = env._blank.replace(qpos=state.qpos, qvel=state.qvel, ctrl=action)

    @jax.jit
    def onward(data, params):
        return jax.lax.fori_loop(0, env._of.substeps, lambda _, d: env._mjx.step(env.written(params), d), data)

    for _ in range(4):
        state = env.transition(KEY, state, action, params)[1]
        carried = onward(carried, params)
    np.testing.assert_allclose(state.qpos, carried.qpos, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state.qvel, carried.qvel, rtol=1e-3, atol=1e-4)


@known_answer("iwocs/hopper-friction")
def test_hoppers_floor_counts_only_above_its_foot():
    """Returns are the same at .1 and .9; at 1.99 too while only the foot touches the floor; not at 2.13."""
    kernels = [[0.1], [0.9], [1.99], [2.13]]
    observations, rewards, ends = under_kernels("mjx/hopper", kernels, ["friction"], 100)
    assert np.all(np.any(ends, axis=1)), "episodes end within the steps"
    found = undiscounted(rewards, ends)
    assert found[0] == found[1] == found[2]
    np.testing.assert_array_equal(observations[0], observations[1])
    assert abs(found[3] - found[0]) > 1e-3


@known_answer("iwocs/mapped-kernels")
def test_a_map_over_kernels_is_a_loop_over_them():
    env, params = envs.make("robust/mjx/inverted_pendulum")
    kernels = env.grid(params, 2)
    mapped = jax.jit(jax.vmap(lambda psi: player(env, 50)(KEY, env.at(params, psi))))(kernels)
    loop = [player(env, 50)(KEY, env.at(params, psi)) for psi in kernels]
    for many, ones in zip(mapped, zip(*loop, strict=True), strict=True):
        np.testing.assert_allclose(many, jnp.stack(ones), atol=1e-5, rtol=1e-5)
    assert np.ptp(mapped[0][:, -1], axis=0).max() > 1e-2, "kernels differ"


def test_starts_are_noisy_around_the_models():
    keys = jax.random.split(KEY, 500)
    for task, noise, is_normal in (("hopper", 5e-3, False), ("halfcheetah", 0.1, True)):
        env, params = envs.make(f"mjx/{task}")
        state = jax.vmap(env.reset, (0, None))(keys, params)[1]
        shift = np.asarray(state.qpos - env.model.qpos0.astype(np.float32)) / noise
        assert np.all(np.abs(shift) <= 1.001)
        np.testing.assert_allclose(shift.std(), 1 / np.sqrt(3), rtol=0.03)
        speed = np.asarray(state.qvel) / noise
        assert (np.abs(speed).max() > 2) == is_normal
        np.testing.assert_allclose(speed.std(), 1.0 if is_normal else 1 / np.sqrt(3), rtol=0.03)
        assert abs(np.corrcoef(shift[:, 0], speed[:, 0])[0, 1]) < 0.15


@pytest.mark.parametrize("task", ["ant", pytest.param("humanoidstandup", marks=pytest.mark.slow)])
def test_a_first_observation_is_mujocos(task):
    env, params = envs.make(f"mjx/{task}")
    observation, state = env.reset(KEY, params)
    data = mujoco.MjData(env.model)
    data.qpos[:], data.qvel[:] = state.qpos, state.qvel
    mujoco.mj_forward(env.model, data)
    np.testing.assert_allclose(observation, observed(task, data), atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(state.torso, data.xpos[1, :2], atol=1e-6)


def test_a_time_limit_is_no_termination():
    env, params = envs.make("mjx/inverted_pendulum", params={"max_steps_in_episode": 2})
    _, state = env.reset(KEY, params)
    ends = []
    for _ in range(2):
        _, state, reward, *end, _ = env.step(KEY, state, jnp.zeros(1), params)
        ends.append((*map(bool, end), float(reward)))
    assert ends == [(False, False, 1.0), (False, True, 1.0)]
    assert state.steps == 0


@pytest.mark.parametrize(("argument", "value"), [("iterations", 0), ("line_search", 1.5), ("iterations", True)])
def test_bad_arguments_are_refused(argument, value):
    with pytest.raises(ConfigError, match=rf"mjx/hopper: {argument} = {value!r}: must be a whole number >= 1"):
        envs.make("mjx/hopper", **{argument: value})


def test_a_robust_family_hands_options_on():
    env, _ = envs.make("robust/mjx/hopper", iterations=3, ranges="3")
    assert env.env.model.opt.iterations == 3
    assert env.names == ("friction", "torso_mass", "thigh_mass")
