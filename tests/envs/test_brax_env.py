"""brax's environments: nominal parameters change no bit, others act, and time limits are not terminations."""

import copy
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("brax")

from jaxrl_suite import envs
from jaxrl_suite.envs.brax_env import BACKENDS
from jaxrl_suite.envs.physics import TASKS
from jaxrl_suite.errors import ConfigError
from tests.envs.physics_play import player, under_kernels, undiscounted
from tests.known_answers.ledger import known_answer

# brax's own code, played here beside ours.
pytestmark = pytest.mark.filterwarnings("ignore:Accessing:DeprecationWarning")

KEY = jax.random.key(0)
WRITTEN = [*((task, "generalized") for task in TASKS), ("hopper", "mjx"), ("humanoidstandup", "mjx")]
# By mass: the link that has it, and what that link weighs.
LINKS = {
    "ant": {
        "torso_mass": (0, 0.4839),
        "front_left_leg_mass": (0, 0.4839),
        "front_right_leg_mass": (0, 0.4839),
        "front_left_ankle_mass": (2, 0.0676),
    },
    "halfcheetah": {"torso_mass": (0, 6.2502), "back_thigh_mass": (1, 1.5435)},
    "hopper": {"torso_mass": (0, 3.6652), "thigh_mass": (1, 4.0579)},
    "humanoidstandup": {"torso_mass": (0, 8.9075), "left_thigh_mass": (5, 4.7518), "right_foot_mass": (4, 4.5228)},
    "inverted_pendulum": {"pole_mass": (1, 5.0186), "cart_mass": (0, 10.472)},
    "walker2d": {"torso_mass": (0, 3.6652), "thigh_mass": (1, 4.0579)},
}


@known_answer("iwocs/nominal-kernel")
@pytest.mark.parametrize(("task", "backend"), WRITTEN)
def test_writing_nominal_parameters_changes_no_bit_of_the_system(task, backend):
    env, params = envs.make(f"brax/{task}", backend=backend)
    written, untouched = env.written(jax.tree.map(jnp.asarray, params)), env._simulator.sys
    for found, expected in zip(jax.tree.leaves(written), jax.tree.leaves(untouched), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("task", "backend"), WRITTEN)
def test_a_mass_is_written_to_its_link_alone_and_inertia_stays(task, backend):
    env, params = envs.make(f"brax/{task}", backend=backend)

    def masses(system):
        return np.asarray(system.body_mass[1:] if backend == "mjx" else system.link.inertia.mass)

    before = env.written(params)
    for name, (link, mass) in LINKS[task].items():
        after = env.written(params.replace(**{name: getattr(params, name) + 1.5}))
        assert masses(before)[link] == pytest.approx(mass, abs=1e-4)
        expected = masses(before) + 1.5 * (np.arange(len(masses(before))) == link)
        np.testing.assert_allclose(masses(after), expected, rtol=1e-6)
        np.testing.assert_array_equal(after.link.inertia.i, before.link.inertia.i)
        np.testing.assert_array_equal(after.body_invweight0, before.body_invweight0)
    if backend == "generalized":
        # The same numbers in another unit: what MuJoCo's own indices call that link.
        assert [env._links[body] for body in TASKS[task].bodies.values()] == [link for link, _ in LINKS[task].values()]


def test_friction_is_written_to_the_floor_or_to_all():
    for task, is_alone in (("hopper", True), ("walker2d", True), ("halfcheetah", False)):
        env, params = envs.make(f"brax/{task}")
        before, after = (env.written(params.replace(friction=mu)).geom_friction for mu in (params.friction, 0.1))
        changed = np.flatnonzero(np.any(before != after, axis=1))
        assert list(changed) == ([0] if is_alone else list(range(9)))
        assert np.all(after[changed, 0] == np.float32(0.1))
        np.testing.assert_array_equal(before[:, 1:], after[:, 1:])


@functools.cache
def unmodified(env, steps):
    """As `player`, by brax's own environment, of which masses and friction are arguments of the program, as in ours."""

    def play(key, masses, friction):
        simulator = copy.copy(env._simulator)
        simulator.sys = simulator.sys.tree_replace({"link.inertia.mass": masses, "geom_friction": friction})
        state = simulator.reset(key)
        space = env.action_space(env.default_params)

        def step(state, t):
            state = simulator.step(state, space.sample(jax.random.fold_in(key, t)))
            return state, (state.obs, state.reward, state.done > 0)

        return jax.lax.scan(step, state, jnp.arange(steps))[1]

    return jax.jit(play)


@known_answer("iwocs/nominal-kernel")
@pytest.mark.parametrize("task", ["hopper"])
def test_nominal_parameters_are_braxs_environment_bit_for_bit(task):
    env, params = envs.make(f"brax/{task}")
    found = player(env, 30)(KEY, params)
    expected = unmodified(env, 30)(KEY, env._simulator.sys.link.inertia.mass, env._simulator.sys.geom_friction)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert np.ptp(found[0]) > 0.1


@known_answer("iwocs/mapped-kernels")
@pytest.mark.parametrize("id", ["robust/brax/inverted_pendulum", "robust/brax/hopper"])
def test_a_map_over_kernels_is_a_loop_over_them(id):
    env, params = envs.make(id)
    kernels = env.grid(params, 2)
    mapped = jax.jit(jax.vmap(lambda psi: player(env, 15)(KEY, env.at(params, psi))))(kernels)
    loop = [player(env, 15)(KEY, env.at(params, psi)) for psi in kernels]
    for many, ones in zip(mapped, zip(*loop, strict=True), strict=True):
        np.testing.assert_allclose(many, jnp.stack(ones), atol=1e-5, rtol=1e-5)
    assert np.abs(mapped[0][1] - mapped[0][0]).max() > 1e-2, "kernels differ"


@known_answer("iwocs/nominal-kernel")
def test_the_nominal_kernel_is_the_unmodified_environment_bit_for_bit():
    env, params = envs.make("robust/brax/inverted_pendulum")
    base, base_params = envs.make("brax/inverted_pendulum")
    for found, expected in zip(player(env, 30)(KEY, params), player(base, 30)(KEY, base_params), strict=True):
        np.testing.assert_array_equal(found, expected)


@known_answer("iwocs/hopper-friction")
def test_hoppers_floor_counts_only_above_its_foot():
    observations, rewards, ends = under_kernels("brax/hopper", [[0.1], [0.9], [2.13]], ["friction"], 80)
    assert np.all(np.any(ends, axis=1)), "episodes end within the steps"
    found = undiscounted(rewards, ends)
    assert found[0] == found[1]
    until = int(np.argmax(ends[0])) + 1
    np.testing.assert_array_equal(observations[0, :until], observations[1, :until])
    assert abs(found[2] - found[0]) > 1e-3


@pytest.mark.parametrize(("task", "names"), [("inverted_pendulum", ("pole_mass", "cart_mass"))])
@pytest.mark.parametrize("backend", BACKENDS)
def test_masses_change_the_motion(task, names, backend):
    kernels = [[5.0, 10.0], [10.0, 10.0], [5.0, 5.0]]
    observations = under_kernels(f"brax/{task}", kernels, names, 10, backend=backend)[0]
    for other in (1, 2):
        assert np.abs(observations[other] - observations[0]).max() > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_friction_acts_on_every_backend(backend):
    observations = under_kernels("brax/halfcheetah", [[0.1], [4.0]], ["friction"], 20, backend=backend)[0]
    assert np.abs(observations[1] - observations[0]).max() > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("task", ["ant", "halfcheetah", "hopper", "humanoidstandup", "walker2d"])
def test_every_parameter_changes_the_motion(task):
    _, params = envs.make(f"brax/{task}")
    names = TASKS[task].names
    nominal = [getattr(params, name) for name in names]
    changed = [[2.5 * x if i == j else x for j, x in enumerate(nominal)] for i in range(len(names))]
    observations = under_kernels(f"brax/{task}", [nominal, *changed], names, 30)[0]
    assert np.all(np.isfinite(observations))
    for i, name in enumerate(names):
        assert np.abs(observations[i + 1] - observations[0]).max() > 1e-3, name


@pytest.mark.parametrize("backend", ["generalized", "spring"])
def test_an_adversary_moves_masses_within_an_episode(backend):
    env, params = envs.make("robust/brax/inverted_pendulum", backend=backend)
    _, state = env.reset(KEY, params)
    action = jnp.ones(1)
    for psi, differs in (([5.0185914, 10.471975], False), ([5.0185914, 1.0], True)):
        found = env.transition(KEY, env.with_kernel(state, jnp.array(psi)), action, params)[0]
        expected = env.transition(KEY, state, action, params)[0]
        assert (np.abs(found - expected).max() > 1e-2) == differs


def test_a_time_limit_is_no_termination_and_the_last_observation_survives():
    env, params = envs.make("brax/inverted_pendulum", params={"max_steps_in_episode": 3})
    _, state = env.reset(KEY, params)
    nothing = jnp.zeros(1)
    for t in range(3):
        before = state
        observation, state, reward, terminated, truncated, info = env.step(KEY, state, nothing, params)
        assert (bool(terminated), bool(truncated), float(reward)) == (False, t == 2, 1.0)
    assert state.steps == 0
    final = env.transition(jax.random.split(KEY)[0], before, nothing, params)[0]
    np.testing.assert_array_equal(info["final_observation"], final)
    assert np.abs(observation - final).max() > 1e-4


def test_a_termination_at_the_limit_is_no_truncation():
    env, params = envs.make("brax/inverted_pendulum")

    push = jnp.full(1, 0.02)

    def ends(limit):
        """(terminated, truncated) of every step of an episode under a constant push."""
        _, state = env.reset(KEY, params)
        found = [(False, False)]
        while not any(found[-1]):
            _, state, _, *end = env.transition(KEY, state, push, params.replace(max_steps_in_episode=limit))
            found.append(tuple(map(bool, end)))
        return found[1:]

    free = ends(1000)
    assert 2 < len(free) < 100
    assert free[-1] == (True, False)
    assert ends(len(free)) == free
    assert ends(len(free) - 1)[-1] == (False, True)


def test_masses_without_effect_are_refused():
    message = r"brax/hopper: parameter torso_mass has no effect with backend = 'spring', where all masses are 1"
    with pytest.raises(ConfigError, match=message):
        envs.make("robust/brax/hopper", backend="spring")
    env, params = envs.make("brax/hopper", backend="spring")
    env.check_params(params.replace(friction=0.3))
    with pytest.raises(ConfigError, match=message):
        env.check_params(params.replace(torso_mass=2.0))
    assert envs.make("robust/brax/hopper", backend="spring", ranges="1")[0].names == ("friction",)


def test_bad_arguments_are_refused():
    with pytest.raises(ConfigError, match=r"brax/hopper: backend = 'bullet': must be one of generalized, spring"):
        envs.make("brax/hopper", backend="bullet")
    env, params = envs.make("brax/hopper")
    with pytest.raises(ConfigError, match=r"brax/hopper: parameter torso_mass = -1.0: must be a finite number > 0"):
        env.check_params(params.replace(torso_mass=-1.0))


def test_each_backend_is_an_environment_of_its_own():
    assert envs.make("brax/hopper")[0] is envs.make("brax/hopper")[0]
    assert envs.make("brax/hopper")[0] is not envs.make("brax/hopper", backend="spring")[0]
    sizes = {task: (envs.make(f"brax/{task}")[0], envs.make(f"brax/{task}")[1]) for task in TASKS}
    found = {
        task: (env.observation_space(p).shape[0], env.action_space(p).shape[0]) for task, (env, p) in sizes.items()
    }
    planar = {"halfcheetah": (17, 6), "hopper": (11, 3), "walker2d": (17, 6), "inverted_pendulum": (4, 1)}
    assert {task: found[task] for task in planar} == planar
    assert found["ant"] == (27, 8)
