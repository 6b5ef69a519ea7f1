import importlib
import sys
import types

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

from jaxrl_suite.errors import ConfigError, UnknownNameError
from jaxrl_suite.results import TensorBoardSink, WandbSink, open_sinks

METRICS = {"episode/return": np.array([[1.0, np.nan, 3.0]], np.float32), "finished": np.array([[True, False, True]])}


def read_scalars(directory):
    """{name: [(step, value)]} of all event files: records of a length, its checksum, an Event and its checksum."""
    found = {}
    for file in sorted(directory.iterdir()):
        data, position = file.read_bytes(), 0
        while position < len(data):
            size = int.from_bytes(data[position : position + 8], "little")
            event = Event.FromString(data[position + 12 : position + 12 + size])
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
            position += size + 16
    return found


class FakeRun:
    def __init__(self, options):
        self.options, self.rows, self.finished, self.axes = options, [], 0, []

    def define_metric(self, name, step_metric):
        self.axes.append((name, step_metric))

    def log(self, row):
        self.rows.append(row)

    def finish(self):
        self.finished += 1


@pytest.fixture
def fake_wandb(monkeypatch):
    module = types.ModuleType("wandb")
    module.runs = []

    def init(**options):
        module.runs.append(FakeRun(options))
        return module.runs[-1]

    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_tensorboard_keeps_seeds_apart(tmp_path):
    sink = TensorBoardSink(tmp_path, [4, 5, 9])
    sink.write(0, 128, METRICS)
    sink.write(1, 256, METRICS)
    sink.close()
    sink.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["seed_4", "seed_5", "seed_9"]
    assert read_scalars(tmp_path / "seed_9")["episode/return"] == [(128, 3.0), (256, 3.0)]
    # No episode ended: no point instead of a NaN.
    assert read_scalars(tmp_path / "seed_5") == {"finished": [(128, 0.0), (256, 0.0)]}


def test_tensorboard_keeps_settings_apart(tmp_path):
    sink = TensorBoardSink(tmp_path, [0], settings=2)
    sink.write(0, 10, {"a": np.array([[1.0], [2.0]])})
    sink.close()
    assert read_scalars(tmp_path / "setting_0" / "seed_0") == {"a": [(10, 1.0)]}
    assert read_scalars(tmp_path / "setting_1" / "seed_0") == {"a": [(10, 2.0)]}


def test_components_of_small_vectors_are_written(tmp_path):
    sink = TensorBoardSink(tmp_path, [0])
    sink.write(0, 1, {"policy": np.array([[[0.25, 0.75]]]), "big": np.zeros((1, 1, 17))})
    sink.close()
    assert read_scalars(tmp_path / "seed_0") == {"policy/0": [(1, 0.25)], "policy/1": [(1, 0.75)]}


def test_too_many_members_for_tensorboard(tmp_path):
    with pytest.raises(ConfigError, match="sink 'tensorboard': 4096 members, must be <= 256"):
        TensorBoardSink(tmp_path, range(512), settings=8)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "package", "extra"), [("tensorboard", "tensorboardX", "tensorboard"), ("wandb", "wandb", "wandb")]
)
def test_a_missing_package_names_the_extra(tmp_path, monkeypatch, name, package, extra):
    real = importlib.import_module

    def without(module, *rest):
        if module == package:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        return real(module, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ConfigError, match=rf"needs the package {package}.*pip install 'jaxrl-suite\[{extra}\]'"):
        open_sinks([name], tmp_path, {"seeds": [0]})


def test_wandb_is_offline_and_one_run_a_group(tmp_path, fake_wandb):
    sink = WandbSink(tmp_path, [4, 5, 9], group="ppo", config={"agent": "ppo"})
    sink.write(7, 128, METRICS)
    sink.close()
    sink.close()
    (run,) = fake_wandb.runs
    assert run.options["mode"] == "offline"
    assert run.options["group"] == "ppo"
    assert run.options["dir"] == str(tmp_path)
    assert run.options["config"] == {"agent": "ppo"}
    assert run.rows == [
        {
            "update": 7, "env_steps": 128,
            "episode/return/mean": 2.0, "episode/return/seeds": 2,
            "episode/return/seed_4": 1.0, "episode/return/seed_9": 3.0,
            "finished/mean": pytest.approx(2 / 3),
            "finished/seed_4": 1.0, "finished/seed_5": 0.0, "finished/seed_9": 1.0,
        }
    ]  # fmt: skip
    assert run.axes == [("*", "env_steps")]
    assert run.finished == 1


def test_wandb_one_run_a_seed_on_request(tmp_path, fake_wandb):
    sink = WandbSink(tmp_path, [4, 5], settings=2, group="ppo", mode="online", per_seed=True)
    sink.write(0, 10, {"a": np.array([[1.0, 2.0], [np.nan, 4.0]])})
    assert [run.options["name"] for run in fake_wandb.runs] == [
        "ppo/setting_0/seed_4", "ppo/setting_0/seed_5", "ppo/setting_1/seed_4", "ppo/setting_1/seed_5",
    ]  # fmt: skip
    assert {run.options["mode"] for run in fake_wandb.runs} == {"online"}
    assert [run.rows[0].get("a") for run in fake_wandb.runs] == [1.0, 2.0, None, 4.0]


def test_wandb_modes(tmp_path, fake_wandb):
    with pytest.raises(ConfigError, match="mode = 'sync', must be one of offline, online, disabled"):
        WandbSink(tmp_path, [0], group="a", mode="sync")
    assert fake_wandb.runs == []


def test_open_sinks_by_name(tmp_path, fake_wandb):
    sinks = open_sinks(["tensorboard", "wandb"], tmp_path / "run", {"seeds": [0, 1, 2], "agent": "ppo"})
    for sink in sinks:
        sink.write(0, 5, METRICS)
        sink.close()
    assert read_scalars(tmp_path / "run" / "tensorboard" / "seed_0")["episode/return"] == [(5, 1.0)]
    assert fake_wandb.runs[0].options["group"] == "run" == fake_wandb.runs[0].options["name"]
    assert open_sinks([], tmp_path, {}) == []
    with pytest.raises(UnknownNameError, match="unknown sink 'tensorbord': did you mean tensorboard"):
        open_sinks(["tensorbord"], tmp_path, {"seeds": [0]})


def test_sinks_that_were_opened_are_closed_when_another_fails(tmp_path, fake_wandb):
    with pytest.raises(ConfigError, match="257 members"):
        open_sinks(["wandb", "tensorboard"], tmp_path, {"seeds": list(range(257))})
    assert fake_wandb.runs[0].finished == 1


def test_a_resumed_run_tells_tensorboard_what_to_forget(tmp_path):
    (sink,) = open_sinks(["tensorboard"], tmp_path, {"seeds": [0]}, from_env_steps=640)
    sink.close()
    (file,) = (tmp_path / "tensorboard" / "seed_0").iterdir()
    data, steps, position = file.read_bytes(), [], 0
    while position < len(data):
        size = int.from_bytes(data[position : position + 8], "little")
        event = Event.FromString(data[position + 12 : position + 12 + size])
        if event.HasField("session_log"):
            steps.append(event.step)
        position += size + 16
    assert steps == [641]
