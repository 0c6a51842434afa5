"""Segmented cells of Space Ranger 4: the folder ``segmented_outputs``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from histosge._runtime.messages import Message, emit
from histosge.errors import DataError
from histosge.segmentation.cells import Cells
from histosge.segmentation.checked_cells import checked_cells
from histosge.segmentation.stored_cells import StoredCells

from .base import CellOptions, CellSource
from .geojson import stored_in

__all__ = ["ENTRIES"]

_CELLS, _NUCLEI = "cell_segmentations.geojson", "nucleus_segmentations.geojson"
_CLASSES = "graphclust_annotated_"
_FOLDERS = ("", "segmented_outputs", "outs/segmented_outputs")
# scales of two images that differ by more are not those of one image
_SAME_SCALE = 0.05


def detect(path: Path) -> bool:
    """Return whether the path is ``segmented_outputs``, or a folder with it."""
    return path.is_dir() and _folder_of(path) is not None


def read(path: Path, options: CellOptions) -> Cells:
    """Read the outlines of cells, and those of nuclei with the same ``cell_id``; nuclei alone where there are no cells.

    Raises
    ------
    DataError
        When the outlines are damaged, or were found on an image of another scale than the section's.
    """
    folder = _folder_of(path)
    if folder is None:
        raise DataError(f"Expected '{_CELLS}' in '{path}', got none.")
    _refuse_scale(folder, options.mpp)
    name = _CELLS if (folder / _CELLS).is_file() else _NUCLEI
    stored = _with_classes(stored_in(folder / name), folder / f"{_CLASSES}{name}")
    if name == _CELLS and (folder / _NUCLEI).is_file():
        stored = _with_nuclei(stored, stored_in(folder / _NUCLEI), folder / _NUCLEI)
    return checked_cells(stored, folder / name, source="spaceranger", scale=options.mpp)


def _folder_of(path: Path) -> Path | None:
    folders = [path / name for name in _FOLDERS]
    return next((f for f in folders if (f / _CELLS).is_file() or (f / _NUCLEI).is_file()), None)


def _refuse_scale(folder: Path, mpp: float) -> None:
    """Refuse outlines on an image whose scale is written beside them, and is not the section's."""
    path = folder / "spatial" / "scalefactors_json.json"
    try:
        stated = float(json.loads(path.read_text(encoding="utf-8"))["microns_per_pixel"])
    except (OSError, ValueError, TypeError, LookupError):
        return
    if stated > 0 and abs(stated / mpp - 1) > _SAME_SCALE:
        raise DataError(
            f"The cells of '{folder}' were found on an image of {stated:.4g} µm per pixel, the section has "
            f"{mpp:.4g}: they belong to different images. Give the section that Space Ranger made of the same image."
        )


def _with_nuclei(cells: StoredCells, nuclei: StoredCells, path: Path) -> StoredCells:
    """Return cells with the nuclei of the same id."""
    row_of = {name: row for row, name in enumerate(cells.ids)}
    rows = np.array([row_of.get(name, -1) for name in nuclei.ids], dtype=int)
    shapes = np.full(len(cells), None, dtype=object)
    if nuclei.outlines is not None:
        shapes[rows[rows >= 0]] = nuclei.outlines[rows >= 0]
    if (lost := int((rows < 0).sum())) > 0:
        text = f"{lost} of {len(rows)} nuclei of '{path}' have a cell_id that no cell has, and were left out."
        emit([Message("warning", text)])
    return replace(cells, nuclei=shapes)


def _with_classes(cells: StoredCells, path: Path) -> StoredCells:
    """Return cells with the clusters of the annotated copy of their file, where there is one."""
    if not path.is_file():
        return cells
    annotated = stored_in(path)
    classes = dict(zip(annotated.ids, annotated.classes or (), strict=True))
    return replace(cells, classes=[classes.get(name, "") for name in cells.ids])


ENTRIES = (
    CellSource(
        "spaceranger",
        "segmented cells of Visium HD: the folder segmented_outputs of Space Ranger 4, with nuclei and clusters",
        detect,
        read,
        priority=10,
    ),
)
