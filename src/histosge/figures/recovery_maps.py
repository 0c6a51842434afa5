"""Maps of test spots recovered: training spots, the predictions of each method, and the measured values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from histosge._runtime.types import Array, Bool, Float

from .tissue_panel import COLOUR_MAP, DPI, colour_limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Recovery", "recovery_maps"]

_PANEL_IN = 2.3


@dataclass(frozen=True, slots=True, eq=False)
class Recovery:
    """Genes at all spots of a section that was split into training and test spots.

    Parameters
    ----------
    xy_um, training
        All spots, and which of them are training spots.
    genes
        Names, one a column.
    truth
        Measured values.
    predicted
        Predictions by the method's name.
    pcc
        Correlation of each gene at the test spots, by the method's name.
    pcc_given_depth
        The same over spots of the same depth; empty where it was not computed.
    """

    xy_um: Float[np.ndarray, "n 2"]
    training: Bool[np.ndarray, " n"]
    genes: Sequence[str]
    truth: Float[np.ndarray, "n g"]
    predicted: Mapping[str, Array]
    pcc: Mapping[str, Array]
    pcc_given_depth: Mapping[str, Array] = field(default_factory=dict)


def recovery_maps(recovery: Recovery) -> Figure:
    """Draw one row a gene: the training spots, each method's prediction, the measured values.

    Methods predict means, which vary less than measurements do: each prediction has its own colour scale, and its
    correlation at the test spots stands above it.
    """
    from matplotlib.figure import Figure

    columns, rows = 2 + len(recovery.predicted), len(recovery.genes)
    extent = np.ptp(recovery.xy_um, axis=0)
    panel_in = _PANEL_IN * float(np.clip(extent[1] / extent[0], 0.4, 2.5))
    size = (_PANEL_IN * columns, (panel_in + 0.25) * rows + 0.2)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    all_spots = np.ones(len(recovery.xy_um), dtype=bool)
    for column, (gene, row) in enumerate(zip(recovery.genes, grid, strict=True)):
        row[0].set_ylabel(gene, fontsize=9, fontweight="bold")
        measured = recovery.truth[:, column]
        title = f"training: {int(recovery.training.sum())} spots"
        _draw(row[0], recovery.xy_um, recovery.training, values=measured, title=title)
        for panel, (name, values) in zip(row[1:-1], recovery.predicted.items(), strict=True):
            r = float(recovery.pcc[name][column])
            correlation = "undefined" if np.isnan(r) else f"{r:.2f}"
            title = f"{name}\nr at test spots {correlation}"
            if name in recovery.pcc_given_depth:
                title += f", given depth {float(recovery.pcc_given_depth[name][column]):.2f}"
            _draw(panel, recovery.xy_um, all_spots, values=values[:, column], title=title)
        _draw(row[-1], recovery.xy_um, all_spots, values=measured, title="measured: all spots")
    return figure


def _draw(axes: Axes, xy_um: Array, rows: Array, *, values: Array, title: str) -> None:
    """Draw spots as dots that nearly touch, with the colours of their values."""
    low, high = colour_limits(values[rows])
    size = (72 * 0.9 * _PANEL_IN / np.sqrt(len(xy_um)) * 0.95) ** 2
    axes.scatter(*xy_um[rows].T, c=values[rows], s=size, cmap=COLOUR_MAP, vmin=low, vmax=high, linewidths=0)
    (left, top), (right, bottom) = xy_um.min(axis=0), xy_um.max(axis=0)
    margin = 0.02 * float(max(right - left, bottom - top))
    axes.set(
        xlim=(left - margin, right + margin),
        ylim=(bottom + margin, top - margin),
        xticks=[],
        yticks=[],
        aspect="equal",
    )
    axes.set_title(title, fontsize=8)
