"""Locations become pixels of a regular grid."""

from __future__ import annotations

import numpy as np

from histosge import grid
from histosge.datasets import synthetic
from histosge.io.layout.raster import Raster

SECTION = synthetic(columns=10, rows=10, genes=30).section


def test_the_edge_of_the_tissue_does_not_fade() -> None:
    """A gene that is the same everywhere is so at every level of the pyramid."""
    raster = Raster.of(grid(SECTION, 20.0), spacing_um=20.0)
    image, weight = raster.image(np.full(int(raster.row.max()) + 1, 3.0)), raster.shown
    for _ in range(4):
        image, weight = raster.halved(image, weight)
        assert np.allclose(image[weight > 0], 3.0)
        assert not image[weight == 0].any()
