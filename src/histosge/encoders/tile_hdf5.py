"""Features of tiles in HDF5 files of TRIDENT, CLAM and HEST."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from histosge.errors import DataError, UsageError

from .tile_file import TileFile, refuse_tiles

__all__ = ["read_hdf5"]

# what h5py raises for files that are cut off or damaged
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError)
# names of the vectors: TRIDENT and CLAM, HEST
_VECTORS = ("features", "embeddings")


def read_hdf5(path: Path) -> TileFile:
    """Read the vectors of tiles, and where they lie.

    Parameters
    ----------
    path
        An HDF5 file with ``features`` (TRIDENT, CLAM) or ``embeddings`` (HEST), and ``coords``. A file of CLAM has no
        width of its tiles: that is read from its file of patches, ``../patches/NAME.h5``.

    Raises
    ------
    UsageError
        Where the width of its tiles is not known.
    DataError
        When it is damaged, or has other contents.
    """
    import h5py

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
    refuse_tiles(path, vectors, corners)
    return TileFile(path, vectors, corners, **(_known(attributes) or _of_patches(path)))


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
