"""Times our PQN beside Rejax's: same jax, same settings, in turns, and how long ours takes to be good at CartPole.

The protocol is `ppo_throughput`'s; an update is 32 environments of 64 steps and 4 epochs of 16 minibatches. Callable as
`main(argv)`; `jaxrl bench pqn` does so from a checkout.
"""

import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import side_by_side

from jaxrl_suite.errors import JaxrlError

NOTES = {
    "ours": "evaluated_returns: 128 episodes of the final policy, epsilon 0.005, untimed. Learning rate and epsilon "
    "run over the updates measured, which are too few to learn much.",
    "rejax": "the same episodes and epsilon. Adam for RAdam, no annealing, rewards not scaled, gradients clipped by "
    "value, time limits taken for ends; hidden layers set to ours, 2 x 256.",
    "until": "ours alone, one run at the full budget: seconds of compiled updates until the mean greedy return of all "
    "members reaches the level, looked at every few updates.",
    "memory": "peak resident memory of the whole process, imports and compiler included.",
    "floor": "matrix products and RAdam's traffic only; neither layer norms, nor random numbers, nor the environment.",
}


@dataclasses.dataclass(frozen=True)
class Options(side_by_side.Options):
    """PQN throughput beside Rejax; an update is 2048 environment steps.

    Attributes:
        until: greedy return at which the clock is read; 0 leaves that measurement out.
    """

    updates: int = 12
    pairs: int = 3
    plain: bool = True
    out: Path = side_by_side.HERE / "results" / "pqn_throughput.json"
    until: float = 490.0


def main(argv: list[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    import tyro

    options = tyro.cli(Options, args=argv, prog="pqn_throughput")
    benchmark = side_by_side.Benchmark("pqn", "pqn_floor.py", NOTES, ("rejax",))
    lines: list[str] = []
    try:
        options.check()
        field = side_by_side.contestants_of("pqn", {"rejax": ()}, options)
        result = side_by_side.run(benchmark, field, options)
        if options.until:
            command = [sys.executable, str(side_by_side.HERE / "pqn_until.py"), "--level", str(options.until)]
            result["until"] = found = side_by_side.run_json(command, options.timeout)
            side_by_side.save(result, options.out)
            lines = ["{members} members, mean greedy return {level:g} after: {seconds} s".format(**found)]
    except JaxrlError as error:
        return side_by_side.report_error(error)
    lines = side_by_side.one_device_lines(result["rows"], options.members) + lines
    side_by_side.show(benchmark, result, options, lines)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
