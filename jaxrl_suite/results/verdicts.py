"""The one rule by which a measured number is held against another."""

import math


def verdict(low: float, high: float, target: float, margin: float, seeds: int, least: int, deviation: str = "") -> str:
    """How an interval lies to a target: one of agrees, differs, inconclusive, or `not comparable: reason`.

    Args:
        low, high: our 95 % interval. target, margin: what counts as equal is target - margin to target + margin; both
            are set before the run. seeds: ours; least: fewer of them decide nothing.
        deviation: how our protocol departs from the target's, "" if it does not.
    """
    if deviation:
        return f"not comparable: {deviation}"
    if seeds < least or not (math.isfinite(low) and math.isfinite(high)):
        return "inconclusive"
    nearest, farthest = target - margin, target + margin
    if nearest <= low and high <= farthest:
        return "agrees"
    return "differs" if high < nearest or low > farthest else "inconclusive"
