"""The floor under DQN's time: see `ppo_floor`, whose rates of this machine it takes. A script, one line of JSON."""

import ppo_floor
from worker_common import DQN_SETTINGS, ENV_STEPS_PER_UPDATE

WIDTHS = {"values": (4, 64, 64, 2)}
BATCH = DQN_SETTINGS["batch_size"]
SAMPLES_PER_ENV_STEP = DQN_SETTINGS["gradient_steps"] * BATCH / ENV_STEPS_PER_UPDATE["dqn"]


def operations_per_gradient_step() -> int:
    """Of each sample: the target network's forward pass, and one forward and backward pass."""
    forward, backward = ppo_floor.forward_operations(WIDTHS), ppo_floor.backward_operations(WIDTHS)
    return BATCH * (2 * forward + backward)


def operations_per_env_step() -> float:
    """One forward pass to act, and its share of a gradient step."""
    return ppo_floor.forward_operations(WIDTHS) + operations_per_gradient_step() * SAMPLES_PER_ENV_STEP / BATCH


def optimizer_bytes_per_env_step() -> float:
    """Bytes that float32 Adam steps move a member and environment step."""
    return ppo_floor.num_parameters(WIDTHS) * 4 * ppo_floor.ADAM_PASSES * SAMPLES_PER_ENV_STEP / BATCH


if __name__ == "__main__":
    ppo_floor.main(operations_per_env_step(), optimizer_bytes_per_env_step(), BATCH)
