"""Train, resume, eval, plot, compare, list and dry runs on one tiny training."""

import json
import math
import shutil

import pytest

import jaxrl_suite as jrl
from jaxrl_suite.cli import main
from jaxrl_suite.cli.report import report_run
from jaxrl_suite.errors import Interrupted
from jaxrl_suite.results import RunStore
from jaxrl_suite.training import runner

from .conftest import TINY

TRAIN = ["train", "ppo", "CartPole-v1", *TINY]


def json_lines(capsys, words):
    assert main([*words, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_training_leaves_a_run_and_its_figure(tiny_run):
    store = RunStore.open(tiny_run)
    assert store.metrics()["episode/return"].shape == (1, 2, 2)
    assert store.manifest["status"] == "finished"
    assert store.config["config"]["hidden_sizes"] == [4, 4]
    assert {p.name for p in (tiny_run / "figures").iterdir()} == {"learning_curve.png", "learning_curve.svg"}


def test_schedules_run_over_the_budget(tiny_run, other_run):
    assert RunStore.open(tiny_run).config["config"]["total_updates"] == 2
    assert RunStore.open(other_run).config["config"]["total_updates"] == 2


@pytest.mark.parametrize(
    ("words", "target", "schedule"),
    [
        ([], 976, 976),
        (["--total-updates", "7"], 7, 7),
        (["--updates", "3"], 3, 3),
        (["--env-steps", "384"], 3, 3),
        (["--updates", "3", "--total-updates", "50"], 3, 50),
        (["--updates", "1000", "--extend"], 1000, 976),
    ],
)
def test_budget_and_length_of_the_schedules(monkeypatch, tmp_path, words, target, schedule):
    calls = []

    def train(agent, seeds, **options):
        calls.append((options["updates"], agent.info.total_updates))
        raise Interrupted("enough seen")

    monkeypatch.setattr(runner, "train", train)
    assert main([*TRAIN, *words, "--out", str(tmp_path / "a")]) == 130
    assert calls == [(target, schedule)]


def test_typed_settings_reach_the_run(other_run):
    config = RunStore.open(other_run).config
    assert config["config"]["learning_rate"] == 0.01
    assert config["env"]["params"]["env.length"] == 0.4


def test_summary_after_training(capsys, monkeypatch, tmp_path, tiny_run):
    monkeypatch.chdir(tmp_path)
    assert main([*TRAIN, "--updates", "2"]) == 0
    out, err = capsys.readouterr()
    for part in (
        "0, 1",
        "256 each",
        "IQM",
        "mean",
        "median",
        "runs/ppo-CartPole-v1-1",
        "steps/s",
        "learning_curve.png",
    ):
        assert part in out
    assert "2/2 updates" in err
    assert (tmp_path / "runs" / "ppo-CartPole-v1-1" / "manifest.json").is_file()
    again = jrl.load(tiny_run).final_returns()
    assert (jrl.load("runs/ppo-CartPole-v1-1").final_returns() == again).all()


def test_seeds_without_episodes_are_named_not_averaged(capsys, tmp_path, tiny_run):
    run = jrl.load(tiny_run)
    run.path, scores = tmp_path, run.final_returns().tolist()
    run.metrics["episode/return"][1], run.metrics["episode/count"][1] = math.nan, 0
    report_run(run, quiet=False, as_json=True)
    found = json.loads(capsys.readouterr().out)["final_return"]
    assert found["scores"] == [scores[0], None]
    assert found["missing_seeds"] == [1]
    assert found["iqm"] == {"value": scores[0], "low": None, "high": None}
    report_run(run, quiet=False, as_json=False)
    assert "1 of 2, left out: 1" in capsys.readouterr().out
    run.metrics["episode/return"][:], run.metrics["episode/count"][:] = math.nan, 0
    report_run(run, quiet=False, as_json=True)
    out, err = capsys.readouterr()
    assert json.loads(out)["final_return"] == {"scores": [None, None], "missing_seeds": [0, 1]}
    assert "no learning curve" in err


def test_resuming_goes_on_as_one_run(capsys, tmp_path, tiny_run):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_run, copy)
    assert main(["resume", str(copy), "--updates", "3"]) == 2
    assert "--updates = 3" in capsys.readouterr().err
    (line,) = json_lines(capsys, ["resume", str(copy), "--updates", "3", "--extend"])
    assert line["updates"] == 3
    assert line["seeds"] == [0, 1]
    before, after = (RunStore.open(p).metrics()["episode/return"] for p in (tiny_run, copy))
    assert after.shape == (1, 2, 3)
    assert (before == after[..., :2]).all()


def test_a_run_is_not_overwritten(capsys, tiny_run):
    assert main([*TRAIN, "--out", str(tiny_run)]) == 3
    assert "already holds a run" in capsys.readouterr().err


def test_evaluation(capsys, tiny_run):
    words = ["eval", str(tiny_run), "--episodes", "3"]
    (line,) = json_lines(capsys, words)
    run = jrl.load(tiny_run)
    expected = jrl.evaluate(run.agent, run.state, seeds=run.seeds, episodes=3, greedy=True)
    assert line["mean_return"]["scores"] == expected.returns.mean(axis=1, dtype=float).tolist()
    assert line["not_ended"] == [0, 0]
    (short,) = json_lines(capsys, [*words, "--max-steps", "4", "--no-greedy"])
    assert short["mean_lengths"] == [4.0, 4.0]
    assert short["not_ended"] == [3, 3]
    assert main(words) == 0
    assert "3 episodes a seed, greedy" in capsys.readouterr().out


def test_evaluation_leaves_diverged_seeds_out(capsys, tmp_path, tiny_run):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_run, copy)
    RunStore.open(copy).update_manifest(diverged=[{"seed": 1, "setting": {}, "update": 1}])
    (line,) = json_lines(capsys, ["eval", str(copy), "--episodes", "3"])
    scores = line["mean_return"]["scores"]
    assert scores[1] is None
    assert line["mean_return"]["mean"]["value"] == scores[0]
    assert line["mean_return"]["missing_seeds"] == [1]


def test_comparison(capsys, tiny_run, other_run):
    (line,) = json_lines(capsys, ["compare", str(tiny_run), str(other_run)])
    for side, path in (("first", tiny_run), ("second", other_run)):
        assert line[side]["scores"] == jrl.load(path).final_returns().tolist()
    difference = line["first"]["iqm"]["value"] - line["second"]["iqm"]["value"]
    assert line["iqm_difference"]["value"] == pytest.approx(difference)
    assert main(["compare", str(tiny_run), str(tiny_run)]) == 0
    assert "0.5 [" in capsys.readouterr().out
    assert main(["compare", f"{tiny_run}#1", str(tiny_run)]) == 2


def test_plots(capsys, tmp_path, tiny_run, other_run):
    assert main(["plot", str(tiny_run), str(other_run), "--out", str(tmp_path / "a.png"), "--window", "1"]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "a.png"), str(tmp_path / "a.svg")]
    picture = (tmp_path / "a.svg").read_text()
    assert "first (2 seeds)" in picture
    assert "second (2 seeds)" in picture
    assert main(["plot", str(tiny_run), "--metric", "los/value"]) == 2
    assert "unknown metric 'los/value': did you mean loss/value" in capsys.readouterr().err
    assert main(["plot", str(tiny_run), "--metric", "loss/value"]) == 0
    assert (tiny_run / "figures" / "loss-value.png").is_file()


def test_list_runs(capsys, tiny_run):
    (line,) = json_lines(capsys, ["list", "runs", str(tiny_run.parent)])
    found = (line["path"], line["agent"], line["env"], line["seeds"], line["status"], line["updates_done"])
    assert found == (str(tiny_run), "ppo", "CartPole-v1", 2, "finished", 2)
    assert main(["list", "runs", str(tiny_run.parent)]) == 0
    assert "2/2" in capsys.readouterr().out


def test_dry_run_measures_and_writes_nothing(capsys, monkeypatch, tmp_path, tiny_run):
    monkeypatch.chdir(tmp_path)
    (line,) = json_lines(capsys, [*TRAIN, "--updates", "2", "--dry-run"])
    assert line["env_steps_total"] == 2 * 2 * 128
    assert line["bytes_needed_per_device"] > 0
    assert line["estimated_seconds"] > 0
    assert line["measured_updates"] >= 1
    assert main([*TRAIN, "--updates", "2", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "512 in total" in out
    assert "measured over" in out
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_sink(tiny_run, tmp_path):
    assert main([*TRAIN, "--updates", "2", "--out", str(tmp_path / "a"), "--sinks", "tensorboard", "--quiet"]) == 0
    assert {p.name for p in (tmp_path / "a" / "tensorboard").iterdir()} == {"seed_0", "seed_1"}


@pytest.mark.slow
def test_a_sweep_from_training_to_comparison(capsys, tmp_path):
    out = tmp_path / "sweep"
    grid = ["--grid", "learning-rate=1e-3,1e-2", "--grid", "env.length=0.4,0.5", "--sticky-actions", "0.1"]
    words = ["sweep", "ppo", "CartPole-v1", *TINY, *grid, "--updates", "2", "--out", str(out)]
    assert main(words) == 0
    text = capsys.readouterr().out
    for part in ("learning-rate", "env.length", "0.001", "0.01", "0.4", "IQM"):
        assert part in text
    run = jrl.load(out)
    assert [s["learning_rate"] for s in run.settings] == [1e-3, 1e-3, 1e-2, 1e-2]
    lines = json_lines(capsys, ["eval", str(out), "--episodes", "2"])
    assert [line["setting"] for line in lines] == [dict(s) for s in run.settings]
    assert main(["compare", str(out), f"{out}#1"]) == 2
    assert "is a sweep of 4 settings" in capsys.readouterr().err
    (line,) = json_lines(capsys, ["compare", f"{out}#0", f"{out}#3"])
    assert line["second"]["scores"] == run.final_returns()[3].tolist()
    assert main(["plot", str(out)]) == 0
    assert "learning-rate=0.01 env.length=0.5" in (out / "figures" / "episode-return.svg").read_text()
