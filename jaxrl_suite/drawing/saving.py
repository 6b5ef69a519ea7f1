"""Pictures as files: a moving one (GIF), or a folder of PNGs."""

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.results.files import saving, write_atomically

SHORTEST = 0.02
"""Seconds: pictures of a GIF that are shorter are slowed down by many programs, to a tenth of a second."""
HELD = 1.0
"""Seconds for which an episode's last picture is seen."""
_OTHER = (".png", ".apng", ".jpg", ".jpeg", ".webp", ".svg", ".pdf", ".mp4", ".webm", ".mov", ".avi")
_SAMPLES = 32
"""Pictures of an episode from which a GIF's colours are taken."""

Clip = Sequence[np.ndarray]
"""Pictures one after another, each uint8 [H, W, 3]; [T, H, W, 3] is one."""


def check_out(out: str | os.PathLike) -> Path:
    """The path, if pictures can be saved there.

    Raises:
        ConfigError: for another format's suffix, or a folder that holds pictures already.
    """
    path = Path(out)
    if path.suffix.lower() in _OTHER:
        raise ConfigError(f"out = {out}: must end in .gif, or have no suffix: a folder of PNGs")
    if path.suffix != ".gif" and any(path.glob("*.png")):
        raise ConfigError(f"out = {out}: holds pictures already; choose another folder")
    return path


def save(clips: Sequence[Clip], out: str | os.PathLike, seconds: float = 0.05) -> Path:
    """Saves episodes, one after another, the last picture of each held for a second.

    A GIF runs in real time: it leaves pictures out where they follow faster than in 0.02 s, and one that repeats the
    last is that one seen longer. A folder gets every picture, `episode-K-step-T.png`.

    Args:
        clips: as `frames` gives them, of one shape. out: a .gif, or without suffix a folder; replaced if it is a file.
        seconds: for which each picture is seen, > 0.

    Raises:
        ConfigError: for no pictures, other seconds or shapes, or as of `check_out`.
        RunDirectoryError: the files cannot be written.
    """
    path = check_out(out)
    if not clips or not all(len(clip) for clip in clips):
        raise ConfigError("clips: must be one or more, each of one picture or more")
    if not seconds > 0:
        raise ConfigError(f"seconds = {seconds}: must be > 0")
    is_gif = path.suffix == ".gif"
    with saving(path, None):
        (path.parent if is_gif else path).mkdir(parents=True, exist_ok=True)
    if is_gif:
        write_atomically(path, _gif(clips, seconds), None)
        return path
    for number, clip in enumerate(clips):
        for t, frame in enumerate(clip):
            with saving(path, None):
                Image.fromarray(frame).save(path / f"episode-{number}-step-{t:05d}.png")
    return path


def _gif(clips: Sequence[Clip], seconds: float) -> bytes:
    stride = max(1, round(np.ceil(SHORTEST / seconds - 1e-9)))
    shown = [sorted({*range(0, len(clip), stride), len(clip) - 1}) for clip in clips]
    durations = [[stride * seconds] * (len(times) - 1) + [max(HELD, seconds)] for times in shown]
    palette = _palette(clips)

    def pictures() -> Iterator[Image.Image]:
        shape = clips[0][0].shape
        for clip, times in zip(clips, shown, strict=True):
            for t in times:
                frame = clip[t]
                if frame.shape != shape:
                    raise ConfigError(f"pictures: shapes {shape} and {frame.shape}: must be the same in a GIF")
                yield Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)

    first, *rest = pictures()
    # The format counts hundredths of a second.
    hundredths = [10 * round(100 * duration) for times in durations for duration in times]
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=rest, duration=hundredths, loop=0)
    return file.getvalue()


def _palette(clips: Sequence[Clip]) -> Image.Image:
    """One of at most 256 colours for all pictures: flat colours do not flicker."""
    samples = [clip[t] for clip in clips for t in np.unique(np.linspace(0, len(clip) - 1, _SAMPLES).astype(int))]
    colours = np.unique(np.concatenate([_colours(sample) for sample in samples]))
    pixels = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=-1).astype(np.uint8)
    # Every colour counts once, however small its area: what is small is often what matters.
    return Image.fromarray(pixels[None]).quantize(256, method=Image.Quantize.MEDIANCUT)


def _colours(frame: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(frame.astype(np.int32), -1, 0)
    return np.unique(red << 16 | green << 8 | blue)
