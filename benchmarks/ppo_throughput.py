"""Times our PPO beside Rejax's and, where a checkout is given, PureJaxRL's: same jax, same settings, in turns.

Every measurement is a process of its own in its own environment. Pair p of every contestant trains the same seeds, and
each pair has new ones. Compiling and running are timed apart; peak memory is the process's. Peers run as they are:
their code, their flags, `jit(vmap(train))`; a further row of each gives it the devices and threads that ours has, by
sharding keys and by XLA's own setting.

Callable as `main(argv)`; `jaxrl bench ppo` does so from a checkout.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parent))

import peer_environments
import side_by_side

from jaxrl_suite.errors import JaxrlError

NOTES = {
    "ours": "final_returns: training episodes ended in the last tenth of the updates. Bootstraps through time limits. "
    "run_seconds: compiled updates only, as for the peers; train_wall_seconds: the whole call, compiling included.",
    "purejaxrl": "final_returns as ours, from the peer's metrics, which it keeps for every step (part of its memory).",
    "rejax": "evaluated_returns: 128 episodes of the final policy, actions sampled, untimed (marked * in the table; "
    "compared with the same of ours). No learning-rate annealing, other initialisation, gradients clipped by value.",
    "shuffle": "all: one permutation of all 512 samples an epoch, cut into 4 minibatches.",
    "memory": "peak resident memory of the whole process, imports and compiler included.",
    "floor": "matrix products and Adam's traffic only; neither tanh, nor random numbers, nor the environment.",
}


@dataclasses.dataclass(frozen=True)
class Options(side_by_side.Options):
    """PPO throughput beside two public peers; an update is 512 environment steps.

    Attributes:
        peers: whom we are measured beside; PureJaxRL only where `purejaxrl` is given.
        purejaxrl: root of a PureJaxRL checkout at the pinned commit.
    """

    members: tuple[int, ...] = (1, 8, 32, 128)
    out: Path = side_by_side.HERE / "results" / "ppo_throughput.json"
    peers: tuple[Literal["rejax", "purejaxrl"], ...] = ("rejax", "purejaxrl")
    purejaxrl: Path | None = None


def peers_of(options: Options) -> dict[str, tuple[str, ...]]:
    """The peers that take part, and their workers' own arguments."""
    found: dict[str, tuple[str, ...]] = {}
    for peer in options.peers:
        if peer == "rejax":
            found[peer] = ()
        elif options.purejaxrl is not None:
            peer_environments.check_purejaxrl(options.purejaxrl)
            found[peer] = ("--checkout", str(options.purejaxrl.resolve()))
    return found


def main(argv: list[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    import tyro

    options = tyro.cli(Options, args=argv, prog="ppo_throughput")
    commit = peer_environments.PUREJAXRL_COMMIT if options.purejaxrl else None
    benchmark = side_by_side.Benchmark("ppo", "ppo_floor.py", NOTES, options.peers, commit)
    try:
        options.check()
        field = side_by_side.contestants_of("ppo", peers_of(options), options)
        result = side_by_side.run(benchmark, field, options)
    except JaxrlError as error:
        return side_by_side.report_error(error)
    side_by_side.show(benchmark, result, options, [])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
