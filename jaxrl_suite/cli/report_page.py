"""`jaxrl report`: everything that was reproduced, as one page, from the committed results."""

from collections.abc import Sequence
from pathlib import Path

from jaxrl_suite.cli import common
from jaxrl_suite.cli.options import Group, Option, parse
from jaxrl_suite.errors import ConfigError

_OPTIONS = (
    Option("out", str, "report.html", "the page: one file, nothing is loaded from elsewhere", "FILE"),
    Option("markdown", str, None, "write a table for the documentation to this file instead", "FILE"),
    Option("experiments", str, None, "folder of experiments; default: this checkout's", "DIR"),
)


def report(words: Sequence[str]) -> None:
    about = "Tables, figures, verdicts and provenance of all committed reproductions, with filters; made in seconds."
    values = parse("jaxrl report", about, [Group("", _OPTIONS)], words)
    folder = _experiments(values["experiments"])
    from jaxrl_suite.reproduction import overview

    results = overview.load_all(folder)
    is_table = values["markdown"] is not None
    out = Path(values["markdown"] if is_table else values["out"])
    text = overview.markdown(results, folder.parent) if is_table else overview.page(results)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)
    except OSError as error:
        flag = "--markdown" if is_table else "--out"
        raise ConfigError(f"{flag} = {out}: cannot be written ({error.strerror})") from None
    print(out)


def _experiments(given: str | None) -> Path:
    root = common.checkout()
    folder = Path(given) if given is not None else root / "experiments" if root else None
    if folder is None or not folder.is_dir():
        raise ConfigError("report: needs a checkout of the source, or --experiments DIR")
    return folder.resolve()
