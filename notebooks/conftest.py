"""Every notebook is a test: its cells run from first to last, in a process of their own, without a notebook server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.File | None:
    return Notebook.from_parent(parent, path=file_path) if file_path.suffix == ".ipynb" else None


class Notebook(pytest.File):
    def collect(self) -> Iterator[pytest.Item]:
        yield Cells.from_parent(self, name="cells")


class Cells(pytest.Item):
    def runtest(self) -> None:
        cells = json.loads(self.path.read_text())["cells"]
        program = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        # How many devices there are is the notebook's to say, whatever it is in other tests.
        settings = {name: value for name, value in os.environ.items() if name not in ("JAX_NUM_CPU_DEVICES", "NPROC")}
        # Figures are made, not shown. Notebooks compute more than other tests do: compiled a little better, they are
        # through sooner.
        flags = f"{settings.get('XLA_FLAGS', '')} --xla_backend_optimization_level=1"
        settings |= {"MPLBACKEND": "agg", "XLA_FLAGS": flags, "JAXRL_COMPILE_CACHE": "off"}
        found = subprocess.run(
            [sys.executable, "-"], input=program, text=True, env=settings, capture_output=True, check=False
        )
        assert found.returncode == 0, found.stderr[-3000:]
        assert "Warning" not in found.stderr, found.stderr[-3000:]
