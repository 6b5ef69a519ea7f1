"""Configurations: what can be swept, what is static, what is refused, and what is written down."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxrl_suite as jrl
from jaxrl_suite.config import (
    cast_floats,
    from_dict,
    require_sweepable,
    static_fields,
    sweepable_fields,
    to_dict,
    validate,
)
from jaxrl_suite.errors import ConfigError, UnknownNameError
from tests.helpers import ToyConfig, toy, toy_agent


def test_floats_are_leaves_and_the_rest_is_structure():
    config = ToyConfig()
    assert set(sweepable_fields(config)) == {"rate", "noise", "finish_at", "poison_seed_below"}
    assert set(static_fields(config)) == {"total_updates", "width", "can_finish"}
    assert len(jax.tree.leaves(config)) == 4
    assert jax.tree.structure(config) == jax.tree.structure(config.replace(rate=0.7))
    assert jax.tree.structure(config) != jax.tree.structure(config.replace(width=4))
    assert hash(jax.tree.structure(config)) is not None


def test_casting_removes_weak_types_and_keeps_ints():
    cast = cast_floats({"a": 1.0, "b": 2, "c": np.float64(3.0)})
    assert [cast[k].dtype for k in "abc"] == [jnp.float32, jnp.int32, jnp.float32]
    assert not any(x.weak_type for x in cast.values())


def test_a_static_field_cannot_be_swept():
    with pytest.raises(ConfigError, match=r"ToyConfig.width is static .* sweep one of rate, noise"):
        require_sweepable(ToyConfig(), "width")
    with pytest.raises(UnknownNameError, match="did you mean rate"):
        require_sweepable(ToyConfig(), "rates")


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_validation_accepts_exactly_the_range(value):
    is_ok = np.isfinite(value) and 0 < value <= 10
    if is_ok:
        validate(ToyConfig(rate=value))
    else:
        with pytest.raises(ConfigError, match=r"ToyConfig.rate = .*must be"):
            validate(ToyConfig(rate=value))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 2.5}, "must be a whole number"),
        ({"width": True}, "must be a whole number"),
        ({"can_finish": 1}, "must be true or false"),
        ({"rate": "fast"}, "must be a number"),
        ({"rate": jnp.float32(-1.0)}, "ToyConfig.rate = -1: must be > 0 and <= 10"),
    ],
)
def test_bad_values_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        validate(ToyConfig(**settings))


def test_an_unhashable_static_field_is_refused():
    with pytest.raises(ConfigError, match="hashable"):
        validate(jrl.agents.PPOConfig(hidden_sizes=[64, 64]))


@given(st.floats(0.0078125, 10, width=32), st.integers(1, 100), st.booleans())
def test_what_is_written_down_is_read_back(rate, width, can_finish):
    config = ToyConfig(rate=np.float32(rate), width=width, can_finish=can_finish)
    back = from_dict(ToyConfig, to_dict(config))
    assert np.float32(back.rate) == np.float32(rate)
    assert (back.width, back.can_finish) == (width, can_finish)


def test_a_float_is_written_as_a_person_wrote_it():
    assert to_dict(jrl.agents.PPOConfig(learning_rate=jnp.float32(2.5e-4)))["learning_rate"] == 2.5e-4
    with pytest.raises(UnknownNameError, match="did you mean rate"):
        from_dict(ToyConfig, {"rat": 1.0})


def test_the_same_arguments_give_the_same_agent():
    assert toy_agent(rate=0.2) is toy_agent(rate=0.2)
    assert toy_agent(rate=0.2) is not toy_agent(rate=0.3)
    env, params = jrl.make("probe/never-ending")
    assert toy(env, params).info.config == ToyConfig()


def test_an_agent_can_be_made_under_a_trace():
    env, params = jrl.make("probe/never-ending")

    def moved(rate):
        agent = toy(env, params, ToyConfig(rate=rate, noise=0.0))
        return agent.update(jax.random.key(0), agent.init(jax.random.key(0)), jnp.int32(0))[0].position[0]

    np.testing.assert_allclose(jax.vmap(moved)(jnp.array([0.1, 0.5])), [0.1, 0.5], rtol=1e-6)
