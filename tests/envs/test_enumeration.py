"""Environments written out as tables: the table steps as the environment does."""

import jax
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite import solvers
from jaxrl_suite.envs import enumerate_env, read_bridge
from jaxrl_suite.errors import ConfigError


def test_the_table_steps_as_the_environment_does():
    env, params = jrl.make("grid/door-key-5")
    found = enumerate_env(env, params, horizon=50)
    mdp, step = found.mdp, jax.jit(env.transition)
    assert mdp.successors.shape == (mdp.num_states, 6, 1)
    state, here = env.reset(jax.random.key(0), params)[1], 0
    for action in np.random.default_rng(0).integers(6, size=60):
        for field, expected in found.states.replace(steps=0).__dict__.items():
            if field != "steps":
                np.testing.assert_array_equal(getattr(state, field), expected[here])
        _, state, reward, is_over, _ = step(jax.random.key(0), state, action, params)
        assert reward == mdp.rewards[here, action]
        here = int(mdp.successors[here, action, 0])
        assert (here == mdp.num_states - 1) == bool(is_over)
        if is_over:
            break


def test_an_environment_of_another_library():
    """gymnax's DeepSea has the values of the suite's own."""
    mdp = enumerate_env(*jrl.make("DeepSea-bsuite"), horizon=8).mdp
    values = solvers.planning_values(mdp)
    assert mdp.initial @ values.best[0] == pytest.approx(0.99, abs=1e-6)
    assert mdp.initial @ values.random[0] == pytest.approx(-0.00109375, abs=1e-6)
    assert mdp.num_states == 8 * 9 // 2 + 1


@pytest.mark.parametrize(
    ("id", "options", "message"),
    [
        ("FrozenLake-misc", {}, "its step depends on chance"),
        ("Catch-bsuite", {}, "its start depends on chance"),
        ("Pendulum-v1", {}, "must be discrete"),
        ("grid/empty-8", {"max_states": 50}, "more than max_states = 50 states"),
    ],
)
def test_what_is_refused(id, options, message):
    with pytest.raises(ConfigError, match=message):
        enumerate_env(*jrl.make(id), horizon=10, **options)


def test_tables_from_bridge_files(tmp_path):
    path = tmp_path / "lock.npz"
    np.savez_compressed(path, transitions=[[-1, 1], [-1, -1]], rewards=np.float32([[0, 0], [0, 1]]), screens=[0])
    mdp = read_bridge(path, horizon=2)
    values = solvers.planning_values(mdp)
    assert (values.best[0][0], values.random[0][0]) == (1.0, 0.25)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"transitions": [[0]]}, "has no array rewards: found transitions"),
        ({"transitions": [[0.5]], "rewards": [[0.0]]}, "transitions are float64: must be whole numbers"),
        ({"transitions": [[7]], "rewards": [[0.0]]}, "following of state 0, action 0 = 7: must be -1 to 0"),
    ],
)
def test_bridge_files_that_are_refused(tmp_path, arrays, message):
    np.savez_compressed(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ConfigError, match=message):
        read_bridge(tmp_path / "bad.npz", horizon=10)


def test_what_is_no_bridge_file(tmp_path):
    (tmp_path / "text.npz").write_text("no archive")
    for name in ("text.npz", "missing.npz"):
        with pytest.raises(ConfigError, match="cannot be read as a NumPy archive"):
            read_bridge(tmp_path / name, horizon=10)
