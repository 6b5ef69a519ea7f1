"""What `narrow_dot_general` gains: a gradient of a small network with it, beside the same with the plain product.

    python benchmarks/narrow_products.py

For each width of the first or last layer, both compiled programs run in turns in this process; printed is the median
ratio of times (above 1: the narrow form is faster) with its quartiles. Batch 128, two hidden layers of 64, tanh.
"""

import os
import time

os.environ.setdefault("NPROC", "1")

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.learning import products

BATCH, STEPS, TURNS = 128, 64, 40


def gradient_steps(fan_in: int, fan_out: int, dot_general):
    """A compiled function of `STEPS` gradient steps, and its argument."""

    class Network(nn.Module):
        @nn.compact
        def __call__(self, x):
            for width in (64, 64):
                x = nn.tanh(nn.Dense(width, dot_general=dot_general)(x))
            return nn.Dense(fan_out, dot_general=dot_general)(x)

    network, inputs = Network(), jax.random.normal(jax.random.key(0), (BATCH, fan_in))

    def step(params, _):
        grads = jax.grad(lambda p: jnp.mean((network.apply(p, inputs) - 1.0) ** 2))(params)
        return jax.tree.map(lambda p, g: p - 1e-3 * g, params, grads), None

    params = network.init(jax.random.key(1), inputs)
    return jax.jit(lambda p: jax.lax.scan(step, p, None, STEPS)[0]).lower(params).compile(), params


def seconds(function, argument) -> float:
    started = time.perf_counter()
    jax.block_until_ready(function(argument))
    return time.perf_counter() - started


def compare(fan_in: int, fan_out: int) -> np.ndarray:
    """Time of the plain form over that of the narrow one, [TURNS]."""
    products.NARROW = max(fan_in if fan_in < 64 else 0, fan_out if fan_out < 64 else 0)
    narrow, plain = (gradient_steps(fan_in, fan_out, f) for f in (products.narrow_dot_general, jax.lax.dot_general))
    ratios = [(seconds(*plain), seconds(*narrow)) for _ in range(TURNS + 2)]
    return np.array([p / n for p, n in ratios[2:]])


def main() -> None:
    for side in ("inputs", "outputs"):
        for width in (1, 2, 4, 8, 12, 16):
            ratios = compare(*((width, 64) if side == "inputs" else (64, width)))
            low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
            print(f"{width:3d} {side:8s} {middle:.2f} [{low:.2f}, {high:.2f}]", flush=True)


if __name__ == "__main__":
    main()
