"""The probes' stated values are checked by playing them, since everything else will be checked by these values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl_suite import envs
from jaxrl_suite.envs.probes import IDS, ProbeParams, true_values
from jaxrl_suite.errors import ConfigError, UnknownNameError

DISCRETE = [id for id in IDS if id != "probe/target"]
DISCOUNT = 0.9


def step_table(id, action, params):
    """One step from each of 64 first states and from the states after it: observation, reward, flags, successor."""
    env, _ = envs.make(id)
    keys = jax.random.split(jax.random.key(0), 64)
    observation, state = jax.vmap(env.reset, (0, None))(keys, params)
    rows = []
    for _ in range(2):
        after, state_after, reward, terminated, truncated = jax.vmap(env.transition, (0, 0, None, None))(
            keys, state, action, params
        )
        rows.append([np.asarray(x) for x in (observation, reward, terminated, truncated, after)])
        observation, state = after, state_after
    return rows


@pytest.mark.parametrize("id", DISCRETE)
def test_true_values_satisfy_the_bellman_equation(id):
    exact = true_values(id, DISCOUNT)
    value_of = dict(zip(exact.observations[:, 0], exact.values, strict=True))
    seen = set()
    for action in (0, 1):
        q_of = dict(zip(exact.observations[:, 0], exact.action_values[:, action], strict=True))
        observation, reward, terminated, _, after = step_table(id, action, ProbeParams())[0]
        for o, r, done, o2 in zip(observation[:, 0], reward, terminated, after[:, 0], strict=True):
            seen.add(float(o))
            assert q_of[o] == pytest.approx(r + (0.0 if done else DISCOUNT * value_of[o2]))
    np.testing.assert_allclose(exact.values, exact.action_values.max(axis=1))
    assert seen == ({0.0} if id == "probe/delayed" else set(value_of)), "every listed first observation occurs"


def test_delayed_ends_in_its_second_step_with_the_reward():
    first, second = step_table("probe/delayed", 0, ProbeParams())
    assert not first[2].any()
    assert second[0].min() == 1.0
    assert second[1].min() == 1.0
    assert second[2].all()


@pytest.mark.parametrize("id", [id for id in IDS if id not in ("probe/never-ending", "probe/delayed")])
def test_the_others_terminate_after_one_step(id):
    action = jnp.zeros(1) if id == "probe/target" else 0
    assert step_table(id, action, ProbeParams())[0][2].all()


def test_never_ending_is_cut_off_at_its_limit_without_showing_time():
    env, params = envs.make("probe/never-ending", params={"reward": 2.0, "max_steps_in_episode": 4})
    _, state = env.reset(jax.random.key(0), params)
    for t in range(1, 5):
        observation, state, reward, terminated, truncated = env.transition(jax.random.key(t), state, 0, params)
        assert (float(observation[0]), float(reward)) == (0.0, 2.0)
        assert (bool(terminated), bool(truncated)) == (False, t == 4)
    assert true_values("probe/never-ending", 0.9, reward=2.0).values[0] == pytest.approx(20.0)


@settings(deadline=None, max_examples=30)
@given(st.floats(-1, 1, width=32), st.floats(-1, 1, width=32))
def test_target_rewards_are_highest_at_the_optimal_action(observation, action):
    env, params = envs.make("probe/target")
    state = env.reset(jax.random.key(0), params)[1].replace(observation=jnp.asarray([observation], jnp.float32))
    reward = env.transition(jax.random.key(0), state, jnp.asarray([action], jnp.float32), params)[2]
    assert float(reward) == pytest.approx(-((action - observation / 2) ** 2), abs=1e-6)


def test_target_values_are_those_of_the_optimal_actions():
    exact = true_values("probe/target", 0.5)
    np.testing.assert_allclose(exact.optimal_actions, exact.observations[:, 0] / 2)
    np.testing.assert_array_equal(exact.values, 0.0)


@pytest.mark.parametrize("id", IDS)
def test_outputs_match_spaces_and_state_keeps_its_types(id):
    env, params = envs.make(id)
    space = env.observation_space(params)
    observation, state = jax.eval_shape(env.reset, jax.random.key(0), params)
    action = jax.eval_shape(env.action_space(params).sample, jax.random.key(0))
    result = jax.eval_shape(env.step, jax.random.key(0), state, action, params)
    assert (observation.shape, observation.dtype) == (space.shape, space.dtype)
    assert (result[0], result[1]) == (observation, state)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: true_values("probe/constant", 1.0), ConfigError, "discount = 1.0: must be >= 0 and < 1"),
        (lambda: true_values("probe/constant", 0.9, reward=0.0), ConfigError, "reward = 0.0: must be > 0"),
        (lambda: true_values("probe/cosntant", 0.9), UnknownNameError, "did you mean probe/constant"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
