"""The raw counts of an AnnData: of a layer, of X or of raw, with the genes that they are of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from histosge._runtime.messages import Message
from histosge._runtime.names import positions
from histosge._runtime.types import Array
from histosge.errors import DataError
from histosge.io.hdf5.stored_matrix import checked

from .count_values import are_counts, kind_of_values

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["AnnDataCounts", "counts_of", "gene_names_of", "refuse_damaged_matrices", "refuse_predictions"]

_ID_COLUMNS = ("gene_ids", "gene_id", "ensembl_id", "id")
# columns of obs in which scanpy and Seurat keep the depth over all genes
_DEPTH_COLUMNS = ("total_counts", "n_counts", "nCount_Spatial", "nCount_RNA")
# relative difference of two depths that is reported
_DEPTH_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class AnnDataCounts:
    """Counts (spots × genes), the names and identifiers of the genes, and messages about them."""

    counts: sparse.csr_matrix
    genes: Array
    gene_ids: Array
    messages: tuple[Message, ...]
    source: str


def refuse_damaged_matrices(adata: AnnData) -> None:
    """Refuse matrices whose indices are out of range, before anything takes rows of them.

    Raises
    ------
    DataError
        For the first such matrix.
    """
    if adata.X is not None:
        checked(adata.X, "X")
    for name in adata.layers:
        checked(adata.layers[name], f'layers["{name}"]')
    if adata.raw is not None:
        checked(adata.raw.X, "raw.X")


def refuse_predictions(adata: AnnData) -> None:
    """Refuse a prediction: most of its locations were never measured, and it holds some of the genes only.

    Raises
    ------
    DataError
        For what this package wrote.
    """
    if "layout" in adata.uns.get("histosge", {}):
        raise DataError(
            "Expected a measured section, got a prediction of histosge: locations between the spots have no counts, "
            "and genes that were not written are missing from the depth. Give the section that it was made of."
        )


def counts_of(adata: AnnData) -> AnnDataCounts:
    """Return the raw counts of an AnnData: ``layers["counts"]``, ``X`` or ``raw``, the first that holds counts.

    Where ``raw`` holds the same counts and those of more genes, it is read: a spot's depth is that of all genes.

    Raises
    ------
    DataError
        When none of them holds counts; the error says what they hold.
    """
    matrices = {'layers["counts"]': adata.layers.get("counts"), "X": adata.X}
    stored = {name: sparse.csr_matrix(m, dtype=np.float64) for name, m in matrices.items() if m is not None}
    raw = None if adata.raw is None else sparse.csr_matrix(adata.raw.X, dtype=np.float64)
    name = next((name for name, matrix in stored.items() if are_counts(matrix)), None)
    raw_counts = raw is not None and are_counts(raw)
    if name is None and not raw_counts:
        kinds = {**stored, **({} if raw is None else {"raw": raw})}
        described = "; ".join(f"{kind_of_values(matrix)} in {name}" for name, matrix in kinds.items())
        raise DataError(
            f"Expected raw integer counts, got {described or 'an empty AnnData'}. Put the raw counts into "
            'layers["counts"].'
        )
    if name is not None and not (raw is not None and raw_counts and _continues(adata, stored[name], raw)):
        return _with_depth(adata, stored[name], name, adata.var)
    return _with_depth(adata, raw, "raw", adata.raw.var)


def _continues(adata: AnnData, counts: sparse.csr_matrix, raw: sparse.csr_matrix) -> bool:
    """Return whether raw has more genes than the counts, and the same counts for those of them."""
    names = adata.raw.var_names
    if not names.is_unique or len(names) <= adata.n_vars:
        return False
    columns = positions(adata.var_names, names)
    return bool((columns >= 0).all() and (raw[:, columns] != counts).nnz == 0)


def _with_depth(adata: AnnData, counts: sparse.csr_matrix, source: str, var: Any) -> AnnDataCounts:
    """Return the counts, with a warning where they are of a part of the genes that were measured."""
    genes, gene_ids = gene_names_of(var)
    text = f"Counts were taken from {source}."
    if source == "raw" and len(genes) > adata.n_vars:
        text = f"Counts were taken from raw, which holds {len(genes)} genes; X holds {adata.n_vars} of them."
    messages = [Message("info", text)]
    depth = np.asarray(counts.sum(axis=1)).ravel()
    for column in (column for column in _DEPTH_COLUMNS if column in adata.obs):
        whole = _numbers(adata.obs[column])
        if whole is not None and whole.sum() > (1 + _DEPTH_TOLERANCE) * depth.sum():
            text = (
                f"The {len(genes)} genes hold {depth.sum() / whole.sum():.0%} of the counts in obs['{column}']: the "
                "depth of a spot is that of these genes only. Give the counts of all genes for CP10k as Scanpy has it."
            )
            messages.append(Message("warning", text))
            break
    else:
        if (
            "highly_variable" in var
            and len(genes)
            and bool(var["highly_variable"].astype(str).eq("True").all())
        ):
            text = (
                f"All {len(genes)} genes are marked as highly variable: they are a selection, and the depth of a spot "
                "is that of these genes only. Give the counts of all genes for CP10k as Scanpy has it."
            )
            messages.append(Message("warning", text))
    return AnnDataCounts(counts, genes, gene_ids, tuple(messages), source)


def gene_names_of(var: Any) -> tuple[Array, Array]:
    """Return names and identifiers of the genes; CELLxGENE has identifiers as index, names in ``feature_name``."""
    index = var.index.to_numpy(dtype=str)
    if "feature_name" in var and all(name.startswith("ENS") for name in index):
        return var["feature_name"].astype(str).to_numpy(dtype=str), index
    id_column = next((column for column in _ID_COLUMNS if column in var), None)
    if id_column is None:
        return index, index
    # a gene without an identifier is known by its name
    ids = var[id_column].astype(object)
    return index, ids.where(ids.notna(), index).astype(str).to_numpy(dtype=str)


def _numbers(column: Any) -> Array | None:
    try:
        numbers = column.to_numpy(dtype=np.float64)
    except (ValueError, TypeError):
        return None
    return numbers if np.isfinite(numbers).all() else None
