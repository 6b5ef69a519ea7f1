"""Times PureJaxRL's PPO: one measurement a process, one line of JSON.

Final returns come from the peer's own training metrics, over the last tenth of the updates. The peer keeps every
step's `info` of every update, and that is part of its memory and time.
"""

import peer_purejaxrl
import worker_common as common


def main() -> None:
    arguments = common.parse()
    import numpy as np

    train = peer_purejaxrl.make_train(arguments.checkout, common.ENV_IDS["ppo"], common.PPO_SETTINGS, arguments.updates)
    keys = common.member_keys(arguments.members, arguments.seed_start, arguments.devices)
    result, seconds = common.time_batched(train, keys)
    peak = common.peak_rss_bytes()

    tail = -max(1, arguments.updates // 10)
    returns, counts = (values[:, tail:] for values in peer_purejaxrl.curves(result["metrics"]))
    total = counts.sum(axis=1)
    final = np.where(total > 0, (returns * counts).sum(axis=1) / np.maximum(total, 1), np.nan)
    common.report(arguments, peak, {"final_returns": final}, **seconds)


if __name__ == "__main__":
    main()
