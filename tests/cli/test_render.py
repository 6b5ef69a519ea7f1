"""`jaxrl render` on one tiny training."""

import pytest
from PIL import Image, ImageSequence

import jaxrl_suite as jrl
from jaxrl_suite.cli import main


def test_episodes_as_a_moving_picture(capsys, tiny_run):
    assert main(["render", str(tiny_run), "--seed", "1", "--episodes", "2"]) == 0
    out = tiny_run / "figures" / "episode-seed-1.gif"
    assert capsys.readouterr().out == f"{out}\n"
    agent, state = jrl.load(tiny_run).member(1)
    lengths = [len(jrl.training.play_episode(agent, state, seed=1, number=number).rewards) for number in range(2)]
    with Image.open(out) as file:
        durations = [part.info["duration"] for part in ImageSequence.Iterator(file)]
    # A step is 0.02 s; what looks the same is one picture that is seen longer.
    assert sum(durations) == 20 * sum(lengths) + 2 * 1000
    assert len(durations) > 0.8 * sum(lengths)


def test_episodes_as_a_folder(capsys, tmp_path, tiny_run):
    words = ["render", str(tiny_run), "--no-greedy", "--max-steps", "3", "--out", str(tmp_path / "frames")]
    assert main(words) == 0
    assert len(list((tmp_path / "frames").glob("episode-0-step-0000?.png"))) == 4
    assert main(words) == 2
    assert f"--out = {tmp_path / 'frames'}: holds pictures already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "RUN: 0 given, `jaxrl render RUN` takes one"),
        (["nowhere"], 3, "nowhere: no such directory"),
        (["RUN", "--episodes", "0"], 2, "--episodes = 0: must be >= 1"),
        (["RUN", "--max-steps", "0"], 2, "--max-steps = 0: must be >= 1"),
        (["RUN", "--out", "a.mp4"], 2, "--out = a.mp4: must end in .gif"),
        (["RUN", "--seed", "7"], 2, "--seed = 7: must be one of 0, 1"),
        (["RUN", "--setting", "1"], 2, "--setting = 1: only a sweep has settings"),
    ],
)
def test_what_cannot_be_rendered(words, status, message, capsys, tiny_run):
    assert main(["render", *(str(tiny_run) if word == "RUN" else word for word in words)]) == status
    assert message in capsys.readouterr().err
