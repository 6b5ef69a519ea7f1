"""From members and options to a program that fits the memory."""

from jaxrl_suite.agent import Agent
from jaxrl_suite.training import placement
from jaxrl_suite.training.host_program import HostProgram
from jaxrl_suite.training.members import Members
from jaxrl_suite.training.options import Options
from jaxrl_suite.training.program import Program
from jaxrl_suite.training.progress import say

AnyProgram = Program | HostProgram

MEMORY_SHARE = 0.8
"""Of the memory that is free, how much a program may be estimated to need before members are run in groups."""


def make_program(agent: Agent, members: Members, options: Options, record_every: int = 1) -> AnyProgram:
    """The members' program, not compiled.

    Raises:
        ConfigError: for devices or groups there cannot be, or records that the program cannot sum up.
    """
    if agent.info.host_stepped:
        return HostProgram(agent.info, members, record_every)
    plan = placement.make_plan(members.count, options.devices, options.group)
    plan = plan._replace(quick_compile=options.quick_compile)
    return Program(agent.info, members, plan, record_every)


def compile_to_fit(agent: Agent, program: AnyProgram) -> tuple[AnyProgram, float]:
    """The program compiled, or the same members in smaller groups if it would not fit the free memory.

    Returns:
        (program, seconds spent compiling).
    """
    spent = program.compile()
    while isinstance(program, Program) and program.plan.group > 1:
        needed, free = program.bytes_needed() * program.plan.devices, placement.free_bytes()
        if needed <= MEMORY_SHARE * free:
            break
        members, old = program.members, program.plan
        plan = placement.make_plan(members.count, old.devices, old.group // 2)
        plan = plan._replace(quick_compile=old.quick_compile)
        say(f"{needed / 2**20:.0f} MiB would not fit the {free / 2**20:.0f} MiB free: groups of {plan.group} members")
        program = Program(agent.info, members, plan, program.every)
        spent += program.compile()
    return program, spent


def plan_run(agent: Agent, members: Members, options: Options, record_every: int = 1) -> tuple[AnyProgram, float]:
    """A compiled program for these members, in smaller groups if it would not fit the free memory.

    Returns:
        (program, seconds spent compiling).

    Raises:
        ConfigError: as `make_program`, before anything compiles.
    """
    return compile_to_fit(agent, make_program(agent, members, options, record_every))
