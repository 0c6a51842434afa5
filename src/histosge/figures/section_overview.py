"""An overview of a section: its image with spots and tissue outline, and the counts of each spot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from histosge.images.tissue import TissueMask
from histosge.section.expression import depth
from histosge.section.section import Section

from .tissue_panel import (
    DPI,
    PANEL_IN,
    TissueView,
    aspect_of,
    colour_bar,
    draw_outline,
    draw_sampled_spots,
    draw_spots,
    draw_tissue,
    image_extent,
    scale_bar,
    spots_extent,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_overview", "section_overview"]


def section_overview(section: Section, *, mask: TissueMask | None = None) -> Figure:
    """Draw the whole image with spots and the outline of the tissue, and the total counts of each spot.

    Parameters
    ----------
    section
        A section without counts has one panel: its image with the sampling positions.
    mask
        Tissue to outline.
    """
    from matplotlib.figure import Figure

    if not section.has_counts:
        shape = aspect_of(np.ptp(image_extent(section), axis=0))
        size = (1.3 * PANEL_IN * shape + 0.4, 1.3 * PANEL_IN + 0.4)
        figure = Figure(figsize=size, dpi=DPI, layout="compressed")
        title = f"{section.name}: no counts; image features at {len(section)} positions"
        draw_overview(figure.subplots(), section, mask, title)
        return figure
    near = spots_extent(section)
    shapes = [aspect_of(np.ptp(corners, axis=0)) for corners in (image_extent(section), near)]
    # both panels have the same height
    size = (1.15 * PANEL_IN * sum(shapes) + 1.2, 1.15 * PANEL_IN + 0.4)
    figure = Figure(figsize=size, dpi=DPI, layout="compressed")
    image, counts = figure.subplots(1, 2, width_ratios=shapes)
    draw_overview(image, section, mask, f"{section.name}: {len(section)} spots, {section.platform.name}")
    spots = draw_spots(counts, TissueView.of(section, near), np.log10(np.maximum(depth(section.counts), 1.0)))
    scale_bar(counts, near)
    colour_bar(counts, spots, "log10 counts")
    counts.set_title("counts per spot", fontsize=10)
    return figure


def draw_overview(axes: Axes, section: Section, mask: TissueMask | None, title: str) -> None:
    """Draw the whole image with spots and the outline of the tissue on axes."""
    corners = image_extent(section)
    draw_tissue(axes, TissueView.of(section, corners))
    draw_sampled_spots(axes, section)
    draw_outline(axes, mask, section)
    scale_bar(axes, corners)
    axes.set_title(title, fontsize=10)
