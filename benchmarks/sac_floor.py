"""The floor under SAC's time: see `ppo_floor`, whose rates of this machine it takes. A script, one line of JSON."""

import ppo_floor
from worker_common import SAC_SETTINGS

ACTOR = {"actor": (3, 64, 64, 2)}
CRITICS = {"first": (4, 64, 64, 1), "second": (4, 64, 64, 1)}
BATCH = SAC_SETTINGS["batch_size"]


def operations_per_gradient_step() -> int:
    """Of each sample: to make the target, a pass of actor and critics; the critics forward and backward; the actor
    forward and backward, through the critics to their inputs; and the actor once more, for the temperature."""
    act, judge = ppo_floor.forward_operations(ACTOR), ppo_floor.forward_operations(CRITICS)
    critics = judge + ppo_floor.backward_operations(CRITICS)
    actor = act + ppo_floor.backward_operations(ACTOR) + 2 * judge
    return BATCH * (act + judge + critics + actor + act)


def operations_per_env_step() -> int:
    """One pass of the actor to act, and a gradient step."""
    return ppo_floor.forward_operations(ACTOR) + operations_per_gradient_step()


def optimizer_bytes_per_env_step() -> float:
    """Bytes that float32 Adam steps move a member and environment step."""
    return ppo_floor.num_parameters(ACTOR | CRITICS) * 4 * ppo_floor.ADAM_PASSES


if __name__ == "__main__":
    ppo_floor.main(operations_per_env_step(), optimizer_bytes_per_env_step(), BATCH)
