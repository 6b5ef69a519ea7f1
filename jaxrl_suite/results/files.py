"""Files that survive a kill: written beside their place, flushed to disk, then renamed into it."""

import contextlib
import errno
import fcntl
import json
import os
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl_suite.errors import ConfigError, RunDirectoryError, RunInUseError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def saving(file: Path, run: Path | None) -> Generator[None]:
    """Turns an operating-system error while `file` is written into one line that says what to do.

    Args:
        file: named in the message. run: the run to be resumed, if `file` belongs to one.

    Raises:
        RunDirectoryError: instead of any OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            advice = "try again" if run is None else f"`jaxrl resume {run}`"
            raise RunDirectoryError(
                f"no space left while writing {file}; what was saved before is intact; free space, then {advice}"
            ) from error
        raise RunDirectoryError(f"cannot write {file}: {error.strerror or error}") from error


def write_atomically(file: Path, content: bytes | memoryview, run: Path | None) -> None:
    """Replaces `file` by `content` as one step: a kill leaves the old file or the new one, never a part.

    Raises:
        RunDirectoryError: no space, no permission; the old file is untouched and the temporary one is gone.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with saving(file, run):
        try:
            with open(temporary, "wb") as handle:
                handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(temporary, file)
            sync_directory(file.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def sync_directory(directory: Path) -> None:
    """Makes renames and deletions in `directory` survive a power cut."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_temporaries(directory: Path) -> None:
    """Deletes what killed writers left behind."""
    for file in directory.glob(".*.tmp"):
        file.unlink(missing_ok=True)


def to_json(name: str, values: Any) -> bytes:
    """`values` as indented JSON; NumPy numbers and arrays become numbers and lists, paths become text.

    Raises:
        ConfigError: something in `values` has no JSON form.
    """

    def plain(value: Any) -> Any:
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, np.ndarray):
            return value.tolist()
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        raise ConfigError(f"{name}: {value!r} of type {type(value).__name__} cannot be stored as JSON")

    return (json.dumps(values, indent=2, default=plain) + "\n").encode()


def read_json(file: Path) -> dict[str, Any]:
    """Raises RunDirectoryError naming the file if it is missing, cannot be read or holds no JSON object."""
    try:
        values = json.loads(file.read_bytes())
    except OSError as error:
        raise RunDirectoryError(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise RunDirectoryError(f"cannot read {file}: it is not valid JSON ({error})") from error
    if not isinstance(values, dict):
        raise RunDirectoryError(f"cannot read {file}: it holds a {type(values).__name__} where an object must be")
    return values


@contextlib.contextmanager
def exclusive(file: Path, run: Path) -> Generator[None]:
    """Holds the run's lock. The operating system releases it when the process ends, however it ends.

    Raises:
        RunInUseError: another holder has it, in this process or another; names the process and the machine.
    """
    with saving(file, run):
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunInUseError(f"{run} is in use by {_shown(lock_holder(file))}") from None
        except OSError as error:
            raise RunDirectoryError(f"cannot lock {file}: {error.strerror}") from error
        with saving(file, run):
            _name_holder(handle, f"{os.getpid()} {socket.gethostname()}\n".encode())
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                _name_holder(handle, b"")
    finally:
        os.close(handle)


def _name_holder(handle: int, text: bytes) -> None:
    os.ftruncate(handle, 0)
    os.pwrite(handle, text, 0)


def lock_holder(file: Path) -> tuple[int, str] | None:
    """(process id, host) that the lock file names, or None. A killed holder's name stays behind."""
    try:
        pid, host = file.read_text().split()
        return int(pid), host
    except (OSError, ValueError):
        return None


def _shown(holder: tuple[int, str] | None) -> str:
    return "another process" if holder is None else f"process {holder[0]} on {holder[1]}"


def is_alive(holder: tuple[int, str] | None) -> bool:
    """Whether the named process still runs. On another machine nobody can tell, and it is taken to."""
    if holder is None:
        return False
    if holder[1] != socket.gethostname():
        return True
    try:
        os.kill(holder[0], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
