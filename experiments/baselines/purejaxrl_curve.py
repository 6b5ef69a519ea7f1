"""Trains PureJaxRL's unmodified PPO and prints its curve as JSON. Runs in the peer's environment, which lacks ours.

Arguments: the root of a checkout, the settings of its `make_train` as JSON, the number of seeds (0, 1, ...).
Prints: {"return": [seed][update] mean return of the episodes that ended (0 where none), "count": how many ended}.
"""

import json
import os
import sys
from pathlib import Path


def main() -> None:
    checkout, settings, seeds = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
    os.environ["WANDB_MODE"] = "disabled"  # imported by a package the peer imports, and used by nobody here
    sys.path.insert(0, str(checkout / "purejaxrl"))
    import jax
    import numpy as np
    import ppo

    keys = jax.vmap(jax.random.PRNGKey)(np.arange(seeds))
    metrics = jax.jit(jax.vmap(ppo.make_train(settings)))(keys)["metrics"]
    ended = np.asarray(metrics["returned_episode"])
    count = ended.sum(axis=(2, 3))
    total = np.where(ended, np.asarray(metrics["returned_episode_returns"]), 0.0).sum(axis=(2, 3))
    print(json.dumps({"return": (total / np.maximum(count, 1)).tolist(), "count": count.tolist()}))


if __name__ == "__main__":
    main()
