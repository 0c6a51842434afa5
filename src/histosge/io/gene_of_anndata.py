"""One gene of an AnnData that this package wrote, from its matrix or from its factors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import DataError, UsageError
from histosge.section.written_genes import named_or_refuse

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["gene"]


def gene(adata: AnnData, name: str) -> Float[np.ndarray, " n"]:
    """Return one gene at all locations of ``factors.h5ad``, computed from the factors, or of ``prediction.h5ad``.

    Parameters
    ----------
    adata
        As ``anndata.read_h5ad`` reads either file of a run. ``factors.h5ad`` has every gene that was counted in the
        section, and no matrix.
    name
        Name, identifier, or, where genes are called by identifiers, symbol of a known marker.

    Returns
    -------
    log1p(CP10k), in single precision, in the order of ``adata.obs``.

    Raises
    ------
    UsageError
        For a gene that is not there (similar names are offered), or an AnnData without predictions of this package.
    DataError
        Where parts of the factors were removed from it.

    Examples
    --------
    >>> import anndata
    >>> import histosge as hs
    >>> adata = anndata.read_h5ad("results/factors.h5ad")  # doctest: +SKIP
    >>> adata.obs["ERBB2"] = hs.gene(adata, "ERBB2")  # doctest: +SKIP
    """
    if "histosge" not in adata.uns:
        raise UsageError("Expected factors.h5ad or prediction.h5ad of a run, got another AnnData.")
    names = adata.var_names.to_numpy(dtype=str)
    ids = adata.var["gene_ids"].to_numpy(dtype=str) if "gene_ids" in adata.var else names
    column = int(named_or_refuse((name,), names, ids, "genes of this AnnData")[0])
    if adata.X is not None:
        part = adata.X[:, column]
        return np.asarray(part.toarray() if hasattr(part, "toarray") else part, dtype=np.float32).ravel()
    try:
        scores: Array = np.asarray(adata.obsm["factor_scores"])
        loadings: Array = np.asarray(adata.varm["loadings"])[column]
        offset = float(adata.var["offset"].iloc[column])
    except KeyError as error:
        raise DataError(f"Expected an AnnData as factors.h5ad holds it, got one without {error}.") from error
    # log1p of counts is never negative; a sum of factors can be
    return np.asarray(np.maximum(offset + scores @ loadings, 0.0), dtype=np.float32)
