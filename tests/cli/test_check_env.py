"""`jaxrl check-env` finds nothing in sound environments, and each fault in one that has it."""

import pytest

from jaxrl_suite.cli import main

ENVIRONMENT = """
import jax, jax.numpy as jnp, numpy as np
from flax import struct
from gymnax.environments import spaces

@struct.dataclass
class Params:
    slope: float = 0.5

class Walk:
    default_params = Params()
    calls = 0

    def reset(self, key, params):
        at = jax.random.uniform(key, (), minval=-1.0, maxval=1.0)
        return self.seen(at), {"at": at, "time": jnp.int32(0)}

    def seen(self, at):
        return jnp.stack([at, at**2])

    def step_env(self, key, state, action, params):
        Walk.calls += 1
        at = state["at"] + 0.1 * params.slope * (2.0 * action - 1.0)
        time = state["time"] + 1
        done = time >= 20
        return self.seen(at), {"at": at, "time": time}, -jnp.abs(at), done, {}

    def observation_space(self, params):
        return spaces.Box(-10.0, 10.0, (2,), jnp.float32)

    def action_space(self, params):
        return spaces.Discrete(2)

def made():
    return Walk(), Params(slope=0.25)
"""


def checked(tmp_path, capsys, text=ENVIRONMENT, name="Walk"):
    file = tmp_path / "walk.py"
    file.write_text(text)
    status = main(["check-env", f"{file}:{name}"])
    said = capsys.readouterr()
    return status, said.out + said.err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Walk", "made"])
def test_a_sound_environment(tmp_path, capsys, name):
    status, said = checked(tmp_path, capsys, name=name)
    assert status == 0, said
    assert said.count("ok ") == 8


@pytest.mark.slow
def test_one_of_the_suites_own(capsys):
    assert main(["check-env", "CartPole-v1"]) == 0
    assert "PROBLEM" not in capsys.readouterr().out


TRACED = "depend on a value that jit traces"
BRANCH = "def step_env(self, key, state, action, params):"


@pytest.mark.parametrize(
    ("old", "new", "status", "message"),
    [
        ("(2,), jnp.float32", "(3,), jnp.float32", 2, "observation of reset has shape (2,), its space says (3,)"),
        ("-jnp.abs(at), done", "-jnp.stack([at, at]), done", 2, "reward has shape (2,)"),
        (BRANCH, f"{BRANCH}\n        if state['at'] > 0: pass", 2, TRACED),
        ("0.1 * params.slope", "0.1 * float(params.slope)", 2, TRACED),
        pytest.param("Box(-10.0, 10.0", "Box(-0.001, 0.001", 8, "outside of observation_space", marks=pytest.mark.slow),
        pytest.param(
            'state["at"] + 0.1',
            'state["at"] * Walk.calls + 0.1',
            8,
            "PROBLEM  the same keys give the same episodes",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            'at = state["at"] + 0.1', 'at = jnp.sqrt(state["at"]) + 0.1', 8, "is not finite", marks=pytest.mark.slow
        ),
    ],
)
def test_faults_are_found(tmp_path, capsys, old, new, status, message):
    assert old in ENVIRONMENT
    ended, said = checked(tmp_path, capsys, ENVIRONMENT.replace(old, new))
    assert ended == status, said
    assert message in said


@pytest.mark.slow
def test_advice_is_no_fault(tmp_path, capsys):
    text = ENVIRONMENT.replace("done = time >= 20", "done = time < 0").replace("minval=-1.0, maxval=1.0", "maxval=0")
    status, said = checked(tmp_path, capsys, text)
    assert status == 0, said
    assert "no episode ended in 1000 steps" in said
    assert "16 keys give one first observation" in said


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [("Wlak", ENVIRONMENT, "has no Wlak"), ("Walk", "import nothing_there", "cannot be imported (ModuleNotFoundError")],
)
def test_files_that_have_none(tmp_path, capsys, name, text, message):
    status, said = checked(tmp_path, capsys, text, name)
    assert status == 2
    assert message in said
