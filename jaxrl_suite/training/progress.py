"""Progress on the terminal: a bar where there is one, a line now and then where output goes to a file."""

import sys
import threading
import time
from typing import Any

from jaxrl_suite.training import processes

LINE_SECONDS = 10.0
STALL_SECONDS = 300.0


class Progress:
    """Shows updates done, steps/s over all members, time left and the current return.

    Args:
        total: updates in all. done: updates already done. steps_per_update: environment steps of all members.
        show: False for silence.
    """

    def __init__(self, total: int, done: int, steps_per_update: int, show: bool, label: str = ""):
        self.total, self.steps_per_update, self.show, self.label = total, steps_per_update, show, label
        self._begin_done, self._done, self._begin = done, done, time.monotonic()
        self._last_line, self._shown_return = 0.0, float("nan")
        self._bar: Any = None
        self._task: Any = None
        self._stall: threading.Timer | None = None

    def __enter__(self) -> "Progress":
        if self.show and sys.stderr.isatty():
            self._start_bar()
        self._watch()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._stall is not None:
            self._stall.cancel()
        if self._bar is not None:
            self._bar.stop()

    def _start_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("updates · {task.fields[rate]} steps/s · return {task.fields[returned]} · left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._bar.start()
        self._task = self._bar.add_task(self.label, total=self.total, completed=self._done, rate="–", returned="–")

    def advance(self, done: int, current_return: float) -> None:
        """Tells that `done` updates are done; `current_return` is the mean over members (NaN: keep the last shown)."""
        self._done = done
        if current_return == current_return:
            self._shown_return = current_return
        self._watch()
        if not self.show:
            return
        if self._bar is not None:
            self._bar.update(self._task, completed=done, rate=_short(self.rate()), returned=f"{self._shown_return:.4g}")
        elif time.monotonic() - self._last_line >= LINE_SECONDS or done == self.total:
            self._last_line = time.monotonic()
            say(self.line())

    def rate(self) -> float:
        """Environment steps a second over all members, since this process began training."""
        elapsed = time.monotonic() - self._begin
        return (self._done - self._begin_done) * self.steps_per_update / max(elapsed, 1e-9)

    def line(self) -> str:
        """What the bar shows, as one line."""
        left = (self.total - self._done) * self.steps_per_update / max(self.rate(), 1e-9)
        return (
            f"{self.label}: {self._done}/{self.total} updates, {_short(self.rate())} steps/s, "
            f"return {self._shown_return:.4g}, {left:.0f} s left"
        )

    def _watch(self) -> None:
        """Says so when nothing has come for a long time, instead of waiting silently for ever."""
        if self._stall is not None:
            self._stall.cancel()
        self._stall = threading.Timer(STALL_SECONDS, _say_stalled, (self.label, self._done))
        self._stall.daemon = True
        self._stall.start()


def _say_stalled(label: str, done: int) -> None:
    what = f"{label}: no progress for {STALL_SECONDS:.0f} s after update {done}"
    say(f"{what}; what is saved is safe, Ctrl-C twice stops")


def say(text: str) -> None:
    """A line to whoever watches, on stderr: stdout is for results. Of several processes only the first talks."""
    if not processes.is_first():
        return
    print(text, file=sys.stderr, flush=True)


def _short(number: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.4g}{unit}"
    return f"{number:.4g}"
