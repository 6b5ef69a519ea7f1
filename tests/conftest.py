"""Two virtual CPU devices of one thread each for every test, so that sharded code really has something to share; and
quick compilation."""

import os
import sys

if "jax" in sys.modules:
    raise RuntimeError("jax was imported before tests/conftest.py could ask for two CPU devices")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")
os.environ.setdefault("NPROC", "2")
# A test that found an earlier run's program would not test this one's compilation.
os.environ["JAXRL_COMPILE_CACHE"] = "off"
# Tests compile much and compute little: less than a third of the time for the same numbers to rounding.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_backend_optimization_level=0"

import jax
import pytest


@pytest.fixture(scope="module", autouse=True)
def _no_constants_of_other_files():
    """JAX remembers constants by identity, in the precision it saw them in first, and files share games."""
    yield
    jax.clear_caches()
