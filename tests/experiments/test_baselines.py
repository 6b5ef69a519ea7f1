"""The verdicts that the table beside another program prints, and the rows it prints them in."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.known_answers.ledger import known_answer

BASELINES = Path(__file__).parents[2] / "experiments" / "baselines"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BASELINES))

    def load(name):
        spec = importlib.util.spec_from_file_location(f"baselines_{name}", BASELINES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    yield load
    sys.modules.pop("settings", None)


@pytest.mark.parametrize(
    ("ours", "expected"),
    [([9.0, 8.5, 9.5], "ours lower"), ([11.0, 9.0, 13.0], "intervals overlap"), ([15.0, 13.0, 17.0], "ours higher")],
)
def test_verdict_beside_the_same_code(script, ours, expected):
    beside = script("beside_purejaxrl")
    peer = [11.0, 10.0, 12.0]
    assert beside.verdict(ours, peer) == expected
    row = {"task": "Game", "seeds": 5, "env_steps": 1000, "mean": {"ours": ours, "PureJaxRL": peer}}
    assert (
        f"| Game | 5 | 1,000 | {ours[0]:.2f} [{ours[1]:.2f}, {ours[2]:.2f}] | 11.00 [10.00, 12.00] | {expected} |"
        in (beside.table([row]))
    )


@known_answer("baselines/gates")
def test_gates_are_met_by_the_committed_results():
    """Bars of this suite where nothing is published, or below what is: 16 seeds, 5e5 steps."""
    cells = json.loads((BASELINES / "results" / "control-cpu.json").read_text())["cells"]
    found = {(cell["row"], cell["column"]): np.array(cell["scores"]) for cell in cells}
    last, greedy = "return, last tenth", "greedy return"
    ppo, a2c = (found[f"CartPole-v1, {agent}", last].mean() for agent in ("PPO", "A2C"))
    assert ppo >= 470
    assert a2c >= 0.95 * ppo
    assert (found["CartPole-v1, DQN", greedy] >= 450).sum() >= 12
    assert found["CartPole-v1, PQN, as purejaxql", greedy].mean() >= 480
    assert found["Acrobot-v1, PPO", last].mean() >= -95
