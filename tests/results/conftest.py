import pytest

from jaxrl_suite.results import RunStore
from tests.results.stored import MANIFEST


@pytest.fixture
def store(tmp_path):
    return RunStore.create(tmp_path / "run", MANIFEST, {"learning_rate": 0.00025})
