"""Which seeds a bootstrap draws."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

_DRAWS_AT_ONCE = 2**21
"""How many resampled scores are alive at once (16 MiB of float64)."""


def draws(
    key: jax.Array, repetitions: int, shapes: tuple[tuple[int, ...], ...], weight: int = 1
) -> Iterator[tuple[np.ndarray, ...]]:
    """Seeds drawn with replacement, in chunks of equal size that hold at least `repetitions` in all.

    Args:
        key: a JAX key; together with the shapes it decides everything.
        repetitions: >= 1.
        shapes: of the samples; the first axis is seeds.
        weight: how many scores a draw stands for, where memory is concerned.

    Yields:
        For each sample an int32 array [chunk, *shape] of numbers below shape[0].
    """
    entries = weight * sum(int(np.prod(shape)) for shape in shapes)
    chunk = max(1, min(repetitions, _DRAWS_AT_ONCE // entries))
    for number in range(-(-repetitions // chunk)):
        keys = jax.random.split(jax.random.fold_in(key, number), len(shapes))
        yield tuple(_below(shape[0], k, (chunk, *shape)) for k, shape in zip(keys, shapes, strict=True))


def _below(limit: int, key: jax.Array, shape: tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape))
    # The generator takes longer to compile than to run: with sizes rounded up to powers of two, few programs are made.
    bits = np.asarray(jax.random.bits(key, (1 << (size - 1).bit_length(),), jnp.uint32))[:size]
    # The modulo prefers the first seeds by less than one part in 2**32 / limit.
    return (bits % np.uint32(limit)).astype(np.int32).reshape(shape)
