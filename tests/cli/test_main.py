"""Help, usage errors and exit statuses. Nothing here compiles."""

import os
import subprocess
import sys

import pytest

from jaxrl_suite.agents import MODULES
from jaxrl_suite.cli import COMMANDS, inspect, main
from jaxrl_suite.cli.bench import BENCHMARKS
from jaxrl_suite.errors import Interrupted

PPO = ["train", "ppo", "CartPole-v1"]
SWEEP = ["sweep", "ppo", "CartPole-v1"]


def fails(capsys, words, status, *parts):
    """The command ends with this status and one line on stderr that has these parts in it."""
    assert main(words) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("jaxrl: error: ")
    assert err.count("\n") == 1
    for part in parts:
        assert part in err
    return err


def test_help_names_every_command(capsys):
    for words in ([], ["--help"], ["-h"]):
        assert main(words) == 0
        out = capsys.readouterr().out
        assert all(f"  {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_command_has_help(capsys, command):
    assert main([command, "--help"]) == 0
    assert f"usage: jaxrl {command}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--help"], ["list", "agents"], ["tran"], ["train", "ppoo", "CartPole-v1"]])
def test_light_commands_never_import_jax(words):
    code = f"import sys; from jaxrl_suite.cli import main; main({words!r}); sys.exit('jax' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout or done.stderr


def test_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "jaxrl_suite.cli", "trainn"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "jaxrl: error: unknown command 'trainn': did you mean train?\n"


def test_help_of_an_agent_lists_every_field_with_its_documentation(capsys, monkeypatch):
    import dataclasses

    from jaxrl_suite.agents import PPOConfig

    monkeypatch.setenv("COLUMNS", "300")
    assert main(["train", "ppo", "CartPole-v1", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for field in dataclasses.fields(PPOConfig):
        flag = "--" + field.name.replace("_", "-")
        assert (flag in text) == (field.name != "module")
        if field.name != "module":
            assert " ".join(field.metadata["doc"].split()[:4]) in text
    for part in (
        "symbol alpha",
        "allowed > 0",
        "unit environments",
        "source CleanRL",
        "(default: 0.00025)",
        "tanh,relu",
    ):
        assert part in text
    assert "--no-normalize-advantages" in text
    assert "--env.length" in text


def test_list_agents_shows_what_they_are(capsys):
    assert main(["list", "agents"]) == 0
    assert "Proximal policy optimisation" in capsys.readouterr().out


def test_list_envs(capsys):
    assert main(["list", "envs"]) == 0
    assert "CartPole-v1" in capsys.readouterr().out.split()


def test_listing_nothing_says_so(capsys, monkeypatch, tmp_path):
    from jaxrl_suite.cli import common

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(common, "checkout", lambda: tmp_path)
    for what, part in (("experiments", "no experiments here"), ("runs", "no runs yet")):
        assert main(["list", what]) == 0
        out, err = capsys.readouterr()
        assert out == ""
        assert part in err
    (tmp_path / "experiments" / "stepmix").mkdir(parents=True)
    (tmp_path / "experiments" / "stepmix" / "experiment.py").touch()
    (tmp_path / "experiments" / "no-paper").mkdir()
    assert main(["list", "experiments"]) == 0
    assert capsys.readouterr().out == "stepmix\n"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["trane"], ["unknown command 'trane'", "did you mean train"]),
        (["train", "ppoo", "CartPole-v1"], ["unknown agent 'ppoo'", "did you mean ppo"]),
        (["train", "ppo", "CartPol-v1"], ["unknown environment 'CartPol-v1'", "CartPole-v1"]),
        (["train", "ppo"], ["ENV: missing"]),
        (["train", "--seeds", "3"], ["AGENT: must come first", "'--seeds'"]),
        ([*PPO, "--learnin-rate", "3"], ["unknown option '--learnin-rate'", "did you mean --learning-rate"]),
        ([*PPO, "--env.lenght", "3"], ["unknown option '--env.lenght'", "--env.length"]),
        ([*PPO, "--learning-rate", "abc"], ["--learning-rate = abc: must be a number > 0"]),
        ([*PPO, "--learning-rate", "-1"], ["--learning-rate = -1.0: must be > 0"]),
        ([*PPO, "--learning_rate", "-1"], ["--learning-rate = -1.0: must be > 0"]),
        ([*PPO, "--learning-rate"], ["--learning-rate: needs a value (FLOAT)"]),
        ([*PPO, "--num-envs", "2.5"], ["--num-envs = 2.5: must be a whole number >= 1"]),
        ([*PPO, "--num-envs=0"], ["--num-envs = 0: must be >= 1"]),
        ([*PPO, "--num-minibatches", "3"], ["--num-minibatches = 3: must divide", "512"]),
        ([*PPO, "--activation", "tahn"], ["--activation = 'tahn': must be one of tanh"]),
        ([*PPO, "--hidden-sizes", "64", "x"], ["--hidden-sizes = x: must be a whole number"]),
        ([*PPO, "--env.length", "nan"], ["--env.length = nan: must be finite"]),
        ([*PPO, "--env-steps", "1000"], ["--env-steps = 1000: must be a multiple of 512", "512 or 1024"]),
        ([*PPO, "--updates", "0"], ["--updates = 0: must be >= 1"]),
        ([*PPO, "--updates", "3", "--env-steps", "512"], ["--updates, --env-steps: give one of them"]),
        ([*PPO, "--updates", "9", "--total-updates", "8"], ["--updates = 9", "--total-updates = 8", "--extend"]),
        ([*PPO, "--seeds", "x"], ["--seeds = x: must be a whole number"]),
        ([*PPO, "--seeds", "1,1"], ["--seeds = (1, 1): must not repeat"]),
        ([*PPO, "--devices", "99"], ["--devices = 99: must be between 1 and"]),
        ([*PPO, "--group", "0"], ["--group = 0: must be >= 1"]),
        ([*PPO, "--chunk", "0"], ["--chunk = 0: must be >= 1"]),
        ([*PPO, "--record-every", "0"], ["--record-every = 0: must be >= 1"]),
        ([*PPO, "--save-every", "-1"], ["--save-every = -1.0: must be >= 0"]),
        ([*PPO, "--sticky-actions", "2"], ["--sticky-actions = 2.0: must be >= 0 and <= 1"]),
        ([*PPO, "--sinks", "tensorbord"], ["unknown sink 'tensorbord'", "tensorboard"]),
        ([*PPO, "twice"], ["unexpected argument 'twice'"]),
        (SWEEP, ["--grid: needs at least one"]),
        ([*SWEEP, "--grid", "learning-rate"], ["--grid learning-rate: must be NAME=VALUE"]),
        ([*SWEEP, "--grid", "learnin-rate=1"], ["unknown grid name 'learnin-rate'", "did you mean learning-rate"]),
        ([*SWEEP, "--grid", "env.lenth=1"], ["unknown grid name 'env.lenth'", "env.length"]),
        ([*SWEEP, "--grid", "num-envs=2,4"], ["--grid num-envs: num_envs is static", "learning-rate"]),
        ([*SWEEP, "--grid", "learning-rate=1,-3"], ["--grid learning-rate = -3: must be > 0"]),
        ([*SWEEP, "--grid", "learning-rate=1,x"], ["--grid learning-rate = x: must be a number"]),
        ([*SWEEP, "--grid", "discount=1", "--grid", "discount=0.9"], ["--grid discount: given twice"]),
        ([*SWEEP, "--grid", "discount=1", "--discount", "1"], ["--grid discount: --discount is given too"]),
        (["eval"], ["RUN: 0 given"]),
        (["eval", "here", "--episodes", "0"], ["--episodes = 0: must be >= 1"]),
        (["list"], ["WHAT: missing"]),
        (["list", "agens"], ["unknown listing 'agens'", "agents"]),
        (["list", "agents", "x"], ["unexpected argument 'x'"]),
        (["plot"], ["RUN: none given"]),
        (["plot", "here", "--out", "a.pdf"], ["--out = a.pdf: must end in .png or .svg"]),
        (["compare", "here"], ["RUN: 1 given"]),
        (["bench", "pp"], ["unknown benchmark 'pp'", "did you mean ppo"]),
    ],
)
def test_wrong_usage_is_one_line_and_leaves_nothing(capsys, monkeypatch, tmp_path, words, parts):
    monkeypatch.chdir(tmp_path)
    fails(capsys, words, 2, *parts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["resume"], ["eval"], ["plot"], ["compare", "nowhere"], ["list", "runs"]])
def test_a_missing_run_has_its_own_status(capsys, words):
    fails(capsys, [*words, "nowhere"], 3, "nowhere: no such directory")


def test_ctrl_c_and_interrupted_runs(capsys, monkeypatch):
    def stop(error):
        def function(words):
            raise error

        return function

    monkeypatch.setattr(inspect, "show", stop(KeyboardInterrupt()))
    assert main(["list", "agents"]) == 130
    assert capsys.readouterr().err == "jaxrl: interrupted\n"
    terminated = Interrupted("stopped after update 3")
    terminated.exit_code = 143
    monkeypatch.setattr(inspect, "show", stop(terminated))
    fails(capsys, ["list", "agents"], 143, "stopped after update 3")


def test_a_bug_is_a_traceback(monkeypatch):
    monkeypatch.setattr(inspect, "show", lambda words: {}["bug"])
    with pytest.raises(KeyError):
        main(["list", "agents"])


def test_bench_passes_the_words_on(monkeypatch, tmp_path):
    from jaxrl_suite.cli import common

    (tmp_path / "benchmarks").mkdir()
    for file in BENCHMARKS.values():
        (tmp_path / "benchmarks" / f"{file}.py").write_text("def main(words):\n    return len(words)\n")
    monkeypatch.setattr(common, "checkout", lambda: tmp_path)
    assert main(["bench", "ppo", "--members", "1", "8"]) == 3
    assert main(["bench"]) == 0


def test_bench_outside_a_checkout(capsys, monkeypatch, tmp_path):
    from jaxrl_suite.cli import common

    monkeypatch.setattr(common, "checkout", lambda: None)
    fails(capsys, ["bench", "ppo"], 2, "needs a checkout")


@pytest.mark.parametrize("agent", MODULES)
def test_the_options_of_every_agent_can_be_read(capsys, agent):
    env = "CartPole-v1" if agent in ("ppo", "dqn") else "tabular/golden-ratio"
    assert main(["train", agent, env, "--help"]) == 0
    assert "--total-updates" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["--seeds", "1"], 1),
        (["--seeds=3"], 3),
        (["--seeds", "5,"], 1),
        (["--seeds", "8"], 4),
        ([], 1),
        (["--seeds", "1", "--devices", "2"], 4),
        (["--seeds", "1", "--devices=2"], 4),
    ],
)
def test_as_many_cores_as_seeds_unless_devices_are_asked_for(capsys, monkeypatch, words, count):
    from jaxrl_suite.training import placement

    asked = []
    monkeypatch.delenv("JAX_NUM_CPU_DEVICES")
    monkeypatch.setattr(placement, "cores", lambda: 4)
    monkeypatch.setattr(placement, "use_cores", asked.append)
    fails(capsys, [*PPO, *words, "--learning-rate", "-1"], 2, "--learning-rate = -1")
    assert asked == [count]
