"""Nothing saved is ever lost: kill -9, torn checkpoints, full disks, changed configs, two runs in one directory."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.errors import CheckpointError, Interrupted, RunDirectoryError
from jaxrl_suite.training.checkpoints import Checkpoints
from tests.helpers import ToyConfig, ppo_agent, same, same_states, toy, toy_agent, wait_for_checkpoint

PROGRAM = """
import sys
import jaxrl_suite as jrl
from tests.helpers import ppo_agent, toy_agent
agents = {"toy": toy_agent(total_updates=20000), "ppo": ppo_agent(total_updates=400)}
jrl.train(agents[sys.argv[1]], seeds=2, out=sys.argv[2], chunk=int(sys.argv[3]), save_every=0.0)
print("done")
"""


def start(kind: str, out: Path, chunk: int) -> subprocess.Popen:
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind, str(out), str(chunk)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("kind", ["toy", pytest.param("ppo", marks=pytest.mark.slow)])
def test_a_killed_run_ends_bit_for_bit_as_if_it_had_not_been(kind, tmp_path):
    agent = toy_agent(total_updates=20000) if kind == "toy" else ppo_agent(total_updates=400)
    process = start(kind, tmp_path / "run", 50 if kind == "toy" else 3)
    wait_for_checkpoint([process], tmp_path / "run", 100 if kind == "toy" else 9)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = json.loads((tmp_path / "run/manifest.json").read_text())
    assert before["status"] == "running"
    resumed = jrl.resume(tmp_path / "run", agent)
    unbroken = jrl.train(agent, seeds=2)
    assert resumed.updates[-1] == unbroken.updates[-1]
    assert all(same(resumed.metrics[name], unbroken.metrics[name]) for name in unbroken.metrics)
    assert same_states(resumed.state, unbroken.state)


def test_sigterm_saves_and_says_how_to_go_on(tmp_path):
    process = start("toy", tmp_path / "run", 10)
    wait_for_checkpoint([process], tmp_path / "run", 10)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "jaxrl resume" in errors
    assert json.loads((tmp_path / "run/manifest.json").read_text())["status"] == "interrupted"
    assert issubclass(Interrupted, jrl.JaxrlError)


def damage(directory: Path) -> None:
    """Cuts the largest file of a checkpoint in half, as a torn write would."""
    largest = max((p for p in directory.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = largest.read_bytes()
    largest.write_bytes(content[: len(content) // 2])


def test_a_torn_checkpoint_is_passed_over(tmp_path, capsys):
    agent = toy_agent()
    jrl.train(agent, seeds=2, updates=40, chunk=10, save_every=0.0, out=tmp_path / "run")
    newest = Checkpoints(tmp_path / "run/checkpoints").updates()
    damage(tmp_path / f"run/checkpoints/{newest[-1]}")
    resumed = jrl.resume(tmp_path / "run", agent, updates=60, chunk=10)
    assert f"update {newest[-1]} is damaged: using the one at update {newest[0]}" in capsys.readouterr().err
    whole = jrl.train(agent, seeds=2)
    assert all(same(resumed.metrics[name], whole.metrics[name]) for name in whole.metrics)


def test_flipped_bits_are_noticed(tmp_path):
    """A file of the right length whose content is not what was saved."""
    checkpoints, tree = Checkpoints(tmp_path), {"x": np.arange(4.0)}
    checkpoints.save(1, tree)
    checkpoints.save(2, {"x": np.arange(4.0) + 1})
    checkpoints._write_digests(2, [(0, 4, "0" * 64)])
    update, restored, damaged = checkpoints.restore({"x": np.zeros(4)})
    assert (update, damaged) == (1, [2])
    np.testing.assert_array_equal(restored["x"], tree["x"])


def test_only_damaged_checkpoints_is_one_clear_error(tmp_path):
    agent = toy_agent()
    jrl.train(agent, seeds=1, updates=10, out=tmp_path / "run")
    for update in Checkpoints(tmp_path / "run/checkpoints").updates():
        damage(tmp_path / f"run/checkpoints/{update}")
    with pytest.raises(CheckpointError, match="damaged"):
        jrl.resume(tmp_path / "run", agent, updates=20)


def test_a_full_disk_ends_in_one_line_and_loses_nothing(tmp_path, monkeypatch):
    agent = toy_agent()
    jrl.train(agent, seeds=2, updates=20, out=tmp_path / "run")
    with monkeypatch.context() as patch:

        def no_space(self, update, digests):
            raise OSError(28, "No space left on device")

        patch.setattr(Checkpoints, "_write_digests", no_space)
        with pytest.raises(CheckpointError, match=r"No space left on device.*update 20 is safe: free space") as caught:
            jrl.resume(tmp_path / "run", agent, updates=60, chunk=10, save_every=0.0)
        assert "\n" not in str(caught.value)
    resumed, whole = jrl.resume(tmp_path / "run", agent), jrl.train(agent, seeds=2)
    assert all(same(resumed.metrics[name], whole.metrics[name]) for name in whole.metrics)


def test_a_directory_in_use_is_refused(tmp_path):
    from jaxrl_suite.results import RunStore

    agent = toy_agent()
    jrl.train(agent, seeds=1, updates=10, out=tmp_path / "run")
    with RunStore.open(tmp_path / "run").lock(), pytest.raises(RunDirectoryError, match="in use"):
        jrl.resume(tmp_path / "run", agent, updates=20)


def test_changes_are_reported_before_resuming(tmp_path, capsys):
    agent = toy_agent()
    jrl.train(agent, seeds=1, updates=10, out=tmp_path / "run")
    manifest_path, config_path = tmp_path / "run/manifest.json", tmp_path / "run/config.json"
    manifest = json.loads(manifest_path.read_text())
    manifest["versions"]["jax"], manifest["commit"] = "0.0.1", "abc"
    manifest_path.write_text(json.dumps(manifest))
    jrl.resume(tmp_path / "run", agent, updates=20)
    said = capsys.readouterr().err
    assert f"jax was 0.0.1, is {jax.__version__}" in said
    assert "the code was at abc" in said
    config = json.loads(config_path.read_text())
    config["config"]["rate"] = 0.5
    config_path.write_text(json.dumps(config))
    with pytest.raises(RunDirectoryError, match=r"config\.json was changed"):
        jrl.resume(tmp_path / "run", agent, updates=30)


def test_save_and_load_give_the_run_back(tmp_path):
    agent = toy_agent()
    run = jrl.train(agent, seeds=[3, 5], updates=20)
    loaded = jrl.load(run.save(tmp_path / "run"), agent)
    assert loaded.seeds == (3, 5)
    assert all(same(loaded.metrics[name], run.metrics[name]) for name in run.metrics)
    assert same_states(loaded.state, run.state)
    assert loaded.updates.tolist() == run.updates.tolist()


def test_a_saved_run_goes_on_where_it_stood(tmp_path):
    """With its records' length even where there is one record, and with its finished members finished."""
    agent = toy_agent()
    jrl.train(agent, seeds=2, updates=20, record_every=20).save(tmp_path / "run")
    resumed = jrl.resume(tmp_path / "run", agent, updates=60)
    whole = jrl.train(agent, seeds=2, record_every=20)
    assert resumed.updates.tolist() == whole.updates.tolist() == [20, 40, 60]
    assert all(same(resumed.metrics[name], whole.metrics[name]) for name in whole.metrics)
    ending = toy_agent(can_finish=True, finish_at=2.0, noise=0.0)
    ended = jrl.train(ending, seeds=2)
    assert ended.updates[-1] < ending.info.total_updates
    ended.save(tmp_path / "ended")
    again = jrl.resume(tmp_path / "ended", ending, updates=ending.info.total_updates)
    assert again.updates.tolist() == ended.updates.tolist()


def test_every_checkpoint_is_written_once(tmp_path, monkeypatch):
    written, write = [], Checkpoints.save
    monkeypatch.setattr(
        Checkpoints, "save", lambda self, update, tree: (written.append(update), write(self, update, tree))
    )
    jrl.train(toy_agent(), seeds=1, updates=40, chunk=10, save_every=0.0, out=tmp_path / "run")
    assert written == sorted(set(written))
    assert written[-1] == 40
    assert len(written) > 2


def test_a_sweep_survives_the_disk(tmp_path):
    env, params = jrl.make("probe/never-ending")
    grid = {"rate": [0.1, 0.2]}
    run = jrl.sweep(toy, (env, params), ToyConfig(), grid, seeds=2, updates=20, out=tmp_path / "run")
    resumed = jrl.resume(tmp_path / "run", run.agent, updates=60)
    whole = jrl.sweep(toy, (env, params), ToyConfig(), grid, seeds=2)
    assert resumed.settings == whole.settings
    assert same_states(resumed.state, whole.state)
    assert all(same(resumed.metrics[name], whole.metrics[name]) for name in whole.metrics)


def test_a_named_run_is_rebuilt_by_name_alone(tmp_path):
    agent = ppo_agent(learning_rate=1e-3)
    run = jrl.train(agent, seeds=1, updates=2, out=tmp_path / "run")
    loaded = jrl.load(tmp_path / "run")
    assert jax.tree.map(float, loaded.agent.info.config.learning_rate) == pytest.approx(1e-3)
    assert loaded.agent.info.config.hidden_sizes == (8,)
    assert same_states(loaded.state, run.state)
