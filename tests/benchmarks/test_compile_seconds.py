"""What the compiler is given does not grow unnoticed."""

import json

import pytest

from tests.helpers import load_benchmark

compile_seconds, every_agent = load_benchmark("compile_seconds"), load_benchmark("every_agent")
QUICK = ("ppo", "stepmix", "mmd")
AGENTS = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in every_agent.agents()]


@pytest.mark.parametrize("name", AGENTS)
def test_no_program_has_grown_much(name):
    """By a tenth is an error: then `jaxrl bench compile` measures what it costs, and its results are committed."""
    before = compile_seconds.committed()
    if every_agent.small(name).info.host_stepped:
        assert name not in before
        return
    assert name in before, f"{name} is not in the results: run `jaxrl bench compile`"
    now = compile_seconds.operations(name)
    assert now <= compile_seconds.MOST_GROWTH * before[name], f"{name}: {before[name]} operations before, {now} now"


@pytest.mark.slow
def test_a_program_is_measured_in_two_processes(tmp_path, capsys):
    assert compile_seconds.main(["uniform_play", "--out", str(tmp_path / "out.json")]) == 0
    (row,) = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert row["operations"] == compile_seconds.operations("uniform_play")
    assert row["seconds_kept"] > 0
    assert row["seconds"] > 0
