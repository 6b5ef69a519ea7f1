"""Families with uncertain physics: the nominal kernel is gymnax's, the box is kept to, and bad boxes are refused."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl_suite import envs
from jaxrl_suite.envs.robust_control import IDS, unit_grid
from jaxrl_suite.envs.wrappers import DiscretizedActions
from jaxrl_suite.errors import ConfigError, UnknownNameError
from jaxrl_suite.sampling import between
from tests.known_answers.ledger import known_answer

STEPS = 50


@functools.cache
def player(env):
    """(key, params, kernels [T, d] or None) -> observations and rewards of T steps by random actions."""

    def play(key, params, kernels=None):
        _, state = env.reset(key, params)
        space = env.action_space(params)

        def step(carry, t):
            state = carry if kernels is None else env.with_kernel(carry, kernels[t])
            k = jax.random.fold_in(key, t)
            observation, state, reward, *_ = env.transition(k, state, space.sample(k), params)
            return state, (observation, reward)

        return jax.lax.scan(step, state, jnp.arange(STEPS))[1]

    return jax.jit(play)


@known_answer("iwocs/nominal-kernel")
@pytest.mark.parametrize("id", IDS)
def test_the_nominal_kernel_is_the_unmodified_environment_bit_for_bit(id):
    env, params = envs.make(id)
    base, base_params = envs.make(id.removeprefix("robust/"))
    found = player(env)(jax.random.key(3), params)
    expected = player(base)(jax.random.key(3), jax.tree.map(jnp.asarray, base_params))
    assert all(np.array_equal(x, y) for x, y in zip(found, expected, strict=True))
    assert np.ptp(found[0]) > 0


@known_answer("iwocs/mapped-kernels")
@pytest.mark.parametrize("id", ["robust/CartPole-v1", "robust/Acrobot-v1"])
def test_a_map_over_kernels_is_a_loop_over_them(id):
    env, params = envs.make(id)
    kernels, key = env.grid(params, 2), jax.random.key(0)
    mapped = jax.jit(jax.vmap(lambda psi: player(env)(key, env.at(params, psi))))(kernels)
    loop = [player(env)(key, env.at(params, psi)) for psi in kernels]
    for many, ones in zip(mapped, zip(*loop, strict=True), strict=True):
        np.testing.assert_allclose(many, jnp.stack(ones), atol=1e-5, rtol=1e-5)
    assert all(np.ptp(mapped[0][:, -1], axis=0) > 1e-3), "kernels differ"


@known_answer("iwocs/grid-points")
def test_the_papers_grids():
    """Friction on [0.1, 3] without its upper end; torso masses on [0.1, 16] end at 14.41; with both ends, both."""
    shares = unit_grid(1, 10, "lower")[:, 0]
    friction = [0.1, 0.39, 0.68, 0.97, 1.26, 1.55, 1.84, 2.13, 2.42, 2.71]
    np.testing.assert_allclose(between(0.1, 3.0, shares), friction, atol=1e-6)
    np.testing.assert_allclose(between(0.1, 16.0, shares)[-1], 14.41, atol=1e-5)
    both = between(np.float32(0.1), np.float32(3.0), unit_grid(1, 10)[:, 0])
    assert (both[0], both[-1]) == (np.float32(0.1), np.float32(3.0))


@given(
    low=st.floats(0.0625, 16, width=32),
    width=st.floats(0.0625, 16, width=32),
    points=st.integers(2, 7),
    dimensions=st.integers(1, 3),
)
@settings(max_examples=30, deadline=None)
def test_grids_fill_the_box_and_keep_to_it(low, width, points, dimensions):
    high = np.float32(low) + np.float32(width)
    for ends in ("both", "lower"):
        grid = np.asarray(between(np.float32(low), high, unit_grid(dimensions, points, ends)))
        assert grid.shape == (points**dimensions, dimensions)
        assert len(np.unique(grid, axis=0)) == points**dimensions
        assert np.all((grid[0] == np.float32(low)) & (grid.min(axis=0) == np.float32(low)))
        assert np.all(grid.max(axis=0) == high) if ends == "both" else np.all(grid < high)


@given(masscart=st.floats(0.2, 3), masspole=st.floats(0.05, 2), length=st.floats(0.2, 3))
@settings(max_examples=20, deadline=None)
def test_what_follows_from_a_poles_masses_and_length_is_written_too(masscart, masspole, length):
    ranges = {"masscart": (0.1, 5.0), "masspole": (0.05, 5.0), "length": (0.1, 5.0)}
    env, params = envs.make("robust/CartPole-v1", ranges=ranges)
    written = env.written(params, jnp.array([masscart, masspole, length]))
    np.testing.assert_allclose(written.total_mass, masscart + masspole, rtol=1e-6)
    np.testing.assert_allclose(written.polemass_length, masspole * length, rtol=1e-6)
    assert (written.gravity, written.force_mag) == (9.8, 10.0)


def test_masses_follow_when_only_one_parameter_is_uncertain():
    env, params = envs.make("robust/CartPole-v1", ranges={"masspole": (0.05, 1.0)}, params={"length": 1.0})
    written = env.written(params, jnp.array([0.6]))
    np.testing.assert_allclose([written.total_mass, written.polemass_length], [1.6, 0.6], rtol=1e-6)


def test_a_links_centre_of_mass_keeps_its_place():
    env, params = envs.make("robust/Acrobot-v1", ranges={"link_length_1": (0.5, 2.0)})
    assert env.written(params, jnp.array([1.5])).link_com_pos_1 == 0.75
    assert env.written(params, jnp.array([1.5])).link_com_pos_2 == 0.5


def test_domain_randomisation_draws_the_whole_box_at_each_reset():
    env, params = envs.make("robust/Pendulum-v1")
    keys = jax.random.split(jax.random.key(0), 4000)
    low, high = env.bounds(params)
    drawn = jax.vmap(lambda key: env.reset(key, env.randomised(params))[1].kernel)(keys)
    assert np.all((drawn >= low) & (drawn <= high))
    shares = np.asarray((drawn - low) / (high - low))
    np.testing.assert_allclose(
        np.quantile(shares, [0.1, 0.5, 0.9], axis=0), [[0.1] * 2, [0.5] * 2, [0.9] * 2], atol=0.04
    )
    assert abs(np.corrcoef(shares.T)[0, 1]) < 0.07
    half = jax.vmap(lambda key: env.reset(key, params.replace(randomness=0.5))[1].kernel)(keys)
    np.testing.assert_allclose(half, 0.5 * drawn + 0.5, atol=1e-6)


def test_an_automatic_reset_draws_another_kernel():
    env, params = envs.make("robust/CartPole-v1", params={"max_steps_in_episode": 1})
    params = env.randomised(params)
    _, state = env.reset(jax.random.key(0), params)
    _, after, *_ = env.step(jax.random.key(1), state, 0, params)
    assert not np.any(after.kernel == state.kernel)
    stepped = env.transition(jax.random.key(1), state, 0, params)[1]
    np.testing.assert_array_equal(stepped.kernel, state.kernel)


def test_an_adversary_writes_kernels_within_an_episode():
    """One that always writes the same is a fixed kernel; one that switches plays each for its steps."""
    env, params = envs.make("robust/CartPole-v1")
    one, other, key = jnp.array([0.9, 1.8]), jnp.array([0.06, 0.3]), jax.random.key(0)
    fixed = player(env)(key, env.at(params, one))
    written = player(env)(key, params, jnp.tile(one, (STEPS, 1)))
    np.testing.assert_allclose(written[0], fixed[0], rtol=1e-6)
    switched = player(env)(key, params, jnp.where((jnp.arange(STEPS) < 10)[:, None], one, other))
    np.testing.assert_allclose(switched[0][:10], fixed[0][:10], rtol=1e-6)
    assert np.abs(switched[0] - fixed[0])[12:].max(axis=1).min() > 1e-3


def test_discretized_actions_reach_both_limits():
    env, params = envs.make("robust/Pendulum-v1", levels=5)
    base, base_params = envs.make("Pendulum-v1")
    assert env.action_space(params).n == 5
    key = jax.random.key(0)
    _, state = env.reset(key, params)
    _, base_state = base.reset(key, base_params)
    for action, torque in enumerate([-2.0, -1.0, 0.0, 1.0, 2.0]):
        found = env.transition(key, state, action, params)
        expected = base.transition(key, base_state, jnp.array([torque]), base_params)
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
        np.testing.assert_allclose(found[2], expected[2], rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ranges": {"masspole": (1.0, 0.5)}}, r"ranges\['masspole'\] = \(1.0, 0.5\): must have low < high"),
        ({"ranges": {"masspole": (0.5, 0.5)}}, r"ranges\['masspole'\] = \(0.5, 0.5\): must have low < high"),
        ({"ranges": {}}, r"ranges = \{\}: must be one or more names"),
        ({"ranges": {"length": (0.0, 1.0)}}, r"ranges\['length'\] low = 0.0: must be a finite number > 0"),
        ({"ranges": {"length": (0.1, float("inf"))}}, r"high = inf: must be a finite number > 0"),
        ({"ranges": {"length": "ab"}}, r"ranges\['length'\] = 'ab': must be \(low, high\)"),
        ({"ranges": {"total_mass": (0.1, 1.0)}}, r"'total_mass'\]: follows from masscart \+ masspole"),
        ({"levels": 3}, r"discretized actions: CartPole-v1 has .*: must have one continuous action"),
    ],
)
def test_bad_sets_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        envs.make("robust/CartPole-v1", **arguments)


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match=r"uncertain parameter of .* 'lenght': did you mean length"):
        envs.make("robust/CartPole-v1", ranges={"lenght": (0.1, 1.0)})
    with pytest.raises(UnknownNameError, match="did you mean robust/CartPole-v1"):
        envs.make("robust/CartPole")
    with pytest.raises(ConfigError, match=r"levels = 1: must be a whole number >= 2"):
        DiscretizedActions(envs.make("Pendulum-v1")[0], 1)
    with pytest.raises(ConfigError, match=r"ends = 'upper': must be one of both, lower"):
        unit_grid(2, 3, "upper")
    with pytest.raises(ConfigError, match=r"points = 1: must be a whole number >= 2"):
        unit_grid(2, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"low": {"masspole": 1.5, "length": 0.25}}, r"ranges\['masspole'\] = \(1.5, 1.0\): must have low < high"),
        ({"kernel": {"masspole": -1.0, "length": 0.25}}, r"kernel masspole = -1.0: must be a finite number > 0"),
        ({"randomness": 1.5}, r"randomness = 1.5: must be >= 0 and <= 1"),
        ({"low": {"masspole": 0.1}}, r"parameters have other fields"),
    ],
)
def test_bad_parameters_are_refused(changes, message):
    env, params = envs.make("robust/CartPole-v1")
    with pytest.raises(ConfigError, match=message):
        env.check_params(dataclasses.replace(params, **changes))


def test_other_ranges_are_the_same_program():
    env, params = envs.make("robust/CartPole-v1", ranges={"masspole": (0.1, 1.0)})
    other, other_params = envs.make("robust/CartPole-v1", ranges={"masspole": (0.2, 2.0)})
    assert env is other
    assert (other_params.low, other_params.high) == ({"masspole": 0.2}, {"masspole": 2.0})
    assert jax.tree.structure(params) == jax.tree.structure(other_params)
