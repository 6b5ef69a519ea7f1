"""IWOCS: robust MDPs as a sequence of ordinary ones, beside exact robust value iteration."""

import functools
import tomllib
from pathlib import Path

from jaxrl_suite.reproduction import Experiment
from jaxrl_suite.reproduction.loading import import_file

HERE = Path(__file__).parent
tabular = import_file(HERE / "tabular.py", "jaxrl_experiments_iwocs_tabular")
control = import_file(HERE / "control.py", "jaxrl_experiments_iwocs_control")
mujoco = import_file(HERE / "mujoco.py", "jaxrl_experiments_iwocs_mujoco")
PUBLISHED = tomllib.loads((HERE / "published.toml").read_text())

EXPERIMENT = Experiment(
    "iwocs",
    "Solving robust MDPs as a sequence of static RL problems",
    "Zouitine, Geist, Rachelson; arXiv 2410.06212",
    "A re-implementation, tables judged by exact robust values; the windy walk is of our own layout, tasks of classic "
    "control are not in the paper, and MuJoCo's are played on other engines: no number of the paper but its count of "
    "iterations is reproduced.",
    {
        "windy-walk": tabular.windy,
        "certificates": tabular.certificates,
        "cartpole": control.cartpole,
        "pendulum": control.pendulum,
        **{
            f"{task.replace('_', '-')}-{parameters}": functools.partial(mujoco.task, task, parameters, PUBLISHED)
            for task, sets in mujoco.SETS.items()
            for parameters in sets
        },
    },
)
