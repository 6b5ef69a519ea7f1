"""Members that would not fit memory are run in groups, and it is said."""

import jax
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.errors import MemoryExceededError
from jaxrl_suite.training import placement
from jaxrl_suite.training.program import Program
from tests.helpers import same, toy_agent


def test_members_that_would_not_fit_run_in_groups(monkeypatch, capsys):
    plain = jrl.train(toy_agent(), seeds=8)
    monkeypatch.setattr(placement, "free_bytes", lambda: 1)
    tight = jrl.train(toy_agent(), seeds=8)
    assert plain.plan["group"] == 4
    assert tight.plan["group"] == 1
    assert "groups of 1" in capsys.readouterr().err
    np.testing.assert_allclose(tight.metrics["loss/toy"], plain.metrics["loss/toy"], rtol=1e-6)


def test_metrics_are_kept_per_update_not_per_step():
    run = jrl.train(toy_agent(), seeds=3)
    assert {values.shape for values in run.metrics.values()} == {(3, 60)}
    assert run.bytes_needed > 0


def exceeds(monkeypatch, largest, calls=None):
    """Memory that no more than `largest` members a device fit in, noticed only while running."""
    run = Program.run

    def limited(self, carry, start, stop):
        if self.plan.group > largest and (calls is None or start >= calls):
            # As a device that has consumed its input.
            jax.tree.map(lambda x: x.delete(), carry)
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes")
        return run(self, carry, start, stop)

    monkeypatch.setattr(Program, "run", limited)


@pytest.mark.parametrize("resumed", [False, True])
def test_memory_that_is_exceeded_makes_smaller_groups(monkeypatch, capsys, tmp_path, resumed):
    plain, agent = jrl.train(toy_agent(), seeds=8), toy_agent()
    if resumed:
        jrl.train(agent, seeds=8, updates=30, out=tmp_path / "run")
    exceeds(monkeypatch, largest=1)
    tight = jrl.resume(tmp_path / "run", agent, updates=60) if resumed else jrl.train(agent, seeds=8)
    assert tight.plan["group"] == 1
    said = capsys.readouterr().err
    assert "out of memory: once more in groups of 2 members" in said
    assert "out of memory: once more in groups of 1 members" in said
    np.testing.assert_allclose(tight.metrics["loss/toy"], plain.metrics["loss/toy"], rtol=1e-5)


def test_memory_that_never_suffices_is_one_clear_error(monkeypatch):
    exceeds(monkeypatch, largest=0)
    with pytest.raises(MemoryExceededError, match="out of memory at update 0: must be smaller"):
        jrl.train(toy_agent(), seeds=8)


def test_memory_that_ends_later_keeps_what_is_saved(monkeypatch, tmp_path):
    agent = toy_agent()
    exceeds(monkeypatch, largest=1, calls=20)
    with pytest.raises(MemoryExceededError, match=r"at update 21: must be with less than 4 members at a time"):
        jrl.train(agent, seeds=8, chunk=10, save_every=0.0, out=tmp_path / "run")
    monkeypatch.undo()
    resumed, plain = jrl.resume(tmp_path / "run", agent), jrl.train(agent, seeds=8)
    assert all(same(resumed.metrics[name], plain.metrics[name]) for name in plain.metrics)
