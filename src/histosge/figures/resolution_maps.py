"""Maps of the effective resolution: the width at which each location of a gene is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from histosge._runtime.types import Array
from histosge.prediction.effective_resolution import EffectiveResolution
from histosge.section.section import Section

from .nearest_location import NearestLocationMap, nearest_location_map
from .tissue_panel import (
    COLOUR_MAP,
    DPI,
    FAINT,
    PANEL_IN,
    TissueView,
    aspect_of,
    draw_tissue,
    scale_bar,
    spots_extent,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["resolution_maps"]

_MOST_COLUMNS = 4
# of locations that are known at no width
_GREY = "#8b8b8b"


def resolution_maps(section: Section, resolution: EffectiveResolution, genes: Sequence[str]) -> Figure:
    """Draw one panel a gene: a colour for each width, grey where no width is wide enough.

    Parameters
    ----------
    section
        Its tissue.
    resolution
        At locations all over it.
    genes
        One panel each. A gene whose pattern is not measured reproducibly has the tissue alone, and says so.

    Raises
    ------
    UsageError
        For a gene that was not computed.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    maps = [resolution.map_um(gene) for gene in genes]
    columns = min(_MOST_COLUMNS, len(genes))
    rows = -(-len(genes) // columns)
    corners = spots_extent(section)
    panel_in = PANEL_IN * aspect_of((corners[1] - corners[0])[::-1])
    figure = Figure(figsize=(PANEL_IN * columns, (panel_in + 0.3) * rows + 0.5), dpi=DPI, layout="compressed")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    view, located = TissueView.of(section, corners), nearest_location_map(resolution.locations, corners)
    # fine to wide, from bright to dark
    shades = colormaps[COLOUR_MAP](np.linspace(0.95, 0.1, len(resolution.widths_um)))
    for axes, gene, widths in zip(panels, genes, maps, strict=False):
        draw_tissue(axes, view, alpha=FAINT)
        _draw(axes, located, widths, widths_um=resolution.widths_um, shades=shades)
        unknown = ": not measured reproducibly" if np.isnan(widths).all() else ""
        axes.set_title(f"{gene}{unknown}", fontsize=10)
        scale_bar(axes, corners)
    for axes in panels[len(genes) :]:
        axes.set_axis_off()
    names = [f"{width:g} µm" for width in resolution.widths_um]
    patches = [Patch(color=shade, label=name) for shade, name in zip(shades, names, strict=True)]
    patches.append(Patch(color=_GREY, label="at none"))
    figure.legend(
        handles=patches,
        loc="outside lower center",
        ncols=len(patches),
        fontsize=7.5,
        title="known from a disk of",
    )
    return figure


def _draw(
    axes: Axes, located: NearestLocationMap, widths: Array, *, widths_um: tuple[float, ...], shades: Array
) -> None:
    """Paint the locations by the number of their width; those of a gene that is unknown stay bare."""
    from matplotlib.colors import ListedColormap

    number = np.searchsorted(np.asarray(widths_um), widths).astype(np.float64)
    number[np.isnan(widths)] = np.nan
    axes.imshow(
        located.paint(number),
        extent=located.extent,
        cmap=ListedColormap([*shades, _GREY]),
        vmin=-0.5,
        vmax=len(widths_um) + 0.5,
        interpolation="nearest",
    )
