"""Times PureJaxRL's `ppo.py`, unmodified, from a checkout: one measurement a process, one line of JSON.

Final returns come from the peer's own training metrics: `returned_episode_returns` where `returned_episode`, over the
last tenth of the updates. The peer keeps every step's `info` of every update, and that is part of its memory and time.
"""

import os
import sys

import worker_common as common


def main() -> None:
    arguments = common.parse()
    os.environ["WANDB_MODE"] = "disabled"  # imported by a package the peer imports, and used by nobody here
    sys.path.insert(0, str(arguments.checkout / "purejaxrl"))
    import numpy as np
    import ppo

    train = ppo.make_train(
        {
            "LR": common.LEARNING_RATE,
            "NUM_ENVS": common.NUM_ENVS,
            "NUM_STEPS": common.ROLLOUT_LENGTH,
            "TOTAL_TIMESTEPS": common.total_env_steps(arguments.updates),
            "UPDATE_EPOCHS": common.NUM_EPOCHS,
            "NUM_MINIBATCHES": common.NUM_MINIBATCHES,
            "GAMMA": common.DISCOUNT,
            "GAE_LAMBDA": common.GAE_LAMBDA,
            "CLIP_EPS": common.CLIP_EPS,
            "ENT_COEF": common.ENT_COEF,
            "VF_COEF": common.VF_COEF,
            "MAX_GRAD_NORM": common.MAX_GRAD_NORM,
            "ACTIVATION": "tanh",
            "ENV_NAME": common.ENV_ID,
            "ANNEAL_LR": True,
            "DEBUG": False,
        }
    )
    keys = common.member_keys(arguments.members, arguments.seed_start, arguments.devices)
    result, seconds = common.time_batched(train, keys)
    peak = common.peak_rss_bytes()

    tail = -max(1, arguments.updates // 10)
    returns = np.asarray(result["metrics"]["returned_episode_returns"])[:, tail:]
    ended = np.asarray(result["metrics"]["returned_episode"])[:, tail:]
    axes = tuple(range(1, returns.ndim))
    counts = ended.sum(axis=axes)
    final = np.where(counts > 0, np.where(ended, returns, 0.0).sum(axis=axes) / np.maximum(counts, 1), np.nan)
    common.report(arguments, peak, {"final_returns": final}, **seconds)


if __name__ == "__main__":
    main()
