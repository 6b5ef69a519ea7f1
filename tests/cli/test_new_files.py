"""`jaxrl new-agent` and `new-env`: what they write fails until it is filled in, and passes then."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxrl_suite.cli import main

AGENT = """
        def back(following, step):
            reward, done = step
            value = reward + config.discount * jnp.where(done, 0.0, following)
            return value, value

        done = rollout.steps.terminated | rollout.steps.truncated
        _, returns = jax.lax.scan(back, jnp.zeros(config.num_envs), (rollout.steps.reward, done), reverse=True)
        log_pi = jax.nn.log_softmax(logits_of(weights, rollout.observation))
        chosen = jnp.take_along_axis(log_pi, rollout.action[..., None], axis=-1)[..., 0]
        return -jnp.mean((returns - returns.mean()) * chosen)
"""


def ran_its_tests(folder: Path, *which: str) -> subprocess.CompletedProcess:
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join([str(folder), str(root)])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{folder}/test_mine.py", *which]
    return subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )


ENV = """
        steps = jnp.where(action == 1, 1, -1) * jnp.where(jax.random.bernoulli(key, params.slip), -1, 1)
        state = MineState(jnp.clip(state.place + steps, 0, PLACES - 1), state.time + 1)
        reward = (state.place == PLACES - 1).astype(jnp.float32)
        terminated = (state.place == 0) | (state.place == PLACES - 1)
        return self.seen(state), state, reward, terminated, ~terminated & (state.time >= params.max_steps_in_episode)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "missing", "filled", "passed"),
    [("agent", "mine: the loss", AGENT, "6 passed"), ("env", "mine: what a step does", ENV, "4 passed")],
)
def test_it_fails_until_it_is_filled_in(kind, missing, filled, passed, tmp_path, capsys):
    assert main([f"new-{kind}", "mine", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [f"{tmp_path}/mine.py", f"{tmp_path}/test_mine.py"]
    empty = ran_its_tests(tmp_path, "-x")
    assert empty.returncode == 1
    assert missing in empty.stdout
    file = tmp_path / "mine.py"
    raised = f'        raise NotImplementedError("{missing}")\n'
    assert raised in file.read_text()
    file.write_text(file.read_text().replace(raised, filled))
    full = ran_its_tests(tmp_path)
    assert full.returncode == 0, full.stdout
    assert passed in full.stdout


@pytest.mark.parametrize("is_here", [True, False])
def test_who_lacks_pytest_is_told(is_here, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if is_here else None)
    assert main(["new-env", "mine", "--out", str(tmp_path)]) == 0
    assert ("pytest is not installed" in capsys.readouterr().out) is not is_here


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "NAME: 0 given"),
        (["My-Agent"], "must be small letters"),
        (["mine", "--out", "FULL"], "exists already"),
    ],
)
def test_what_cannot_be_written(words, message, tmp_path, capsys):
    (tmp_path / "mine.py").write_text("")
    assert main(["new-agent", *(str(tmp_path) if word == "FULL" else word for word in words)]) == 2
    assert message in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["mine.py"]


@pytest.mark.parametrize(
    ("kind", "known", "missing"), [("agent", "SecondOneConfig", "the loss"), ("env", "SecondOne:", "what a step does")]
)
def test_what_is_written_is_python_and_says_what_is_missing(kind, known, missing, tmp_path):
    assert main([f"new-{kind}", "second_one", "--out", str(tmp_path / "new")]) == 0
    for file in (tmp_path / "new").iterdir():
        compile(file.read_text(), file.name, "exec")
    text = (tmp_path / "new/second_one.py").read_text()
    assert f"class {known}" in text
    assert f'NotImplementedError("second_one: {missing}")' in text
