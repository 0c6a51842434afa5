"""Which files and folders were written by this program, by their content: others are never replaced."""

from __future__ import annotations

import json
import os
from itertools import islice
from pathlib import Path

__all__ = [
    "FIRST_LINE",
    "MARK",
    "SEGMENTED_README",
    "is_own_geojson",
    "is_own_h5ad",
    "is_own_omezarr",
    "is_own_segmented",
    "is_own_spatialdata",
]

# elements of our SpatialData stores by their kind; whatever else a store holds was added by its user
_ELEMENTS = {
    "images": {"image"},
    "shapes": {"locations", "cells", "nuclei"},
    "tables": {"table"},
    "labels": set(),
    "points": set(),
}
#: first line of our GeoJSON, and the member at its end that says so where features are the user's own
FIRST_LINE, MARK = '{"type": "FeatureCollection", "features": [', "histosge"
_END = f'"{MARK}": "cells"}}'.encode()
#: first line of the README.txt in our folders of Space Ranger's layout
SEGMENTED_README = "Cells predicted by histosge, in the layout of Space Ranger's segmented_outputs."
_SEGMENTED = {
    "README.txt",
    "between_cells.h5",
    "cell_ids.csv",
    "cell_segmentations.geojson",
    "filtered_feature_cell_matrix.h5",
    "nucleus_segmentations.geojson",
    "spatial",
}
_METADATA = {"zarr.json", ".zgroup", ".zattrs", ".zmetadata"}


def is_own_h5ad(path: Path) -> bool:
    """Return whether ``path`` is an h5ad with the layout of ``prediction.h5ad`` or ``factors.h5ad``."""
    import h5py

    if not path.is_file():
        return False
    try:
        with h5py.File(path, "r") as file:
            return "uns/histosge/provenance_json" in file
    except (OSError, RuntimeError, KeyError):
        return False


def is_own_geojson(path: Path) -> bool:
    """Return whether ``path`` ends or begins as the writers write locations, cells and detected tiles."""
    try:
        with path.open(encoding="utf-8") as stream:
            first, *rest = islice(stream, 2)
        if first.rstrip("\n") != FIRST_LINE:
            return False
        if _ends_in(path, _END):
            return True
        # a prediction without locations has no feature
        feature = json.loads(rest[0].strip().rstrip(",")) if rest and rest[0].strip() != "]}" else None
    except (OSError, ValueError):
        return False
    if feature is None:
        return True
    properties = feature.get("properties", {}) if isinstance(feature, dict) else {}
    name = str((properties.get("classification") or {}).get("name"))
    known = name in ("measured spot", "predicted location") or name.startswith("detected ")
    return "measurements" in properties and known


def _ends_in(path: Path, end: bytes) -> bool:
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - len(end) - 1))
        return stream.read().rstrip() == end


def is_own_omezarr(path: Path) -> bool:
    """Return whether ``path`` is an image of predictions to which nothing was added."""
    try:
        attributes = json.loads((path / ".zattrs").read_text(encoding="utf-8"))
        entries = {entry.name for entry in path.iterdir()} - _METADATA - {"labels"}
    except (OSError, ValueError):
        return False
    return "histosge" in attributes and all(name.isdigit() for name in entries)


def is_own_spatialdata(path: Path) -> bool:
    """Return whether ``path`` is a store of predictions to which no element was added."""
    if not (path / "tables" / "table" / "uns" / "histosge").is_dir():
        return False
    entries = {entry.name for entry in path.iterdir()} - _METADATA
    return entries <= set(_ELEMENTS) and all(_holds(path / name, _ELEMENTS[name]) for name in entries)


def is_own_segmented(path: Path) -> bool:
    """Return whether ``path`` is a folder of predicted cells in Space Ranger's layout, to which nothing was added."""
    try:
        with (path / "README.txt").open(encoding="utf-8") as stream:
            first = stream.readline().rstrip("\n")
        entries = {entry.name for entry in path.iterdir()}
    except (OSError, ValueError):
        return False
    return first == SEGMENTED_README and entries <= _SEGMENTED


def _holds(folder: Path, names: set[str]) -> bool:
    return folder.is_dir() and {entry.name for entry in folder.iterdir()} - _METADATA <= names
