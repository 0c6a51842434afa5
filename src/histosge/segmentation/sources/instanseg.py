"""GeoJSON of InstanSeg: nuclei and cells as features side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from histosge._runtime.messages import Message, emit
from histosge.geometry.json_text import json_head
from histosge.segmentation.cells import Cells
from histosge.segmentation.checked_cells import checked_cells
from histosge.segmentation.paired_nuclei import paired_nuclei
from histosge.segmentation.stored_cells import StoredCells

from .base import CellOptions, CellSource
from .geojson import ENDINGS, stored_in

__all__ = ["ENTRIES"]

# words for the two outputs; not classes of cells
_NUCLEI, _CELLS = ("nucleus", "nuclei"), ("cell", "cells")
_NO_CLASSES = (*_NUCLEI, *_CELLS, "detection")


def detect(path: Path) -> bool:
    """Return whether the path is GeoJSON with InstanSeg's keys among its first features."""
    if not (path.is_file() and path.name.lower().endswith(ENDINGS)):
        return False
    head = json_head(path)
    return b'"object_type"' in head and b'"Label"' in head


def read(path: Path, options: CellOptions) -> Cells:
    """Read outlines; nuclei are joined to the cells that they lie in. The enumerated labels are no ids.

    Raises
    ------
    DataError
        When it is no GeoJSON, or holds no cells.
    """
    stored = stored_in(path)
    words = np.array([word.lower() for word in stored.classes or ()], dtype=str)
    nuclei, cells = np.isin(words, _NUCLEI), np.isin(words, _CELLS)
    if np.isin(words, _NO_CLASSES).all():
        stored = replace(stored, classes=None)
    if stored.outlines is not None and nuclei.any() and cells.any():
        stored = _joined(stored, nuclei, path)
    return checked_cells(stored, path, source="instanseg", scale=options.mpp)


def _joined(stored: StoredCells, are_nuclei: np.ndarray, path: Path) -> StoredCells:
    import shapely

    cells = stored.take(np.flatnonzero(~are_nuclei))
    nuclei = stored.take(np.flatnonzero(are_nuclei))
    outlines, shapes = shapely.make_valid(cells.outlines), shapely.make_valid(nuclei.outlines)
    of_cells, lost = paired_nuclei(outlines, shapes)
    if lost:
        text = f"{lost} of {len(nuclei)} nuclei of '{path}' lie in no cell, and were left out."
        emit([Message("warning", text)])
    return replace(cells, nuclei=of_cells)


ENTRIES = (
    CellSource(
        "instanseg",
        "GeoJSON of InstanSeg, nuclei joined to the cells around them",
        detect,
        read,
        priority=30,
    ),
)
