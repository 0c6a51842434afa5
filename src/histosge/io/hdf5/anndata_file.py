"""AnnData files on disk: writing them in parts, and errors for damaged ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from histosge._runtime.sealed_files import refuse_broken_seal, seal
from histosge._runtime.types import Array
from histosge.errors import DataError, HistosgeError, UsageError

from .heaps import refuse_endless_heaps
from .packed import PACKED, write_packed
from .sink import Sink, hdf5_file

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["NO_H5AD", "clear_layout", "clear_reading", "created", "no_damage", "read_anndata"]

# what :func:`no_damage` says of a file that others may have written
NO_H5AD = "is damaged or no h5ad ({reason}). Copy it again."

# HDF5's cache of chunks, so that a chunk is compressed once
_CACHE_BYTES = 1 << 24
# smaller arrays are left to anndata
_LARGE_BYTES = 1 << 16


@contextmanager
def created(path: Path, parts: Mapping[str, Any]) -> Iterator[tuple[Any, Sink]]:
    """Write ``parts`` as a compressed AnnData file; yield the open file, and its sink to be checked between writes.

    The closed file ends with a checksum, see :mod:`histosge._runtime.sealed_files`.

    Errors keep the number of the operating system, which distinguishes a full disk from a defect.
    """
    from anndata.experimental import write_dispatched

    with hdf5_file(path, rdcc_nbytes=_CACHE_BYTES) as (file, sink):
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        for name, part in parts.items():
            write_dispatched(file, name, part, _write_packed)
        sink.check()
        yield file, sink
    seal(path)


def read_anndata(path: Path) -> AnnData:
    """Return the AnnData of a file that others may have written.

    Raises
    ------
    UsageError
        When the file must not be read.
    DataError
        When it is damaged, or no h5ad.
    """
    from anndata import read_h5ad

    with no_damage(path, NO_H5AD):
        return read_h5ad(path)


@contextmanager
def no_damage(path: Path, ending: str) -> Iterator[None]:
    """Refuse a damaged file, and turn what libraries raise while it is read into a sentence.

    ``ending`` follows the name of the file; ``{reason}`` in it is what the library says.
    """
    try:
        # what is as it was written has heaps that end
        if not refuse_broken_seal(path):
            refuse_endless_heaps(path)
        yield
    except (HistosgeError, MemoryError):
        raise
    except PermissionError as error:
        raise UsageError(f"No permission to read '{path}'.") from error
    # errors of h5py, anndata, pandas and msgspec for files that were cut off or changed, each of its own class
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"'{path}' {ending.format(reason=reason)}") from error


@contextmanager
def clear_reading(path: Path, what: str = "prediction.h5ad") -> Iterator[None]:
    """Refuse a damaged file, and turn errors of h5py and anndata about one into a sentence."""
    if not path.is_file():
        raise UsageError(f"There is no file '{path}'. Give the {what} of a run.")
    ending = "is truncated, changed or no h5ad file. Write it again: the run that made it continues where it stopped."
    with no_damage(path, ending):
        yield


@contextmanager
def clear_layout(path: Path) -> Iterator[None]:
    """Turn a missing part into a sentence."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        raise DataError(
            f"'{path}' holds no prediction in the layout of this version (missing or different: {error}). "
            "Predict again with this version."
        ) from error


def _write_packed(write: Callable[..., None], store: Any, key: str, part: Any, **_: Any) -> None:
    """Write one element with compression, which HDF5 allows for arrays only."""
    if type(part) is np.ndarray and _is_large(part):
        _encoded(write_packed(store, key, part), "array", "0.2.0")
    elif isinstance(part, sparse.csr_matrix | sparse.csc_matrix) and _is_large(part.data):
        group = store.create_group(key)
        _encoded(group, f"{part.format}_matrix", "0.1.0")
        group.attrs["shape"] = part.shape
        for name in ("data", "indices", "indptr"):
            write_packed(group, name, getattr(part, name), grows=True)
    else:
        write(store, key, part, dataset_kwargs=PACKED if np.ndim(part) else {})


def _is_large(values: Array) -> bool:
    return values.dtype.kind in "fiu" and values.nbytes > _LARGE_BYTES


def _encoded(element: Any, kind: str, version: str) -> None:
    """Say what anndata reads an element as."""
    element.attrs.update({"encoding-type": kind, "encoding-version": version})
