"""Times our DQN beside Rejax's: same jax, same settings, in turns. The protocol is `ppo_throughput`'s.

An update is one step of 4 environments and one minibatch of 32, so that both take a gradient step every 4 environment
steps. Callable as `main(argv)`; `jaxrl bench dqn` does so from a checkout.
"""

import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import side_by_side

NOTES = {
    "ours": "final_returns: training episodes ended in the last tenth of the updates. Bootstraps through time limits; "
    "Huber loss; minibatches with replacement. run_seconds: compiled updates only, as for the peer.",
    "rejax": "evaluated_returns: 128 episodes of the final policy, untimed (marked * in the table; compared with the "
    "same of ours), epsilon 0.005 for both. Squared loss, time limits taken for ends, gradients clipped by value, "
    "other initialisation; minibatches without replacement, which costs time in proportion to the buffer.",
    "memory": "peak resident memory of the whole process, imports and compiler included.",
    "floor": "matrix products and Adam's traffic only; neither replay, nor random numbers, nor the environment.",
}


@dataclasses.dataclass(frozen=True)
class Options(side_by_side.ReplayOptions):
    """DQN throughput beside Rejax; an update is 4 environment steps and a gradient step."""

    updates: int = 25_000
    out: Path = side_by_side.HERE / "results" / "dqn_throughput.json"

    def check(self) -> None:
        self.check_buffer(32)


def main(argv: list[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    import tyro

    options = tyro.cli(Options, args=argv, prog="dqn_throughput")
    return side_by_side.beside_rejax("dqn", NOTES, options)


if __name__ == "__main__":
    raise SystemExit(main())
