"""What a metric computes from, and the card that describes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from histosge._runtime.types import Array, Float

__all__ = ["SETS", "Comparison", "Metric", "MetricCard", "ScoreSet"]

ScoreSet: TypeAlias = Literal["test", "training", "pooled"]
# test spots are the headline; ``pooled`` (training + test) is the published protocol, and half of it is in-sample
SETS: tuple[ScoreSet, ...] = ("test", "training", "pooled")


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Truth and prediction at the spots of one score set; all in log1p(CP10k), n spots × g genes.

    Parameters
    ----------
    truth, prediction
        Measured and predicted expression.
    sd
        Predictive standard deviation of a measurement; ``None`` from models without uncertainty.
    counts
        Raw counts of the same spots and genes; ``None`` where there are none.
    depth
        Total counts of each spot over all genes.
    xy_um
        Positions of the spots, µm.
    nearest_um
        Distance to the nearest training spot, µm; 0 at training spots.
    """

    truth: Float[np.ndarray, "n g"]
    prediction: Float[np.ndarray, "n g"]
    sd: Float[np.ndarray, "n g"] | None = None
    counts: Float[np.ndarray, "n g"] | None = None
    depth: Float[np.ndarray, " n"] | None = None
    xy_um: Float[np.ndarray, "n 2"] | None = None
    nearest_um: Float[np.ndarray, " n"] | None = None


@dataclass(frozen=True, slots=True)
class MetricCard:
    """Describe a metric to the reader of a table.

    Parameters
    ----------
    name
        Name of the column.
    summary
        One sentence.
    better
        Direction of improvement. ``"target"``: the best value is ``target``, neither less nor more.
    range
        Smallest and largest possible value.
    citation
        Key in ``references.bib``; empty where there is no reference.
    sets
        Score sets it is computed on. Metrics that are slow, or uninformative in-sample, use ``test`` alone.
    target
        The best value, where ``better`` is ``"target"``.
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
        Its description.
    compute
        Returns one value per gene (NaN where undefined), or ``None`` where the comparison lacks an array it needs.

    Examples
    --------
    >>> import numpy as np
    >>> from histosge.metrics import METRICS, Comparison
    >>> truth = np.array([[0.0, 1.0], [1.0, 3.0]])
    >>> METRICS["mse"].compute(Comparison(truth, truth + 1)).tolist()
    [1.0, 1.0]
    """

    card: MetricCard
    compute: Callable[[Comparison], Array | None]
