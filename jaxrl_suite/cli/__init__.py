"""The command line `jaxrl`: finds the command, runs it, and turns the suite's errors into one line and an exit status.

Exit status: 0; an error's own `exit_code` (2 for anything wrong with what was typed); 130 after Ctrl-C. A traceback is
a bug. Nothing heavy is imported before it is known that the command needs it.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import jaxrl_suite
from jaxrl_suite.errors import JaxrlError, UnknownNameError

COMMANDS = {
    "train": ("train:train", "AGENT ENV", "train an agent on many seeds at once"),
    "sweep": ("train:sweep", "AGENT ENV", "train many settings on many seeds, all in one program"),
    "work": ("work:work", "LIST.toml", "make the runs of a list, by one worker or many"),
    "resume": ("resume:resume", "RUN", "go on with a run that was cut off, or beyond its end"),
    "eval": ("evaluate:evaluate", "RUN", "play whole episodes with what a run has learned"),
    "list": ("inspect:show", "agents|envs|experiments|runs", "what there is"),
    "report": ("report_page:report", "", "everything that was reproduced, as one page (from a checkout)"),
    "reproduce": ("reproduce:reproduce", "PAPER[/ITEM]", "re-measure a paper's tables and figures (from a checkout)"),
    "watch": ("watch:watch", "RUN...", "runs while they go on: how far, how fast, every seed"),
    "render": ("render:render", "RUN", "episodes of what a run has learned, as a moving picture"),
    "plot": ("plot:plot", "RUN...", "learning curves of runs, side by side"),
    "compare": ("compare:compare", "RUN RUN", "final returns of two runs, with intervals"),
    "new-agent": ("new_files:new_agent", "NAME", "an agent to fill in, with tests that fail until it is"),
    "new-env": ("new_files:new_env", "NAME", "an environment to fill in, likewise"),
    "check-env": ("check_env:check_env", "ENV|FILE.py:NAME", "what an environment of your own must keep to"),
    "bench": ("bench:bench", "[NAME]", "speed and memory beside peers (from a checkout)"),
}
"""By name: (module:function, what it takes, what it does). The function takes the rest of the words."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Takes the words after `jaxrl` (default: the process's) and returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        status = _status(words)
    except BaseException:
        _leave_at_once(1)
        raise
    if status:
        _leave_at_once(status)
    return status


def _leave_at_once(status: int) -> None:
    """One of several processes that fails must not wait at exit, as JAX does, for the others, who wait for it."""
    processes = sys.modules.get("jaxrl_suite.training.processes")
    if processes is None or processes.count() == 1:
        return
    if sys.exc_info()[0] is not None:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _status(words: list[str]) -> int:
    try:
        _run(words)
        sys.stdout.flush()
    except SystemExit as stop:
        # What tyro raises after --help; a string as code is a message and none of ours.
        return stop.code if isinstance(stop.code, int) else 0
    except JaxrlError as error:
        return _fail(error)
    except KeyboardInterrupt:
        print("jaxrl: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader went away (`jaxrl list envs | head`); Python's own flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0


def _run(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
    elif words[0] == "--version":
        print(f"jaxrl {jaxrl_suite.__version__}")
    elif words[0] not in COMMANDS:
        raise UnknownNameError("command", words[0], COMMANDS)
    else:
        from jaxrl_suite.cli.common import join_processes

        join_processes(words)
        module, _, function = COMMANDS[words[0]][0].partition(":")
        getattr(importlib.import_module(f"jaxrl_suite.cli.{module}"), function)(words[1:])


def _fail(error: JaxrlError) -> int:
    from jaxrl_suite.cli.fields import as_typed

    print(f"jaxrl: error: {as_typed(' '.join(str(error).split()))}", file=sys.stderr)
    return error.exit_code


def _help() -> str:
    usages = {f"{name} {takes}": what for name, (_, takes, what) in COMMANDS.items()}
    width = max(map(len, usages))
    lines = [f"  {usage:<{width}}  {what}" for usage, what in usages.items()]
    return "\n".join(
        [
            "usage: jaxrl COMMAND ...",
            "",
            "JAX-native reinforcement learning: many seeds and settings as one program.",
            "",
            *lines,
            "",
            "jaxrl COMMAND --help tells a command's options, jaxrl train AGENT --help an agent's settings.",
            "jaxrl train ppo CartPole-v1 --seeds 32 --learning-rate 3e-4",
        ]
    )
