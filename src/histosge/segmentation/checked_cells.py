"""Make cells of what a file holds: in µm, valid, with unique ids, and with a message of all that was changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from histosge._runtime.messages import Message, emit
from histosge._runtime.types import Array
from histosge.errors import DataError

from .cells import Cells
from .stored_cells import StoredCells

__all__ = ["checked_cells", "equivalent_diameter_um", "overlapping_share"]

# equivalent diameters between which the median of nuclei or cells of any tissue lies, µm
_SMALLEST_UM, _LARGEST_UM = 3.0, 60.0
# of fewer cells the median says little: a warning
_FEWEST = 20
# share of the smaller of two outlines that they share, from which they overlap; less is the rounding of corners
_OVERLAP = 0.02
# cells whose overlaps are counted: of more, evenly spread ones
_MOST_TRIED = 20_000
# share of a nucleus outside of its cell, from which it is said
_OUTSIDE = 0.1


def checked_cells(stored: StoredCells, path: Path, *, source: str, scale: float | Array) -> Cells:
    """Return cells in µm of the section.

    Outlines that cross themselves are made valid, those without area are left out, repeated ids are numbered. Each is
    said in a warning with its count, and so are outlines that overlap and nuclei that lie outside of their cell.

    Parameters
    ----------
    stored
        What the file holds.
    path
        The file, for messages.
    source
        Name of the source.
    scale
        µm per unit of the file, or an affine matrix (3, 3) from the file's units to µm.

    Raises
    ------
    DataError
        When no cell is left, or the cells have a size that no cells have: the scale is another one.
    """
    ids = [name or f"cell_{row}" for row, name in enumerate(stored.ids)]
    stored = replace(stored, ids=ids)
    stored = _in_um(_with_area(stored, path), scale)
    if not len(stored):
        raise DataError(f"Expected cells in '{path}', got none.")
    confidence = stored.confidence
    cells = Cells(
        _unique(np.array(stored.ids, dtype=str), path),
        np.asarray(stored.xy),
        outlines=stored.outlines,
        nuclei=None if stored.nuclei is None or not any(stored.nuclei) else stored.nuclei,
        classes=None
        if stored.classes is None or not any(stored.classes)
        else np.array(stored.classes, dtype=str),
        confidence=None if confidence is None or np.isnan(confidence).all() else confidence,
        source=source,
    )
    _refuse_implausible(cells, path)
    messages = [] if stored.disjoint else _overlaps(cells, path)
    emit([*messages, *_nuclei_outside(cells, path)])
    return cells


def equivalent_diameter_um(cells: Cells) -> float:
    """Return the median diameter of the disks with the area of the nuclei, or of the cells where nuclei are unknown."""
    import shapely

    shapes = cells.outlines if cells.nuclei is None else cells.nuclei
    areas = np.array([]) if shapes is None else shapely.area(shapes)
    areas = areas[areas > 0]
    return 2 * float(np.sqrt(np.median(areas) / np.pi)) if len(areas) else float("nan")


def overlapping_share(outlines: Array) -> float:
    """Return the share of outlines that overlap another by more than 2 % of the smaller one's area."""
    import shapely

    if len(outlines) < 2:
        return 0.0
    tried = np.unique(np.linspace(0, len(outlines) - 1, _MOST_TRIED).astype(int))
    first, second = shapely.STRtree(outlines).query(outlines[tried], predicate="intersects")
    first = tried[first]
    other = first != second
    first, second = first[other], second[other]
    shared = shapely.area(shapely.intersection(outlines[first], outlines[second]))
    smaller = np.minimum(shapely.area(outlines[first]), shapely.area(outlines[second]))
    return len(np.unique(first[shared > _OVERLAP * smaller])) / len(tried)


def _with_area(stored: StoredCells, path: Path) -> StoredCells:
    """Return outlines and nuclei made valid; cells whose outline has no area are left out."""
    import shapely

    if stored.outlines is None:
        return stored
    outlines, mended = _valid(stored.outlines)
    nuclei, mended_nuclei = (None, 0) if stored.nuclei is None else _valid(stored.nuclei)
    keep = shapely.area(outlines) > 0
    lost = int((~keep).sum())
    texts = []
    if mended:
        texts.append(
            f"{mended} of {len(stored)} outlines of '{path}' crossed themselves and were made valid."
        )
    if mended_nuclei:
        texts.append(
            f"{mended_nuclei} outlines of nuclei of '{path}' crossed themselves and were made valid."
        )
    if lost:
        texts.append(
            f"{lost} of {len(stored)} cells of '{path}' have an outline without area and were left out."
        )
    emit(Message("warning", text) for text in texts)
    stored = replace(stored, outlines=outlines, nuclei=nuclei)
    return stored if keep.all() else stored.take(np.flatnonzero(keep))


def _valid(shapes: Array) -> tuple[Array, int]:
    """Return valid polygons, with ``None`` for those without area, and how many had to be mended."""
    import shapely

    shapes = np.array(shapes, dtype=object)
    bad = np.flatnonzero(~shapely.is_valid(shapes) & ~shapely.is_missing(shapes))
    for row in bad:
        shapes[row] = _polygons_of(shapely.make_valid(shapes[row]))
    mended = int((shapely.area(shapes[bad]) > 0).sum())
    shapes[~(shapely.area(shapes) > 0)] = None
    return shapes, mended


def _polygons_of(shape: object) -> object:
    """Return the polygons of a shape that may hold points and lines, too; ``None`` where it has none."""
    import shapely

    parts = shapely.get_parts(shapely.get_parts(shape))
    parts = parts[shapely.area(parts) > 0]
    if not len(parts):
        return None
    return parts[0] if len(parts) == 1 else shapely.union_all(parts)


def _in_um(stored: StoredCells, scale: float | Array) -> StoredCells:
    """Return the cells in µm, with centroids."""
    import shapely

    matrix = np.diag([scale, scale, 1.0]) if np.ndim(scale) == 0 else np.asarray(scale, dtype=np.float64)

    def moved(xy: Array) -> Array:
        return np.asarray(xy @ matrix[:2, :2].T + matrix[:2, 2])

    outlines = None if stored.outlines is None else shapely.transform(stored.outlines, moved)
    nuclei = None if stored.nuclei is None else shapely.transform(stored.nuclei, moved)
    if stored.xy is not None:
        xy = moved(stored.xy)
    elif outlines is not None and len(outlines):
        xy = shapely.get_coordinates(shapely.centroid(outlines))
    else:
        xy = np.empty((0, 2))
    return replace(stored, outlines=outlines, nuclei=nuclei, xy=xy)


def _unique(ids: Array, path: Path) -> Array:
    """Return ids with repeats numbered (``A``, ``A-1``), and warn of how many there are."""
    first = np.zeros(len(ids), dtype=bool)
    first[np.unique(ids, return_index=True)[1]] = True
    if first.all():
        return ids
    taken, unique = set(ids.tolist()), []
    numbers: Counter[str] = Counter()
    for name, is_first in zip(ids.tolist(), first.tolist(), strict=True):
        numbered = name
        while not is_first and numbered in taken:
            numbers[name] += 1
            numbered = f"{name}-{numbers[name]}"
        taken.add(numbered)
        unique.append(numbered)
    text = (
        f"{int((~first).sum())} of {len(ids)} cells of '{path}' have an id that another cell has, as "
        f"'{ids[~first][0]}'; repeats were numbered ('{np.array(unique)[~first][0]}')."
    )
    emit([Message("warning", text)])
    return np.array(unique, dtype=str)


def _refuse_implausible(cells: Cells, path: Path) -> None:
    """Refuse cells that are too small or too large for cells of any tissue; of few cells it is a warning."""
    diameter = equivalent_diameter_um(cells)
    if not (diameter < _SMALLEST_UM or diameter > _LARGEST_UM):
        return
    what = "cells" if cells.nuclei is None else "nuclei"
    text = (
        f"The {what} of '{path}' are {diameter:.3g} µm wide (median), where {_SMALLEST_UM:g} to {_LARGEST_UM:g} µm are "
        "expected: their coordinates have another number of µm per pixel (`mpp`) than the section, as on a smaller "
        "copy of the image. Export them in pixels of the full-resolution image, or give the `mpp` of that image."
    )
    if len(cells) >= _FEWEST:
        raise DataError(text)
    emit([Message("warning", text)])


def _overlaps(cells: Cells, path: Path) -> list[Message]:
    if cells.outlines is None:
        return []
    share = overlapping_share(cells.outlines)
    if not share:
        return []
    text = f"{share:.2%} of the outlines of '{path}' overlap another one; what lies in both counts for both."
    return [Message("warning", text)]


def _nuclei_outside(cells: Cells, path: Path) -> list[Message]:
    import shapely

    if cells.outlines is None or cells.nuclei is None:
        return []
    rows = np.flatnonzero(~shapely.is_missing(cells.nuclei) & ~shapely.covers(cells.outlines, cells.nuclei))
    nuclei = cells.nuclei[rows]
    inside = shapely.area(shapely.intersection(nuclei, cells.outlines[rows]))
    outside = int((inside < (1 - _OUTSIDE) * shapely.area(nuclei)).sum())
    if not outside:
        return []
    text = f"{outside} of {len(cells)} cells of '{path}' have a nucleus that lies at least partly outside of them."
    return [Message("warning", text)]
