"""Marker genes as the paper shows them: what was kept, what each method recovers, what is true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from histosge._runtime.types import Array, Bool, Float

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Recovery", "recovery_maps"]

_PANEL_IN = 2.3
_DPI = 150
_COLOURS = "viridis"
_PERCENTILES = (1.0, 99.0)


@dataclass(frozen=True, slots=True, eq=False)
class Recovery:
    """Genes at all spots, after a part of the spots was taken away.

    Parameters
    ----------
    xy_um, training
        All spots, and which of them were kept.
    genes
        Names, one a column.
    truth
        As measured.
    found
        As each method recovers them, by the method's name.
    pcc
        Correlation of each gene at the spots that were taken away, by the method's name.
    """

    xy_um: Float[np.ndarray, "n 2"]
    training: Bool[np.ndarray, " n"]
    genes: Sequence[str]
    truth: Float[np.ndarray, "n g"]
    found: Mapping[str, Array]
    pcc: Mapping[str, Array]


def recovery_maps(shown: Recovery) -> Figure:
    """Draw one row a gene: the spots kept, each method's recovery, the truth.

    Methods predict means, which vary less than measurements do: each recovery has its own scale of colours, and its
    correlation at the spots taken away stands above it.
    """
    from matplotlib.figure import Figure

    columns = 2 + len(shown.found)
    rows = len(shown.genes)
    span = np.ptp(shown.xy_um, axis=0)
    tall = float(np.clip(span[1] / span[0], 0.4, 2.5))
    size = (_PANEL_IN * columns, (_PANEL_IN * tall + 0.25) * rows + 0.2)
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    everywhere = np.ones(len(shown.xy_um), dtype=bool)
    for column, (gene, row) in enumerate(zip(shown.genes, grid, strict=True)):
        row[0].set_ylabel(gene, fontsize=9, fontweight="bold")
        measured = shown.truth[:, column]
        _draw(row[0], shown, shown.training, measured, f"kept: {int(shown.training.sum())} spots")
        for panel, (name, values) in zip(row[1:-1], shown.found.items(), strict=True):
            r = float(shown.pcc[name][column])
            said = "undefined" if np.isnan(r) else f"{r:.2f}"
            _draw(panel, shown, everywhere, values[:, column], f"{name}\nheld-out r {said}")
        _draw(row[-1], shown, everywhere, measured, "measured: all spots")
    return figure


def _draw(panel: Axes, shown: Recovery, rows: Array, values: Array, title: str) -> None:
    low, high = np.percentile(values[rows], _PERCENTILES)
    # a constant prediction is drawn as one colour
    high = high if high > low else low + 1.0
    size = (72 * 0.9 * _PANEL_IN / np.sqrt(len(shown.xy_um)) * 0.95) ** 2
    panel.scatter(
        *shown.xy_um[rows].T, c=values[rows], s=size, cmap=_COLOURS, vmin=low, vmax=high, linewidths=0
    )
    corner, end = shown.xy_um.min(axis=0), shown.xy_um.max(axis=0)
    margin = 0.02 * float((end - corner).max())
    panel.set(
        xlim=(corner[0] - margin, end[0] + margin),
        ylim=(end[1] + margin, corner[1] - margin),
        xticks=[],
        yticks=[],
        aspect="equal",
    )
    panel.set_title(title, fontsize=8)
