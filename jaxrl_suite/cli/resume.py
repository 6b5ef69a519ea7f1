"""`jaxrl resume`."""

from collections.abc import Sequence

from jaxrl_suite.cli import common
from jaxrl_suite.cli.options import Group, Option, parse

_OPTIONS = (
    Option("run", str, (), "run directory", "RUN", positional=True),
    Option("updates", int, None, "a new target; default: the run's own", "N"),
    Option("extend", bool, False, "let --updates go beyond the schedules, at their final values"),
    Option("allow_changes", bool, False, "go on although config.json was edited"),
    *common.HOW,
    *common.TOGETHER,
)


def resume(words: Sequence[str]) -> None:
    about = "Goes on from the newest sound checkpoint; ends as if never cut off, bit for bit."
    values = parse("jaxrl resume", about, [Group("", _OPTIONS)], words)
    path = common.one_run("resume", values["run"])
    options = common.runner_options(values)
    manifest = common.require_run(path).manifest
    members = len(manifest["seeds"]) * len(manifest["settings"] or [{}])
    common.use_cores(members if options["devices"] is None else None)
    import jaxrl_suite as jrl
    from jaxrl_suite.cli.report import report_run

    target = {"updates": values["updates"], "extend": values["extend"], "allow_changes": values["allow_changes"]}
    run = jrl.resume(path, **target, **options)
    report_run(run, quiet=values["quiet"], as_json=values["json"])
