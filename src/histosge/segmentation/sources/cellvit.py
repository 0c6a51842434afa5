"""The JSON files of CellViT and its successors."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from histosge._runtime.messages import Message, emit
from histosge._runtime.types import Array
from histosge.errors import DataError
from histosge.geometry.json_text import json_head, json_text
from histosge.segmentation.cells import Cells
from histosge.segmentation.checked_cells import checked_cells
from histosge.segmentation.polygon_arrays import joined_pieces, polygon_pieces
from histosge.segmentation.stored_cells import StoredCells

from .base import CellOptions, CellSource

__all__ = ["ENTRIES"]

_ENDINGS = (".json", ".json.gz", ".json.zip")
# classes of PanNuke, which CellViT was trained on, for files without a map of types
_PANNUKE = {"1": "Neoplastic", "2": "Inflammatory", "3": "Connective", "4": "Dead", "5": "Epithelial"}
# cells that are made into shapes at once: their lists of numbers are in memory
_BLOCK = 20_000


class _Cell(msgspec.Struct):
    centroid: list[float]
    contour: list[list[float]] | None = None
    type: int | str | None = None
    type_prob: float | None = None


class _Document(msgspec.Struct):
    cells: list[msgspec.Raw]
    type_map: dict[str, Any] | None = None
    wsi_metadata: dict[str, Any] | None = None


_DOCUMENT, _CELL = msgspec.json.Decoder(_Document), msgspec.json.Decoder(_Cell)


def detect(path: Path) -> bool:
    """Return whether the path is JSON with CellViT's keys at its beginning."""
    if not (path.is_file() and path.name.lower().endswith(_ENDINGS)):
        return False
    head = json_head(path).lstrip(b"\xef\xbb\xbf \r\n\t")
    keys = (b'"wsi_metadata"', b'"type_map"', b'"cells"')
    return head.startswith(b"{") and any(key in head for key in keys) and b'"features"' not in head[:1024]


def read(path: Path, options: CellOptions) -> Cells:
    """Read outlines (or centroids, of ``cell_detection.json``), types by name, and their probabilities.

    Raises
    ------
    DataError
        When the file is damaged, or the size of its nuclei is that of another scale.
    """
    text = json_text(path)
    try:
        document = _DOCUMENT.decode(text)
        stored = _stored(document)
    except (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError) as error:
        raise DataError(f"'{path}' is no JSON of cells by CellViT ({error}). Write it again.") from error
    _warn_of_downsampling(document.wsi_metadata or {}, path)
    return checked_cells(stored, path, source="cellvit", scale=options.mpp)


def _stored(document: _Document) -> StoredCells:
    names = {**_PANNUKE, **{key: _name(value) for key, value in (document.type_map or {}).items()}}
    outlines, classes = [], []
    centroids: list[list[float]] = []
    confidence: list[float] = []
    cells = (_CELL.decode(raw) for raw in document.cells)
    while block := list(islice(cells, _BLOCK)):
        # a contour of fewer than three corners has no area
        rings = [[[_ring(cell)]] if len(cell.contour or ()) > 2 else [] for cell in block]
        outlines.append(joined_pieces(*polygon_pieces(rings), len(block)))
        centroids += [cell.centroid[:2] for cell in block]
        classes += ["" if cell.type is None else names.get(str(cell.type), str(cell.type)) for cell in block]
        confidence += [np.nan if cell.type_prob is None else cell.type_prob for cell in block]
    shapes = np.concatenate(outlines) if outlines else np.empty(0, dtype=object)
    outlined = bool(len(shapes)) and any(shape is not None for shape in shapes)
    return StoredCells(
        [""] * len(shapes),
        shapes if outlined else None,
        xy=None if outlined else np.array(centroids, dtype=np.float64).reshape(-1, 2),
        classes=classes,
        confidence=np.array(confidence, dtype=np.float64),
    )


def _ring(cell: _Cell) -> Array:
    return np.array(cell.contour, dtype=np.float64).reshape(-1, 2)


def _name(value: Any) -> str:
    return str(value.get("name", "")) if isinstance(value, dict) else str(value)


def _warn_of_downsampling(metadata: dict[str, Any], path: Path) -> None:
    """Warn of a slide that was read at a coarser level: versions differ in whether outlines were scaled back."""
    factor = metadata.get("downsampling")
    if isinstance(factor, (int, float)) and factor > 1:
        text = (
            f"'{path}' was made at 1/{factor:g} of the image's resolution; some versions of CellViT do not scale the "
            "outlines back. Check cells on the image, or detect them at full resolution."
        )
        emit([Message("warning", text)])


ENTRIES = (
    CellSource(
        "cellvit",
        "cells.json and cell_detection.json of CellViT (its GeoJSON is read as such; no .pt)",
        detect,
        read,
        priority=30,
    ),
)
