import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite import envs
from jaxrl_suite.errors import ConfigError

KEY = jax.random.key(0)


def rollout(env, params, actions, seed=0, function="step"):
    """State and results of playing `actions` in one scan."""

    def body(state, key_and_action):
        key, action = key_and_action
        result = getattr(env, function)(key, state, action, params)
        return result[1], result

    key_reset, key_steps = jax.random.split(jax.random.key(seed))
    state = env.reset(key_reset, params)[1]
    return jax.lax.scan(body, state, (jax.random.split(key_steps, len(actions)), actions))[1]


def test_equal_wrapping_gives_the_same_object():
    env, _ = envs.make("CartPole-v1")
    assert envs.StickyActions(env, 0.25) is envs.StickyActions(env, probability=0.25)
    assert envs.StickyActions(env, 0.25) is not envs.StickyActions(env, 0.5)
    assert envs.TimeLimit(env, 5) is envs.TimeLimit(env, max_steps=5)
    assert envs.EpisodeStatistics(env) is envs.EpisodeStatistics(env)
    assert envs.EpisodeStatistics(envs.TimeLimit(env, 5)).id == "CartPole-v1+limit(5)+statistics"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda env: envs.StickyActions(env, 0.3),
        lambda env: envs.TimeLimit(env, 9),
        envs.EpisodeStatistics,
        lambda env: envs.EpisodeStatistics(envs.TimeLimit(envs.StickyActions(env, 0.3), 9)),
    ],
)
@pytest.mark.parametrize("id", ["CartPole-v1", "Pendulum-v1", "FrozenLake-misc"])
def test_wrappers_keep_types_and_spaces(id, wrap):
    bare, bare_params = envs.make(id)
    env = wrap(bare)
    params = env.default_params
    assert env.observation_space(params).shape == bare.observation_space(bare_params).shape
    action = jax.eval_shape(env.action_space(params).sample, KEY)
    observation, state = jax.eval_shape(env.reset, KEY, params)
    for function in (env.transition, env.step):
        result = jax.eval_shape(function, KEY, state, action, params)
        assert (result[0], result[1]) == (observation, state)
        assert [leaf.dtype for leaf in result[2:5]] == [jnp.float32, jnp.bool_, jnp.bool_]
    env.check_params(params)


def executed_actions(probability, actions, seed=0):
    """Actions that reach the wrapped environment in one long sequence of steps."""
    env = envs.StickyActions(envs.make("probe/never-ending")[0], 0.5)
    params = env.default_params.replace(stick_probability=probability)
    state = env.reset(KEY, params)[1]

    def body(state, key_and_action):
        state = env.transition(key_and_action[0], state, key_and_action[1], params)[1]
        return state, state.last_action

    keys = jax.random.split(jax.random.key(seed), len(actions))
    return np.asarray(jax.lax.scan(body, state, (keys, actions))[1])


def test_sticky_actions_repeat_the_action_executed_last():
    asked = np.arange(4000, dtype=np.int32)
    executed = executed_actions(0.25, asked)
    is_repeated = executed[1:] == executed[:-1]
    assert executed[0] == 0
    np.testing.assert_array_equal(executed[1:][~is_repeated], asked[1:][~is_repeated])
    assert abs(is_repeated.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4000)


@pytest.mark.parametrize(("probability", "expected"), [(0.0, np.arange(1, 6)), (1.0, np.ones(5))])
def test_sticky_extremes_and_the_free_first_action(probability, expected):
    np.testing.assert_array_equal(executed_actions(probability, np.arange(1, 6, dtype=np.int32)), expected)


def test_no_action_sticks_across_episodes():
    env = envs.StickyActions(envs.make("probe/action")[0], 1.0)
    actions = jnp.asarray([1, 0, 1, 0])
    reward = rollout(env, env.default_params, actions)[2]
    np.testing.assert_array_equal(reward, [1.0, -1.0, 1.0, -1.0])


def test_stick_probability_can_be_swept():
    env = envs.StickyActions(envs.make("CartPole-v1")[0], 0.5)
    params = env.default_params.replace(stick_probability=jnp.asarray([0.0, 1.0]))
    axes = jax.tree.map(lambda leaf: 0 if jnp.ndim(leaf) else None, params)
    play = jax.vmap(lambda p: rollout(env, p, jnp.arange(6) % 2)[1].last_action, (axes,))
    np.testing.assert_array_equal(play(params), [[0, 1, 0, 1, 0, 1], [0] * 6])


def test_time_limit_truncates_and_keeps_termination_apart():
    env = envs.TimeLimit(envs.make("probe/delayed")[0], 1)
    terminated, truncated = rollout(env, env.default_params, jnp.zeros(3, jnp.int32))[3:5]
    assert not terminated.any()
    assert truncated.all()
    longer = env.default_params.replace(max_steps=2)
    terminated, truncated = rollout(env, longer, jnp.zeros(4, jnp.int32))[3:5]
    np.testing.assert_array_equal(terminated, [False, True, False, True])
    np.testing.assert_array_equal(truncated, [False, True, False, True])


def test_the_wrapped_limit_stays_in_force():
    env = envs.TimeLimit(envs.make("probe/never-ending")[0], 100)
    truncated = rollout(env, env.default_params, jnp.zeros(20, jnp.int32))[4]
    np.testing.assert_array_equal(np.flatnonzero(truncated), [9, 19])


def test_episode_statistics_are_the_sums_over_each_episode():
    env, params = envs.make("CartPole-v1")
    env = envs.EpisodeStatistics(env)
    _, _, reward, terminated, truncated, info = jax.tree.map(
        np.asarray, rollout(env, params, jnp.arange(200) % 3 // 2, seed=3)
    )
    ends = np.flatnonzero(terminated | truncated)
    assert len(ends) > 2
    starts = np.r_[0, ends[:-1] + 1]
    np.testing.assert_array_equal(info["episode_length"][ends], ends - starts + 1)
    totals = [reward[start : end + 1].sum() for start, end in zip(starts, ends, strict=True)]
    np.testing.assert_allclose(info["episode_return"][ends], totals)
    assert "discount" in info, "the wrapped environment's own entries are kept"


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda env: envs.StickyActions(env, -0.1), "probability = -0.1: must be >= 0 and <= 1"),
        (lambda env: envs.StickyActions(env, "often"), "probability = 'often'"),
        (lambda env: envs.TimeLimit(env, 0), "max_steps = 0: must be a whole number >= 1"),
        (lambda env: envs.TimeLimit(env, 2.5), "max_steps = 2.5"),
    ],
)
def test_bad_arguments_are_named(wrap, message):
    with pytest.raises(ConfigError, match=message):
        wrap(envs.make("CartPole-v1")[0])


def test_a_bare_gymnax_environment_can_be_wrapped():
    import gymnax

    theirs = gymnax.make("CartPole-v1")[0]
    assert envs.TimeLimit(theirs, 3).env is envs.adapt(theirs)
