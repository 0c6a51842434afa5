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


def test_cells_are_painted_by_their_outlines() -> None:
    """A pixel has the row of the cell that its centre lies in; areas agree; every cell has a pixel."""
    import cell_samples
    import shapely
    from writer_samples import SECTION

    from histosge.section.locations import at_cells
    from histosge.segmentation.cells import Cells

    held = cell_samples.cells()
    tiny = shapely.box(*held.xy_um.min(0) - 20, *held.xy_um.min(0) - 19.99)
    shapes = np.append(held.outlines, tiny)
    centre = np.vstack([held.xy_um, held.xy_um.min(0) - 19.995])
    raster = Raster.of(at_cells(SECTION, Cells(np.append(held.ids, "tiny"), centre, shapes)), spacing_um=1.0)
    y, x = np.nonzero(raster.row >= 0)
    points = shapely.points(raster.first_um + np.column_stack([x, y]) * raster.pixel_um)
    inside = shapely.contains(shapes[raster.row[y, x]], points)
    assert inside.sum() == len(inside) - 1
    alone = [row for row in range(len(held)) if shapely.intersects(shapes, shapes[row]).sum() == 1]
    area = np.bincount(raster.row[y, x], minlength=len(shapes)) * raster.pixel_um**2
    assert np.allclose(area[alone], held.area_um2[alone], rtol=0.08)
    assert area[-1] > 0
