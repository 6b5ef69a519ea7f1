"""One tiny training through the command line, which the other tests resume, evaluate, draw and compare."""

import pytest

from jaxrl_suite.cli import main

TINY = ["--seeds", "2", "--hidden-sizes", "4", "4", "--num-envs", "2", "--rollout-length", "64"]


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """Run directory of PPO on CartPole: two seeds, two updates of 128 environment steps."""
    path = tmp_path_factory.mktemp("cli") / "first"
    assert main(["train", "ppo", "CartPole-v1", *TINY, "--updates", "2", "--out", str(path), "--quiet"]) == 0
    return path


@pytest.fixture(scope="session")
def other_run(tmp_path_factory, tiny_run):
    """The same program with another learning rate and pole; compiles nothing."""
    path = tmp_path_factory.mktemp("cli") / "second"
    changes = ["--learning-rate", "1e-2", "--env.length", "0.4", "--env-steps", "256"]
    assert main(["train", "ppo", "CartPole-v1", *TINY, *changes, "--out", str(path), "--quiet"]) == 0
    return path
