"""Tiles in the folders and files of TRIDENT (coordinates and features of patches, HDF5)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.atomic_files import atomic_path

from .encoded_tiles import MARK, EncodedTiles, as_text, plain_name, refuse_foreign_file

__all__ = ["write_folder"]

# TRIDENT's magnifications, by the µm per pixel below which they begin
_MAGNIFICATIONS = ((0.16, 80), (0.2, 60), (0.3, 40), (0.6, 20), (1.2, 10), (2.4, 5))
# rows written at once
_ROWS = 4096
# TRIDENT's own word for what is not known
_UNKNOWN = "None"


def write_folder(folder: Path, tiles: EncodedTiles) -> Path:
    """Write ``{magnification}x_{px}px_{overlap}px_overlap/features_{encoder}/{section}.h5``, and the file of patches.

    TRIDENT has no µm per pixel. An image coarser than 2.4 µm per pixel has no magnification there: it is written as
    the word None, and the folder is named by the pixels alone.

    Returns
    -------
    The file of features.

    Raises
    ------
    UsageError
        Where another program's file stands there, or the folder cannot be written.
    OutputError
        When the disk is full.
    """
    patch = tiles.card.patches[0]
    overlap = round(tiles.overlap_px * patch.px / tiles.side_px)
    target = _magnification(patch.mpp)
    name = f"{'' if target == _UNKNOWN else f'{target}x_'}{patch.px}px_{overlap}px_overlap"
    section, encoder = plain_name(tiles.name), plain_name(tiles.card.name)
    patches = folder / name / "patches" / f"{section}_patches.h5"
    features = folder / name / f"features_{encoder}" / f"{section}.h5"
    attributes = _attributes(tiles, target=target, overlap=overlap)
    for path in (patches, features):
        refuse_foreign_file(path)
    _write(patches, tiles, {"coords": {**attributes, "savetodir": str(patches.parent)}})
    named = {"name": tiles.name, "savetodir": str(features.parent), "encoder": encoder}
    _write(features, tiles, {"coords": {**attributes, "savetodir": str(features.parent)}, "features": named})
    return features


def _attributes(tiles: EncodedTiles, *, target: int | str, overlap: int) -> Mapping[str, Any]:
    """Return what TRIDENT writes beside the coordinates."""
    height, width = tiles.shape_px
    return {
        "patch_size": tiles.card.patches[0].px,
        "patch_size_level0": tiles.side_px,
        "level0_magnification": _magnification(tiles.slide.mpp),
        "target_magnification": target,
        "overlap": overlap,
        "name": tiles.name,
        "level0_width": width,
        "level0_height": height,
    }


def _write(path: Path, tiles: EncodedTiles, attributes: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the data sets that have attributes."""
    import h5py

    shape = (len(tiles.rows), tiles.card.dim)
    with atomic_path(path) as draft, h5py.File(draft, "w") as file:
        file.attrs[MARK] = as_text(tiles.about)
        file["coords"] = tiles.corners_px
        if "features" in attributes:
            features = file.create_dataset("features", shape=shape, dtype="float32")
            for start in range(0, len(tiles.rows), _ROWS):
                rows = slice(start, start + _ROWS)
                features[rows] = np.asarray(tiles.features[tiles.rows[rows]], dtype=np.float32)
        for name, values in attributes.items():
            file[name].attrs.update(values)


def _magnification(mpp: float) -> int | str:
    return next((magnification for below, magnification in _MAGNIFICATIONS if mpp < below), _UNKNOWN)
