"""Features of tiles that other tools computed: HDF5 files of TRIDENT, CLAM and HEST."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.hashing import fingerprint_file
from histosge._runtime.types import Array, Float
from histosge.errors import DataError, UsageError

__all__ = ["TileFile", "read_tile_file"]

# what h5py raises for files that are cut off or damaged
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError)
# names of the vectors: TRIDENT and CLAM, HEST
_VECTORS = ("features", "embeddings")


@dataclass(frozen=True, slots=True, eq=False)
class TileFile:
    """Vectors of tiles, placed in pixels of the slide at its full resolution.

    Parameters
    ----------
    path
        The file.
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
    """

    path: Path
    vectors: Array
    corners_px: Float[np.ndarray, "n 2"]
    side_px: float
    slide_px: tuple[int, int] | None = None
    mpp: float | None = None
    encoder: str = ""

    @property
    def content_hash(self) -> str:
        """Hash of the file's content."""
        return fingerprint_file(self.path)


def read_tile_file(path: Path) -> TileFile:
    """Read the vectors of tiles, and where they lie.

    Parameters
    ----------
    path
        An HDF5 file with ``features`` (TRIDENT, CLAM) or ``embeddings`` (HEST), and ``coords``. A file of CLAM has no
        width of its tiles: that is read from its file of patches, ``../patches/NAME.h5``.

    Raises
    ------
    UsageError
        Where there is no such file, or the width of its tiles is not known.
    DataError
        When it is damaged, has no tiles, NaN among its vectors, or other shapes.
    """
    import h5py

    if not path.is_file():
        raise UsageError(f"Expected a file with features of tiles at '{path}', found none.")
    try:
        with h5py.File(path) as file:
            name = next((name for name in _VECTORS if name in file), None)
            if name is None or "coords" not in file:
                raise DataError(
                    f"Expected `features` and `coords` in '{path}', got {', '.join(sorted(file)) or 'nothing'}. Give "
                    "the features of patches that TRIDENT, CLAM or HEST wrote as HDF5."
                )
            vectors, corners = np.asarray(file[name]), np.asarray(file["coords"], dtype=np.float64)
            attributes = {**dict(file[name].attrs), **dict(file["coords"].attrs)}
    except _DAMAGE as error:
        raise DataError(f"'{path}' is no HDF5 file that can be read, or is damaged ({error}).") from error
    _refuse(path, vectors, corners)
    attributes = _known(attributes) if _known(attributes) else _of_patches(path)
    return TileFile(path, vectors, corners, **attributes)


def _refuse(path: Path, vectors: Array, corners: Array) -> None:
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


def _known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the attributes of TRIDENT or HEST say of tiles; empty where they say nothing."""
    if "patch_size_level0" in attributes:
        # TRIDENT writes what it does not know as the word None
        size = [attributes.get(f"level0_{side}", "None") for side in ("width", "height")]
        encoder = str(attributes.get("encoder", "None"))
        return {
            "side_px": float(attributes["patch_size_level0"]),
            "slide_px": None if "None" in map(str, size) else (int(size[0]), int(size[1])),
            "encoder": "" if encoder == "None" else encoder,
        }
    if "patch_size_src" in attributes and "pixel_size" in attributes:
        return {"side_px": float(attributes["patch_size_src"]), "mpp": float(attributes["pixel_size"])}
    return {}


def _of_patches(path: Path) -> dict[str, Any]:
    """Return the width of tiles from CLAM's file of patches.

    Raises
    ------
    UsageError
        Where there is none.
    """
    import h5py

    patches = path.parent.parent / "patches" / path.name
    try:
        with h5py.File(patches) as file:
            attributes = dict(file["coords"].attrs)
        shrunken = float(np.ravel(attributes["downsample"])[0])
        side = float(attributes["patch_size"]) * shrunken * float(attributes.get("custom_downsample", 1))
    except _DAMAGE as error:
        raise UsageError(
            f"'{path}' does not say how wide its tiles are. CLAM writes it into its file of patches: put that at "
            f"'{patches}', beside the folder of the features."
        ) from error
    return {"side_px": side}
