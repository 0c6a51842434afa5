"""Cells at full zoom over the H&E image: their outlines, and what is predicted of a gene in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.images.slide import SlideImage
from histosge.prediction.prediction import Prediction
from histosge.section.genes import refuse_unknown
from histosge.section.section import Section
from histosge.segmentation.cells import Cells

from .tissue_panel import COLOUR_MAP, DPI, Crop, colour_bar, colour_limits, scale_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["can_draw", "cell_crops", "windows"]

# side of a window: some four hundred cells of a tumour, each large enough to see its nucleus
_SIDE_UM = 250.0
_PANEL_IN, _MOST_ROWS = 4.2, 4
# pixels of a window: as many as a panel has, or as the image
_MOST_PX = 1000
# colours that stains do not have: blue of sky for cells, yellow for nuclei
_CELL_EDGE, _NUCLEUS_EDGE = "#00b4d8", "#ffd60a"
# the tissue stays visible below the colours
_ALPHA = 0.6
# fewer cells in a window show no pattern
_FEWEST = 5


def can_draw(section: Section, prediction: Prediction) -> bool:
    """Return whether there is an image, and cells with outlines on it."""
    cells = prediction.locations.cells
    return section.slide is not None and cells is not None and cells.outlines is not None


def cell_crops(
    section: Section,
    prediction: Prediction,
    genes: Sequence[str],
    *,
    accuracy: Mapping[str, str] | None = None,
) -> Figure:
    """Draw one row a gene: the image, the same with outlines of cells and nuclei, and the gene painted in the outlines.

    Each row shows the window of 250 µm in which the gene's prediction varies most between cells; colours span the
    values of the whole section, as in the maps of it. At most four genes are drawn.

    Parameters
    ----------
    section
        With an image.
    prediction
        At cells with outlines.
    genes
        One row each.
    accuracy
        A line on the accuracy of each gene, to stand below its row; genes without one have none.

    Raises
    ------
    UsageError
        Without image or outlines, and for a gene that was not predicted, or no gene at all.
    """
    from matplotlib.figure import Figure

    cells = prediction.locations.cells
    if section.slide is None or cells is None or cells.outlines is None:
        raise UsageError(
            "Expected an image and cells with outlines to draw, got neither or one. Predict with `cells`."
        )
    refuse_unknown(genes, prediction.genes, "the prediction")
    genes = list(genes)[:_MOST_ROWS]
    values = prediction.mean[:, prediction.columns(genes)]
    corners = windows(cells.xy_um, values)
    figure = Figure(figsize=(3 * _PANEL_IN, _PANEL_IN * len(genes) + 0.3), dpi=DPI, layout="compressed")
    panels = figure.subplots(len(genes), 3, squeeze=False)
    for gene, row, value, corner in zip(genes, panels, values.T, corners, strict=True):
        crop = _crop(section.slide, corner)
        shown = _within(cells, crop)
        for axes in row:
            axes.imshow(crop.rgb, extent=crop.extent, interpolation="bilinear")
            axes.set(xlim=crop.extent[:2], ylim=crop.extent[2:], xticks=[], yticks=[], aspect="equal")
        _draw_edges(row[1], cells.take(shown))
        painted = _polygons(row[2], cells.outlines[shown], edgecolors="black", linewidths=0.4, alpha=_ALPHA)
        parts = _parts(cells.outlines[shown])[1]
        painted.set(array=value[shown][parts], cmap=COLOUR_MAP, clim=colour_limits(value))
        colour_bar(row[2], painted)
        scale_bar(row[0], np.array([corner, corner + _SIDE_UM]))
        row[0].set_ylabel(gene, fontsize=12 if len(gene) < 14 else 8, fontweight="bold")
        row[2].set_xlabel(fill((accuracy or {}).get(gene, ""), 52), fontsize=7.5)
    for axes, title in zip(panels[0], _titles(section.name, section.slide, cells), strict=True):
        axes.set_title(title, fontsize=10)
    return figure


def windows(xy_um: Array, values: Array, side_um: float = _SIDE_UM) -> Array:
    """Return the upper left corners of the square windows in which columns of values vary most.

    Candidates lie on a square grid of half a side; those with fewer cells than a quarter of the median are left out.

    Parameters
    ----------
    xy_um
        Centroids, (n, 2).
    values
        (n, g); a window for each column.
    side_um
        Side of a window.
    """
    step = side_um / 2
    first = np.floor(xy_um.min(axis=0) / step)
    # cells of the grid, and windows of two by two of them
    column, row = (np.floor(xy_um / step) - first).astype(np.intp).T
    shape = (int(row.max()) + 2, int(column.max()) + 2)
    position = row * shape[1] + column
    number = _of_four(np.bincount(position, minlength=shape[0] * shape[1]).reshape(shape))
    fewest = max(min(_FEWEST, int(number.max())), float(np.median(number[number > 0])) / 4)
    corners = []
    for column_values in values.T:
        centred = column_values.astype(np.float64) - column_values.mean()
        sums, squares = (
            _of_four(np.bincount(position, weights=weights, minlength=shape[0] * shape[1]).reshape(shape))
            for weights in (centred, centred**2)
        )
        variance = squares / np.maximum(number, 1) - (sums / np.maximum(number, 1)) ** 2
        y, x = np.unravel_index(int(np.where(number >= fewest, variance, -np.inf).argmax()), variance.shape)
        corners.append((np.array([x, y]) + first) * step)
    return np.array(corners).reshape(-1, 2)


def _of_four(grid: Array) -> Array:
    return np.asarray(grid[:-1, :-1] + grid[1:, :-1] + grid[:-1, 1:] + grid[1:, 1:])


def _crop(slide: SlideImage, corner: Array) -> Crop:
    """Return the image of a window, in its own resolution where a panel has the pixels."""
    px = min(_MOST_PX, max(64, round(_SIDE_UM / slide.mpp)))
    rgb = slide.read_region(corner, _SIDE_UM / px, (px, px))
    (left, top), (right, bottom) = corner, corner + _SIDE_UM
    return Crop(rgb, (float(left), float(right), float(bottom), float(top)))


def _within(cells: Cells, crop: Crop) -> Array:
    """Return the rows of cells that reach into a window."""
    import shapely

    left, right, bottom, top = crop.extent
    x0, y0, x1, y1 = shapely.bounds(cells.outlines).T
    return np.flatnonzero((x1 > left) & (x0 < right) & (y1 > top) & (y0 < bottom))


def _draw_edges(axes: Axes, cells: Cells) -> None:
    style: dict[str, Any] = {"facecolors": "none", "linewidths": 0.8}
    _polygons(axes, cells.outlines, edgecolors=_CELL_EDGE, **style)
    if cells.nuclei is not None:
        nuclei = [nucleus for nucleus in cells.nuclei if nucleus is not None]
        _polygons(axes, np.array(nuclei, dtype=object), edgecolors=_NUCLEUS_EDGE, **style)


def _polygons(axes: Axes, outlines: Any, **style: Any) -> Any:
    """Add the borders of polygons, all parts of each."""
    from matplotlib.collections import PolyCollection

    collection = PolyCollection([np.asarray(ring.coords) for ring in _parts(outlines)[0]], **style)
    axes.add_collection(collection)
    return collection


def _parts(outlines: Any) -> tuple[Array, Array]:
    """Return the outer rings of all parts, and the row of each."""
    import shapely

    parts, row = shapely.get_parts(outlines, return_index=True)
    return np.asarray(shapely.get_exterior_ring(parts)), np.asarray(row)


def _titles(name: str, slide: SlideImage, cells: Cells) -> list[str]:
    nuclei = "" if cells.nuclei is None else ", nuclei in yellow"
    return [
        f"{name}: H&E, {slide.mpp:.2g} µm per pixel",
        f"outlines of cells{nuclei}",
        f"predicted in {len(cells)} cells of the section",
    ]
