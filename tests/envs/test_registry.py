import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from jaxrl_suite import envs
from jaxrl_suite.envs import registry
from jaxrl_suite.envs.probes import IDS
from jaxrl_suite.errors import ConfigError, UnknownNameError


@pytest.fixture
def clean_registry(monkeypatch):
    for name in ("_factories", "_families", "_made"):
        monkeypatch.setattr(registry, name, dict(getattr(registry, name)))


def family_for_tests(id, size=3):
    if id != "unit/good":
        raise UnknownNameError("environment", id, ["unit/good"])
    env, params = envs.make("DeepSea-bsuite", size=size)
    return env, params.replace(unscaled_move_cost=0.5)


def test_the_same_arguments_give_the_same_environment():
    assert envs.make("DeepSea-bsuite", size=4)[0] is envs.make("DeepSea-bsuite", size=4)[0]
    assert envs.make("DeepSea-bsuite", size=4)[0] is not envs.make("DeepSea-bsuite", size=5)[0]
    assert envs.make("CartPole-v1")[0] is envs.make("CartPole-v1", params={"length": 0.4})[0]
    assert envs.make("FourRooms-misc", goal_fixed=[8, 9])[0] is envs.make("FourRooms-misc", goal_fixed=[8, 9])[0]
    key = jax.random.key(3)
    assert (
        envs.make("DeepSea-bsuite", action_mapping_key=key)[0] is envs.make("DeepSea-bsuite", action_mapping_key=key)[0]
    )


def test_parameters_are_plain_numbers_and_can_be_changed():
    _, params = envs.make("CartPole-v1", params={"length": 0.4, "max_steps_in_episode": 200.0})
    assert (params.length, params.max_steps_in_episode, params.gravity) == (0.4, 200, 9.8)
    assert isinstance(params.max_steps_in_episode, int)


@pytest.mark.slow
def test_a_time_limit_is_a_whole_number_everywhere():
    for id in envs.list_envs():
        if id != "MNISTBandit-bsuite":
            params = envs.make(id)[1]
            # Lists of kernels and matrix games that are discounted instead have none.
            is_endless = id.startswith(("robust/", "markov/")) and getattr(params, "horizon", 0) is None
            assert is_endless or isinstance(params.max_steps_in_episode, int), id


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: envs.make("CartPole"), "did you mean CartPole-v1"),
        (lambda: envs.make("probe/constan"), "did you mean probe/constant"),
        (lambda: envs.make("CartPole-v1", params={"lenght": 1.0}), "unknown parameter of CartPole-v1 'lenght'.*length"),
    ],
)
def test_unknown_names_suggest_near_ones(call, message):
    with pytest.raises(UnknownNameError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: envs.make("CartPole-v1", size=3), "CartPole-v1 cannot be built with size=3"),
        (lambda: envs.make("probe/constant", size=3), "size"),
        (lambda: envs.make("FrozenLake-misc", map_name="5x5"), "map_name"),
        (lambda: envs.make("MetaMaze-misc", rf_size=4), "cannot be built with rf_size=4"),
        (lambda: envs.make("CartPole-v1", params={"length": float("nan")}), "length = nan: must be finite"),
        (lambda: envs.make("CartPole-v1", params={"max_steps_in_episode": 1.5}), "must be a whole number"),
        (lambda: envs.make("CartPole-v1", sticky_actions=1.5), "probability = 1.5"),
        (lambda: envs.make("probe/constant", observation="raw"), "encodes its own"),
        (lambda: envs.make("DeepSea-bsuite", size={1}), "must be a number"),
        (lambda: envs.make("MNISTBandit-bsuite"), "allow_download=True"),
    ],
)
def test_bad_arguments_are_one_line_errors(call, message):
    with pytest.raises(ConfigError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_failing_download_is_a_clear_error(monkeypatch):
    from gymnax.utils import load_mnist

    def offline():
        raise OSError("no network")

    monkeypatch.setattr(load_mnist, "load_mnist", offline)
    with pytest.raises(ConfigError, match="could not be downloaded or read: no network"):
        envs.make("MNISTBandit-bsuite", allow_download=True)


def test_sticky_actions_wrap_changed_parameters():
    env, params = envs.make("CartPole-v1", sticky_actions=0.25, params={"length": 0.4})
    assert env.id == "CartPole-v1+sticky(0.25)"
    assert (params.env.length, params.stick_probability) == (0.4, 0.25)


def test_list_holds_gymnax_probes_and_registered_names(clean_registry):
    envs.register("mine", lambda: envs.make("probe/constant")[0])
    listed = envs.list_envs()
    assert listed == sorted(set(listed))
    assert {"CartPole-v1", "FrozenLake-misc", "mine", *IDS} <= set(listed)


def test_a_registered_factory_takes_keyword_arguments(clean_registry):
    envs.register("mine", lambda rooms=1: envs.make("DeepSea-bsuite", size=rooms)[0])
    env, params = envs.make("mine", rooms=6)
    assert env.observation_space(params).shape == (6, 6)
    with pytest.raises(ConfigError, match="room"):
        envs.make("mine", room=6)


@pytest.mark.parametrize("id", ["CartPole-v1", "probe/constant", "probe/new", "mine"])
def test_a_taken_name_cannot_be_registered(clean_registry, id):
    envs.register("mine", object)
    with pytest.raises(ConfigError, match="is taken"):
        envs.register(id, dict)


def test_a_family_is_imported_when_needed_and_keeps_its_parameters(clean_registry):
    envs.register_family("unit", f"{__name__}:family_for_tests", ["unit/good"])
    assert "unit/good" in envs.list_envs()
    env, params = envs.make("unit/good", size=4)
    assert (env.id, params.unscaled_move_cost) == ("DeepSea-bsuite", 0.5)
    _, params = envs.make("unit/good", size=4, sticky_actions=0.5, params={"deterministic": False})
    assert (params.env.unscaled_move_cost, params.env.deterministic) == (0.5, False)
    with pytest.raises(UnknownNameError, match="did you mean unit/good"):
        envs.make("unit/goo")
    with pytest.raises(ConfigError, match="is taken"):
        envs.register_family("unit", "elsewhere:function")


def test_making_inside_a_trace_leaks_nothing():
    @jax.jit
    def traced(key):
        env, params = envs.make("DeepSea-bsuite", size=7)
        return env.reset(key, params)[0]

    traced(jax.random.key(0))
    env, params = envs.make("DeepSea-bsuite", size=7)
    assert jnp.sum(env.reset(jax.random.key(0), params)[0]) == 1.0


def test_importing_the_package_is_cheap():
    code = "import sys, jaxrl_suite.envs as e; e.register_family; sys.exit('gymnax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
