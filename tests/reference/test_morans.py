"""Moran's I is squidpy's."""

from __future__ import annotations

import numpy as np

from histosge.datasets import synthetic
from histosge.metrics.morans import morans_i

SECTION = synthetic().section


def test_morans_i_is_squidpys() -> None:
    """Moran's I equals squidpy's on the same graph."""
    import anndata
    import squidpy

    values = SECTION.counts[:, :8].toarray()
    data = anndata.AnnData(values)
    data.obsm["spatial"] = np.array(SECTION.spots.xy)
    squidpy.gr.spatial_neighbors(data, n_neighs=6, coord_type="generic")
    squidpy.gr.spatial_autocorr(data, mode="moran", n_perms=None, transformation=True)
    theirs = data.uns["moranI"].loc[data.var_names, "I"].to_numpy()
    assert np.allclose(morans_i(values, SECTION.spots.xy), theirs, atol=1e-2)
