"""Maps of detection: the predicted mean of every tile, and the tiles in which a gene is above the threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from histosge.prediction.detection import Detection
from histosge.section.section import Section

from .tissue_panel import (
    COLOUR_MAP,
    DPI,
    FAINT,
    PANEL_IN,
    TissueView,
    aspect_of,
    colour_bar,
    colour_limits,
    draw_tissue,
    scale_bar,
    spots_extent,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MOST_GENES", "detection_maps"]

#: genes of a figure
MOST_GENES = 6
_DETECTED = "#d55e00"


def detection_maps(section: Section, detection: Detection) -> Figure:
    """Draw one row a gene: the predicted mean of each tile, and the detected tiles over the tissue.

    Parameters
    ----------
    section
        For its image.
    detection
        The first six genes are drawn.
    """
    from matplotlib.figure import Figure

    genes = detection.genes[:MOST_GENES]
    corners = spots_extent(section)
    row_in = PANEL_IN * aspect_of((corners[1] - corners[0])[::-1])
    figure = Figure(figsize=(2 * PANEL_IN + 0.4, row_in * len(genes) + 0.5), dpi=DPI, layout="compressed")
    panels = figure.subplots(len(genes), 2, squeeze=False)
    view = TissueView.of(section, corners)
    squares = detection.tiles.corners_um()
    for row, (gene, (left, right)) in enumerate(zip(genes, panels, strict=True)):
        draw_tissue(left, view, alpha=FAINT)
        values = detection.mean[:, row]
        drawn = _squares(left, squares, values=values)
        colour_bar(left, drawn)
        left.set_ylabel(str(gene), fontsize=10, fontweight="bold")
        draw_tissue(right, view)
        chosen = detection.detected[:, row]
        _squares(right, squares[chosen])
        right.set_xlabel(
            f"above {detection.above[row]:.3g}: {chosen.sum()} of {len(chosen)} tiles", fontsize=7.5
        )
    scale_bar(panels[0][0], corners)
    panels[0][0].set_title(f"predicted, tiles of {detection.tiles.width_um:g} µm", fontsize=9)
    panels[0][1].set_title(f"detected, false ones at most {detection.fdr:.0%} expected", fontsize=9)
    return figure


def _squares(axes: Axes, corners_um: np.ndarray, *, values: np.ndarray | None = None) -> object:
    """Draw squares, coloured by values or all alike."""
    from matplotlib.collections import PolyCollection

    squares = PolyCollection(list(corners_um), linewidths=0 if values is not None else 0.3)
    if values is None:
        squares.set(facecolor=_DETECTED, edgecolor="white", alpha=0.7)
    else:
        squares.set(array=values, cmap=COLOUR_MAP, clim=colour_limits(values), rasterized=True)
    axes.add_collection(squares)
    return squares
