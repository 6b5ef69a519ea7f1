"""Float64 where exactness is promised, without turning it on for the rest of a program."""

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxrl_suite.errors import ConfigError


def float64() -> contextlib.AbstractContextManager[Any]:
    """Inside, JAX computes in float64. Functions of `jaxrl_suite.solvers` enter it by themselves."""
    return jax.enable_x64(True)


def precision(name: str) -> contextlib.AbstractContextManager[Any]:
    """`float64()` for "float64"; for "float32" nothing changes."""
    return float64() if name == "float64" else contextlib.nullcontext()


def own_arrays(tree: Any) -> Any:
    """The tree with copies of its NumPy arrays, for functions that close over them and may be compiled by anybody.

    JAX remembers constants by identity, in whatever precision it saw them first: an exact solver would get them so.
    """
    return jax.tree.map(lambda x: np.array(x) if isinstance(x, np.ndarray) else x, tree)


def in_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a function so that it computes in float64. Traced arguments decide for themselves."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if _is_traced(args, kwargs):
            return function(*args, **kwargs)
        with float64(), jax.ensure_compile_time_eval():
            return function(*args, **kwargs)

    return call


def exact(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a pure function of pytrees: compiled, float64 in and out whatever the caller's mode, NumPy results.

    Called on traced values inside somebody's `jit` or `vmap` it is the plain function, and JAX must be in float64
    already: results of less would pass for exact. Wrap the outer call in `jaxrl_suite.float64()`.
    """
    compiled = jax.jit(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if _is_traced(args, kwargs):
            _require_float64(function.__name__)
            return function(*args, **kwargs)
        # Concrete arguments inside somebody's trace: the result is a constant of it.
        with float64(), jax.ensure_compile_time_eval():
            args, kwargs = jax.tree.map(_widened, (args, kwargs))
            return jax.tree.map(np.asarray, compiled(*args, **kwargs))

    return call


def _is_traced(*trees: Any) -> bool:
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(trees))


def _require_float64(name: str) -> None:
    if jax.dtypes.canonicalize_dtype(np.float64) != np.float64:
        raise ConfigError(
            f"{name}: inside jit or vmap, in float32: must be float64; call the outer function under "
            "`with jaxrl_suite.float64():`"
        )


def _is_narrow(dtype: Any) -> bool:
    return np.issubdtype(dtype, np.floating) and dtype != np.float64


def _widened(leaf: Any) -> np.ndarray:
    array = np.asarray(leaf)
    return array.astype(np.float64) if _is_narrow(array.dtype) else array
