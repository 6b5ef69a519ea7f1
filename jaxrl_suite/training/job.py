"""A run in progress: what it is, what it has measured, and how that is kept."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxrl_suite.agent import Agent
from jaxrl_suite.results.store import RunStore
from jaxrl_suite.training import members as member_axis
from jaxrl_suite.training import processes
from jaxrl_suite.training.checkpoints import Checkpoints
from jaxrl_suite.training.members import Members
from jaxrl_suite.training.options import Options
from jaxrl_suite.training.planning import AnyProgram
from jaxrl_suite.training.program import Carry, ChunkResult, Program
from jaxrl_suite.training.progress import say
from jaxrl_suite.training.provenance import provenance
from jaxrl_suite.training.rebuild import describe, digest
from jaxrl_suite.training.run import Diverged, Run, Seconds


@dataclasses.dataclass
class Job:
    """A run in progress.

    Attributes:
        target: updates to run. done: updates run. first: those that were run before and are recorded elsewhere.
        program: of all members; compiled once the job is executed. carry: None until then.
        store: the run directory, None for a run in memory. chunks: the metrics of a run in memory,
            [record, setting, seed, ...] each.
        plan, bytes_needed: of the compiled program, as in `Run`.
    """

    agent: Agent
    members: Members
    is_sweep: bool
    target: int
    record_every: int
    options: Options
    program: AnyProgram
    store: RunStore | None = None
    carry: Any = None
    done: int = 0
    first: int = 0
    compile_seconds: float = 0.0
    run_seconds: float = 0.0
    plan: dict[str, int] = dataclasses.field(default_factory=dict)
    bytes_needed: int = 0
    diverged: list[Diverged] = dataclasses.field(default_factory=list)
    chunks: list[dict[str, np.ndarray]] = dataclasses.field(default_factory=list)

    @property
    def axes(self) -> tuple[int, int]:
        """Numbers of settings and seeds."""
        return len(self.members.settings), len(self.members.seeds)


def now() -> str:
    """The time in UTC, ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def members_of(agent: Agent, seeds: Sequence[int], settings: Sequence[Mapping[str, float]] | None) -> Members:
    """The members of a run; `settings` None for one that is no sweep."""
    if settings is None:
        return member_axis.single(agent.info, tuple(seeds))
    return member_axis.swept(agent.info, tuple(dict(s) for s in settings), tuple(seeds))


def plan_of(program: AnyProgram) -> dict[str, Any]:
    """How the members are executed, for the manifest; empty for those that are stepped on the host."""
    return dict(program.plan._asdict()) if isinstance(program, Program) else {}


def checkpoints_of(store: RunStore) -> Checkpoints:
    """The checkpoints in a run directory; there may be none."""
    return Checkpoints(store.path / "checkpoints")


def create_store(job: Job, path: Any) -> RunStore:
    """Makes the run directory of a new job. Raises RunDirectoryError if `path` cannot be one."""
    info, config = job.agent.info, describe(job.agent.info)
    manifest = {
        "kind": "sweep" if job.is_sweep else "train",
        "agent": info.name,
        "env": info.env_id,
        "seeds": list(job.members.seeds),
        "settings": [dict(s) for s in job.members.settings] if job.is_sweep else None,
        "env_steps_per_update": info.env_steps_per_update,
        "total_updates": job.target,
        "record_every": job.record_every,
        "config_digest": digest(config),
        # A run that is killed while it compiles goes on as it was begun, too.
        "plan": plan_of(job.program),
        "status": "running",
        "updates_done": 0,
        "started": now(),
        "diverged": [],
        **provenance(),
    }
    made = processes.first_does(lambda: RunStore.create(path, manifest, config))
    return RunStore.open(path) if made is None else made


def keep(job: Job, result: ChunkResult, count: int, spent: float, sinks: Sequence[Any] = ()) -> None:
    """Takes in a chunk of `count` updates that took `spent` seconds."""
    start, stop = job.done, job.done + count
    job.carry, job.done = result.carry, stop
    job.run_seconds += spent
    metrics = {name: v.reshape(v.shape[0], *job.axes, *v.shape[2:]) for name, v in result.metrics.items()}
    _note_diverged(job, result, start)
    if job.store is None:
        job.chunks.append(metrics)
        return
    if not processes.is_first():
        return
    steps = job.agent.info.env_steps_per_update
    job.store.append(start, stop, metrics, steps, list(job.members.seeds), job.record_every)
    job.store.append_times({"start": start, "stop": stop, "seconds": spent, "time": now()})
    for sink in sinks:
        sink.write(stop, stop * steps, {name: v[-1] for name, v in metrics.items()})


def _note_diverged(job: Job, result: ChunkResult, start: int) -> None:
    known = {(d.seed, tuple(d.setting.items())) for d in job.diverged}
    for index in np.flatnonzero(result.has_nan):
        setting, seed = divmod(int(index), len(job.members.seeds))
        member = (job.members.seeds[seed], tuple(job.members.settings[setting].items()))
        if member in known:
            continue
        losses = [v[:, index].reshape(len(v), -1) for name, v in result.metrics.items() if name.startswith("loss/")]
        is_bad = np.any([np.isnan(v).any(axis=1) for v in losses], axis=0) if losses else np.zeros(0, bool)
        record = int(np.argmax(is_bad)) if is_bad.any() else None
        update = job.done if record is None else min(start + (record + 1) * job.record_every, job.done)
        job.diverged.append(Diverged(member[0], dict(member[1]), update))
        say(f"seed {member[0]} {dict(member[1]) or ''} turned NaN at update {update}; the others go on")


def save_state(job: Job, status: str) -> None:
    """Writes a checkpoint and the manifest. A run in memory has none."""
    if job.store is None:
        return
    checkpoints_of(job.store).save(job.done, job.program.to_save(job.carry))
    if not processes.is_first():
        return
    times = {"compile_seconds": job.compile_seconds, "run_seconds": job.run_seconds}
    diverged = [{"seed": d.seed, "setting": dict(d.setting), "update": d.update} for d in job.diverged]
    ended = {"ended": now()} if status != "running" else {}
    job.store.update_manifest(status=status, updates_done=job.done, diverged=diverged, **times, **ended)


def collect(job: Job, host: Carry | None) -> Run:
    """The run as it is now. host: the members as `Program.to_host` gives them, None where there is no state."""
    if job.store is not None:
        # The first process may still be writing.
        processes.all_of(0)
        metrics, updates = job.store.metrics(), job.store.updates() + 1
    else:
        names = job.chunks[0] if job.chunks else {}
        metrics = {name: np.moveaxis(np.concatenate([c[name] for c in job.chunks]), 0, 2) for name in names}
        updates = _record_updates(job.first, job.done, job.record_every)
    state = None if host is None else job.program.typed(host).state
    if job.is_sweep:
        state = jax.tree.map(lambda x: x.reshape(*job.axes, *x.shape[1:]), state)
    else:
        metrics = {name: v[0] for name, v in metrics.items()}
    return Run(
        job.agent,
        job.members.seeds,
        job.members.settings if job.is_sweep else None,
        metrics,
        updates,
        state,
        Seconds(job.compile_seconds, job.run_seconds),
        tuple(job.diverged),
        job.store.path if job.store else None,
        job.plan,
        job.bytes_needed,
        job.record_every,
    )


def _record_updates(first: int, done: int, every: int) -> np.ndarray:
    ends = np.arange(first + every, done + every, every, dtype=np.int64)
    return np.minimum(ends, done)
