"""Several processes, on one machine or many, that run one program together. In one process all this is nothing.

Every process runs the same command. What decides something (how long a chunk is, whether to save) is decided by the
first and told to all, for a process that went its own way would wait for the others for ever.
"""

import contextlib
from collections.abc import Callable, Generator
from typing import Any

import jax
import numpy as np

from jaxrl_suite.errors import ConfigError, JaxrlError, PeerLostError

HEARTBEAT_SECONDS = 20
"""After so long without a sign of life of a process, the others are ended by JAX. A process that dies while its machine
lives is noticed at once."""


def join(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> None:
    """Joins the other processes. Call before JAX runs anything.

    Args:
        coordinator: HOST:PORT that the first process listens on. processes: how many there are. process: which this
            is, from 0. All three, or none where JAX finds them itself: SLURM, Open MPI, Kubernetes, TPU pods.

    Raises:
        ConfigError: if only some are given, they cannot be found, or JAX runs already.
    """
    given = [coordinator, processes, process]
    if any(x is not None for x in given) and None in given:
        raise ConfigError("coordinator, processes, process: give all three, or none under SLURM, Open MPI and the like")
    if processes is not None and process is not None and not 0 <= process < processes:
        raise ConfigError(f"process = {process}: must be between 0 and processes - 1 = {processes - 1}")
    try:
        jax.distributed.initialize(coordinator, processes, process, heartbeat_timeout_seconds=HEARTBEAT_SECONDS)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ConfigError(f"distributed: {reason} (see coordinator, processes, process)") from error


def count() -> int:
    """How many processes run together; 1 unless they were joined."""
    return jax.process_count() if jax.distributed.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the process that decides, talks and writes what all share."""
    return count() == 1 or jax.process_index() == 0


def gathered(tree: Any) -> Any:
    """NumPy arrays of the whole of every array that is spread over the processes' devices, on all of them.

    Raises:
        PeerLostError: if another process has ended.
    """
    if count() == 1:
        return jax.tree.map(np.asarray, tree)
    from jax.experimental import multihost_utils

    with _others_answering():
        return jax.tree.map(np.asarray, multihost_utils.process_allgather(tree, tiled=True))


def all_of(values: Any) -> np.ndarray:
    """[process, ...]: every process' own values, of one shape and type, on all of them. Raises PeerLostError."""
    own = np.asarray(values)
    if count() == 1:
        return own[None]
    from jax.experimental import multihost_utils

    # As bytes: JAX would make 32-bit numbers of numbers, and knows no text.
    with _others_answering():
        found = np.asarray(multihost_utils.process_allgather(np.frombuffer(own.tobytes(), np.uint8)))
    return np.stack([np.frombuffer(row.tobytes(), own.dtype).reshape(own.shape) for row in found])


def first_does[T](action: Callable[[], T]) -> T | None:
    """The first process does it while the others wait; None on those. What fails there fails on all.

    Raises:
        JaxrlError: whatever the action raised, on the first. PeerLostError: on the others.
    """
    found, failure = None, None
    if is_first():
        try:
            found = action()
        except JaxrlError as error:
            failure = error
    if all_of(failure is not None)[0]:
        raise failure or PeerLostError("the first process could not go on, and says why")
    return found


@contextlib.contextmanager
def _others_answering() -> Generator[None]:
    try:
        yield
    # What Gloo, NCCL and the coordination service report of a lost peer has no type of its own.
    except (ValueError, RuntimeError) as error:
        raise lost(error) from error


def lost(error: Exception) -> PeerLostError:
    """The error of a process that waited for another in vain."""
    reason = " ".join(str(error).split())[:160]
    return PeerLostError(
        f"another of the {count()} processes has ended ({reason}); what is saved is safe: end those that are left, "
        "then resume in any number of processes"
    )
