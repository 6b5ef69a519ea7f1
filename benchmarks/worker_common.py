"""What the worker scripts share. It runs in the peers' environments too: the standard library, NumPy and jax only."""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ENV_IDS = {"ppo": "CartPole-v1", "dqn": "CartPole-v1", "pqn": "CartPole-v1", "sac": "Pendulum-v1"}
HIDDEN_SIZES = {"ppo": (64, 64), "dqn": (64, 64), "pqn": (256, 256), "sac": (64, 64)}
# Under the names of our configs; each peer's worker says what it calls them.
PPO_SETTINGS: dict[str, Any] = {
    "num_envs": 4,
    "rollout_length": 128,
    "num_epochs": 4,
    "num_minibatches": 4,
    "learning_rate": 2.5e-4,
    "anneal_learning_rate": True,
    "discount": 0.99,
    "gae_lambda": 0.95,
    "clip_eps": 0.2,
    "ent_coef": 0.01,
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
    "activation": "tanh",
}
DQN_SETTINGS: dict[str, Any] = {
    "num_envs": 4,
    "train_frequency": 1,
    "gradient_steps": 1,
    "batch_size": 32,
    "learning_starts": 32,
    "learning_rate": 1e-3,
    "discount": 0.99,
    "exploration_fraction": 0.1,
    "final_epsilon": 0.01,
    "target_period": 500,
    "max_grad_norm": 10.0,
    "double": False,
    "activation": "relu",
}
PQN_SETTINGS: dict[str, Any] = {
    "num_envs": 32,
    "rollout_length": 64,
    "num_epochs": 4,
    "num_minibatches": 16,
    "learning_rate": 1e-4,
    "anneal_learning_rate": True,
    "discount": 0.99,
    "q_lambda": 0.95,
    "exploration_fraction": 0.2,
    "final_epsilon": 0.2,
    "reward_scale": 0.1,
    "max_grad_norm": 10.0,
    "layer_norm": True,
    "activation": "relu",
}
SAC_SETTINGS: dict[str, Any] = {
    "num_envs": 1,
    "train_frequency": 1,
    "gradient_steps": 1,
    "policy_period": 1,
    "batch_size": 256,
    "learning_starts": 1000,
    "actor_rate": 1e-3,
    "critic_rate": 1e-3,
    "temperature_rate": 1e-3,
    "discount": 0.99,
    "polyak": 0.005,
    "lowest_log_std": -10.0,
    "highest_log_std": 2.0,
    "activation": "relu",
}
SETTINGS = {"ppo": PPO_SETTINGS, "dqn": DQN_SETTINGS, "pqn": PQN_SETTINGS, "sac": SAC_SETTINGS}
ENV_STEPS_PER_UPDATE = {
    "ppo": PPO_SETTINGS["num_envs"] * PPO_SETTINGS["rollout_length"],
    "dqn": DQN_SETTINGS["num_envs"] * DQN_SETTINGS["train_frequency"],
    "pqn": PQN_SETTINGS["num_envs"] * PQN_SETTINGS["rollout_length"],
    "sac": SAC_SETTINGS["num_envs"] * SAC_SETTINGS["train_frequency"],
}
EVALUATION_EPISODES = 128
EVALUATION_EPSILON = 0.005
"""Rejax's own in the evaluation of its DQN and PQN."""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The arguments every worker takes. More than one device are virtual CPU devices, asked for before jax starts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--algorithm", choices=tuple(SETTINGS), required=True)
    parser.add_argument("--buffer-size", type=int, help="transitions that DQN or SAC keeps")
    parser.add_argument("--members", type=int, required=True)
    parser.add_argument("--updates", type=int, required=True)
    parser.add_argument("--seed-start", type=int, default=0)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--threads", type=int, help="XLA's threads; default: its own number, one a core")
    parser.add_argument("--checkout", type=Path, help="folder of the peer's code, where it is no package")
    arguments = parser.parse_args(argv)
    if arguments.devices > 1:
        os.environ["JAX_NUM_CPU_DEVICES"] = str(arguments.devices)
    if arguments.threads is not None:
        os.environ["NPROC"] = str(arguments.threads)  # read by XLA when its CPU client starts
    return arguments


def total_env_steps(arguments: argparse.Namespace) -> int:
    """Environment steps of one member."""
    return arguments.updates * ENV_STEPS_PER_UPDATE[arguments.algorithm]


def member_keys(members: int, seed_start: int, devices: int) -> Any:
    """Raw keys [members, 2] of the seeds from `seed_start` on, spread over the devices if there are several.

    Sharding the keys is all that a compiled `vmap` needs to run on several devices: the rest of the program follows.
    """
    import jax
    import jax.numpy as jnp

    keys = jax.vmap(jax.random.PRNGKey)(jnp.arange(seed_start, seed_start + members))
    if devices == 1:
        return keys
    mesh = jax.make_mesh((devices,), ("member",), axis_types=(jax.sharding.AxisType.Auto,))
    return jax.device_put(keys, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("member")))


def time_batched(train: Callable[[Any], Any], keys: Any) -> tuple[Any, dict[str, float]]:
    """Compiles `jit(vmap(train))` ahead of time, runs it once, and gives its result and both times in seconds.

    `run_cpu_seconds` is the processor time of all cores, which says more than the clock on a machine that is shared.
    """
    import jax

    started = time.perf_counter()
    compiled = jax.jit(jax.vmap(train)).lower(keys).compile()
    compile_seconds = time.perf_counter() - started
    started, cpu_started = time.perf_counter(), time.process_time()
    result = jax.block_until_ready(compiled(keys))
    run_seconds, run_cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    return result, {
        "compile_seconds": compile_seconds,
        "run_seconds": run_seconds,
        "run_cpu_seconds": run_cpu_seconds,
    }


def peak_rss_bytes() -> int:
    """Peak resident memory of this process. Where Linux tells it, not `ru_maxrss`, which begins at the parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def report(arguments: argparse.Namespace, peak: int, returns: dict[str, Any], **measured: Any) -> None:
    """Prints the measurement as one line of JSON. `peak` is taken before anything that is not part of the training.

    Args:
        returns: name -> [member] scores. `final_returns`: mean over the episodes that ended in the last tenth of the
            updates; `evaluated_returns`: mean over episodes played by the final policy, actions sampled.
    """
    import jax

    row = {
        "members": arguments.members,
        "updates": arguments.updates,
        "seed_start": arguments.seed_start,
        "env_steps": arguments.members * total_env_steps(arguments),
        **measured,
        "peak_rss_bytes": peak,
        "jax": jax.__version__,
        "backend": jax.default_backend(),
        "devices": jax.device_count(),
        **{name: [float(value) for value in values] for name, values in returns.items()},
    }
    print(json.dumps(row), flush=True)
