"""Settings of the reference agents, by task: those whose returns were published, under the names of our configs."""

from typing import Any

PPO_MINATAR: dict[str, Any] = {
    "num_envs": 64,
    "rollout_length": 128,
    "num_minibatches": 8,
    "learning_rate": 5e-3,
    "activation": "relu",
    "total_updates": 122,
}
"""PureJaxRL's, with a tenth of its updates."""

PPO_PENDULUM: dict[str, Any] = {
    "num_envs": 100,
    "rollout_length": 100,
    "num_epochs": 10,
    "num_minibatches": 10,
    "discount": 0.995,
    "learning_rate": 1e-3,
    "ent_coef": 0.0,
    "max_grad_norm": 0.5,
    "activation": "silu",
    "scale_rewards": True,
    "normalize_observations": True,
    "total_updates": 100,
}

OFF_POLICY_PENDULUM: dict[str, Any] = {
    "actor_rate": 1e-3,
    "critic_rate": 1e-3,
    "hidden_sizes": (64, 64),
    "buffer_size": 10_000,
    "learning_starts": 1000,
    "total_updates": 10_000,
}
"""Of SAC and TD3: this suite's own; all else is CleanRL's."""

OFF_POLICY_MUJOCO: dict[str, Any] = {"total_updates": 1_000_000}
"""CleanRL's: our defaults."""

A2C_MINATAR: dict[str, Any] = {
    "num_envs": 64,
    "rollout_length": 5,
    "activation": "relu",
    "ent_coef": 0.01,
    "total_updates": 3125,
}

DQN_CONTROL: dict[str, Any] = {
    "num_envs": 1,
    "train_frequency": 10,
    "batch_size": 128,
    "buffer_size": 10_000,
    "learning_starts": 10_000,
    "target_period": 500,
    "learning_rate": 2.5e-4,
    "exploration_fraction": 0.5,
    "final_epsilon": 0.05,
    "hidden_sizes": (120, 84),
    "error": "squared",
    "max_grad_norm": 1e6,
    "total_updates": 50_000,
}
"""CleanRL's: one environment, a minibatch every ten steps."""

DQN_MINATAR: dict[str, Any] = {
    "num_envs": 8,
    "train_frequency": 1,
    "learning_starts": 5_000,
    "learning_rate": 2.5e-4,
    "final_epsilon": 0.05,
    "total_updates": 125_000,
}

PQN_CONTROL: dict[str, Any] = {
    "num_envs": 4,
    "rollout_length": 128,
    "num_minibatches": 4,
    "learning_rate": 2.5e-4,
    "exploration_fraction": 0.5,
    "final_epsilon": 0.05,
    "q_lambda": 0.65,
    "hidden_sizes": (120, 84),
    "reward_scale": 1.0,
    "total_updates": 976,
}
"""CleanRL's."""

PQN_MINATAR: dict[str, Any] = {
    "num_envs": 128,
    "rollout_length": 32,
    "num_epochs": 2,
    "num_minibatches": 32,
    "learning_rate": 5e-4,
    "exploration_fraction": 0.1,
    "final_epsilon": 0.05,
    "q_lambda": 0.65,
    "torso": "conv",
    "hidden_sizes": (128,),
    "reward_scale": 1.0,
    "total_updates": 244,
}
"""purejaxql's, with a tenth of its updates."""

NORA_MINATAR: dict[str, Any] = {
    "num_envs": 16,
    "rollout_length": 16,
    "gradient_steps": 8,
    "batch_size": 64,
    "members": 4,
    "learning_rate": 5e-4,
    "hidden_sizes": (128,),
    "total_updates": 3906,
}
"""This suite's own: half the members and minibatches of its default, to be affordable."""
