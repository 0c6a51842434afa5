"""What a metric is told, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from histosge._runtime.types import Array, Float

__all__ = ["SETS", "Case", "Metric", "MetricCard", "ScoreSet"]

ScoreSet: TypeAlias = Literal["test", "training", "all"]
# the headline first; ``all`` is the published protocol and in-sample
SETS: tuple[ScoreSet, ...] = ("test", "training", "all")


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Truth and prediction at the spots of one score set; all in log1p(CP10k), n spots × g genes.

    Parameters
    ----------
    truth, found
        Measured and predicted.
    sd
        Predicted standard deviation of a measurement; ``None`` from models that do not know it.
    counts
        Raw counts of the same spots and genes.
    depth
        Total counts of each spot over all genes.
    xy_um
        Positions.
    nearest_um
        Distance to the nearest retained spot, 0 at retained spots.
    """

    truth: Float[np.ndarray, "n g"]
    found: Float[np.ndarray, "n g"]
    sd: Float[np.ndarray, "n g"] | None = None
    counts: Float[np.ndarray, "n g"] | None = None
    depth: Float[np.ndarray, " n"] | None = None
    xy_um: Float[np.ndarray, "n 2"] | None = None
    nearest_um: Float[np.ndarray, " n"] | None = None


@dataclass(frozen=True, slots=True)
class MetricCard:
    """What a reader of a table must know of a column.

    Parameters
    ----------
    name
        Of the column.
    summary
        One sentence.
    better
        Which way is good; a ``"target"`` is best met, not passed.
    range
        Smallest and largest value it can have.
    citation
        Key in ``references.bib``; empty where there is nobody to cite.
    sets
        Score sets it is computed on; what is slow, or means little in-sample, on ``test`` alone.
    target
        The value to meet, where ``better`` is ``"target"``.
    """

    name: str
    summary: str
    better: Literal["higher", "lower", "target"]
    range: tuple[float, float]
    citation: str = ""
    sets: tuple[ScoreSet, ...] = SETS
    target: float | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """A card and the function it describes.

    Parameters
    ----------
    card
        What it is.
    of
        One value a gene (NaN where it is undefined), or ``None`` where the case lacks what it needs.
    """

    card: MetricCard
    of: Callable[[Case], Array | None]
