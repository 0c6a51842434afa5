"""Profiles of an h5ad, read from the disk in blocks of rows: the file may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from histosge._runtime.messages import Message
from histosge._runtime.types import Array
from histosge.errors import DataError
from histosge.io.hdf5.anndata_file import NO_H5AD, no_damage
from histosge.io.hdf5.stored_matrix import checked
from histosge.io.readers.anndata_counts import counts_of, gene_names_of
from histosge.io.readers.count_values import are_counts, kind_of_values

from .gene_names import GeneNames
from .profiles import Profiles, block_rows, of_matrix

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["of_anndata", "of_h5ad"]

# the first that holds counts of the most genes is read
_MATRICES = ("layers/counts", "X", "raw/X")
# a matrix stored by columns is turned in memory up to this size
_TURNED_BYTES = 1 << 30


def of_anndata(adata: AnnData, name: str) -> Profiles:
    """Return the profiles of an AnnData in memory.

    Raises
    ------
    DataError
        When it holds no raw counts.
    """
    counts = counts_of(adata)
    return of_matrix(name, counts.counts, GeneNames.of(counts.genes, counts.gene_ids), counts.messages)


def of_h5ad(path: Path) -> Profiles:
    """Return the profiles of a file, of which no more than a block is in memory.

    Read are ``layers["counts"]``, ``X`` or ``raw.X``: of those with raw counts, the one with the most genes.

    Raises
    ------
    DataError
        When it is damaged, has no raw counts, or is large and stored by columns.
    """
    with no_damage(path, NO_H5AD), _opened(path) as file:
        matrix = _matrix_of(file, path)
        genes = _genes(file["raw/var" if matrix.startswith("raw") else "var"])
        shape = _shape(file[matrix])
        if shape[1] != len(genes):
            raise ValueError(f"{shape[1]} columns for {len(genes)} genes")
        mask = _on_tissue(file, shape[0])
        turned = _turned(file[matrix], path) if _format(file[matrix]) == "csc" else None
    message = Message("info", f"Counts of '{path.name}' were taken from {matrix}.")
    if turned is not None:
        return of_matrix(path.stem, turned if mask is None else turned[mask], genes, (message,))

    def read() -> Iterator[sparse.csr_matrix]:
        with no_damage(path, NO_H5AD), _opened(path) as file:
            for start, block in _blocks(file[matrix]):
                yield block if mask is None else block[mask[start : start + block.shape[0]]]

    number = shape[0] if mask is None else int(mask.sum())
    return Profiles(path.stem, genes, number, read, (message,))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import h5py

    # a small cache of chunks: rows are read once, in order
    with h5py.File(path, "r", rdcc_nbytes=1 << 22) as file:
        yield file


def _matrix_of(file: Any, path: Path) -> str:
    """Return the matrix with raw counts of the most genes."""
    kinds: dict[str, str] = {}
    columns: dict[str, int] = {}
    for name in (name for name in _MATRICES if name in file):
        block = _first_block(file[name])
        if are_counts(block):
            columns[name] = _shape(file[name])[1]
        else:
            kinds[name] = kind_of_values(block)
    if columns:
        # the first of those with the most genes
        return max(columns, key=lambda name: columns[name])
    described = "; ".join(f"{kind} in {name}" for name, kind in kinds.items()) or "a file without a matrix"
    raise DataError(
        f"Expected raw counts in '{path.name}', got {described}. Put the counts before normalisation into "
        'layers["counts"].'
    )


def _first_block(node: Any) -> sparse.csr_matrix:
    """Return the first rows; of a matrix stored by columns, some of its values."""
    if _format(node) == "csc":
        values = np.asarray(node["data"][:_MANY])
        return sparse.csr_matrix(values[None, :])
    return next(_blocks(node), (0, sparse.csr_matrix(_shape(node))))[1]


# values that tell what a matrix holds
_MANY = 1 << 16


def _format(node: Any) -> str:
    """Return how a matrix is stored: ``dense``, ``csr`` or ``csc``."""
    if hasattr(node, "shape"):
        return "dense"
    name = str(node.attrs.get("encoding-type", node.attrs.get("h5sparse_format", "")))
    if name.startswith("csr"):
        return "csr"
    if name.startswith("csc"):
        return "csc"
    raise ValueError(f"a matrix of the unknown kind '{name}'")


def _shape(node: Any) -> tuple[int, int]:
    shape = (
        node.shape if hasattr(node, "shape") else node.attrs.get("shape", node.attrs.get("h5sparse_shape"))
    )
    rows, columns = (int(size) for size in shape)
    return rows, columns


def _blocks(node: Any) -> Iterator[tuple[int, sparse.csr_matrix]]:
    """Yield the first row and the values of each block."""
    rows, columns = _shape(node)
    step = block_rows(columns)
    indptr = None if _format(node) == "dense" else np.asarray(node["indptr"][:], dtype=np.int64)
    if indptr is not None and (len(indptr) != rows + 1 or (np.diff(indptr) < 0).any() or indptr[0] != 0):
        raise ValueError("row pointers out of order")
    for start in range(0, rows, step):
        end = min(start + step, rows)
        if indptr is None:
            values = node[start:end]
            if values.dtype.kind not in "biuf":
                raise ValueError(f"values of the type {values.dtype}")
            yield start, sparse.csr_matrix(values, dtype=np.float64)
            continue
        part = slice(int(indptr[start]), int(indptr[end]))
        parts = (node["data"][part], node["indices"][part], indptr[start : end + 1] - indptr[start])
        block = sparse.csr_matrix(parts, shape=(end - start, columns))
        yield start, sparse.csr_matrix(checked(block, "in it"), dtype=np.float64)


def _turned(node: Any, path: Path) -> sparse.csr_matrix:
    """Return a matrix stored by columns, turned in memory; refuse a large one."""
    size = sum(node[part].size * node[part].dtype.itemsize for part in ("data", "indices"))
    if size > _TURNED_BYTES:
        raise DataError(
            f"Expected the counts of '{path.name}' by rows (CSR), got {size / 2**30:.1f} GiB stored by columns (CSC), "
            "which cannot be read piece by piece. Save it with `adata.X = adata.X.tocsr()`."
        )
    matrix = sparse.csc_matrix((node["data"][:], node["indices"][:], node["indptr"][:]), shape=_shape(node))
    return sparse.csr_matrix(checked(matrix, "in it"), dtype=np.float64)


def _genes(node: Any) -> GeneNames:
    from anndata.io import read_elem

    return GeneNames.of(*gene_names_of(read_elem(node)))


def _on_tissue(file: Any, number: int) -> Array | None:
    """Return the mask of spots on tissue; ``None`` where nothing says so."""
    obs = file.get("obs")
    if not isinstance(obs, Mapping) or "in_tissue" not in obs:
        return None
    from anndata.io import read_elem

    words = np.char.lower(np.asarray(read_elem(obs["in_tissue"])).astype(str))
    if len(words) != number:
        raise ValueError(f"{len(words)} rows of obs for {number} profiles")
    mask = np.isin(words, ("1", "1.0", "true"))
    return mask if mask.any() and not mask.all() else None
