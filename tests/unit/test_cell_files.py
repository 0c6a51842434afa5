"""Files of predictions at cells hold the outlines, nuclei and classes of the cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pytest
import shapely
from factored_samples import K, basis_of

from histosge.datasets import synthetic
from histosge.io.layout import prediction_table as layout
from histosge.io.writers import factors, h5ad
from histosge.prediction.factored import FactoredPrediction
from histosge.prediction.prediction import Prediction
from histosge.section.locations import at_cells
from histosge.segmentation.cells import Cells

SECTION = synthetic(columns=8, rows=8, genes=12).section
RNG = np.random.default_rng(0)
XY = SECTION.spots.xy[:20] + RNG.uniform(-20, 20, (20, 2))
DISKS = np.array(
    [shapely.Point(*xy).buffer(radius) for xy, radius in zip(XY, RNG.uniform(3, 9, 20), strict=True)]
)
NUCLEI = np.array(
    [None if row % 4 == 0 else shapely.centroid(disk).buffer(2) for row, disk in enumerate(DISKS)]
)
# one cell in two parts, and one with a hole
DISKS[3] = shapely.MultiPolygon([shapely.box(0, 0, 4, 4), shapely.box(6, 0, 9, 4)])
DISKS[5] = DISKS[5].difference(shapely.centroid(DISKS[5]).buffer(1))
CELLS = Cells(
    np.array([f"cell {row}" for row in range(20)]),
    XY,
    DISKS,
    nuclei=NUCLEI,
    classes=np.array(["tumour", "immune cell", "", "stroma"] * 5),
    confidence=np.append(RNG.uniform(size=19), np.nan),
    source="qupath",
)


def prediction_at(cells: Cells) -> Prediction:
    locations = at_cells(SECTION, cells)
    mean = RNG.gamma(2.0, 1.0, (len(cells), 12)).astype(np.float32)
    return Prediction(locations, SECTION.genes, mean, provenance={})


def assert_same(left: Cells, right: Cells, within_um: float = 2**-12) -> None:
    assert left.ids.tolist() == right.ids.tolist()
    for name in ("outlines", "nuclei"):
        own, other = getattr(left, name), getattr(right, name)
        assert (own is None) == (other is None)
        for one, two in zip(() if own is None else own, () if other is None else other, strict=True):
            assert (one is None) == (two is None)
            assert one is None or shapely.hausdorff_distance(one, two) <= within_um
            assert one is None or one.geom_type == two.geom_type
    for name in ("classes", "confidence"):
        own, other = getattr(left, name), getattr(right, name)
        assert (own is None) == (other is None)
        assert own is None or np.array_equal(own, other, equal_nan=own.dtype.kind == "f")
    assert left.source == right.source


@pytest.mark.parametrize(
    "cells",
    [
        CELLS,
        Cells(CELLS.ids, XY),
        replace(CELLS, nuclei=None, classes=None, confidence=None).take([0, 1, 2]),
        replace(CELLS, nuclei=np.full(20, None)),
        Cells(CELLS.ids[:2], XY[:2], np.array([shapely.box(0, 0, 1e-6, 1e-6), shapely.box(0, 0, 5, 5)])),
    ],
    ids=["all parts", "centroids", "polygons alone", "no nucleus", "a tiny cell"],
)
def test_cells_come_back_from_a_prediction(tmp_path: Path, cells: Cells) -> None:
    """Ids, outlines, nuclei, classes and confidence of `prediction.h5ad` are those that were written."""
    path = h5ad.write(tmp_path / "p.h5ad", SECTION, prediction_at(cells))
    held = h5ad.read(path).locations.cells
    assert held is not None
    assert_same(held, cells)


def test_cells_come_back_from_factors(tmp_path: Path) -> None:
    """`factors.h5ad` holds the same cells."""
    basis, scores = basis_of(SECTION.genes), RNG.normal(size=(20, K)).astype(np.float32)
    factored = FactoredPrediction(at_cells(SECTION, CELLS), basis, scores, None, {})
    path = factors.write(tmp_path / "factors.h5ad", SECTION, factored)
    held = factors.read(path).locations.cells
    assert held is not None
    assert_same(held, CELLS)


def test_columns_say_what_a_cell_is(tmp_path: Path) -> None:
    """`obs` has class, areas, the parent spot and its distance; a cell without class or nucleus has none."""
    obs = anndata.read_h5ad(h5ad.write(tmp_path / "p.h5ad", SECTION, prediction_at(CELLS))).obs
    assert obs["class"].isna().sum() == 5
    assert np.allclose(obs["area_um2"], CELLS.area_um2)
    assert np.flatnonzero(obs["nucleus_area_um2"].isna()).tolist() == [0, 4, 8, 12, 16]
    spots = SECTION.spots.xy
    assert np.allclose(obs["distance_to_spot_um"], [np.hypot(*(spots - xy).T).min() for xy in XY])
    assert not obs["observed"].astype(bool).any()


def test_rows_may_be_removed_and_reordered(tmp_path: Path) -> None:
    """After another tool has selected rows, each row still has its own outline."""
    adata = anndata.read_h5ad(h5ad.write(tmp_path / "p.h5ad", SECTION, prediction_at(CELLS)))
    some = adata[[7, 3, 12]]
    cells = layout.locations(some.obs, some.obsm["spatial_um"], some.uns["histosge"]["layout"]).cells
    assert cells is not None
    assert_same(cells, CELLS.take([7, 3, 12]))


def test_other_locations_have_no_columns_of_cells(tmp_path: Path) -> None:
    """A file of spots is as it was before there were cells."""
    from writer_samples import PREDICTION

    adata = anndata.read_h5ad(h5ad.write(tmp_path / "p.h5ad", SECTION, PREDICTION))
    assert not {"class", "area_um2", "distance_to_spot_um"} & set(adata.obs)
    assert "cells" not in adata.uns["histosge"]["layout"]
