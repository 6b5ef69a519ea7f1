"""Errors a user can act on: one line each, naming what was given and what is allowed."""

import difflib
from collections.abc import Iterable


class JaxrlError(Exception):
    """Base of every error raised on purpose. The command line prints it as one line.

    `exit_code` is the process's exit status when the error ends a command.
    """

    exit_code = 1


class ConfigError(JaxrlError, ValueError):
    """A setting that cannot work, found before anything compiles."""

    exit_code = 2


class UnknownNameError(ConfigError):
    """A name that is not registered; the message suggests the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]):
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
        super().__init__(f"unknown {kind} {name!r}: {hint}")


class RunDirectoryError(JaxrlError):
    """A run directory that cannot be used: missing, in use, already filled, or of another run."""

    exit_code = 3


class RunInUseError(RunDirectoryError):
    """A run directory that another process, or this one, is writing."""


class CheckpointError(JaxrlError):
    """No checkpoint that can be trusted, or one that could not be written."""

    exit_code = 4


class Interrupted(JaxrlError):
    """The run was asked to stop, has saved itself and can be resumed."""

    exit_code = 130


class MemoryExceededError(JaxrlError):
    """A program that does not fit the memory, however few members it runs at a time."""

    exit_code = 5


class PeerLostError(JaxrlError):
    """One of several processes that run together has ended; the others cannot go on."""

    exit_code = 6


class CellsFailedError(JaxrlError):
    """Some runs of a list failed; the others are finished."""

    exit_code = 7


class EnvironmentUnsoundError(JaxrlError):
    """An environment that does not keep to what the suite asks of one."""

    exit_code = 8
