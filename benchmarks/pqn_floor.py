"""The floor under PQN's time: see `ppo_floor`, whose rates of this machine it takes. A script, one line of JSON."""

import ppo_floor
from worker_common import ENV_STEPS_PER_UPDATE, PQN_SETTINGS

WIDTHS = {"values": (4, 256, 256, 2)}
BATCH = ENV_STEPS_PER_UPDATE["pqn"] // PQN_SETTINGS["num_minibatches"]


def operations_per_env_step() -> int:
    """A forward pass to act and one to bootstrap, then a forward and a backward pass an epoch."""
    forward, backward = ppo_floor.forward_operations(WIDTHS), ppo_floor.backward_operations(WIDTHS)
    return 2 * forward + PQN_SETTINGS["num_epochs"] * (forward + backward)


def optimizer_bytes_per_env_step() -> float:
    """Bytes that float32 RAdam steps, which are Adam's, move a member and environment step."""
    return ppo_floor.num_parameters(WIDTHS) * 4 * ppo_floor.ADAM_PASSES * PQN_SETTINGS["num_epochs"] / BATCH


if __name__ == "__main__":
    ppo_floor.main(operations_per_env_step(), optimizer_bytes_per_env_step(), BATCH, WIDTHS["values"][1])
