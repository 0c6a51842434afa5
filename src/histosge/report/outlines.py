"""Outlines of cells as arrays of a page, and their classes as labels."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from histosge._runtime.types import Array
from histosge.section.locations import Locations
from histosge.segmentation.cells import Cells

from .labels import Labels
from .pack import blob
from .part import thousands

__all__ = ["MOST", "Outlines", "class_labels", "packed_outlines"]

#: cells whose outlines a page paints without delay; of more it shows centroids
MOST = 100_000
# simplification: below a pixel of the sharpest scanners
_TOLERANCE_UM = 0.2
# of the vertices, where no outline is wider than 16 bits can say
_STEP_UM = 0.05
# a page has so many colours of classes; the rarest share one
_MOST_CLASSES, _OTHERS = 20, "other classes"
_CLASS = "class"


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """Outlines in the form in which the page has them.

    Parameters
    ----------
    about
        Metadata: µm per step; ``None`` where the page has no outlines.
    blobs
        Arrays by name: the number of vertices of each cell, and the steps from the centroid to the first vertex and
        from each vertex to the next.
    text
        What the page says about them; empty where the locations are no cells.
    """

    about: dict[str, float] | None = None
    blobs: dict[str, str] = field(default_factory=dict)
    text: str = ""


def packed_outlines(locations: Locations) -> Outlines:
    """Return the outlines of cells, simplified to 0.2 µm; of cells in several parts the largest, holes filled.

    Parameters
    ----------
    locations
        Of the prediction.
    """
    import shapely

    cells = locations.cells
    if cells is None:
        return Outlines()
    if cells.outlines is None:
        return Outlines(text="Cells are known by their centroids alone.")
    if len(cells) > MOST:
        return Outlines(
            text=f"Cells are shown as points: a page paints outlines of at most {thousands(MOST)} cells."
        )
    rings, several = _rings(cells)
    xy_um, row = shapely.get_coordinates(rings, return_index=True)
    # the last vertex repeats the first
    keep = np.append(row[1:] == row[:-1], False)
    xy_um, row = xy_um[keep] - locations.xy[row[keep]], row[keep]
    size = np.bincount(row, minlength=len(cells))
    step_um = max(_STEP_UM, float(np.abs(xy_um).max()) / (np.iinfo(np.int16).max / 2))
    codes = np.rint(xy_um / step_um).astype(np.int64)
    # rounded before the difference, so that errors do not add up
    steps = np.diff(codes, axis=0, prepend=0)
    first = np.cumsum(size) - size
    steps[first] = codes[first]
    text = "Outlines are painted to 0.2 µm."
    if several:
        text += f" Of {thousands(several)} cells in several parts the largest is shown."
    blobs = {"outline_size": blob(size.astype(np.uint16)), "outline_steps": blob(steps.astype(np.int16))}
    return Outlines({"step_um": step_um}, blobs, text)


def _rings(cells: Cells) -> tuple[Array, int]:
    """Return one simplified border a cell, and how many cells have several parts."""
    import shapely

    several = shapely.get_num_geometries(cells.outlines) > 1
    outlines = np.array(cells.outlines)
    for row in np.flatnonzero(several):
        outlines[row] = max(outlines[row].geoms, key=lambda part: part.area)
    borders = shapely.get_exterior_ring(outlines)
    simple = shapely.simplify(borders, _TOLERANCE_UM)
    # the smallest cells would become lines
    usable = (shapely.get_num_points(simple) >= 4) & (
        shapely.get_num_points(simple) <= np.iinfo(np.uint16).max
    )
    return np.where(usable, simple, borders), int(several.sum())


def class_labels(cells: Cells | None) -> tuple[Labels, ...]:
    """Return the classes of cells as labels; none where there are fewer than two.

    The page has twenty colours: of more classes the rarest are shown as one.
    """
    if cells is None or cells.classes is None:
        return ()
    classes = np.asarray(cells.classes, dtype=str)
    names, number = np.unique(classes[classes != ""], return_counts=True)
    if len(names) < 2:
        return ()
    if len(names) > _MOST_CLASSES:
        common = np.sort(names[np.argsort(-number, kind="stable")[: _MOST_CLASSES - 1]])
        classes = np.where(np.isin(classes, common) | (classes == ""), classes, _OTHERS)
        names = np.append(common, _OTHERS)
    row_of = {str(name): row for row, name in enumerate(names)}
    codes = np.array([row_of.get(name, -1) for name in classes.tolist()], dtype=np.intp)
    return (Labels(_CLASS, "locations", codes, tuple(str(name) for name in names)),)
