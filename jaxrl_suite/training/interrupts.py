"""Ctrl-C and SIGTERM: finish the chunk, save, exit. A second Ctrl-C stops at once."""

import contextlib
import signal
import threading
from collections.abc import Generator
from types import FrameType


class StopRequest:
    """Whether the process was asked to stop. `signal_number` is 0 until then."""

    signal_number = 0

    def __bool__(self) -> bool:
        return self.signal_number != 0


@contextlib.contextmanager
def stop_requests() -> Generator[StopRequest]:
    """Within the block, SIGINT and SIGTERM are noted instead of obeyed. Outside the main thread: never."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        if request and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.signal_number = number

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
