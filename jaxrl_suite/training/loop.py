"""The loop over chunks of compiled work: run, keep, show, save, until the target or a reason to stop."""

import contextlib
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxrl_suite.errors import Interrupted, MemoryExceededError
from jaxrl_suite.training import processes
from jaxrl_suite.training.interrupts import StopRequest, stop_requests
from jaxrl_suite.training.job import Job, collect, keep, plan_of, save_state
from jaxrl_suite.training.planning import compile_to_fit, in_smaller_groups
from jaxrl_suite.training.program import Carry, ChunkResult, Program
from jaxrl_suite.training.progress import Progress, say
from jaxrl_suite.training.run import Run


def execute(job: Job, host: Carry | None = None, **about: Any) -> Run:
    """Compiles the job's program and runs it to the target, or to the first reason to stop.

    Args:
        host: the members to go on with, as `Program.to_host` gave them; None begins anew.
        about: entries of the manifest to set once the program is compiled.

    Raises:
        Interrupted: after Ctrl-C or SIGTERM, once the run is saved (with a run directory only).
        MemoryExceededError: if the members do not fit the memory one by one, or no longer after some chunks.
        PeerLostError: if another of several processes has ended.
    """
    info = job.agent.info
    label = f"{info.name} {info.env_id} x {job.members.count}"
    steps = info.env_steps_per_update * job.members.count
    with contextlib.ExitStack() as stack:
        sinks = _open_sinks(job, stack)
        _compile(job, about)
        _within_memory(job, lambda: _begin(job, host), True)
        request = stack.enter_context(stop_requests()) if job.store else StopRequest()
        is_shown = job.options.show and processes.is_first()
        progress = stack.enter_context(Progress(job.target, job.done, steps, is_shown, label))
        signal_number = _loop(job, host, request, sinks, progress)
        is_cut_off = signal_number != 0 and job.done < job.target
        save_state(job, "interrupted" if is_cut_off else "finished")
        if is_cut_off:
            raise _interrupted(job, signal_number)
    # Of a run of several processes that has a directory nobody needs to hold all members' states.
    is_kept_apart = job.store is not None and processes.count() > 1
    return collect(job, None if is_kept_apart else job.program.to_host(job.carry))


def _open_sinks(job: Job, stack: contextlib.ExitStack) -> list[Any]:
    if job.store is None or not job.options.sinks or not processes.is_first():
        return []
    from jaxrl_suite.results.sinks import open_sinks

    about = job.store.manifest | {"settings": len(job.members.settings)}
    from_env_steps = job.done * job.agent.info.env_steps_per_update
    sinks = open_sinks(job.options.sinks, job.store.path, about, from_env_steps=from_env_steps)
    for sink in sinks:
        stack.callback(sink.close)
    return sinks


def _compile(job: Job, about: dict[str, Any]) -> None:
    job.program, spent = compile_to_fit(job.agent, job.program)
    _note_plan(job, spent, about)


def _note_plan(job: Job, spent: float, about: dict[str, Any]) -> None:
    job.compile_seconds += spent
    job.plan = plan_of(job.program)
    job.bytes_needed = job.program.bytes_needed()
    if job.store and processes.is_first():
        job.store.update_manifest(plan=job.plan, bytes_needed=job.bytes_needed, **about)


def _interrupted(job: Job, signal_number: int) -> Interrupted:
    path = job.store.path if job.store else ""
    error = Interrupted(f"stopped after update {job.done} of {job.target}, all saved: go on with `jaxrl resume {path}`")
    error.exit_code = 128 + signal_number
    return error


def _loop(job: Job, host: Carry | None, request: StopRequest, sinks: list[Any], progress: Progress) -> int:
    """Returns the signal that ended it, 0 where none did."""
    began = saved = time.monotonic()
    seconds_per_update, first = math.inf, job.done
    finished = np.zeros(1, bool) if host is None else np.asarray(host.finished)
    while True:
        # Before a chunk, not after: the last one is saved by the caller.
        is_time = job.done > first and time.monotonic() - saved >= job.options.save_every
        wanted = _chunk_length(job, seconds_per_update, time.monotonic() - began)
        count, is_time, signal_number = _agreed(wanted, is_time, request.signal_number)
        if job.done >= job.target or signal_number or finished.all():
            return signal_number
        if is_time:
            save_state(job, "running")
            saved = time.monotonic()
        started = time.perf_counter()
        result = _within_memory(job, lambda: _chunk(job, host, job.done + count), job.done == first)  # noqa: B023
        spent = time.perf_counter() - started
        seconds_per_update, finished = spent / count, result.finished
        result, count = _until_all_finished(result, count, job.record_every)
        keep(job, result, count, spent, sinks)
        progress.advance(job.done, _current_return(result.metrics))


def _agreed(count: int, is_time: bool, signal_number: int) -> tuple[int, bool, int]:
    """What the first of several processes has decided, for all; the wish to stop is anyone's.

    A signal that comes meanwhile stays noted in the request, for the next turn.
    """
    told = processes.all_of([count, is_time, signal_number])
    return int(told[0, 0]), bool(told[0, 1]), int(told[:, 2].max())


def _begin(job: Job, host: Carry | None) -> None:
    job.carry = job.program.init() if host is None else job.program.from_host(host)


def _chunk(job: Job, host: Carry | None, stop: int) -> ChunkResult:
    """Updates up to `stop`; of the members as they were at first, if a failed try has consumed them."""
    if job.carry is None:
        _begin(job, host)
    carry: Any = job.carry
    job.carry = None
    return job.program.run(carry, job.done, stop)


def _within_memory[T](job: Job, action: Callable[[], T], can_begin_anew: bool) -> T:
    """`action()`; where the memory does not suffice once more with half as many members at a time, and so on."""
    while True:
        try:
            return action()
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            failure = error
        program = job.program
        group = program.plan.group if isinstance(program, Program) else 1
        # Of several processes one alone cannot change the program.
        if not can_begin_anew or not isinstance(program, Program) or group == 1 or processes.count() > 1:
            less = f"with less than {group} members at a time (group)" if group > 1 else "smaller"
            raise MemoryExceededError(f"out of memory at update {job.done}: must be {less}") from failure
        job.program = program = in_smaller_groups(job.agent, program)
        say(f"out of memory: once more in groups of {program.plan.group} members")
        _note_plan(job, program.compile(), {})


def _until_all_finished(result: ChunkResult, count: int, every: int) -> tuple[ChunkResult, int]:
    """The chunk without the records after all members had finished, so that its length decides nothing."""
    finished = result.metrics.get("finished")
    if finished is None or not finished.all(axis=1).any():
        return result, count
    records = int(np.argmax(finished.all(axis=1))) + 1
    metrics = {name: values[:records] for name, values in result.metrics.items()}
    return result._replace(metrics=metrics), min(records * every, count)


def _chunk_length(job: Job, seconds_per_update: float, elapsed: float) -> int:
    """Updates of the next chunk: about a second's worth at first, up to 20 seconds' in long runs."""
    aim = min(max(1.0, elapsed / 30.0), 20.0)
    wanted = 1 if math.isinf(seconds_per_update) else int(aim / max(seconds_per_update, 1e-9))
    most = min(job.program.capacity * job.record_every, job.options.chunk or sys.maxsize)
    whole = max(1, min(wanted, most) // job.record_every) * job.record_every
    return min(whole, job.target - job.done)


def _current_return(metrics: dict[str, np.ndarray]) -> float:
    """Mean return over the episodes of a chunk, all members together; NaN where none ended."""
    if "episode/return" not in metrics:
        return math.nan
    counts = metrics["episode/count"]
    total = counts.sum()
    return float((np.where(counts > 0, metrics["episode/return"], 0.0) * counts).sum() / total) if total else math.nan
