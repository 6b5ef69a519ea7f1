"""What cannot work is refused before anything is written or compiled, and a run cut off before its start goes on."""

import jax
import numpy as np
import pytest
from flax import struct

import jaxrl_suite as jrl
from jaxrl_suite.agent import Agent, AgentInfo, agent_factory
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.errors import ConfigError, UnknownNameError
from jaxrl_suite.results import RunStore
from jaxrl_suite.training import loop
from jaxrl_suite.training.program import Program


class Nowhere:
    id = "nowhere"


@struct.dataclass
class WalkConfig:
    rate: float = sweepable(0.5, "size of a step", above=0)
    total_updates: int = static(4, "budget", low=1)


@agent_factory("walk", WalkConfig)
def walk(env, env_params, config):
    """A random walk stepped on the host: nothing compiles."""

    def update(key, state, step):
        moved = state + np.asarray(config.rate) * np.asarray(jax.random.normal(key))
        return moved, {"loss/position": moved}

    info = AgentInfo("walk", env, env_params, config, 10, config.total_updates, walk, host_stepped=True)
    return Agent(lambda key: np.float32(0.0), update, lambda key, state: (), lambda *arguments: (0, ()), info)


@pytest.fixture
def agent():
    return walk(Nowhere(), {}, WalkConfig())


@pytest.fixture(scope="module")
def ppo():
    return jrl.agents.ppo(*jrl.make("CartPole-v1"), jrl.agents.PPOConfig(hidden_sizes=(4,), total_updates=2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": 999}, "devices = 999: must be between"),
        ({"group": 0}, "group = 0: must be >= 1"),
        ({"chunk": 0}, "chunk = 0: must be >= 1"),
        ({"updates": 3}, "updates = 3: .* set total_updates, or extend=True"),
        ({"sinks": ("tensorbord",)}, "unknown sink 'tensorbord'"),
        ({"sinks": ("tensorboard",), "seeds": 257}, "257 members, must be <= 256"),
    ],
)
def test_a_bad_call_leaves_no_directory(monkeypatch, tmp_path, ppo, options, message):
    monkeypatch.setattr(Program, "compile", lambda self: pytest.fail("compiled"))
    with pytest.raises(ConfigError, match=message):
        jrl.train(ppo, **options, out=tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_records_that_a_host_stepped_agent_cannot_sum_up_leave_no_directory(agent, tmp_path):
    with pytest.raises(ConfigError, match="record_every = 2: must be 1 for walk"):
        jrl.train(agent, record_every=2, out=tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_environment_parameters_changed_by_hand_are_checked(tmp_path):
    env, params = jrl.make("robust/CartPole-v1")
    inverted = params.replace(low={"masspole": 2.0, "length": 0.25})
    agent = jrl.agents.dqn(env, inverted, jrl.agents.DQNConfig(total_updates=10))
    with pytest.raises(ConfigError, match=r"ranges\['masspole'\] = \(2.0, 1.0\): must have low < high"):
        jrl.train(agent, seeds=1, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_sinks_need_a_directory(agent):
    with pytest.raises(ConfigError, match="sinks: need a run directory"):
        jrl.train(agent, sinks=("tensorboard",))


def test_sinks_are_open_before_anything_compiles(agent, tmp_path, monkeypatch):
    def stop(agent, program):
        assert [p.name for p in (tmp_path / "a" / "tensorboard").iterdir()] == ["seed_0"]
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "compile_to_fit", stop)
    with pytest.raises(KeyboardInterrupt):
        jrl.train(agent, sinks=("tensorboard",), out=tmp_path / "a")


def test_a_run_cut_off_while_compiling_starts_on_resume(agent, tmp_path, monkeypatch, capsys):
    def stop(agent, program):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "compile_to_fit", stop)
        with pytest.raises(KeyboardInterrupt):
            jrl.train(agent, 2, out=tmp_path / "a")
    assert RunStore.open(tmp_path / "a").manifest["status"] == "running"
    assert jrl.load(tmp_path / "a", agent).state is None
    resumed = jrl.resume(tmp_path / "a", agent)
    assert "starting from update 0" in capsys.readouterr().err
    whole = jrl.train(agent, 2)
    assert whole.metrics["loss/position"].shape == (2, 4)
    np.testing.assert_array_equal(resumed.metrics["loss/position"], whole.metrics["loss/position"])
    np.testing.assert_array_equal(resumed.state, whole.state)
    assert RunStore.open(tmp_path / "a").manifest["status"] == "finished"


def test_resuming_in_two_parts_is_one_run(agent, tmp_path):
    jrl.train(agent, [3, 1], updates=2, out=tmp_path / "a")
    assert RunStore.open(tmp_path / "a").manifest["total_updates"] == 2
    with pytest.raises(UnknownNameError, match="unknown sink"):
        jrl.resume(tmp_path / "a", agent, updates=4, sinks=("nowhere",))
    resumed = jrl.resume(tmp_path / "a", agent, updates=4)
    whole = jrl.train(agent, [3, 1])
    np.testing.assert_array_equal(resumed.metrics["loss/position"], whole.metrics["loss/position"])
    manifest = RunStore.open(tmp_path / "a").manifest
    assert (manifest["total_updates"], manifest["updates_done"], manifest["resumed"]) == (4, 4, [2])


def test_a_finished_run_is_loaded_without_compiling(agent, tmp_path, monkeypatch):
    done = jrl.train(agent, 2, out=tmp_path / "a")
    monkeypatch.setattr(loop, "compile_to_fit", lambda agent, program: pytest.fail("compiled"))
    again = jrl.resume(tmp_path / "a", agent)
    np.testing.assert_array_equal(again.state, done.state)
    assert again.seconds == done.seconds


def test_saving_what_was_trained_in_memory(agent, tmp_path):
    sweep = jrl.sweep(walk, (agent.info.env, {}), WalkConfig(), {"rate": [0.1, 0.2, 0.3]}, 2)
    assert sweep.state.shape == (3, 2)
    sweep.save(tmp_path / "a")
    loaded = jrl.load(tmp_path / "a", agent)
    np.testing.assert_array_equal(loaded.state, sweep.state)
    np.testing.assert_array_equal(loaded.metrics["loss/position"], sweep.metrics["loss/position"])
    assert loaded.settings == sweep.settings


def test_a_begun_run_can_only_be_extended(agent, tmp_path):
    """Its schedules are fixed, so total_updates is no advice."""
    path = tmp_path / "a"
    jrl.train(agent, out=path)
    with pytest.raises(ConfigError, match="schedules end at update 4; give extend=True") as caught:
        jrl.resume(path, agent, updates=5)
    assert "total_updates" not in str(caught.value)
    assert jrl.resume(path, agent, updates=5, extend=True).updates.tolist() == [1, 2, 3, 4, 5]
