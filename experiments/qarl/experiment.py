"""QARL: quantal adversarial RL by a curriculum of rationality, beside exact quantal response equilibria."""

import functools
import tomllib
from pathlib import Path

from jaxrl_suite.reproduction import Experiment
from jaxrl_suite.reproduction.loading import import_file

HERE = Path(__file__).parent
exact = import_file(HERE / "exact.py", "jaxrl_experiments_qarl_exact")
control = import_file(HERE / "control.py", "jaxrl_experiments_qarl_control")
diagnostics = import_file(HERE / "diagnostics.py", "jaxrl_experiments_qarl_diagnostics")
PUBLISHED = tomllib.loads((HERE / "published.toml").read_text())

EXPERIMENT = Experiment(
    "qarl",
    "Robust adversarial reinforcement learning via bounded rationality curricula",
    "Reddi, Tölle, Peters, Chalvatzaki, D'Eramo; ICLR 2024, arXiv 2311.01642",
    "A re-implementation, judged by exact quantal response equilibria in matrix and Markov games; tasks are in plain "
    "JAX, and at full scale nine of the control suite in MuJoCo-MJX; of the paper's numbers only two are known.",
    {
        "matrix-games": exact.matrices,
        "soft-values": exact.soft_values,
        "teacher": exact.teacher,
        "miniature": exact.miniature,
        "forces": diagnostics.forces,
        **{task: functools.partial(control.comparison, task, PUBLISHED) for task in control.TASKS},
        **{
            name: functools.partial(item, "cartpole-balance")
            for name, item in (
                ("curricula", diagnostics.curricula),
                ("weaker-forces", diagnostics.limits),
                ("doubled", diagnostics.doubled),
            )
        },
    },
)
