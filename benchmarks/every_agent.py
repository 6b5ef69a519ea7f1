"""Every agent in a small task it can learn, for measurements that are made of all of them."""

import dataclasses
from typing import Any

import numpy as np

import jaxrl_suite as jrl
from jaxrl_suite.agents import MODULES, agent_named

SMALL: dict[str, Any] = {
    "hidden_sizes": (16, 16),
    "buffer_size": 512,
    "learning_starts": 64,
    "batch_size": 16,
    "num_envs": 4,
    "rollout_length": 16,
    "total_updates": 4,
}
"""Settings that decide sizes, where an agent has them: compiling hardly depends on them."""

BLOCK = {"block_updates": 20}
"""An update of these agents is a block of updates, tens of thousands by default."""

SHORT = {"params": {"max_steps_in_episode": 60}}

TASKS: dict[str, tuple[Any, ...]] = {
    "sac": ("Pendulum-v1", {}),
    "td3": ("Pendulum-v1", {}),
    "m2td3": ("robust/Pendulum-v1", {}),
    "rarl": ("robust/Pendulum-v1", {}),
    "sac_iwocs": ("robust/Pendulum-v1", {"total_updates": 9, "default_blocks": 3, "kernels": 3} | BLOCK),
    "deep_iwocs": ("robust/CartPole-v1", {"total_updates": 9, "default_blocks": 3, "kernels": 3} | BLOCK),
    "adversarial_dqn": ("robust/CartPole-v1", {}),
    "iwocs": ("robust/windy-walk", {}),
    "sqirl": ("grid/empty-5", {}),
    "sqirl_theory": ("tabular/frozen-lake", {}),
    "stepmix": ("tabular/golden-ratio", {}),
    "epsmix": ("tabular/golden-ratio", {}),
    "baseline_only": ("tabular/golden-ratio", {}),
    "bpi_ucbvi": ("tabular/golden-ratio", {}),
    "budget_exploration": ("tabular/golden-ratio", {}),
    "dope": ("tabular/golden-ratio", {}),
    "opt_pess_lp": ("tabular/golden-ratio", {}),
    "nora": ("tabular/lock", {}),
    "nora_finite": ("tabular/lock", {"critics": np.zeros((2, 5, 2, 2))}),
    "noah": ("tabular/lock", {}),
    "optimistic_npg": ("tabular/lock", {}),
    "douhua": ("tabular/lock", {}),
    "nora_linear": ("linear/tetris", {}, {"observation": "raw"}),
    "lsvi_ucb": ("linear/tetris", {}, {"observation": "raw"}),
    "lsvi_ucb_plus_plus": ("tabular/lock", {}),
    "qarl": ("pushed/cartpole-balance", {"buffer_size": 3000, "episode_steps": 60}, SHORT),
    "cat": ("pushed/cartpole-balance", {"buffer_size": 3000, "episode_steps": 60}, SHORT),
    "mixed_nash": ("pushed/cartpole-balance", {"buffer_size": 3000, "episode_steps": 60}, SHORT),
    "soft_pair": ("markov/two-states", {}),
    "mmd": ("game/kuhn_poker", {}),
    "mmd_sequence_form": ("game/kuhn_poker", {}),
    "mmd_sampled": ("game/kuhn_poker", {}),
    "cfr": ("game/kuhn_poker", {}),
    "deep_mmd": ("game/kuhn_poker", {}),
    "nfsp": ("game/kuhn_poker", {}),
    "uniform_play": ("game/kuhn_poker", {}),
    "first_action": ("game/kuhn_poker", {}),
    "table_play": ("game/kuhn_poker", {}),
}
"""Where an agent cannot learn CartPole: the task, settings of its own, and how the task is made."""


def agents() -> list[str]:
    """Names of all agents."""
    return list(MODULES)


def small(name: str) -> Any:
    """The agent in its task, small."""
    task, own, *made = TASKS.get(name, ("CartPole-v1", {}))
    factory = agent_named(name)
    fields = {field.name for field in dataclasses.fields(factory.config_class)}
    settings = {key: value for key, value in SMALL.items() if key in fields} | own
    return factory(*jrl.make(task, **(made or [{}])[0]), factory.config_class(**settings))
