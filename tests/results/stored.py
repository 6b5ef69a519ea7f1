"""What the tests of the store write into one."""

import numpy as np

MANIFEST = {"agent": "ppo", "env": "CartPole-v1", "seeds": [0, 1, 2], "status": "running", "total_updates": 100}


def make_metrics(updates, settings=2, seeds=3, offset=0):
    values = np.arange(updates * settings * seeds).reshape(updates, settings, seeds) + offset
    return {"episode/return": values.astype(np.float32), "finished": values % 2 == 0}


def append(store, start, stop, **options):
    metrics = make_metrics(stop - start, offset=6 * start)
    store.append(start, stop, metrics, env_steps=10, seeds=[5, 6, 7], **options)


def part_names(store):
    return sorted(file.name for file in (store.path / "metrics").iterdir())
