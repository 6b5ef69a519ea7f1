"""Sparse matrices times vectors by gathering alone: a scatter is one element at a time on a CPU."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct


@struct.dataclass
class RowSums:
    """A sparse matrix [R, C], rows cut into pieces of equal width W, padded.

    columns: int32 [P, W], of all pieces. weights: float64 [P, W], 0 where there is nothing. pieces: int32 [R, V], those
    of each row; P where there is none.
    """

    columns: Any
    weights: Any
    pieces: Any

    def __matmul__(self, vector: jax.Array) -> jax.Array:
        """[R], or [R, B] of a matrix [C, B]."""
        weights = self.weights if vector.ndim == 1 else self.weights[..., None]
        partial = jnp.sum(weights * vector[self.columns], axis=1)
        padded = jnp.concatenate([partial, jnp.zeros((1, *partial.shape[1:]), partial.dtype)])
        return jnp.sum(padded[self.pieces], axis=1) if self.pieces.shape[1] > 1 else padded[self.pieces[:, 0]]


def row_sums(rows: Any, columns: Any, weights: Any, shape: tuple[int, int]) -> RowSums:
    """From triples, added up where a place occurs twice."""
    from scipy import sparse

    matrix = sparse.coo_matrix((weights, (rows, columns)), shape).tocsr()
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    counts = np.diff(matrix.indptr)
    width = min((*range(1, 17), 24, 32, 48, 64), key=lambda w: _cost(counts, w))
    of_row = -(-counts // width)
    first = np.concatenate([[0], np.cumsum(of_row)])
    pieces = first[:-1, None] + np.arange(max(1, of_row.max(initial=1)))
    pieces = np.where(pieces < first[1:, None], pieces, first[-1]).astype(np.int32)
    place = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], counts)
    piece = np.repeat(first[:-1], counts) + place // width
    table = np.zeros((max(int(first[-1]), 1), width), np.int32), np.zeros((max(int(first[-1]), 1), width))
    table[0][piece, place % width], table[1][piece, place % width] = matrix.indices, matrix.data
    if first[-1] == 0:
        pieces = np.ones_like(pieces)
    return RowSums(table[0], table[1], pieces)


def _cost(counts: np.ndarray, width: int) -> int:
    """Elements gathered in both steps."""
    of_row = -(-counts // width)
    return int(of_row.sum()) * width + len(counts) * max(1, int(of_row.max(initial=1)))
