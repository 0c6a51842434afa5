"""10x count matrices: HDF5 of Cell Ranger 2 and 3, and folders of Matrix Market files."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from histosge._runtime.messages import Message
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.io.hdf5.heaps import refuse_endless_heaps
from histosge.io.hdf5.stored_matrix import checked

from .file_names import find, opened

__all__ = ["Matrix", "as_sentence", "features_of", "genes_only", "narrow_indices", "read_matrix"]

_EXPRESSION = "Gene Expression"
# indices that are read at a time: 16 MiB of memory
_PIECE = 1 << 21


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """Counts (barcodes × genes) with their names."""

    counts: sparse.csr_matrix
    barcodes: Array
    genes: Array
    gene_ids: Array
    messages: tuple[Message, ...] = ()


def read_matrix(path: Path) -> Matrix:
    """Read an ``.h5`` file or a folder with ``matrix.mtx[.gz]``.

    Features other than genes (antibodies, CRISPR guides) are left out, with a message.

    Raises
    ------
    UsageError
        When ``path`` does not exist.
    DataError
        When it is damaged or no count matrix.
    """
    if not path.exists():
        raise UsageError(f"Expected a count matrix, found none at '{path}'.")
    return _read_folder(path) if path.is_dir() else _read_h5(path)


@contextmanager
def as_sentence(path: Path) -> Iterator[None]:
    """Turn what reading a damaged file raises into a sentence."""
    try:
        yield
    except (OSError, EOFError, LookupError, ValueError, TypeError, RuntimeError, zlib.error) as error:
        raise DataError(
            f"'{path}' is damaged, cut short or no 10x count matrix ({error}). Copy it again."
        ) from error


def _read_h5(path: Path) -> Matrix:
    import h5py

    refuse_endless_heaps(path)
    with as_sentence(path), opened(path) as stream, h5py.File(stream, "r") as file:
        # versions before 3 name the group after the genome
        groups = ["matrix"] if "matrix" in file else list(file)
        if not groups:
            raise ValueError("it holds no matrix")
        group = file[groups[0]]
        shape = tuple(int(size) for size in group["shape"][:])
        # stored gene by barcode in columns, which is barcode by gene in rows
        parts = (group["data"][:], narrow_indices(group["indices"], shape[0]), group["indptr"][:])
        counts = sparse.csr_matrix(parts, shape=shape[::-1])
        del parts
        checked(counts, "in it")
        barcodes = _text(group["barcodes"])
        genes, gene_ids, kinds = features_of(group)
        return genes_only(counts, barcodes, genes=genes, gene_ids=gene_ids, kinds=kinds)


def features_of(group: Any) -> tuple[Array, Array, Array | None]:
    """Return names, identifiers and kinds of the features of a 10x matrix; no kinds in versions before 3."""
    if "features" not in group:
        return _text(group["gene_names"]), _text(group["genes"]), None
    features = group["features"]
    kinds = _text(features["feature_type"]) if "feature_type" in features else None
    return _text(features["name"]), _text(features["id"]), kinds


def narrow_indices(dataset: Any, end: int) -> Array:
    """Return indices below ``end``, which files hold with 64 bits, in half of them; read piece by piece.

    Raises
    ------
    ValueError
        For one out of range, which fewer bits would turn into another index.
    """
    # what NumPy and SciPy make of other types and shapes, they say themselves
    if dataset.ndim != 1 or dataset.dtype.kind not in "iu" or dataset.dtype.itemsize <= 4:
        return np.asarray(dataset[:])
    indices = np.empty(len(dataset), dtype=np.int32)
    for start in range(0, len(dataset), _PIECE):
        piece = dataset[start : start + _PIECE]
        if piece.min() < 0 or piece.max() >= min(end, 2**31):
            raise ValueError("an index out of range")
        indices[start : start + _PIECE] = piece
    return indices


def _read_folder(folder: Path) -> Matrix:
    from scipy.io import mmread

    with as_sentence(folder):
        barcodes = np.array([line.split("\t")[0] for line in _lines(folder, "barcodes.tsv")])
        features = [line.split("\t") for line in _lines(folder, "features.tsv", "genes.tsv")]
        with opened(_existing(folder, "matrix.mtx")) as stream:
            matrix = mmread(stream)
        counts = sparse.csr_matrix(matrix.T)
        # values of one barcode and gene are added up
        if sparse.issparse(matrix) and counts.nnz < matrix.nnz:
            raise ValueError("two values for one barcode and feature")
        if counts.shape != (len(barcodes), len(features)):
            raise ValueError(
                f"a matrix of {counts.shape} for {len(barcodes)} barcodes and {len(features)} features"
            )
    ids = np.array([feature[0] for feature in features])
    names = np.array([feature[1] if len(feature) > 1 else feature[0] for feature in features])
    kinds = np.array([feature[2] if len(feature) > 2 else _EXPRESSION for feature in features])
    return genes_only(counts, barcodes, genes=names, gene_ids=ids, kinds=kinds)


def genes_only(
    counts: sparse.csr_matrix, barcodes: Array, genes: Array, gene_ids: Array, kinds: Array | None
) -> Matrix:
    """Return a matrix without the features that are no genes, and a message where there are any."""
    if counts.shape != (len(barcodes), len(genes)) or len(genes) != len(gene_ids):
        raise DataError(
            f"A count matrix of {counts.shape[0]} × {counts.shape[1]} has {len(barcodes)} barcodes and {len(genes)} "
            "features: it is damaged. Copy it again."
        )
    if kinds is None or (kinds == _EXPRESSION).all() or not (kinds == _EXPRESSION).any():
        return Matrix(counts, barcodes, genes, gene_ids)
    keep = kinds == _EXPRESSION
    others = ", ".join(sorted(set(kinds[~keep].tolist())))
    message = Message("info", f"{int((~keep).sum())} features that are no genes ({others}) were left out.")
    return Matrix(counts[:, keep], barcodes, genes=genes[keep], gene_ids=gene_ids[keep], messages=(message,))


def _text(dataset: Any) -> Array:
    return np.array(
        [item.decode() if isinstance(item, bytes) else str(item) for item in dataset[:]], dtype=str
    )


def _existing(folder: Path, *names: str) -> Path:
    path = find(folder, *names)
    if path is None:
        raise ValueError(f"no {' or '.join(names)}[.gz] in the folder")
    return path


def _lines(folder: Path, *names: str) -> list[str]:
    path = _existing(folder, *names)
    with opened(path) as stream:
        lines = stream.read().decode("utf-8-sig").splitlines()
    return [line for line in lines if line.strip()]
