"""Maps below the scale of spots: the spots, the finer truth, the predictions of each model and their differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.metrics.pearson import pearson

from .tissue_panel import COLOUR_MAP, DPI, colour_limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FineTruthMaps", "fine_truth_maps"]

_PANEL_IN = 2.3
_DIFFERENCES = "RdBu_r"


@dataclass(frozen=True, slots=True, eq=False)
class FineTruthMaps:
    """Some genes in the bins of one scale.

    Parameters
    ----------
    genes
        Names, one a column.
    scale
        The bins, in words.
    xy_um, truth
        Centres of the bins and what was measured in them.
    spots_um, spots
        Centres of the spots and what was measured in them.
    predicted
        Predictions in the bins by the model's name.
    """

    genes: Array
    scale: str
    xy_um: Float[np.ndarray, "n 2"]
    truth: Float[np.ndarray, "n g"]
    spots_um: Float[np.ndarray, "s 2"]
    spots: Float[np.ndarray, "s g"]
    predicted: Mapping[str, Array]

    def with_prediction(self, name: str, values: Float[np.ndarray, "n g"]) -> FineTruthMaps:
        """Return the maps with those of a further model."""
        return replace(self, predicted={**self.predicted, name: values})


def fine_truth_maps(maps: FineTruthMaps) -> Figure:
    """Draw two rows a gene: truth, spots and predictions; below the predictions their differences from the truth.

    Predictions are means, which vary less than measurements: each has a colour scale of its own. The differences of
    all models share one scale.
    """
    from matplotlib.figure import Figure

    columns, rows = 2 + len(maps.predicted), 2 * len(maps.genes)
    extent = np.ptp(maps.xy_um, axis=0)
    panel_in = _PANEL_IN * float(np.clip(extent[1] / max(extent[0], 1e-9), 0.4, 2.5))
    figure = Figure(figsize=(_PANEL_IN * columns, (panel_in + 0.3) * rows), dpi=DPI, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for gene, name in enumerate(maps.genes):
        top, below = grid[2 * gene], grid[2 * gene + 1]
        truth = maps.truth[:, gene]
        top[0].set_ylabel(str(name), fontsize=9, fontweight="bold")
        _draw(top[0], maps.xy_um, truth, title=f"truth, {maps.scale}")
        _draw(top[1], maps.spots_um, maps.spots[:, gene], title=f"{len(maps.spots_um)} spots")
        below[0].axis("off")
        below[1].axis("off")
        limit = float(np.percentile(np.abs(truth - truth.mean()), 98)) or 1.0
        for panel, under, (model, values) in zip(top[2:], below[2:], maps.predicted.items(), strict=True):
            r = float(pearson(truth[:, None], values[:, [gene]])[0])
            _draw(panel, maps.xy_um, values[:, gene], title=f"{model}\nr {r:.2f}")
            difference = values[:, gene] - truth
            _draw(under, maps.xy_um, difference, title="prediction − truth", limit=limit)
    return figure


def _draw(axes: Axes, xy_um: Array, values: Array, *, title: str, limit: float | None = None) -> None:
    """Draw values as squares that nearly touch; with ``limit`` as differences around 0."""
    low, high = colour_limits(values) if limit is None else (-limit, limit)
    extent = np.ptp(xy_um, axis=0)
    size = (72 * 0.9 * _PANEL_IN * np.sqrt(np.prod(extent) / len(xy_um)) / max(extent.max(), 1e-9)) ** 2
    colours = COLOUR_MAP if limit is None else _DIFFERENCES
    axes.scatter(*xy_um.T, c=values, s=size, marker="s", cmap=colours, vmin=low, vmax=high, linewidths=0)
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.invert_yaxis()
    axes.set_title(title, fontsize=8)
