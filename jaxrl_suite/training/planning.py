"""From members and options to a program that fits the memory."""

from jaxrl_suite.agent import Agent
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.training import placement, processes
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
        if processes.count() > 1:
            raise ConfigError(f"{agent.info.name}: is stepped on the host and cannot run in several processes")
        return HostProgram(agent.info, members, record_every)
    shards = agent.info.shards
    plan = placement.make_plan(members.count, options.devices, options.group, shards, options.data)
    plan = plan._replace(quick_compile=options.quick_compile)
    return Program(agent.info, members, plan, record_every)


def compile_to_fit(agent: Agent, program: AnyProgram) -> tuple[AnyProgram, float]:
    """The program compiled, or the same members in smaller groups if it would not fit the free memory.

    Returns:
        (program, seconds spent compiling).
    """
    spent = program.compile()
    while isinstance(program, Program) and program.plan.group > 1:
        here = program.plan.devices // processes.count()
        # The least of all processes' memory, for all must come to the same groups.
        needed, free = program.bytes_needed() * here, processes.all_of(placement.free_bytes()).min()
        if needed <= MEMORY_SHARE * free:
            break
        smaller = in_smaller_groups(agent, program)
        fit = f"{needed / 2**20:.0f} MiB would not fit the {free / 2**20:.0f} MiB free"
        say(f"{fit}: groups of {smaller.plan.group} members")
        program = smaller
        spent += program.compile()
    return program, spent


def in_smaller_groups(agent: Agent, program: Program) -> Program:
    """The same members with half as many batched together, not compiled."""
    members, old = program.members, program.plan
    plan = placement.make_plan(members.count, old.devices, old.group // 2, agent.info.shards, old.data)
    return Program(agent.info, members, plan._replace(quick_compile=old.quick_compile), program.every)


def plan_run(agent: Agent, members: Members, options: Options, record_every: int = 1) -> tuple[AnyProgram, float]:
    """A compiled program for these members, in smaller groups if it would not fit the free memory.

    Returns:
        (program, seconds spent compiling).

    Raises:
        ConfigError: as `make_program`, before anything compiles.
    """
    return compile_to_fit(agent, make_program(agent, members, options, record_every))
