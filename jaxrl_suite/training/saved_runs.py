"""Runs on disk, out of and back into memory."""

from pathlib import Path

import jax
import numpy as np

from jaxrl_suite.agent import Agent
from jaxrl_suite.precision import precision
from jaxrl_suite.results.store import RunStore
from jaxrl_suite.training.job import Job, checkpoints_of, collect, create_store, members_of, save_state
from jaxrl_suite.training.options import Options
from jaxrl_suite.training.planning import make_program
from jaxrl_suite.training.program import Carry
from jaxrl_suite.training.rebuild import rebuild
from jaxrl_suite.training.run import Diverged, Run


def load(path: Path | str, agent: Agent | None = None) -> Run:
    """A run directory's results, with the newest sound checkpoint's state. Changes nothing on disk, compiles nothing.

    Args:
        agent: needed only for agents or environments that have no name to find them by.

    Returns:
        the run; its `state` is None if no checkpoint was written yet.

    Raises:
        RunDirectoryError: if `path` is no run, is damaged, or cannot be rebuilt by name.
        CheckpointError: if there are checkpoints and none is sound.
    """
    store = RunStore.open(path)
    agent = agent_of(store, agent)
    with precision(agent.info.precision):
        job = open_job(store, agent, Options())
        checkpoints = checkpoints_of(store)
        host = checkpoints.restore(job.program.template())[1] if checkpoints.updates() else None
        return collect(job, host)


def agent_of(store: RunStore, agent: Agent | None) -> Agent:
    """The agent of a run directory, rebuilt by name unless it is given."""
    return rebuild(store.config) if agent is None else agent


def open_job(store: RunStore, agent: Agent, options: Options) -> Job:
    """The job of a run directory, as its manifest says. No update is counted as done yet."""
    manifest = store.manifest
    members = members_of(agent, manifest["seeds"], manifest["settings"])
    program = make_program(agent, members, options, manifest["record_every"])
    return Job(
        agent,
        members,
        manifest["kind"] == "sweep",
        manifest["total_updates"],
        manifest["record_every"],
        options,
        program,
        store,
        compile_seconds=manifest.get("compile_seconds", 0.0),
        run_seconds=manifest.get("run_seconds", 0.0),
        plan=manifest.get("plan", {}),
        bytes_needed=manifest.get("bytes_needed", 0),
        diverged=[Diverged(d["seed"], d["setting"], d["update"]) for d in manifest["diverged"]],
    )


def carry_of(run: Run) -> Carry:
    """The members of a run at its end, on one axis."""
    leading = 1 if run.settings is None else 2
    count = len(run.seeds) * len(run.settings or ({},))
    never = np.zeros((count, 1), bool)
    finished = np.reshape(run.metrics["finished"], (count, -1)) if "finished" in run.metrics else never
    return Carry(jax.tree.map(lambda x: x.reshape(count, *x.shape[leading:]), run.state), finished[:, -1])


def save(run: Run, path: Path) -> Path:
    """Writes a finished run to a new directory; see `Run.save`."""
    with precision(run.agent.info.precision):
        return _save(run, path)


def _save(run: Run, path: Path) -> Path:
    members = members_of(run.agent, run.seeds, run.settings)
    done, every = int(run.updates[-1]), run.record_every
    options, is_sweep = Options(out=path), run.settings is not None
    program = make_program(run.agent, members, options, every)
    job = Job(run.agent, members, is_sweep, done, every, options, program, done=done)
    job.compile_seconds, job.run_seconds = run.seconds
    job.diverged = list(run.diverged)
    store = job.store = create_store(job, path)
    with store.lock():
        rows = {name: np.moveaxis(v if is_sweep else v[None], 2, 0) for name, v in run.metrics.items()}
        store.append(0, done, rows, run.agent.info.env_steps_per_update, list(members.seeds), every)
        job.carry = carry_of(run)
        save_state(job, "finished")
    return store.path
