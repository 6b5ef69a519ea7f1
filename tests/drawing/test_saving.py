"""Files of pictures: every state is in them, in real time, in its own colours; and a run's, in one call."""

import numpy as np
import pytest
from PIL import Image, ImageSequence

import jaxrl_suite as jrl
from jaxrl_suite.drawing import save
from jaxrl_suite.errors import CheckpointError, ConfigError, RunDirectoryError
from tests.helpers import toy_agent


def clip(count, width=12, height=8):
    """A bar that grows, by one pixel a picture."""
    pictures = np.full((count, height, width, 3), 250, np.uint8)
    for t in range(count):
        pictures[t, :, : t + 1] = (213, 64, 42)
    return pictures


def read(path):
    """(uint8 [T, H, W, 3], seconds [T])."""
    with Image.open(path) as file:
        found = [(np.asarray(part.convert("RGB")), part.info["duration"]) for part in ImageSequence.Iterator(file)]
    return np.stack([image for image, _ in found]), [duration / 1000 for _, duration in found]


def test_a_gif_has_every_picture_and_holds_the_last(tmp_path):
    pictures = clip(5)
    assert save([pictures], tmp_path / "new" / "a.gif", seconds=0.05) == tmp_path / "new" / "a.gif"
    found, seconds = read(tmp_path / "new" / "a.gif")
    np.testing.assert_array_equal(found, pictures)
    assert seconds == [0.05] * 4 + [1.0]
    save([pictures, pictures[:2]], tmp_path / "new" / "a.gif", seconds=0.2)
    found, seconds = read(tmp_path / "new" / "a.gif")
    np.testing.assert_array_equal(found, [*pictures, *pictures[:2]])
    assert seconds == [0.2] * 4 + [1.0, 0.2, 1.0]


def test_a_gif_runs_in_real_time(tmp_path):
    pictures = clip(8)
    found, seconds = read(save([pictures], tmp_path / "fast.gif", seconds=0.01))
    # Every second one, and the last.
    np.testing.assert_array_equal(found, pictures[[0, 2, 4, 6, 7]])
    assert seconds == [0.02] * 4 + [1.0]
    found, seconds = read(save([pictures[[0, 1, 1, 1, 2]]], tmp_path / "still.gif", seconds=0.1))
    np.testing.assert_array_equal(found, pictures[:3])
    assert seconds == pytest.approx([0.1, 0.3, 1.0])


def test_many_colours_are_close_and_few_are_exact(tmp_path):
    rng = np.random.default_rng(0)
    smooth = np.linspace(0, 255, 64).astype(np.uint8)
    picture = np.stack([*np.meshgrid(smooth, smooth), np.full((64, 64), 128, np.uint8)], axis=-1)
    picture[30, 30] = (0, 0, 0)
    found, _ = read(save([picture[None]], tmp_path / "a.gif"))
    assert np.abs(found[0].astype(int) - picture).max() < 48
    few = rng.integers(256, size=(200, 3), dtype=np.uint8)[rng.integers(200, size=(3, 20, 20))]
    np.testing.assert_array_equal(read(save([few], tmp_path / "a.gif"))[0], few)


def test_a_folder_has_every_picture(tmp_path):
    pictures = clip(3)
    save([pictures, pictures[:1]], tmp_path / "frames-0.5", seconds=0.01)
    files = sorted(path.name for path in (tmp_path / "frames-0.5").iterdir())
    assert files == [f"episode-{k}-step-{t:05d}.png" for k, t in ((0, 0), (0, 1), (0, 2), (1, 0))]
    with Image.open(tmp_path / "frames-0.5" / files[2]) as file:
        np.testing.assert_array_equal(np.asarray(file), pictures[2])
    with pytest.raises(ConfigError, match="holds pictures already"):
        save([pictures], tmp_path / "frames-0.5")


@pytest.mark.parametrize(
    ("clips", "out", "seconds", "message"),
    [
        ([clip(2)], "a.mp4", 0.1, "must end in .gif, or have no suffix"),
        ([], "a.gif", 0.1, "must be one or more"),
        ([clip(0)], "a.gif", 0.1, "each of one picture or more"),
        ([clip(2)], "a.gif", 0.0, "seconds = 0.0: must be > 0"),
        ([clip(2), clip(2, width=20)], "a.gif", 0.1, "must be the same in a GIF"),
    ],
)
def test_what_cannot_be_saved(tmp_path, clips, out, seconds, message):
    with pytest.raises(ConfigError, match=message):
        save(clips, tmp_path / out, seconds)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunDirectoryError, match="cannot write"):
        save([clip(2)], tmp_path / "file" / "a.gif")


def draw(state, params):
    """A bar as long as the time."""
    return clip(10)[int(state.time)]


def test_a_run_is_rendered(tmp_path):
    run = jrl.train(toy_agent(), seeds=[3, 8], updates=2, out=tmp_path / "run")
    out = jrl.render(run, episodes=2, max_steps=4, draw=draw)
    assert out == tmp_path / "run" / "figures" / "episode-seed-3.gif"
    np.testing.assert_array_equal(read(out)[0], [*clip(5), *clip(5)])
    assert jrl.render(run, seed=8, max_steps=1, draw=draw).name == "episode-seed-8.gif"
    for options, message in (
        ({"seed": 4}, "seed = 4: must be one of 3, 8"),
        ({"setting": 0}, "setting = 0: only a sweep has settings"),
        ({"episodes": 0}, "episodes = 0: must be >= 1"),
        ({"max_steps": 0}, "max_steps = 0: must be >= 1"),
        ({"out": tmp_path / "a.png"}, "must end in .gif"),
        ({"draw": None}, "probe/never-ending: there is no picture of it"),
    ):
        with pytest.raises(ConfigError, match=message):
            jrl.render(run, **{"draw": draw, **options})
    run.path = None
    with pytest.raises(ConfigError, match="the run has no directory"):
        jrl.render(run, draw=draw)
    run.state = None
    with pytest.raises(CheckpointError, match="has no checkpoint"):
        jrl.render(run, draw=draw)
