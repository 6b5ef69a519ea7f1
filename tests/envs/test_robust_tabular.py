"""Lists of kernels as environments, and what is refused."""

import jax
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.envs import KernelMDP
from jaxrl_suite.envs.robust_tabular import bets, duality_gap, random_kernels, windy_walk
from jaxrl_suite.errors import ConfigError, UnknownNameError

IDS = [id for id in jrl.envs.list_envs() if id.startswith("robust/")]
UNIFORM = np.full((2, 3, 1, 3), 1 / 3)


def test_the_families_are_listed():
    assert {"robust/windy-walk", "robust/windy-walk-long", "robust/random-shared", "robust/random-rectangular"} <= set(
        IDS
    )


@pytest.mark.parametrize("mdp", [windy_walk(), windy_walk(18, 16), random_kernels(), bets(), duality_gap(2)])
def test_kernels_are_distributions_and_ordinary_problems(mdp):
    np.testing.assert_allclose(mdp.kernels.sum(axis=-1), 1.0, atol=1e-12)
    for index in (0, mdp.num_kernels - 1):
        under = mdp.under(mdp.kernels[index])
        assert under.rewards.shape == (mdp.num_states, mdp.num_actions)
        np.testing.assert_array_equal(mdp.replace(active=index).transitions, mdp.kernels[index])


def test_the_wind_of_the_walk():
    """Read off the table: rows 0, 2, 4 of column 2, alpha 0.5."""
    kernel = windy_walk().kernels[24]
    for row, wind in ((0, 0.5), (2, 0.125), (4, 0.5**6), (5, 0.5**6)):
        cell = 6 * row + 2
        assert kernel[cell, 2, cell + 1] == pytest.approx(1 - wind)
        assert kernel[cell, 2, cell - 1] == pytest.approx(wind)
        assert kernel[cell, 3, cell - 1] == 1.0
    # North and South stay put between walls, and go from one southern row to the other.
    assert kernel[2, 1, 2] == pytest.approx(0.5)
    assert kernel[26, 1, 32] == pytest.approx(1 - 0.5**6)
    calm = windy_walk().kernels[24, 12]
    assert calm[0, 6] == calm[1, 18] == calm[2, 13] == calm[3, 12] == 1.0
    walls = [7, 8, 9, 19, 20, 21]
    others = np.setdiff1d(np.arange(36), walls)
    assert windy_walk().kernels[:, others][..., walls].max() == 0


def test_the_kernel_in_force_is_the_one_that_is_stepped():
    env, mdp = jrl.make("robust/bets")
    keys = jax.random.split(jax.random.key(0), 2000)
    for active, chance in ((0, 0.9), (1, 0.5)):
        params = mdp.replace(active=active)
        _, state = env.reset(jax.random.key(1), params)
        step = jax.vmap(lambda key, state=state, params=params: env.step(key, state, 0, params)[2:5])
        reward, terminated, truncated = step(keys)
        # What is paid is the expectation over the states that may be reached.
        assert np.asarray(reward) == pytest.approx(np.full(2000, chance))
        assert np.asarray(terminated).all()
        assert not np.asarray(truncated).any()


def test_kernels_are_an_axis_of_vmap():
    env, mdp = jrl.make("robust/windy-walk")
    _, state = env.reset(jax.random.key(0), mdp)

    def blown(active):
        params = jax.tree.unflatten(jax.tree.structure(mdp), [*jax.tree.leaves(mdp)[:-1], active])
        state_after = env.step(jax.random.key(0), (np.int32(2), state[1]), 2, params)[1]
        return state_after[0]

    assert set(np.asarray(jax.vmap(blown)(np.arange(25, dtype=np.int32))).tolist()) <= {1, 3}


BAD = {
    "shape": (lambda: KernelMDP(UNIFORM[0], np.zeros((3, 1))), r"kernels: shape \(3, 1, 3\): must be \[K, S, A, S\]"),
    "rows": (
        lambda: KernelMDP(2 * UNIFORM, np.zeros((3, 1))),
        r"transitions at state 0, action 0: probabilities sum to 2",
    ),
    "rows of a later kernel": (
        lambda: KernelMDP(UNIFORM * np.array([1, 2])[:, None, None, None], np.zeros((3, 1))),
        r"kernels at kernel 1, state 0, action 0: probabilities sum to 2",
    ),
    "rewards": (
        lambda: KernelMDP(UNIFORM, np.zeros((3, 2))),
        r"rewards: shape \(3, 2\): must be \[3, 1\], or \[3, 1, 3\]",
    ),
    "parameters": (lambda: KernelMDP(UNIFORM, np.zeros((3, 1)), parameters=[[0.0]]), r"parameters: .* \[2, D\]"),
    "active": (lambda: KernelMDP(UNIFORM, np.zeros((3, 1)), active=2), r"active = 2: must be a kernel between 0 and 1"),
    "inverted range": (
        lambda: windy_walk(least=0.5, most=0.1),
        r"least = 0\.5, most = 0\.1: must be 0 <= least <= most",
    ),
    "no kernels": (lambda: windy_walk(kernels=0), r"kernels = 0: must be a whole number >= 1"),
    "long corridor": (lambda: windy_walk(corridor=5), r"corridor = 5: must be <= columns - 2 = 4"),
    "concentration": (lambda: random_kernels(concentration=0.0), r"concentration = 0\.0: must be > 0"),
    "delay": (lambda: duality_gap(-1), r"delay = -1: must be a whole number >= 0"),
    "no such parameter": (lambda: jrl.make("robust/windy-walk", wind=1), r"robust/windy-walk: .*wind"),
}


@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD.keys())
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_name_that_is_none_is_refused():
    with pytest.raises(UnknownNameError, match=r"robust/windy-walk"):
        jrl.make("robust/windy")
