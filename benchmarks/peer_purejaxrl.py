"""PureJaxRL's `ppo.py`, unmodified, from a checkout. Runs in the peer's environment, which lacks our package."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# The peer's names for fields of our `PPOConfig`.
NAMES = {
    "LR": "learning_rate",
    "ANNEAL_LR": "anneal_learning_rate",
    "NUM_ENVS": "num_envs",
    "NUM_STEPS": "rollout_length",
    "UPDATE_EPOCHS": "num_epochs",
    "NUM_MINIBATCHES": "num_minibatches",
    "GAMMA": "discount",
    "GAE_LAMBDA": "gae_lambda",
    "CLIP_EPS": "clip_eps",
    "ENT_COEF": "ent_coef",
    "VF_COEF": "vf_coef",
    "MAX_GRAD_NORM": "max_grad_norm",
    "ACTIVATION": "activation",
}


def make_train(checkout: Path, env_id: str, settings: Mapping[str, Any], updates: int) -> Callable[[Any], Any]:
    """The peer's `train(key)`.

    Args:
        settings: values under our names; others than those of `NAMES` are left out.
    """
    os.environ["WANDB_MODE"] = "disabled"  # imported by a package the peer imports, and used by nobody here
    sys.path.insert(0, str(checkout / "purejaxrl"))
    import ppo

    theirs = {name: settings[ours] for name, ours in NAMES.items()}
    steps = settings["num_envs"] * settings["rollout_length"] * updates
    return ppo.make_train(theirs | {"ENV_NAME": env_id, "TOTAL_TIMESTEPS": steps, "DEBUG": False})


def curves(metrics: Mapping[str, Any]) -> tuple[Any, Any]:
    """Mean return of the episodes that ended (0 where none did) and how many did, each [member, update].

    The peer keeps every step's `info` of every update: [member, update, step, environment].
    """
    import numpy as np

    ended = np.asarray(metrics["returned_episode"])
    counts = ended.sum(axis=(2, 3))
    totals = np.where(ended, np.asarray(metrics["returned_episode_returns"]), 0.0).sum(axis=(2, 3))
    return totals / np.maximum(counts, 1), counts
