"""Two virtual CPU devices for every test, so that sharded code paths really have something to share."""

import os
import sys

if "jax" in sys.modules:
    raise RuntimeError("jax was imported before tests/conftest.py could ask for two CPU devices")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")
