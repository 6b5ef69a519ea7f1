"""Trains PureJaxRL's PPO and prints its curve as JSON. Runs in the peer's environment, which lacks our package.

Arguments: the root of a checkout, the environment's id, settings as JSON under the names of our `PPOConfig`, the number
of seeds (0, 1, ...). Prints: {"return": [seed][update], "count": [seed][update]}, as `peer_purejaxrl.curves` has them.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import peer_purejaxrl


def main() -> None:
    checkout, env_id, settings, seeds = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
    train = peer_purejaxrl.make_train(checkout, env_id, settings, settings["total_updates"])
    import jax
    import jax.numpy as jnp

    keys = jax.vmap(jax.random.PRNGKey)(jnp.arange(seeds))
    returns, counts = peer_purejaxrl.curves(jax.jit(jax.vmap(train))(keys)["metrics"])
    print(json.dumps({"return": returns.tolist(), "count": counts.tolist()}))


if __name__ == "__main__":
    main()
