"""`--dry-run`: what a run would need, measured on the compiled program and a throwaway state."""

import time
from typing import Any

from jaxrl_suite.cli import tables
from jaxrl_suite.precision import precision
from jaxrl_suite.training import members as member_axis
from jaxrl_suite.training import placement
from jaxrl_suite.training.options import Options
from jaxrl_suite.training.planning import plan_run

MEASURE_SECONDS = 2.0
"""How long updates are timed at most (one is always finished)."""


def report_plan(request: Any) -> None:
    """Compiles a train or sweep request, times a few updates, prints what it found and writes nothing."""
    with precision(request.agent.info.precision):
        _report_plan(request)


def _report_plan(request: Any) -> None:
    info, seeds = request.agent.info, member_axis.parse_seeds(request.seeds)
    if request.grid is None:
        members = member_axis.single(info, seeds)
    else:
        members = member_axis.swept(info, member_axis.parse_grid(request.grid), seeds)
    program, compile_seconds = plan_run(request.agent, members, Options(**request.how), request.record_every)
    free = placement.free_bytes()
    updates = request.budget["updates"]
    measured, seconds = _time_updates(program, updates)
    steps = updates * info.env_steps_per_update
    plan = getattr(program, "plan", None)
    devices = plan.devices if plan else 1
    needed = program.bytes_needed()
    rows = {
        "agent, environment": f"{info.name}, {info.env_id}",
        "members": _members_text(len(members.settings), len(seeds)),
        "updates": f"{updates:,} of {info.env_steps_per_update:,} environment steps",
        "environment steps": f"{steps:,} a member, {steps * members.count:,} in total",
        "plan": _plan_text(plan),
        "memory, estimated": f"{tables.memory_text(needed)} a device, {tables.memory_text(needed * devices)} in all",
        "memory, free": f"{tables.memory_text(free)} in all",
        "compile": f"{compile_seconds:.1f} s",
        "run, estimated": f"{tables.duration(seconds / measured * updates)} (measured over {measured} updates, "
        f"{steps * members.count / updates * measured / seconds:,.0f} steps/s)",
    }
    if request.values["json"]:
        rest = {"devices": devices, "group": plan.group if plan else 1, "compile_seconds": compile_seconds}
        estimate = {"estimated_seconds": seconds / measured * updates, "measured_updates": measured}
        memory = {"bytes_needed_per_device": needed, "bytes_free": free}
        total = {"members": members.count, "updates": updates, "env_steps_total": steps * members.count}
        tables.print_json({"agent": info.name, "env": info.env_id, **total, **rest, **memory, **estimate})
        return
    tables.print_facts("dry run: nothing is written", rows)


def _members_text(settings: int, seeds: int) -> str:
    return f"{settings} settings x {seeds} seeds = {settings * seeds}" if settings > 1 else f"{seeds} seeds"


def _plan_text(plan: Any) -> str:
    if plan is None:
        return "stepped on the host"
    groups = plan.padded // plan.devices // plan.group
    return f"{plan.devices} devices, {groups} group{'s' if groups > 1 else ''} of {plan.group} members on each"


def _time_updates(program: Any, updates: int) -> tuple[int, float]:
    """(updates timed, their seconds), after one that is not timed."""
    carry = program.run(program.init(), 0, program.every).carry
    done, records, seconds = 0, 1, 0.0
    while done == 0 or (seconds < MEASURE_SECONDS and done < updates):
        start, count = program.every + done, min(records, program.capacity) * program.every
        started = time.perf_counter()
        carry = program.run(carry, start, start + count).carry
        seconds += time.perf_counter() - started
        done, records = done + count, records * 2
    return done, seconds
