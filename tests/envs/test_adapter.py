import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from gymnax.environments import spaces

from jaxrl_suite import envs
from jaxrl_suite.errors import ConfigError

KEY = jax.random.key(0)


@struct.dataclass
class Params:
    gain: float = 2.0
    limit: int = 3


class Bare:
    """Counts to `limit`; subclasses give it a step of one style or another."""

    default_params = Params()

    def reset(self, key, params):
        return jnp.zeros(1), jnp.zeros((), jnp.int32)

    def observation_space(self, params):
        return spaces.Box(0.0, 10.0, (1,))

    def action_space(self, params):
        return spaces.Discrete(2)

    def move(self, state, action, params):
        state = state + 1
        return jnp.ones(1) * state, state, params.gain * action, state >= params.limit


class SixValues(Bare):
    """gymnax 1 without `step_env`: resets by itself and says where the episode ended."""

    def step(self, key, state, action, params):
        observation, after, reward, is_over = self.move(state, action, params)
        info = {"final_observation": observation}
        return (
            jnp.where(is_over, 0.0, observation),
            jnp.where(is_over, 0, after),
            reward,
            jnp.asarray(False),
            is_over,
            info,
        )


class PlainStep(Bare):
    """A step that never resets, with one `done` flag."""

    said = ()

    def step(self, key, state, action, params):
        return *self.move(state, action, params), dict(self.said)


class SaysTruncated(PlainStep):
    said = (("TimeLimit.truncated", True),)


class OlderStepEnv(Bare):
    """gymnax before 1: `step_env` with `done`, no `is_truncated`."""

    def step_env(self, key, state, action, params):
        return *self.move(state, action, params), {}


class SixValueStepEnv(Bare):
    def step_env(self, key, state, action, params):
        observation, state, reward, is_over = self.move(state, action, params)
        return observation, state, reward, jnp.asarray(False), is_over, {}


class HasTransition(Bare):
    def transition(self, key, state, action, params):
        observation, state, reward, is_over = self.move(state, action, params)
        return observation, state, reward, is_over, jnp.asarray(False)


def last_of_an_episode(env, function="transition"):
    params = env.default_params
    _, state = env.reset(KEY, params)
    for _ in range(params.limit):
        result = getattr(env, function)(KEY, state, 1, params)
        state = result[1]
    return result


@pytest.mark.parametrize(
    ("kind", "options", "ending"),
    [
        (SixValues, {}, "truncated"),
        (PlainStep, {"resets_itself": False}, "terminated"),
        (SaysTruncated, {"resets_itself": False}, "truncated"),
        (OlderStepEnv, {}, "terminated"),
        (SixValueStepEnv, {}, "truncated"),
        (HasTransition, {}, "terminated"),
    ],
)
def test_every_style_of_step_gives_a_transition_with_the_final_observation(kind, options, ending):
    observation, _, reward, terminated, truncated = last_of_an_episode(envs.adapt(kind(), **options))
    assert observation == 3.0
    assert reward == 2.0
    assert (bool(terminated), bool(truncated)) == (ending == "terminated", ending == "truncated")


def test_step_resets_where_an_episode_ends_and_keeps_its_last_observation():
    observation, state, *_, info = last_of_an_episode(envs.adapt(PlainStep(), resets_itself=False), "step")
    assert (observation, state, info["final_observation"]) == (0.0, 0, 3.0)


def test_equal_arguments_give_the_same_object_and_others_another():
    ours = HasTransition()
    assert envs.adapt(ours) is envs.adapt(ours)
    assert envs.adapt(ours) is not envs.adapt(HasTransition())
    assert envs.adapt(ours) is not envs.adapt(ours, observation="raw")
    assert envs.adapt(ours, params=Params(gain=5.0)).default_params.gain == 5.0
    assert envs.adapt(envs.adapt(ours)) is envs.adapt(ours)


def test_name_is_given_or_that_of_the_class():
    assert envs.adapt(HasTransition()).id == "HasTransition"
    assert envs.adapt(HasTransition(), "mine").id == "mine"


def test_parameters_compile_once_for_all_values():
    traces = []

    class Counting(HasTransition):
        def transition(self, key, state, action, params):
            traces.append(1)
            return super().transition(key, state, action, params)

    env = envs.adapt(Counting(), check=False)
    state = env.reset(KEY, env.default_params)[1]
    for gain in (1.0, 2.0, 3.0):
        assert env.transition(KEY, state, 1, Params(gain=gain))[2] == gain
    assert len(traces) == 1


def without(kind, name):
    return type("Partial", (kind,), {name: None})()


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (object(), "lacks reset, observation_space, action_space"),
        (Bare(), "lacks a step"),
        (without(HasTransition, "default_params"), "no default_params"),
        (without(HasTransition, "action_space"), "lacks action_space"),
        (PlainStep(), "final_observation"),
        (
            type("FourValues", (Bare,), {"step": lambda self, k, s, a, p: self.move(s, a, p)})(),
            "a step returns 4 values",
        ),
    ],
)
def test_what_is_missing_is_named(env, message):
    with pytest.raises(ConfigError, match=message):
        envs.adapt(env)


def broken(**methods):
    return type("Broken", (HasTransition,), methods)()


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (broken(observation_space=lambda self, p: spaces.Box(0, 1, (2,))), r"shape \(1,\), its space says \(2,\)"),
        (
            broken(transition=lambda self, k, s, a, p: (jnp.ones(1), s, jnp.ones(1), jnp.asarray(False), False)),
            r"reward has shape \(1,\)",
        ),
        (broken(transition=lambda self, k, s, a, p: (jnp.ones(1), s, 1.0, 0.0, False)), "terminated is float"),
        (broken(transition=lambda self, k, s, a, p: (jnp.ones(1), s + 0.5, 1.0, False, False)), "int32 to float32"),
        (broken(transition=lambda self, k, s, a, p: (jnp.ones(1), (s, s), 1.0, False, False)), "changes its structure"),
        (broken(reset=lambda self, k, p: (jnp.zeros(1), jnp.zeros(p.limit))), "not declared static"),
        (broken(transition=lambda self, k, s, a, p: (jnp.ones(1), s, 1.0 if a > 0 else 0.0, False, False)), "traces"),
    ],
)
def test_mistakes_are_found_without_running_the_environment(env, message):
    with pytest.raises(ConfigError, match=message) as caught:
        envs.adapt(env)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (Params(limit=2.5), "limit = 2.5: must be a whole number"),
        (Params(limit=jnp.asarray([1.0, 2.5])), "limit: must be a whole number"),
        (Params(gain="high"), "gain = 'high': must be a number"),
        ({"gain": 1.0}, "parameters are dict, must be Params"),
    ],
)
def test_wrong_parameters_are_named(params, message):
    with pytest.raises(ConfigError, match=message):
        envs.adapt(HasTransition()).check_params(params)


def test_sweep_axes_and_whole_floats_are_fine_parameters():
    env = envs.adapt(HasTransition())
    env.check_params(Params(gain=jnp.asarray([1, 2]), limit=np.asarray([3.0, 4.0])))


def test_a_traced_fraction_is_never_rounded_into_a_whole_parameter():
    env = envs.adapt(HasTransition())
    with pytest.raises(ConfigError, match="limit: must be a whole number, got float32"):
        env.reset(KEY, Params(limit=jnp.float32(3.0)))


@pytest.mark.parametrize(
    ("observation", "expected"),
    [
        ("auto", np.eye(16, dtype=np.float32)[0]),
        ("one_hot", np.eye(16, dtype=np.float32)[0]),
        ("float", np.float32(0)),
        ("raw", np.int32(0)),
    ],
)
def test_encodings_of_a_discrete_observation(observation, expected):
    env, params = envs.make("FrozenLake-misc", observation=observation)
    got, _ = env.reset(KEY, params)
    space = env.observation_space(params)
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == expected.dtype == space.dtype
    assert got.shape == expected.shape == tuple(space.shape)
    assert np.all(space.contains(got))


def test_encodings_reach_into_structured_observations():
    class Structured(HasTransition):
        def observation_space(self, params):
            return spaces.Dict({"place": spaces.Discrete(3), "pair": spaces.Tuple([spaces.Box(0, 1, (2,))])})

        def reset(self, key, params):
            return {"place": jnp.asarray(2), "pair": (jnp.zeros(2, jnp.int32),)}, jnp.zeros((), jnp.int32)

        def transition(self, key, state, action, params):
            return self.reset(key, params)[0], state + 1, 0.0, False, False

    env = envs.adapt(Structured())
    got, _ = env.reset(KEY, env.default_params)
    space = env.observation_space(env.default_params)
    np.testing.assert_array_equal(got["place"], [0.0, 0.0, 1.0])
    assert got["pair"][0].dtype == jnp.float32
    assert space.spaces["place"].shape == (3,)
    assert space.spaces["pair"].spaces[0].shape == (2,)


@pytest.mark.parametrize(("observation", "message"), [("one_hot", "not discrete"), ("pixels", "must be one of auto")])
def test_impossible_encodings_are_errors(observation, message):
    with pytest.raises(ConfigError, match=message):
        envs.make("CartPole-v1", observation=observation)


def test_random_keys_may_live_in_the_state():
    class Keyed(HasTransition):
        def reset(self, key, params):
            return jnp.zeros(1), key

        def transition(self, key, state, action, params):
            return jax.random.uniform(state, (1,)), jax.random.split(state)[0], 0.0, False, False

    env = envs.adapt(Keyed())
    params = env.default_params
    state = env.reset(KEY, params)[1]
    draws = jax.lax.scan(lambda s, _: env.step(KEY, s, 0, params)[1::-1], state, None, length=3)[1]
    assert len(np.unique(draws)) == 3


def test_the_state_keeps_its_types_where_a_step_is_careless():
    class Careless(HasTransition):
        def reset(self, key, params):
            return jnp.zeros(1), (0, 0.0, False)

        def transition(self, key, state, action, params):
            return jnp.zeros(1), (7, jnp.float16(0.5), action > 0), 0, False, False

    env = envs.adapt(Careless())
    before = jax.eval_shape(env.reset, KEY, env.default_params)[1]
    after = jax.eval_shape(env.transition, KEY, before, 1, env.default_params)[1]
    assert before == after
    assert [(leaf.dtype, leaf.weak_type) for leaf in after] == [
        (jnp.int32, False),
        (jnp.float32, False),
        (jnp.bool_, False),
    ]
