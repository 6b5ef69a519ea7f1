"""Minibatches hold every sample once; memory needs whole sequences."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.learning.minibatches import sample_minibatches, sequence_minibatches


def test_every_sample_once_and_rows_stay_together():
    index = jnp.arange(24).reshape(6, 4)
    _, (first, second) = sample_minibatches(jax.random.key(0), 3, (), (index, index * 10.0))
    assert first.shape == (3, 8)
    np.testing.assert_array_equal(np.sort(first.ravel()), np.arange(24))
    np.testing.assert_array_equal(second, first * 10)
    assert not np.array_equal(first.ravel(), np.arange(24))


def test_permutations_are_uniform():
    """Each of the 24 orders of four samples comes equally often (chi-square, 23 degrees of freedom, p = 1e-6)."""

    def order(key):
        return sample_minibatches(key, 1, (), jnp.arange(4).reshape(2, 2))[1].ravel()

    orders = np.asarray(jax.vmap(order)(jax.random.split(jax.random.key(1), 24_000)))
    counts = np.unique(orders @ [64, 16, 4, 1], return_counts=True)[1]
    assert len(counts) == 24
    assert ((counts - 1000) ** 2 / 1000).sum() < 70


def test_sequences_keep_time_and_their_memory():
    batch = jnp.arange(12).reshape(3, 4)
    memory, rows = sequence_minibatches(jax.random.key(0), 2, jnp.arange(4) * 1.0, batch)
    assert rows.shape == (2, 3, 2)
    np.testing.assert_array_equal(rows[:, 0], memory)
    np.testing.assert_array_equal(rows[:, 1:] - rows[:, :-1], 4)
