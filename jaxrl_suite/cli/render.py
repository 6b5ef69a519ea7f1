"""`jaxrl render`."""

from collections.abc import Sequence

from jaxrl_suite.cli import common
from jaxrl_suite.cli.options import Group, Option, parse

_OPTIONS = (
    Option("run", str, (), "run directory", "RUN", positional=True),
    Option("seed", int, None, "which seed plays; default: the run's first", "N"),
    Option("setting", int, None, "of a sweep, which setting, from 0; default: the first", "I", allowed=">= 0"),
    Option("episodes", int, 1, "episodes, one after another", "K", allowed=">= 1"),
    *common.PLAY,
    Option("out", str, None, "a .gif, or a folder for PNGs; default: RUN/figures/episode-seed-N.gif", "PATH"),
)
_ABOUT = """\
Plays episodes with the newest sound checkpoint of a run and shows them as a moving picture, or every step as a PNG.
They are the first that `jaxrl eval` plays with this seed."""


def render(words: Sequence[str]) -> None:
    values = parse("jaxrl render", _ABOUT, [Group("", _OPTIONS)], words)
    path = common.one_run("render", values["run"])
    common.check_play(values)
    common.require_run(path)
    from jaxrl_suite.drawing.saving import check_out

    if values["out"] is not None:
        check_out(values["out"])
    common.use_cores(1)
    import jaxrl_suite as jrl

    asked = ("seed", "setting", "episodes", "greedy", "max_steps")
    print(jrl.render(jrl.load(path), values["out"], **{name: values[name] for name in asked}))
