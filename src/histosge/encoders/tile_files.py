"""Features of tiles that other tools computed: which reader takes which file."""

from __future__ import annotations

from pathlib import Path

from histosge.errors import UsageError

from .tile_file import TileFile
from .tile_hdf5 import read_hdf5
from .tile_tables import is_anndata, is_table, is_zarr, read_anndata, read_store

__all__ = ["is_tile_file", "read_tile_file"]

_SUFFIXES = (".h5", ".hdf5", ".h5ad")
# files that only unpickling reads, which runs what is in them
_PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".npy")


def is_tile_file(path: Path) -> bool:
    """Return whether the name is that of a file of features, or of a store."""
    return is_zarr(path) or (path.is_file() and path.suffix.lower() in _SUFFIXES)


def read_tile_file(path: Path) -> TileFile:
    """Read the vectors of tiles, and where they lie.

    Parameters
    ----------
    path
        HDF5 of TRIDENT, CLAM or HEST; a zarr store of LazySlide, or one table of features in it,
        ``STORE/tables/NAME``; an AnnData of tiles.

    Raises
    ------
    UsageError
        Where there is no such file, the width of its tiles is not known, or a store has several tables.
    DataError
        When it is damaged, has no tiles, NaN among its vectors, or other shapes.
    """
    if path.suffix.lower() in _PICKLES:
        raise UsageError(
            f"'{path}' holds vectors without coordinates, in a form that runs code when it is read. Give the HDF5 file "
            "of the same tool."
        )
    if path.is_dir() and is_zarr(path):
        return read_anndata(path) if is_anndata(path) and not is_table(path) else read_store(path)
    if not path.is_file():
        raise UsageError(f"Expected a file with features of tiles at '{path}', found none.")
    return read_anndata(path) if is_anndata(path) else read_hdf5(path)
