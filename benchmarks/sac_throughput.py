"""Times our SAC beside Rejax's on Pendulum: same jax, same settings, in turns. The protocol is `ppo_throughput`'s.

An update is one environment step and one minibatch of 256, in which critics, actor and temperature take a step each.
Callable as `main(argv)`; `jaxrl bench sac` does so from a checkout.
"""

import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import side_by_side

NOTES = {
    "ours": "final_returns: training episodes ended in the last tenth of the updates. The first 1000 actions are "
    "uniform; bootstraps through time limits; minibatches with replacement. run_seconds: compiled updates only, as for "
    "the peer.",
    "rejax": "evaluated_returns: 128 episodes of the final policy, untimed (marked * in the table; compared with the "
    "same of ours), actions sampled. No uniform actions first, time limits taken for ends, half the squared loss; the "
    "temperature steps on log-probabilities from before the actor's step; other initialisation; minibatches without "
    "replacement, which costs time in proportion to the buffer.",
    "memory": "peak resident memory of the whole process, imports and compiler included.",
    "floor": "matrix products and Adam's traffic only; neither replay, nor random numbers, nor the environment.",
}


@dataclasses.dataclass(frozen=True)
class Options(side_by_side.ReplayOptions):
    """SAC throughput beside Rejax; an update is an environment step and a gradient step."""

    members: tuple[int, ...] = (1, 8)
    updates: int = 10_000
    out: Path = side_by_side.HERE / "results" / "sac_throughput.json"

    def check(self) -> None:
        self.check_buffer(256)


def main(argv: list[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    import tyro

    options = tyro.cli(Options, args=argv, prog="sac_throughput")
    return side_by_side.beside_rejax("sac", NOTES, options)


if __name__ == "__main__":
    raise SystemExit(main())
