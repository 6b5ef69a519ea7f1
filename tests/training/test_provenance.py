"""What a manifest says of the machine must not say where on it things lay."""

import sys

from jaxrl_suite.training.provenance import provenance


def test_absolute_paths_in_the_command_are_cut_to_their_name(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/jaxrl", "train", "ppo", "--out", "/elsewhere/run", "-n", "3"])
    assert provenance()["command"] == ["jaxrl", "train", "ppo", "--out", "run", "-n", "3"]
