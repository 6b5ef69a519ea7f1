"""The floor under PPO's time: what its matrix products and its optimiser's memory traffic must cost on this machine.

Run as a script it measures this machine and prints one line of JSON, so that the caller needs no jax of its own.
"""

import argparse
import itertools
import json
import os
import time
from collections.abc import Callable
from typing import Any

from worker_common import PPO_SETTINGS as SETTINGS

WIDTHS = {"actor": (4, 64, 64, 2), "critic": (4, 64, 64, 1)}
ROLLOUT = SETTINGS["num_envs"] * SETTINGS["rollout_length"]
BATCH = ROLLOUT // SETTINGS["num_minibatches"]
ADAM_PASSES = 7
"""Arrays of the parameters' size that an Adam step moves: reads gradient, parameters, two moments; writes three."""


Widths = dict[str, tuple[int, ...]]


def forward_operations(networks: Widths = WIDTHS) -> int:
    """Floating-point operations (two a multiply-add) of the matrix products of all networks for one observation."""
    return sum(2 * a * b for widths in networks.values() for a, b in itertools.pairwise(widths))


def backward_operations(networks: Widths = WIDTHS) -> int:
    """Those of one sample's gradient: weights of every layer, inputs of every layer but the first."""
    first = sum(2 * widths[0] * widths[1] for widths in networks.values())
    return 2 * forward_operations(networks) - first


def operations_per_env_step() -> int:
    """One forward pass in the rollout, then a forward and a backward pass an epoch."""
    return forward_operations() + SETTINGS["num_epochs"] * (forward_operations() + backward_operations())


def num_parameters(networks: Widths = WIDTHS) -> int:
    return sum((a + 1) * b for widths in networks.values() for a, b in itertools.pairwise(widths))


def optimizer_bytes_per_env_step() -> float:
    """Bytes that float32 Adam steps move a member and environment step."""
    steps = SETTINGS["num_epochs"] * SETTINGS["num_minibatches"]
    return num_parameters() * 4 * ADAM_PASSES * steps / ROLLOUT


def best_seconds(call: Callable[[], Any], repeats: int = 7) -> float:
    import jax

    jax.block_until_ready(call())
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - started)
    return min(times)


def matmul_rate(shape: tuple[int, int, int, int], devices: int, rounds: int) -> float:
    """Operations a second of `rounds` products [members, m, k] x [members, k, n] in one program, members sharded."""
    import jax
    import jax.numpy as jnp

    members, m, k, n = shape
    keys = jax.random.split(jax.random.key(0), 2)
    left = jax.random.normal(keys[0], (members, m, k))
    right = jax.random.normal(keys[1], (rounds, members, k, n)) / k**0.5
    if devices > 1:
        mesh = jax.make_mesh((devices,), ("member",), axis_types=(jax.sharding.AxisType.Auto,))
        spec = jax.sharding.PartitionSpec
        left = jax.device_put(left, jax.sharding.NamedSharding(mesh, spec("member")))
        right = jax.device_put(right, jax.sharding.NamedSharding(mesh, spec(None, "member")))
    chain = jax.jit(lambda x, ws: jax.lax.scan(lambda x, w: (jnp.matmul(x, w), None), x, ws)[0])
    return 2 * members * m * k * n * rounds / best_seconds(lambda: chain(left, right))


def copy_rate(megabytes: int = 256) -> float:
    """Bytes a second, read and written, of adding one to an array far larger than the caches."""
    import jax
    import jax.numpy as jnp

    numbers = jnp.zeros(megabytes * 2**18)
    add = jax.jit(lambda x: x + 1)
    return 2 * numbers.nbytes / best_seconds(lambda: add(numbers))


def measure(
    members: list[int], devices: int, operations: float, traffic: float, batch: int, width: int
) -> dict[str, Any]:
    """Rates of this machine, and the steps a second that each of them alone would allow.

    Args:
        operations, traffic: of one environment step: of matrix products, and the optimiser's bytes.
        batch: samples of a minibatch. width: of a hidden layer.
    """
    # A square product is split over the cores by the backend itself, or by us: the better of both is the peak.
    peak = max(matmul_rate((1, 2048, 2048, 2048), 1, 2), matmul_rate((devices, 2048, 2048, 2048), devices, 2))
    rows = []
    for count in members:
        splits = {d for d in (1, devices) if count % d == 0}
        rate = max(matmul_rate((count, batch, width, width), d, max(8, 512 // count)) for d in splits)
        rows.append({"members": count, "operations_per_second": rate, "steps_per_second": rate / operations})
    bandwidth = copy_rate()
    return {
        "operations_per_env_step": operations,
        "optimizer_bytes_per_env_step": traffic,
        "peak_operations_per_second": peak,
        "peak_steps_per_second": peak / operations,
        "memory_bytes_per_second": bandwidth,
        "memory_steps_per_second": bandwidth / traffic,
        "same_shapes": rows,
    }


def main(operations: float, traffic: float, batch: int, width: int = 64) -> None:
    """The command line of an algorithm's floor: prints `measure`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--members", type=int, nargs="+", required=True)
    parser.add_argument("--devices", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.devices > 1:
        os.environ["JAX_NUM_CPU_DEVICES"] = str(arguments.devices)
    print(json.dumps(measure(arguments.members, arguments.devices, operations, traffic, batch, width)), flush=True)


if __name__ == "__main__":
    main(operations_per_env_step(), optimizer_bytes_per_env_step(), BATCH)
