"""The runner: trains all members, in chunks of compiled work, and keeps what they leave safe."""

import contextlib
import dataclasses
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl_suite.agent import Agent
from jaxrl_suite.config import validate
from jaxrl_suite.errors import ConfigError, Interrupted, RunDirectoryError
from jaxrl_suite.results.store import RunStore
from jaxrl_suite.training import members as member_axis
from jaxrl_suite.training import placement
from jaxrl_suite.training.checkpoints import Checkpoints
from jaxrl_suite.training.host_program import HostProgram
from jaxrl_suite.training.interrupts import StopRequest, stop_requests
from jaxrl_suite.training.members import Members
from jaxrl_suite.training.placement import Plan
from jaxrl_suite.training.program import Carry, ChunkResult, Program
from jaxrl_suite.training.progress import Progress
from jaxrl_suite.training.provenance import provenance, versions
from jaxrl_suite.training.rebuild import describe, digest, rebuild
from jaxrl_suite.training.run import Diverged, Run, Seconds

FORMAT = 1
MEMORY_SHARE = 0.8
"""Of the memory that is free, how much a program may be estimated to need before members are run in groups."""


@dataclasses.dataclass(frozen=True)
class Options:
    """How to run, as opposed to what: none of these changes a number beyond the last bits.

    Attributes:
        out: run directory; None keeps everything in memory.
        devices: how many to use (None: all that JAX shows). group: members batched together on a device (None: all).
        chunk: the most updates a chunk (None: as many as take about a second, later up to 20).
        save_every: seconds between checkpoints.
        show: progress on the terminal. sinks: opened with the run's path, see `jaxrl_suite.results.sinks`.
    """

    out: Path | None = None
    devices: int | None = None
    group: int | None = None
    chunk: int | None = None
    save_every: float = 30.0
    show: bool = False
    sinks: tuple[str, ...] = ()

    def check(self) -> None:
        if self.chunk is not None and self.chunk < 1:
            raise ConfigError(f"chunk = {self.chunk}: must be >= 1")
        if not self.save_every >= 0:
            raise ConfigError(f"save_every = {self.save_every}: must be >= 0 seconds")


@dataclasses.dataclass
class Job:
    """A run in progress."""

    agent: Agent
    members: Members
    is_sweep: bool
    target: int
    record_every: int
    options: Options
    program: Any = None
    carry: Carry | None = None
    done: int = 0
    store: RunStore | None = None
    compile_seconds: float = 0.0
    run_seconds: float = 0.0
    diverged: list[Diverged] = dataclasses.field(default_factory=list)
    chunks: list[dict[str, np.ndarray]] = dataclasses.field(default_factory=list)

    @property
    def checkpoints(self) -> Checkpoints | None:
        return Checkpoints(self.store.path / "checkpoints") if self.store else None


def train(
    agent: Agent,
    seeds: int | Sequence[int] = 1,
    *,
    updates: int | None = None,
    env_steps: int | None = None,
    extend: bool = False,
    record_every: int = 1,
    **options: Any,
) -> Run:
    """Trains one agent on many seeds at once.

    Args:
        seeds: how many (0, 1, ...) or which.
        updates: stop after so many; default: the agent's `total_updates`. env_steps: the same in environment steps.
        extend: allows more updates than the agent's schedules were made for.
        record_every: updates a record of metrics (see `training/recording.py`).
        **options: fields of `Options`.

    Raises:
        ConfigError: for anything that cannot work, before anything compiles.
        RunDirectoryError: if `out` holds a run already or is in use.
        Interrupted: after Ctrl-C or SIGTERM, once the run is saved (with `out` only).
    """
    validate(agent.info.config)
    members = member_axis.single(agent.info, member_axis.parse_seeds(seeds))
    return _begin(agent, members, False, updates, env_steps, extend, record_every, Options(**options))


def sweep(
    factory: Callable[..., Agent],
    environment: tuple[Any, Any],
    config: Any,
    grid: Mapping[str, Sequence[float]],
    seeds: int | Sequence[int] = 1,
    *,
    updates: int | None = None,
    env_steps: int | None = None,
    extend: bool = False,
    record_every: int = 1,
    **options: Any,
) -> Run:
    """Trains every combination of `grid` on every seed, all in one compiled program.

    Args:
        factory: makes the agent: `factory(env, env_params, config)`. environment: `(env, env_params)`.
        grid: values by name of a sweepable field of the config, or of an environment parameter as `env.NAME`.

    Returns:
        a Run whose arrays have the axes [setting, seed, record] and whose `settings` say which is which.

    Raises: as `train`; ConfigError for a field that is static, naming it.
    """
    agent = factory(*environment, config)
    settings = member_axis.parse_grid(grid)
    members = member_axis.swept(agent.info, settings, member_axis.parse_seeds(seeds))
    return _begin(agent, members, True, updates, env_steps, extend, record_every, Options(**options))


def plan_run(
    agent: Agent, members: Members, options: Options, record_every: int = 1
) -> Any:
    """A compiled program for these members, in smaller groups if it would not fit the free memory.

    Returns:
        (program, seconds spent compiling).
    """
    if agent.info.host_stepped:
        return HostProgram(agent.info, members, record_every), 0.0
    plan = placement.make_plan(members.count, options.devices, options.group)
    spent = 0.0
    while True:
        program = Program(agent.info, members, plan, record_every)
        spent += program.compile()
        needed, free = program.bytes_needed() * plan.devices, placement.free_bytes()
        if needed <= MEMORY_SHARE * free or plan.group == 1:
            return program, spent
        plan = placement.make_plan(members.count, plan.devices, max(1, plan.group // 2))
        _say(f"{needed / 2**20:.0f} MiB would not fit the {free / 2**20:.0f} MiB free: groups of {plan.group} members")


def _begin(
    agent: Agent,
    members: Members,
    is_sweep: bool,
    updates: int | None,
    env_steps: int | None,
    extend: bool,
    record_every: int,
    options: Options,
) -> Run:
    options.check()
    if record_every < 1:
        raise ConfigError(f"record_every = {record_every}: must be >= 1")
    target = parse_budget(agent, updates, env_steps, extend)
    job = Job(agent, members, is_sweep, target, record_every, options)
    if options.out is None:
        _compile(job)
        return _execute(job)
    job.store = RunStore.create(options.out, *_describe(job))
    with job.store.lock():
        _compile(job)
        return _execute(job)


def parse_budget(agent: Agent, updates: int | None, env_steps: int | None, extend: bool = False) -> int:
    """Updates to run. Raises ConfigError for a budget that is not whole, not positive, or beyond the schedules."""
    info = agent.info
    if updates is not None and env_steps is not None:
        raise ConfigError("updates, env_steps: give one of them")
    if env_steps is not None:
        updates = exact_updates(env_steps, info.env_steps_per_update)
    updates = info.total_updates if updates is None else updates
    if updates < 1:
        raise ConfigError(f"updates = {updates}: must be >= 1")
    if updates > info.total_updates and not extend:
        raise ConfigError(
            f"updates = {updates}: the config's schedules end at total_updates = {info.total_updates}; "
            "set total_updates, or extend=True to run on at their final values"
        )
    return updates


def exact_updates(env_steps: int, steps_per_update: int) -> int:
    """Updates in a budget of environment steps. Raises ConfigError, naming the nearest budgets, unless it divides."""
    updates, rest = divmod(env_steps, steps_per_update)
    if rest == 0 and updates > 0:
        return updates
    near = [n * steps_per_update for n in (updates, updates + 1) if n > 0]
    raise ConfigError(
        f"env_steps = {env_steps}: must be a multiple of {steps_per_update}, the steps of one update; "
        f"nearest: {' or '.join(map(str, near))}"
    )


def _compile(job: Job) -> None:
    placement.notice_idle_cores()
    job.program, spent = plan_run(job.agent, job.members, job.options, job.record_every)
    job.compile_seconds += spent
    if job.store:
        job.store.update_manifest(plan=_plan_dict(job))


def _plan_dict(job: Job) -> dict[str, int]:
    plan = getattr(job.program, "plan", None)
    return dict(plan._asdict()) if isinstance(plan, Plan) else {}


def _describe(job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    """(manifest, config) of a new run."""
    info, config = job.agent.info, describe(job.agent.info)
    manifest = {
        "format": FORMAT,
        "kind": "sweep" if job.is_sweep else "train",
        "agent": info.name,
        "env": info.env_id,
        "seeds": list(job.members.seeds),
        "settings": [dict(s) for s in job.members.settings] if job.is_sweep else None,
        "env_steps_per_update": info.env_steps_per_update,
        "total_updates": job.target,
        "record_every": job.record_every,
        "config_digest": digest(config),
        "status": "running",
        "updates_done": 0,
        "started": _now(),
        "diverged": [],
        **provenance(),
    }
    return manifest, config


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _execute(job: Job) -> Run:
    """Runs the job's chunks to the target, or to the first reason to stop."""
    if job.carry is None:
        job.carry = job.program.init()
    info = job.agent.info
    label = f"{info.name} {info.env_id} x {job.members.count}"
    steps = info.env_steps_per_update * job.members.count
    with contextlib.ExitStack() as stack:
        request = stack.enter_context(stop_requests()) if job.store else StopRequest()
        sinks = _open_sinks(job, stack)
        progress = stack.enter_context(Progress(job.target, job.done, steps, job.options.show, label))
        _loop(job, request, sinks, progress)
        _save(job, "interrupted" if request and job.done < job.target else "finished")
        if request and job.done < job.target:
            raise _interrupted(job, request)
    return _collect(job)


def _open_sinks(job: Job, stack: contextlib.ExitStack) -> list[Any]:
    if not job.options.sinks:
        return []
    if job.store is None:
        raise ConfigError("sinks: need a run directory (out=…)")
    from jaxrl_suite.results.sinks import open_sinks

    about = job.store.manifest | {"settings": len(job.members.settings)}
    from_env_steps = job.done * job.agent.info.env_steps_per_update
    sinks = open_sinks(job.options.sinks, job.store.path, about, from_env_steps=from_env_steps)
    for sink in sinks:
        stack.callback(sink.close)
    return sinks


def _interrupted(job: Job, request: StopRequest) -> Interrupted:
    path = job.store.path if job.store else ""
    error = Interrupted(f"stopped after update {job.done} of {job.target}, all saved: go on with `jaxrl resume {path}`")
    error.exit_code = 128 + request.signal_number
    return error


def _loop(job: Job, request: StopRequest, sinks: list[Any], progress: Progress) -> None:
    began = saved = time.monotonic()
    seconds_per_update = math.inf
    while job.done < job.target and not request:
        count = _chunk_length(job, seconds_per_update, time.monotonic() - began)
        started = time.perf_counter()
        result = job.program.run(job.carry, job.done, job.done + count)
        spent = time.perf_counter() - started
        seconds_per_update = spent / count
        _keep(job, result, count, spent, sinks)
        progress.advance(job.done, _current_return(result.metrics))
        if bool(np.all(np.asarray(job.carry.finished))):  # type: ignore[union-attr]
            return
        if time.monotonic() - saved >= job.options.save_every:
            _save(job, "running")
            saved = time.monotonic()


def _chunk_length(job: Job, seconds_per_update: float, elapsed: float) -> int:
    """Updates of the next chunk: about a second's worth at first, up to 20 seconds' in long runs."""
    aim = min(max(1.0, elapsed / 30.0), 20.0)
    wanted = 1 if math.isinf(seconds_per_update) else int(aim / max(seconds_per_update, 1e-9))
    most = min(job.program.capacity * job.record_every, job.options.chunk or sys.maxsize)
    whole = max(1, min(wanted, most) // job.record_every) * job.record_every
    return min(whole, job.target - job.done)


def _keep(job: Job, result: ChunkResult, count: int, spent: float, sinks: list[Any]) -> None:
    start, stop = job.done, job.done + count
    job.carry, job.done = result.carry, stop
    job.run_seconds += spent
    axes = (len(job.members.settings), len(job.members.seeds))
    metrics = {name: v.reshape(v.shape[0], *axes, *v.shape[2:]) for name, v in result.metrics.items()}
    _note_diverged(job, result, start)
    if job.store is None:
        job.chunks.append(metrics)
        return
    steps = job.agent.info.env_steps_per_update
    job.store.append(start, stop, metrics, steps, list(job.members.seeds), job.record_every)
    job.store.append_times({"start": start, "stop": stop, "seconds": spent, "time": _now()})
    for sink in sinks:
        sink.write(stop, stop * steps, {name: v[-1] for name, v in metrics.items()})


def _current_return(metrics: dict[str, np.ndarray]) -> float:
    """Mean return over the episodes of a chunk, all members together; NaN where none ended."""
    if "episode/return" not in metrics:
        return math.nan
    counts = metrics["episode/count"]
    total = counts.sum()
    return float((np.where(counts > 0, metrics["episode/return"], 0.0) * counts).sum() / total) if total else math.nan


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
        _say(f"seed {member[0]} {dict(member[1]) or ''} turned NaN at update {update}; the others go on")


def _save(job: Job, status: str) -> None:
    if job.store is None or job.checkpoints is None:
        return
    job.checkpoints.save(job.done, job.program.to_host(job.carry))
    times = {"compile_seconds": job.compile_seconds, "run_seconds": job.run_seconds}
    diverged = [{"seed": d.seed, "setting": dict(d.setting), "update": d.update} for d in job.diverged]
    ended = {"ended": _now()} if status != "running" else {}
    job.store.update_manifest(status=status, updates_done=job.done, diverged=diverged, **times, **ended)


def _collect(job: Job) -> Run:
    if job.store is not None:
        metrics, updates = job.store.metrics(), job.store.updates() + 1
    else:
        names = job.chunks[0] if job.chunks else {}
        metrics = {name: np.moveaxis(np.concatenate([c[name] for c in job.chunks]), 0, 2) for name in names}
        updates = _record_updates(job.done, job.record_every)
    state = job.program.typed(job.program.to_host(job.carry)).state
    return _make_run(job, metrics, updates, state)


def _record_updates(done: int, every: int) -> np.ndarray:
    ends = np.arange(every, done + every, every, dtype=np.int64)
    return np.minimum(ends, done)


def _make_run(job: Job, metrics: dict[str, np.ndarray], updates: np.ndarray, state: Any) -> Run:
    axes = (len(job.members.settings), len(job.members.seeds))
    if job.is_sweep:
        state = jax.tree.map(lambda x: x.reshape(*axes, *x.shape[1:]), state)
    else:
        metrics = {name: v[0] for name, v in metrics.items()}
    settings = job.members.settings if job.is_sweep else None
    return Run(
        job.agent,
        job.members.seeds,
        settings,
        metrics,
        updates,
        state,
        Seconds(job.compile_seconds, job.run_seconds),
        tuple(job.diverged),
        job.store.path if job.store else None,
        _plan_dict(job),
        job.program.bytes_needed() if job.options.out is not None or job.done else 0,
    )


def save(run: Run, path: Path) -> Path:
    """Writes a finished run to a new directory; see `Run.save`."""
    members = _members_of(run.agent, run.seeds, run.settings)
    done = int(run.updates[-1])
    every = int(run.updates[0]) if len(run.updates) > 1 else 1
    job = Job(run.agent, members, run.settings is not None, done, every, Options(out=path), done=done)
    job.store = RunStore.create(path, *_describe(job))
    with job.store.lock():
        axes = (len(members.settings), len(members.seeds))
        rows = {name: v if job.is_sweep else v[None] for name, v in run.metrics.items()}
        rows = {name: np.moveaxis(v, 2, 0) for name, v in rows.items()}
        job.store.append(0, done, rows, run.agent.info.env_steps_per_update, list(members.seeds), every)
        job.program = _program_for(job)
        flat = jax.tree.map(lambda x: x.reshape(members.count, *x.shape[len(axes) if job.is_sweep else 1 :]), run.state)
        job.carry = Carry(flat, np.zeros(members.count, bool))
        job.compile_seconds, job.run_seconds = run.seconds
        job.diverged = list(run.diverged)
        _save(job, "finished")
    return job.store.path


def _program_for(job: Job) -> Any:
    """The job's program, not compiled."""
    if job.agent.info.host_stepped:
        return HostProgram(job.agent.info, job.members, job.record_every)
    return Program(job.agent.info, job.members, placement.make_plan(job.members.count), job.record_every)


def _members_of(agent: Agent, seeds: Sequence[int], settings: Sequence[Mapping[str, float]] | None) -> Members:
    if settings is None:
        return member_axis.single(agent.info, tuple(seeds))
    return member_axis.swept(agent.info, tuple(dict(s) for s in settings), tuple(seeds))


def _opened(store: RunStore, agent: Agent | None, options: Options) -> Job:
    """The job of an existing run directory, as its manifest says."""
    manifest = store.manifest
    agent = rebuild(store.config) if agent is None else agent
    members = _members_of(agent, manifest["seeds"], manifest["settings"])
    is_sweep = manifest["kind"] == "sweep"
    job = Job(agent, members, is_sweep, manifest["total_updates"], manifest["record_every"], options, store=store)
    job.compile_seconds, job.run_seconds = manifest.get("compile_seconds", 0.0), manifest.get("run_seconds", 0.0)
    job.diverged = [Diverged(d["seed"], d["setting"], d["update"]) for d in manifest["diverged"]]
    return job


def load(path: Path | str, agent: Agent | None = None) -> Run:
    """A run directory's results, with the newest sound checkpoint's state. Changes nothing on disk.

    Args:
        agent: needed only for agents or environments that have no name to find them by.
    """
    job = _opened(RunStore.open(path), agent, Options())
    job.program = _program_for(job)
    assert job.store is not None and job.checkpoints is not None
    state = None
    if job.checkpoints.updates():
        _, host, _ = job.checkpoints.restore(job.program.template())
        state = job.program.typed(host).state
    run = _make_run(job, job.store.metrics(), job.store.updates() + 1, state)
    run.plan = job.store.manifest.get("plan", {})
    return run


def resume(
    path: Path | str,
    agent: Agent | None = None,
    *,
    updates: int | None = None,
    extend: bool = False,
    allow_changes: bool = False,
    **options: Any,
) -> Run:
    """Goes on with a run that was cut off, from its newest sound checkpoint, with the plan it was begun with.

    Args:
        updates: a new target. extend: allows one beyond the schedules.
        allow_changes: goes on although config.json was edited.
        **options: fields of `Options`, except `out`.

    Raises:
        RunDirectoryError: if there is no run, it is in use, or its config was edited.
        CheckpointError: if no checkpoint is sound.
    """
    opened = Options(out=Path(path), **options)
    opened.check()
    store = RunStore.open(path)
    with store.lock():
        _report_changes(store, allow_changes)
        job = _opened(store, agent, _planned(opened, store.manifest))
        if updates is not None:
            job.target = parse_budget(job.agent, updates, None, extend)
        _restore(job)
        if job.done >= job.target:
            job.program = job.program or _program_for(job)
            return _collect(job)
        store.update_manifest(status="running", total_updates=job.target, resumed=[*store.manifest.get("resumed", []), job.done])
        return _execute(job)


def _planned(options: Options, manifest: dict[str, Any]) -> Options:
    """The options with the devices and groups the run was begun with, as far as this machine has them."""
    plan = manifest.get("plan") or {}
    if options.devices is not None or options.group is not None or not plan:
        return options
    if plan["devices"] > jax.local_device_count():
        _say(f"begun on {plan['devices']} devices, {jax.local_device_count()} here: the last bits may differ")
        return options
    return dataclasses.replace(options, devices=plan["devices"], group=plan["group"])


def _restore(job: Job) -> None:
    """Compiles, and brings members and records back to the newest sound checkpoint (or to the beginning)."""
    assert job.store is not None and job.checkpoints is not None
    _compile(job)
    if not job.checkpoints.updates():
        _say("no checkpoint was written yet: starting from update 0")
        job.store.truncate(0)
        return
    job.done, host, damaged = job.checkpoints.restore(job.program.template())
    for update in damaged:
        _say(f"the checkpoint at update {update} is damaged: using the one at update {job.done}")
    job.checkpoints.remove_after(job.done)
    job.store.truncate(job.done)
    job.carry = job.program.from_host(host)


def _report_changes(store: RunStore, allow_changes: bool) -> None:
    manifest = store.manifest
    if digest(store.config) != manifest["config_digest"]:
        if not allow_changes:
            raise RunDirectoryError(
                f"{store.path}: config.json was changed since the run began; undo it, start a new run, "
                "or resume with allow_changes"
            )
        _say("config.json was changed since the run began: going on with the new values, as allowed")
    before, now = manifest["versions"], versions()
    for name in now:
        if before.get(name) != now[name]:
            _say(f"{name} was {before.get(name)}, is {now[name]}: the rest of the run may differ from an unbroken one")
    if manifest["commit"] != (here := provenance()["commit"]):
        _say(f"the code was at {manifest['commit'] or 'no commit'}, is at {here or 'no commit'}: results may differ")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
