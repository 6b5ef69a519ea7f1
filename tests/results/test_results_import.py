import subprocess
import sys

import pytest

import jaxrl_suite.results as results

HEAVY = ("jax", "pandas", "pyarrow", "matplotlib", "seaborn", "tensorboardX", "wandb")


def test_importing_results_imports_nothing_heavy():
    code = f"import sys, jaxrl_suite.results; print([m for m in {HEAVY} if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_the_store_needs_no_jax_and_no_pandas():
    code = f"import sys; from jaxrl_suite.results import RunStore; print([m for m in {HEAVY} if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_every_exported_name_exists():
    assert {name for name in results.__all__ if getattr(results, name) is None} == set()
    assert set(results.__all__) <= set(dir(results))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'agregate'"):
        _ = results.agregate
