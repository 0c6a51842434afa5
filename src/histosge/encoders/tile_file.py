"""Vectors of tiles, placed in pixels of the slide; what other tools' files are read into."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from histosge._runtime.hashing import fingerprint, fingerprint_file, fingerprint_path
from histosge._runtime.types import Array, Float
from histosge.errors import DataError

__all__ = ["TileFile", "refuse_tiles"]


@dataclass(frozen=True, slots=True, eq=False)
class TileFile:
    """Vectors of tiles, placed in pixels of the slide at its full resolution.

    Parameters
    ----------
    path
        The file, or the table of features in a store.
    vectors
        One row a tile.
    corners_px
        Upper left corners (x, y).
    side_px
        Width of a tile.
    slide_px
        Width and height of the slide, where the file says it.
    mpp
        µm per pixel, where the file says it: neither TRIDENT nor CLAM does.
    encoder
        Name of the network; empty where the file does not say it.
    sources
        Files and folders that all this was read from, where they are more than ``path``.
    """

    path: Path
    vectors: Array
    corners_px: Float[np.ndarray, "n 2"]
    side_px: float
    slide_px: tuple[int, int] | None = None
    mpp: float | None = None
    encoder: str = ""
    sources: tuple[Path, ...] = ()

    @property
    def content_hash(self) -> str:
        """Hash of the file's content; of a store, of what was read from it: other tables may come and go."""
        if not self.sources:
            return fingerprint_file(self.path)
        return fingerprint(
            [fingerprint_path(source) for source in self.sources], self.side_px, self.slide_px, self.mpp
        )


def refuse_tiles(path: Path, vectors: Array, corners: Array) -> None:
    """Refuse what is not one finite vector a tile.

    Raises
    ------
    DataError
        Where it is not.
    """
    if vectors.ndim == 1 and vectors.size:
        raise DataError(f"'{path}' holds one vector of a whole slide; give the features of its patches.")
    if not len(vectors) or not len(corners):
        raise DataError(f"'{path}' has no tiles: no tissue was found on that slide.")
    if vectors.ndim != 2 or corners.shape != (len(vectors), 2):
        raise DataError(
            f"Expected one vector and one corner (x, y) for each tile in '{path}', got arrays of shape "
            f"{vectors.shape} and {corners.shape}."
        )
    if vectors.dtype.kind not in "fiu" or not np.isfinite(vectors).all() or not np.isfinite(corners).all():
        raise DataError(
            f"The features or coordinates in '{path}' are not all finite numbers. Compute them again."
        )
