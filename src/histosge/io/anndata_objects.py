"""AnnData: read as a Section, and written to by one function, which alone changes a user's object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from histosge._runtime.names import positions
from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.prediction.prediction import Prediction
from histosge.section.section import Section

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["Measured", "section_of", "to_anndata", "write"]

Measured: TypeAlias = "Section | AnnData"


def section_of(data: Measured, **options: Any) -> Section:
    """Return ``data`` as a section; an AnnData needs raw counts and ``obsm["spatial"]``.

    Parameters
    ----------
    data
        A section, or an AnnData as ``scanpy.read_visium`` or ``squidpy.read.visium`` makes it.
    options
        ``image``, ``mpp``, ``library_id`` as for :func:`histosge.read`.
    """
    if isinstance(data, Section):
        return data
    from .readers.anndata import from_anndata

    return from_anndata(data, **options)


def write(adata: AnnData, key: str, *, rows: Array, values: Array, summary: Mapping[str, Any]) -> None:
    """Put ``values`` of the spots named ``rows`` into ``adata.obsm[key]``, and ``summary`` into ``adata.uns[key]``.

    Labels, one a spot, become categories in ``adata.obs[key]``. Spots of ``adata`` that are not among ``rows`` (dropped
    while reading, because they were empty) get NaN.

    Raises
    ------
    UsageError
        When no spot of ``adata`` is among ``rows``.
    """
    index = positions(adata.obs_names, rows)
    if (index < 0).all():
        raise UsageError("Expected results for the spots of this AnnData, got those of another one.")
    adata.uns[key] = dict(summary)
    if values.ndim == 1:
        import pandas as pd

        # "2" comes before "10"
        categories = list(dict.fromkeys(sorted(values, key=lambda label: (len(label), label))))
        labels = [values[row] if row >= 0 else None for row in index]
        adata.obs[key] = pd.Categorical(labels, categories=categories)
        return
    full = np.full((adata.n_obs, values.shape[1]), np.nan, dtype=np.float32)
    full[index >= 0] = values[index[index >= 0]]
    adata.obsm[key] = full


def to_anndata(section: Section, prediction: Prediction) -> AnnData:
    """Return a new AnnData of the predicted locations, laid out as ``prediction.h5ad`` is."""
    import tempfile
    from pathlib import Path

    from anndata import read_h5ad

    from .writers import h5ad

    # the layout is defined once, by the writer of files
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prediction.h5ad"
        h5ad.write(path, section, prediction)
        return read_h5ad(path)
