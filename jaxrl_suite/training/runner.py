"""The runner: trains all members, in chunks of compiled work, and keeps what they leave safe."""

import contextlib
import dataclasses
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from jaxrl_suite.agent import Agent
from jaxrl_suite.config import validate
from jaxrl_suite.errors import ConfigError, RunDirectoryError
from jaxrl_suite.precision import precision
from jaxrl_suite.results.store import RunStore
from jaxrl_suite.training import members as member_axis
from jaxrl_suite.training import placement, processes
from jaxrl_suite.training.checkpoints import Checkpoints
from jaxrl_suite.training.job import Job, checkpoints_of, collect, create_store
from jaxrl_suite.training.loop import execute
from jaxrl_suite.training.members import Members
from jaxrl_suite.training.options import Options, parse_budget
from jaxrl_suite.training.planning import make_program
from jaxrl_suite.training.program import Carry
from jaxrl_suite.training.progress import say
from jaxrl_suite.training.provenance import commit, versions
from jaxrl_suite.training.rebuild import digest
from jaxrl_suite.training.run import Run
from jaxrl_suite.training.saved_runs import agent_of, open_job


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
        record_every: updates a record of metrics (see `recording.py`).
        **options: fields of `Options`.

    Returns:
        a Run whose arrays have the axes [seed, record].

    Raises:
        ConfigError: for anything that cannot work, before anything compiles or is written.
        RunDirectoryError: if `out` holds a run already or is in use.
        Interrupted: after Ctrl-C or SIGTERM, once the run is saved (with `out` only).
    """
    validate(agent.info.config)
    with precision(agent.info.precision):
        members = member_axis.single(agent.info, member_axis.parse_seeds(seeds))
        target = parse_budget(agent, updates, env_steps, extend)
        return begin(checked(agent, members, False, target, Options(**options), record_every))


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
    with precision(agent.info.precision):
        members = member_axis.swept(agent.info, settings, member_axis.parse_seeds(seeds))
        target = parse_budget(agent, updates, env_steps, extend)
        return begin(checked(agent, members, True, target, Options(**options), record_every))


def checked(
    agent: Agent, members: Members, is_sweep: bool, target: int, options: Options, record_every: int = 1
) -> Job:
    """A job that can begin. Everything that can be refused is refused here, before the run directory is made."""
    options.check()
    if record_every < 1:
        raise ConfigError(f"record_every = {record_every}: must be >= 1")
    # Parameters that were changed by hand have passed no check yet.
    if (check := getattr(agent.info.env, "check_params", None)) is not None:
        check(agent.info.env_params)
    _require_sinks(options, members)
    return Job(
        agent, members, is_sweep, target, record_every, options, make_program(agent, members, options, record_every)
    )


def begin(job: Job, host: Carry | None = None) -> Run:
    """Trains a new job, from the beginning or from these members at update `job.first`."""
    placement.notice_idle_cores(job.members.count)
    if job.options.out is None:
        return execute(job, host)
    job.store = create_store(job, job.options.out)
    with held(job.store):
        if host is not None:
            # Where a resume begins, before the first checkpoint of the job's own.
            checkpoints_of(job.store).save(job.done, host)
        return execute(job, host)


@contextlib.contextmanager
def held(store: RunStore) -> Generator[None]:
    """The run's lock, which of several processes the first holds for all."""
    with contextlib.ExitStack() as stack:
        processes.first_does(lambda: stack.enter_context(store.lock()))
        yield


def _require_sinks(options: Options, members: Members) -> None:
    if not options.sinks:
        return
    if options.out is None:
        raise ConfigError("sinks: need a run directory (out=…)")
    from jaxrl_suite.results.sinks import require_sinks

    require_sinks(options.sinks, members.count)


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

    A run that is at its target already is loaded; nothing compiles.

    Args:
        agent: needed only for agents or environments that have no name to find them by.
        updates: a new target. extend: allows one beyond the schedules.
        allow_changes: goes on although config.json was edited.
        **options: fields of `Options`, except `out`.

    Raises:
        ConfigError: for an option or target that cannot work, before anything compiles or is written.
        RunDirectoryError: if there is no run, it is in use, or its config was edited.
        CheckpointError: if no checkpoint is sound.
        Interrupted: as `train`.
    """
    asked = Options(out=Path(path), **options)
    asked.check()
    store = RunStore.open(path)
    with held(store):
        _report_changes(store, allow_changes)
        agent = agent_of(store, agent)
        with precision(agent.info.precision):
            job = open_job(store, agent, _planned(asked, store.manifest))
            if updates is not None:
                job.target = parse_budget(agent, updates, None, extend, has_begun=True)
            return _go_on(job, store)


def _go_on(job: Job, store: RunStore) -> Run:
    _require_sinks(job.options, job.members)
    host = _restore(job, store)
    if job.done >= job.target:
        if store.manifest["status"] != "finished" and processes.is_first():
            # Killed after the last checkpoint and before it was said.
            store.update_manifest(status="finished", updates_done=job.done)
        return collect(job, host)
    placement.notice_idle_cores(job.members.count)
    resumed = [*store.manifest.get("resumed", []), job.done]
    return execute(job, host, status="running", total_updates=job.target, resumed=resumed)


def _planned(options: Options, manifest: dict[str, Any]) -> Options:
    """The options with the devices and groups the run was begun with, as far as this machine has them."""
    plan = manifest.get("plan") or {}
    # Other machine code would differ in the last bits.
    options = dataclasses.replace(options, quick_compile=plan.get("quick_compile", False))
    if any(x is not None for x in (options.devices, options.group, options.data)) or not plan:
        return options
    here = jax.device_count()
    if plan["devices"] > here or (processes.count() > 1 and plan["devices"] != here):
        say(f"begun on {plan['devices']} devices, {here} here: the last bits may differ")
        return options
    return dataclasses.replace(options, devices=plan["devices"], group=plan["group"], data=plan.get("data", 1))


def _restore(job: Job, store: RunStore) -> Carry | None:
    """Brings members and records back to the newest sound checkpoint, or to the beginning (None)."""
    checkpoints = checkpoints_of(store)
    if not checkpoints.updates():
        say("no checkpoint was written yet: starting from update 0")
        processes.first_does(lambda: store.truncate(0))
        return None
    job.done, host, damaged = checkpoints.restore(job.program.template())
    for update in damaged:
        say(f"the checkpoint at update {update} is damaged: using the one at update {job.done}")
    processes.first_does(lambda: _forget_after(job.done, checkpoints, store))
    return host


def _forget_after(update: int, checkpoints: Checkpoints, store: RunStore) -> None:
    checkpoints.remove_after(update)
    store.truncate(update)


def _report_changes(store: RunStore, allow_changes: bool) -> None:
    manifest = store.manifest
    if digest(store.config) != manifest["config_digest"]:
        if not allow_changes:
            raise RunDirectoryError(
                f"{store.path}: config.json was changed since the run began; undo it, start a new run, "
                "or resume with allow_changes"
            )
        say("config.json was changed since the run began: going on with the new values, as allowed")
    before, now = manifest["versions"], versions()
    for name in now:
        if before.get(name) != now[name]:
            say(f"{name} was {before.get(name)}, is {now[name]}: the rest of the run may differ from an unbroken one")
    if manifest["commit"] != (here := commit()):
        say(f"the code was at {manifest['commit'] or 'no commit'}, is at {here or 'no commit'}: results may differ")
