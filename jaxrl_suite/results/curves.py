"""Learning curves as numbers: running means over updates, and the IQM over seeds with its interval."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.results.resampling import draws


class Curve(NamedTuple):
    """What one algorithm measured while it learned.

    Attributes:
        label: its name in the legend.
        env_steps: [update], environment steps taken after each update.
        values: [seed, update]; NaN where nothing was measured (no episode ended).
        weights: [seed, update], how many episodes a value is the mean of; None: every value weighs the same.
    """

    label: str
    env_steps: ArrayLike
    values: ArrayLike
    weights: ArrayLike | None = None


class Band(NamedTuple):
    """A curve made ready for drawing, in float64.

    Attributes:
        label: as in the Curve. env_steps: [point]. seeds: [seed, point], each seed's running mean.
        iqm, low, high: [point], over the seeds; low and high are NaN with fewer than 2 seeds.
        excluded: how many seeds were left out because they diverged or never measured anything.
    """

    label: str
    env_steps: np.ndarray
    seeds: np.ndarray
    iqm: np.ndarray
    low: np.ndarray
    high: np.ndarray
    excluded: int


def running_mean(values: ArrayLike, weights: ArrayLike | None, window: int) -> np.ndarray:
    """Weighted mean over the last `window` updates (fewer at the start), which never looks ahead.

    A window in which nothing was measured keeps the seed's value before it. A NaN or infinite value of positive
    weight is a diverged seed: NaN from there to the end.

    Args:
        values, weights: as in `Curve`.
        window: in updates, >= 1.

    Returns:
        [seed, update], float64; NaN before a seed's first value.
    """
    values = np.asarray(values, np.float64)
    weights = ~np.isnan(values) * 1.0 if weights is None else np.asarray(weights, np.float64)
    has_value = weights > 0
    is_diverged = np.logical_or.accumulate(has_value & ~np.isfinite(values), axis=1)
    weighted = np.where(has_value & np.isfinite(values), values * weights, 0.0)
    total, weight = _window_sum(weighted, window), _window_sum(np.where(has_value, weights, 0.0), window)
    measured = _window_sum(has_value * 1.0, window) > 0
    mean = np.divide(total, weight, out=np.full_like(total, np.nan), where=measured)
    latest = np.maximum.accumulate(np.where(measured, np.arange(mean.shape[1]), 0), axis=1)
    return np.where(is_diverged, np.nan, np.take_along_axis(mean, latest, axis=1))


def _window_sum(values: np.ndarray, window: int) -> np.ndarray:
    total = np.cumsum(values, axis=1)
    total[:, window:] -= total[:, :-window].copy()
    return total


def make_band(
    curve: Curve, window: int, *, points: int = 400, confidence: float = 0.95, repetitions: int = 1000, seed: int = 0
) -> Band:
    """Smooths a curve, thins it to at most `points` points and adds the IQM over seeds with its interval.

    The IQM starts where every seed has a value, so that the same seeds are behind every point of it.

    Raises:
        ConfigError: shapes that do not fit together; no seed with a finite value.
    """
    values, weights, env_steps = _check(curve)
    smooth = running_mean(values, weights, window)
    is_usable = np.isfinite(smooth[:, -1])
    if not is_usable.any():
        raise ConfigError(f"curve {curve.label!r}: none of its {len(values)} seeds has a finite value at the end")
    kept = np.unique(np.linspace(0, len(env_steps) - 1, points).round().astype(int))
    seeds = smooth[is_usable][:, kept]
    line = np.full((3, len(kept)), np.nan)
    is_complete = np.isfinite(seeds).all(axis=0)
    line[:, is_complete] = iqm_interval(seeds[:, is_complete], confidence, repetitions, seed)
    return Band(str(curve.label), env_steps[kept], seeds, *line, excluded=int((~is_usable).sum()))


def _check(curve: Curve) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    values, env_steps = np.asarray(curve.values), np.asarray(curve.env_steps)
    if values.ndim != 2 or values.size == 0:
        raise ConfigError(f"curve {curve.label!r}: values have shape {values.shape}, must be [seed, update], not empty")
    if env_steps.shape != values.shape[1:]:
        raise ConfigError(f"curve {curve.label!r}: env_steps have shape {env_steps.shape}, must be {values.shape[1:]}")
    weights = None if curve.weights is None else np.asarray(curve.weights)
    if weights is not None and weights.shape != values.shape:
        raise ConfigError(f"curve {curve.label!r}: weights have shape {weights.shape}, must be {values.shape}")
    return values, weights, env_steps


def iqm_interval(values: np.ndarray, confidence: float, repetitions: int, seed: int) -> np.ndarray:
    """IQM over seeds at every point, with the percentile bootstrap interval of whole curves; float64.

    Args:
        values: [seed, point], finite.

    Returns:
        [3, point]: IQM, low, high. The latter two are NaN with fewer than 2 seeds.
    """
    n = len(values)
    with jax.enable_x64(True):
        ordered, order = np.sort(values, axis=0), np.argsort(values, axis=0)
        everyone = np.ones((1, n), np.int32)
        (iqm,) = np.asarray(_trimmed_means(everyone, ordered, order))
        if n < 2:
            return np.stack([iqm, np.full_like(iqm, np.nan), np.full_like(iqm, np.nan)])
        chunks = []
        for (drawn,) in draws(jax.random.key(seed), repetitions, ((n,),), weight=values.shape[1]):
            numbered = drawn + n * np.arange(len(drawn))[:, None]
            times = np.bincount(numbered.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.int32)
            chunks.append(np.asarray(_trimmed_means(times, ordered, order)))
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(np.concatenate(chunks)[:repetitions], [tail, 1.0 - tail], axis=0)
    return np.stack([iqm, low, high])


@jax.jit
def _trimmed_means(times: jax.Array, ordered: jax.Array, order: jax.Array) -> jax.Array:
    """IQMs of data sets that hold seed i `times[i]` times: `times` [set, seed], the rest [seed, point] -> [set, point].

    Sorting once and counting replaces a sort for each set and point: of the sorted copies, those numbered from `cut`
    up to `n - cut` stay.
    """
    n = ordered.shape[0]
    cut = int(0.25 * n)
    upto = jnp.clip(jnp.cumsum(times[:, order], axis=1), cut, n - cut)
    kept = jnp.diff(upto, axis=1, prepend=cut)
    return (kept * ordered).sum(axis=1) / (n - 2 * cut)
