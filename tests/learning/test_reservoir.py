"""Memories of what is kept of a stream: a ring has the last items, a reservoir each with the same chance."""

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings

from jaxrl_suite.learning.replay import add_where, empty_replay, memory_of
from jaxrl_suite.learning.reservoir import add_to_reservoir, empty_reservoir

SIZE, BATCH = 5, 6
MEMORY = memory_of(SIZE, 2)
EMPTY = empty_replay(MEMORY, {"number": jnp.zeros((1, 1), jnp.int32), "row": jnp.zeros((1, 1, 2))})


def items(numbers):
    return {"number": numbers, "row": jnp.stack([numbers * 1.0, -numbers], axis=-1)}


def filled(key, numbers, keep):
    """A reservoir after batches [n, BATCH]."""

    def add(reservoir, inputs):
        index, numbers, keep = inputs
        return add_to_reservoir(jax.random.fold_in(key, index), reservoir, items(numbers), keep), None

    return jax.lax.scan(add, empty_reservoir(EMPTY), (jnp.arange(len(keep)), numbers, keep))[0]


fill = jax.jit(filled)
masks = st.lists(st.lists(st.booleans(), min_size=BATCH, max_size=BATCH), min_size=4, max_size=4)


@settings(deadline=None, max_examples=50)
@given(masks, st.integers(0, 2**31 - 1))
def test_a_reservoir_holds_items_of_the_stream_once_each(keep, seed):
    """All of them in order while there is space, and as many as there is space for afterwards."""
    keep = np.array(keep)
    numbers = np.arange(1, keep.size + 1).reshape(keep.shape)
    reservoir = fill(jax.random.key(seed), numbers, keep)
    stream, held = numbers[keep], np.asarray(reservoir.buffer.experience["number"][0])
    assert reservoir.seen == len(stream)
    assert bool(reservoir.buffer.is_full) == (len(stream) >= SIZE)
    kept = held[: len(stream)]
    assert len(set(kept)) == min(len(stream), SIZE)
    assert set(kept) <= set(stream)
    if len(stream) <= SIZE:
        np.testing.assert_array_equal(kept, stream)
    np.testing.assert_array_equal(reservoir.buffer.experience["row"][0], np.stack([held, -held], axis=-1))


def test_every_item_is_in_the_reservoir_with_the_same_chance():
    """5 places, 30 items in batches of which two thirds are kept: each in 5 of 30, each pair in 20 of 870."""
    keep = jnp.tile(jnp.array([True, False, True, True, True, False]), (8, 1)).at[0].set(True).at[1].set(False)
    numbers = (jnp.cumsum(keep) - 1).reshape(keep.shape)
    count, runs = int(keep.sum()), 40_000
    assert count == 30
    held = jax.jit(jax.vmap(lambda key: filled(key, numbers, keep).buffer.experience["number"][0]))(
        jax.random.split(jax.random.key(0), runs)
    )
    is_in = np.asarray(jax.nn.one_hot(held, count).sum(axis=1))
    assert (is_in.sum(axis=1) == SIZE).all()
    pairs = is_in.T @ is_in / runs
    alone, together = np.diag(pairs), pairs[~np.eye(count, dtype=bool)]
    # Five standard deviations.
    np.testing.assert_allclose(alone, 5 / 30, atol=5 * np.sqrt(5 / 30 * 25 / 30 / runs))
    np.testing.assert_allclose(together, 20 / 870, atol=5 * np.sqrt(20 / 870 / runs))


def test_a_minibatch_is_drawn_from_what_there_is():
    keep = jnp.zeros((1, BATCH), bool).at[0, 1].set(True).at[0, 4].set(True)
    reservoir = fill(jax.random.key(0), jnp.arange(1, BATCH + 1)[None], keep)
    draw = jax.jit(jax.vmap(lambda key: MEMORY.sample(reservoir.buffer, key).experience["number"]))
    numbers, counts = np.unique(draw(jax.random.split(jax.random.key(1), 1000)), return_counts=True)
    assert numbers.tolist() == [2, 5]
    np.testing.assert_allclose(counts, 1000, atol=5 * np.sqrt(500))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.booleans(), min_size=BATCH - 1, max_size=BATCH - 1), min_size=4, max_size=4))
def test_a_ring_holds_the_last_items_that_were_to_be_kept(keep):
    keep = np.array(keep).reshape(4, BATCH - 1)
    numbers = np.arange(1, keep.size + 1).reshape(keep.shape)
    buffer = EMPTY
    for row, chosen in zip(numbers, keep, strict=True):
        buffer = add_once(buffer, items(jnp.asarray(row)), jnp.asarray(chosen))
    stream, start = numbers[keep], int(buffer.current_index)
    held = np.roll(np.asarray(buffer.experience["number"][0]), -start)[max(SIZE - len(stream), 0) :]
    np.testing.assert_array_equal(held, stream[-SIZE:])
    assert bool(buffer.is_full) == (len(stream) >= SIZE)
    np.testing.assert_array_equal(
        buffer.experience["row"][0], items(buffer.experience["number"][0])["row"], err_msg="rows stay together"
    )


add_once = jax.jit(add_where)
