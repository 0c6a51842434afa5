"""Whether a model knows what it does not know."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from histosge._runtime.types import Array, Bool, Float

from .base import Case, Metric, MetricCard

__all__ = ["ENTRIES", "coverage", "crps", "width"]

_LEVELS = (50, 80, 90, 95)
# thirds of the spots, by what may make a prediction worse
_THIRDS = ("low", "middle", "high")


def coverage(
    truth: Float[np.ndarray, "n g"],
    found: Float[np.ndarray, "n g"],
    sd: Float[np.ndarray, "n g"],
    level: float,
) -> Float[np.ndarray, " g"]:
    """Return the share of values inside the central normal interval of probability ``level``, cut at 0 below."""
    reach = _quantile(level)
    # expression cannot be negative: an interval that reaches below 0 ends there, and 0 lies in it
    low = np.maximum(found - reach * sd, 0.0)
    return np.asarray(((truth >= low) & (truth <= found + reach * sd)).mean(axis=0))


def width(
    found: Float[np.ndarray, "n g"], sd: Float[np.ndarray, "n g"], level: float
) -> Float[np.ndarray, " g"]:
    """Return the mean width of that interval."""
    reach = _quantile(level)
    return np.asarray((found + reach * sd - np.maximum(found - reach * sd, 0.0)).mean(axis=0))


def crps(
    truth: Float[np.ndarray, "n g"], found: Float[np.ndarray, "n g"], sd: Float[np.ndarray, "n g"]
) -> Float[np.ndarray, " g"]:
    """Return the mean continuous ranked probability score of a normal prediction (Gneiting & Raftery 2007)."""
    from scipy.special import ndtr

    scale = np.maximum(sd, 1e-12)
    z = (truth - found) / scale
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    return np.asarray((scale * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / math.sqrt(math.pi))).mean(axis=0))


def _quantile(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2))


def _coverage_of(case: Case, level: int) -> Array | None:
    return None if case.sd is None else coverage(case.truth, case.found, case.sd, level / 100)


def _width_of(case: Case) -> Array | None:
    return None if case.sd is None else width(case.found, case.sd, 0.9)


def _crps_of(case: Case) -> Array | None:
    return None if case.sd is None else crps(case.truth, case.found, case.sd)


def _third_of(case: Case, by: Callable[[Case], Array | None], third: int) -> Array | None:
    along = by(case)
    if case.sd is None or along is None:
        return None
    rows = _third(along, third)
    if not rows.any():
        return None
    return coverage(case.truth[rows], case.found[rows], case.sd[rows], 0.9)


def _third(along: Array, third: int) -> Bool[np.ndarray, " n"]:
    """Return which spots are in a third; equal values (distances on a lattice) stay together."""
    low, high = np.quantile(along, (1 / 3, 2 / 3))
    if third == 0:
        return np.asarray(along <= low)
    return np.asarray((along > low) & (along <= high) if third == 1 else along > high)


def _depth(case: Case) -> Array | None:
    return case.depth


def _distance(case: Case) -> Array | None:
    return case.nearest_um


def _share(name: str, summary: str, target: float, of: Callable[[Case], Array | None]) -> Metric:
    card = MetricCard(name, summary, "target", (0.0, 1.0), "gneiting2007", ("test",), target)
    return Metric(card, of)


ENTRIES = (
    *(
        _share(
            f"coverage{level}",
            f"Share of values inside the {level} % interval.",
            level / 100,
            partial(_coverage_of, level=level),
        )
        for level in _LEVELS
    ),
    *(
        _share(
            f"coverage90_{name}_{word}",
            f"Share of values inside the 90 % interval, in the {word} third of spots by {name}.",
            0.9,
            partial(_third_of, by=by, third=third),
        )
        for name, by in (("depth", _depth), ("distance", _distance))
        for third, word in enumerate(_THIRDS)
    ),
    Metric(
        MetricCard(
            "width90",
            "Mean width of the 90 % interval.",
            "lower",
            (0.0, math.inf),
            "gneiting2007",
            ("test",),
        ),
        _width_of,
    ),
    Metric(
        MetricCard(
            "crps",
            "Continuous ranked probability score.",
            "lower",
            (0.0, math.inf),
            "gneiting2007",
            ("test",),
        ),
        _crps_of,
    ),
)
