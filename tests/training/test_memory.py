"""Members that would not fit memory are run in groups, and it is said."""

import numpy as np

import jaxrl_suite as jrl
from jaxrl_suite.training import placement
from tests.helpers import toy_agent


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
