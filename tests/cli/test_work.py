"""`jaxrl work`: what a list means, and that its runs are made once; `jaxrl sweep --halving`."""

import json

import pytest

import jaxrl_suite as jrl
from jaxrl_suite.cli import main
from jaxrl_suite.cli.work import cells_of, read_list
from jaxrl_suite.results import RunStore

from .conftest import TINY

LIST = """
seeds = 2
updates = 1
[[runs]]
agent = ["uniform_play", "first_action"]
env = "game/kuhn_poker"
"""
MANY = """
seeds = [3, 5]
updates = 7
[[runs]]
agent = ["ppo", "a2c"]
env = ["CartPole-v1", "Acrobot-v1"]
config.hidden_sizes = [[4, 4], [8]]
config.num_envs = 4
[[runs]]
agent = "a2c"
env = "CartPole-v1"
updates = 9
config.hidden_sizes = [4, 4]
config.total_updates = 20
params.max_steps_in_episode = [50, 60]
grid.learning_rate = [1e-3, 1e-4]
"""


def written(tmp_path, text):
    file = tmp_path / "study.toml"
    file.write_text(text)
    return file


def test_a_list_is_every_combination(tmp_path):
    cells = [cell for entry in read_list(written(tmp_path, MANY)) for cell in cells_of(entry)]
    assert [cell.name for cell in cells] == [
        *(
            f"{agent}-{env}-hidden_sizes_{sizes}"
            for agent in ("ppo", "a2c")
            for env in ("CartPole-v1", "Acrobot-v1")
            for sizes in ("4x4", "8")
        ),
        *(f"a2c-CartPole-v1-max_steps_in_episode_{steps}" for steps in (50, 60)),
    ]
    assert {cell.seeds for cell in cells} == {(3, 5)}
    configs = [cell.agent.info.config for cell in cells]
    assert [c.hidden_sizes for c in configs] == [(4, 4), (8,)] * 4 + [(4, 4)] * 2
    assert [c.total_updates for c in configs] == [7] * 8 + [20] * 2
    assert [cell.updates for cell in cells] == [7] * 8 + [9] * 2
    assert cells[-1].agent.info.env_params.max_steps_in_episode == 60
    assert cells[-1].grid == {"learning_rate": [1e-3, 1e-4]}


def test_runs_are_made_once(tmp_path, capsys):
    file = written(tmp_path, LIST)
    assert main(["work", str(file), "--quiet"]) == 0
    assert "2 runs in" in capsys.readouterr().out
    made = tmp_path / "study"
    assert sorted(p.name for p in made.iterdir()) == ["first_action-game-kuhn_poker", "uniform_play-game-kuhn_poker"]
    assert {RunStore.open(p).manifest["status"] for p in made.iterdir()} == {"finished"}
    assert main(["work", str(file), "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["made_here"] == []
    assert main(["work", str(file), "--quiet", "--json", "--out", str(tmp_path / "half"), "--part", "2/2"]) == 0
    assert json.loads(capsys.readouterr().out)["made_here"] == ["first_action-game-kuhn_poker"]


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("", [], "at least one [[runs]]"),
        ("seeds = ", [], "is no TOML"),
        ("[[runs]]\nagent = 'ppo'", [], "every [[runs]] must have env"),
        (LIST + "seed = 3", [], "unknown key"),
        (LIST + "config = 3", [], "config = 3: must be a table"),
        (LIST + "config.widht = 3", [], "unknown field of"),
        (LIST.replace("uniform_play", "unifrom_play"), [], "did you mean uniform_play"),
        (LIST.replace("updates = 1", "updates = 0"), [], "updates = 0"),
        (LIST, ["--part", "2"], "--part = 2: must be I/N"),
        (LIST, ["--part", "3/2"], "part = 3/2"),
    ],
)
def test_bad_lists_say_what_is_wrong(text, words, message, tmp_path, capsys):
    assert main(["work", str(written(tmp_path, text)), *words]) == 2
    assert message in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["study.toml"]


def test_a_list_that_is_not_there(tmp_path, capsys):
    assert main(["work", str(tmp_path / "none.toml")]) == 2
    assert "cannot be read" in capsys.readouterr().err


HALVE = ["sweep", "a2c", "CartPole-v1", *TINY, "--grid", "learning-rate=1e-3,1e-4", "--updates", "4", "--quiet"]


@pytest.mark.slow
def test_halving_from_the_command_line(tmp_path, capsys):
    assert main([*HALVE, "--halving", "2", "--out", str(tmp_path / "study")]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / f"study/rung-{rung}") for rung in (1, 2)]
    assert [len(jrl.load(tmp_path / f"study/rung-{rung}").settings) for rung in (1, 2)] == [2, 1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--halving", "1"], "keep_one_in = 1"),
        (["--halving", "8"], "updates = 4: must be >= 8"),
        (["--halving", "2", "--extend"], "--halving, --extend: give one of them"),
    ],
)
def test_halving_that_cannot_be(words, message, tmp_path, capsys):
    assert main([*HALVE, *words, "--out", str(tmp_path / "study")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "study").exists()
