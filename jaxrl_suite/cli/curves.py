"""Metrics of a run as curves to draw."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxrl_suite.errors import ConfigError, UnknownNameError
from jaxrl_suite.results import Curve


def named_curves(metrics: Mapping[str, np.ndarray], metric: str, env_steps: Any, labels: Sequence[str]) -> list[Any]:
    """A curve for each setting, from arrays [setting, seed, record].

    Raises:
        UnknownNameError: for a metric that was not recorded. ConfigError: for one with more axes.
    """
    if metric not in metrics:
        raise UnknownNameError("metric", metric, metrics)
    values = metrics[metric]
    if values.ndim != 3:
        raise ConfigError(f"--metric = {metric}: has axes beyond [setting, seed, record], {values.shape[3:]}")
    is_weighted = metric.startswith("episode/") and metric != "episode/count" and "episode/count" in metrics
    weights = metrics["episode/count"] if is_weighted else [None] * len(values)
    triples = zip(labels, values, weights, strict=True)
    return [Curve(label, env_steps, v, w) for label, v, w in triples]
