"""Cells in GeoJSON: QuPath's, with or without nuclei, and other programs' that follow it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from histosge._runtime.messages import Message, emit
from histosge._runtime.types import Array
from histosge.geometry.polygons import report_left_out
from histosge.segmentation.cells import Cells
from histosge.segmentation.checked_cells import checked_cells
from histosge.segmentation.features import Features, read_features
from histosge.segmentation.stored_cells import StoredCells

from .base import CellOptions, CellSource

__all__ = ["ENDINGS", "ENTRIES", "stored_in"]

ENDINGS = tuple(f".{name}{packed}" for name in ("geojson", "json") for packed in ("", ".gz", ".zip"))
# QuPath's types of objects that are no cells
_NO_CELLS = ("tile", "tmacore", "root")
# polygons a feature, from which features are classes and their polygons cells: annotations, features without type
_PIECES = {"annotation": 2, "": 10}


def detect(path: Path) -> bool:
    """Return whether the path is GeoJSON by its name."""
    return path.is_file() and path.name.lower().endswith(ENDINGS)


def read(path: Path, options: CellOptions) -> Cells:
    """Read outlines, nuclei, ids and classes, from pixels of the full-resolution image.

    Raises
    ------
    DataError
        When it is no GeoJSON, or holds no cells.
    """
    return checked_cells(stored_in(path), path, source="geojson", scale=options.mpp)


def stored_in(path: Path) -> StoredCells:
    """Return the cells of a GeoJSON file in its pixels; objects that are no cells are left out with a count.

    Cells and detections are cells; annotations only where there is neither. Detections beside cells are objects inside
    of them. Annotations of many polygons each are classes of cells, as CellViT writes them: each polygon is a cell.

    Raises
    ------
    DataError
        When it is no GeoJSON.
    """
    left_out: Counter[str] = Counter()
    features = read_features(path, left_out)
    keep = _are_cells(features.kinds)
    left_out.update(f"{kind or 'feature'} beside cells" for kind in features.kinds[~keep])
    features = features.take(keep)
    if len(features.polygons) and len(features.points):
        with_polygons = np.isin(np.arange(len(features)), features.row)
        left_out["point beside outlines"] += int((~with_polygons).sum())
        features = features.take(with_polygons)
    report_left_out(left_out, path)
    return _of_classes(features, path) if _are_classes(features) else _of_cells(features)


def _are_cells(kinds: Array) -> Array:
    """Return which types of objects are cells in a file of these."""
    for chosen in (("cell", ""), ("detection", "")):
        if (kinds == chosen[0]).any():
            return np.asarray(np.isin(kinds, chosen))
    return np.asarray(~np.isin(kinds, _NO_CELLS))


def _are_classes(features: Features) -> bool:
    """Return whether features are classes of cells rather than cells."""
    kinds = set(features.kinds)
    parts = len(features.polygons) + len(features.points)
    if len(features.points):
        return parts > len(features)
    return len(kinds) == 1 and parts >= _PIECES.get(kinds.pop(), np.inf) * len(features)


def _of_cells(features: Features) -> StoredCells:
    points = bool(len(features.points))
    return StoredCells(
        features.ids.tolist(),
        None if points else features.outlines,
        xy=features.points if points else None,
        nuclei=None if points else features.nuclei,
        classes=features.labels.tolist(),
        confidence=features.probabilities,
    )


def _of_classes(features: Features, path: Path) -> StoredCells:
    """Return each polygon or point as a cell of its own."""
    points = bool(len(features.points))
    row = features.point_row if points else features.row
    text = f"Each of the {len(row)} pieces of the {len(features)} features of '{path}' is taken for a cell of its own."
    emit([Message("warning", text)])
    return StoredCells(
        [""] * len(row),
        None if points else features.polygons,
        xy=features.points if points else None,
        classes=features.labels[row].tolist(),
    )


ENTRIES = (
    CellSource(
        "geojson",
        "GeoJSON of QuPath (cells with nuclei, detections, compressed), StarDist, CellViT, HEST: outlines or points",
        detect,
        read,
        priority=80,
    ),
)
