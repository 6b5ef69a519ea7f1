"""Deep IWOCS on control: all methods learn from as many steps, under settings that hold."""

from pathlib import Path

import numpy as np
import pytest

from jaxrl_suite.reproduction.experiment import SCALES
from jaxrl_suite.reproduction.loading import import_file
from jaxrl_suite.reproduction.training import agent_of

control = import_file(Path(__file__).parents[2] / "experiments" / "iwocs" / "control.py", "iwocs_control_for_tests")


@pytest.mark.parametrize(
    ("make_item", "scale"),
    [(control.cartpole, scale) for scale in SCALES]
    + [(control.pendulum, scale) for scale in SCALES if scale != "smoke"],
)
def test_all_methods_have_the_same_budget(make_item, scale):
    item = make_item(scale)
    infos = {training.name: agent_of(training).info for training in item.trainings}
    steps = {info.env_steps_per_update * info.total_updates for info in infos.values()}
    assert len(steps) == 1
    assert f"{steps.pop():,} steps a seed" in " ".join(item.notes)
    assert all(training.seeds >= item.least_seeds for training in item.trainings) or scale == "smoke"
    randomness = {name.partition("-")[2]: float(info.env_params.randomness) for name, info in infos.items()}
    assert randomness["nominal-dqn"] == 0.0
    assert randomness.get("domain-randomised-dqn", 1.0) == 1.0


def test_worst_and_average_are_over_kernels_and_the_default_is_the_candidate_without():
    class Run:
        path = "here"

    control._RETURNS[("here", "both", 10, 10, False)] = np.array([[3.0, 1.0], [2.0, 6.0]])
    control._RETURNS[("here", "lower", 10, 10, False)] = np.array([[5.0, 4.0], [9.0, 8.0]])
    control._RETURNS[("here", "both", 10, 10, True)] = np.array([[0.0, 1.0], [0.5, 1.0]])
    scores = {column: control.score(column, "cpu", False, Run) for column in control.MEASURES}
    np.testing.assert_array_equal(scores["worst, both ends"], [1.0, 2.0])
    np.testing.assert_array_equal(scores["worst, without upper ends"], [4.0, 8.0])
    np.testing.assert_array_equal(scores["average, both ends"], [2.0, 4.0])
    np.testing.assert_array_equal(control.score("worst, both ends", "cpu", True, Run), [0.0, 0.5])
