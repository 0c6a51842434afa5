"""Counts of cells and of what lies between them add up to those of each spot."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from histosge import Cells, Points, Prediction, Section, at_cells, conserve, conserve_cells
from histosge.errors import UsageError
from histosge.geometry.platforms import SYNTHETIC
from histosge.io.writers import WriteOptions, h5ad
from histosge.prediction.spot_overlap import overlap

PITCH, DIAMETER = 100.0, 55.0


def section_of(counts: np.ndarray, diameter_um: float = DIAMETER) -> Section:
    s, g = counts.shape
    names = np.array([f"G{i}" for i in range(g)])
    xy = np.column_stack([100 + np.arange(s) * PITCH, np.full(s, 100.0)])
    points = Points(xy, np.array([f"S{i}" for i in range(s)]), diameter_um)
    return Section(
        "s", sparse.csr_matrix(counts.astype(float)), names, names, points, xy, None, SYNTHETIC, 0.5
    )


def cells_of(xy: np.ndarray, radius_um: np.ndarray | float) -> Cells:
    outlines = shapely.buffer(shapely.points(xy), radius_um)
    return Cells(np.array([f"c{i}" for i in range(len(xy))]), xy, outlines)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Section, Prediction, float]:
    """Draw spots, cells of any size that overlap, cross spots or lie outside, and predictions with zeros."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    s, g, n = draw(st.integers(2, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 60))
    counts = rng.poisson(draw(st.sampled_from([0.3, 5.0, 1e4])) * rng.gamma(0.5, 1.0, (s, g)))
    xy = np.column_stack([rng.uniform(60, 140 + s * PITCH, n), rng.uniform(60, 140, n)])
    section = section_of(counts)
    mean = rng.gamma(1.0, 1.0, (n, g)).astype(np.float32)
    mean[rng.random(mean.shape) < draw(st.sampled_from([0.0, 0.5, 1.0]))] = 0.0
    locations = at_cells(section, cells_of(xy, rng.uniform(2, draw(st.sampled_from([9.0, 80.0])), n)))
    return section, Prediction(locations, section.genes, mean), draw(st.sampled_from([0.0, 0.5, 3.0]))


@settings(max_examples=40, deadline=None)
@given(case=cases(), kind=st.sampled_from(["real", "rounded", "drawn"]))
def test_cells_and_background_add_up_to_the_counts(
    case: tuple[Section, Prediction, float], kind: str
) -> None:
    """Gene by gene all counts are allocated; none is negative; whole kinds are whole."""
    section, prediction, background = case
    cells, between = conserve_cells(prediction, section, background=background, kind=kind, seed=3)
    assert cells.shape == prediction.mean.shape
    assert between.shape == section.counts.shape
    total = np.asarray(cells.sum(axis=0) + between.sum(axis=0)).ravel()
    assert np.allclose(total, np.asarray(section.counts.sum(axis=0)).ravel(), rtol=1e-12)
    for part in (cells, between):
        assert part.nnz == 0 or part.data.min() > 0
        assert kind == "real" or part.dtype == np.int64


@settings(max_examples=25, deadline=None)
@given(case=cases())
def test_each_spot_keeps_its_counts(case: tuple[Section, Prediction, float]) -> None:
    """With counts in one spot alone, its cells and its background have them all, and other cells none."""
    section, prediction, background = case
    counts = section.counts.toarray()
    counts[1:] = 0
    cells, between = conserve_cells(prediction, section_of(counts), background=background)
    shared = overlap(prediction.locations.cells, section.spots)
    outside = np.setdiff1d(np.arange(len(prediction)), shared.cell[shared.spot == 0])
    assert cells[outside].nnz == 0
    assert between[1:].nnz == 0
    assert np.allclose(cells.sum(axis=0) + between[0].toarray(), counts[:1])


def test_shares_follow_area_and_expression() -> None:
    """A cell twice as large has twice the counts, one of twice the rate too; the background follows the equation."""
    section = section_of(np.array([[1000.0, 1000.0], [0.0, 0.0]]))
    xy = np.array([[90.0, 100.0], [110.0, 100.0]])
    locations = at_cells(section, cells_of(xy, np.array([2**0.5 * 4, 4.0])))
    rates = np.array([[10.0, 10.0], [10.0, 20.0]])
    prediction = Prediction(locations, section.genes, np.log1p(rates).astype(np.float32))
    cells, between = conserve_cells(prediction, section, background=0.25)
    area = locations.cells.area_um2
    free = overlap(locations.cells, section.spots).free_um2[0]
    share = 0.25 * free / (0.25 * free + area.sum())
    assert np.allclose(between.toarray()[0], 1000 * share)
    parts = cells.toarray()
    assert parts[0, 0] / parts[1, 0] == pytest.approx(2.0, rel=1e-5)
    assert parts[0, 1] / parts[1, 1] == pytest.approx(1.0, rel=1e-5)


def test_a_cell_across_two_spots_has_part_of_both() -> None:
    """A cell in the middle of two overlapping disks receives of each as much as it covers."""
    section = section_of(np.array([[100.0], [300.0]]), diameter_um=120.0)
    prediction = Prediction(
        at_cells(section, cells_of(np.array([[150.0, 100.0]]), 5.0)),
        section.genes,
        np.ones((1, 1), np.float32),
    )
    cells, between = conserve_cells(prediction, section, background=1.0)
    share = np.pi * 25 / (np.pi * 3600)
    assert cells[0, 0] == pytest.approx(400 * share, rel=0.01)
    assert between.toarray().ravel() == pytest.approx([100 * (1 - share), 300 * (1 - share)], rel=0.01)


def test_overlap_is_the_area_of_the_intersection() -> None:
    """Cells inside, across the edge and outside of a disk share what an intersection of polygons says."""
    rng = np.random.default_rng(0)
    cells = cells_of(rng.uniform(60, 140, (200, 2)), 6.0)
    spots = section_of(np.ones((2, 1))).spots
    shared = overlap(cells, spots)
    disk = shapely.Point(100, 100).buffer(DIAMETER / 2, quad_segs=256)
    expected = shapely.area(shapely.intersection(cells.outlines, disk))
    shown = np.bincount(shared.cell, weights=shared.area_um2 * (shared.spot == 0), minlength=200)
    assert np.allclose(shown, expected, atol=0.3)


def test_the_file_holds_both_parts(tmp_path: Path) -> None:
    """`layers["conserved"]` and `uns["conserved_background"]` add up, and AnnData reads both."""
    rng = np.random.default_rng(0)
    section = section_of(rng.poisson(50, (4, 3)))
    locations = at_cells(section, cells_of(rng.uniform((60, 60), (440, 140), (50, 2)), 6.0))
    prediction = Prediction(locations, section.genes, rng.gamma(1, 1, (50, 3)).astype(np.float32))
    path = h5ad.write(tmp_path / "p.h5ad", section, prediction, WriteOptions(conserve="rounded"))
    adata = anndata.read_h5ad(path)
    cells, between = adata.layers["conserved"], adata.uns["conserved_background"]
    assert sparse.issparse(cells)
    assert between.shape == (4, 3)
    assert np.array_equal(cells.sum(axis=0) + between.sum(axis=0), section.counts.sum(axis=0))
    assert h5ad.read(path).locations.cells is not None


def test_what_cannot_be_divided_is_refused() -> None:
    """Centroids, spots without extent, a negative density, and outlines given to the division without background."""
    section = section_of(np.ones((2, 1)))
    xy = np.array([[100.0, 100.0]])
    values = (section.genes, np.ones((1, 1), np.float32))
    outlined = Prediction(at_cells(section, cells_of(xy, 5.0)), *values)
    centroid = Prediction(at_cells(section, Cells(np.array(["a"]), xy)), *values)
    for bad, data, options in (
        (centroid, section, {}),
        (outlined, section_of(np.ones((2, 1)), diameter_um=0.0), {}),
        (outlined, section, {"background": -1.0}),
    ):
        with pytest.raises(UsageError, match="Expected"):
            conserve_cells(bad, data, **options)
    with pytest.raises(UsageError, match="conserve_cells"):
        conserve(outlined, section)
