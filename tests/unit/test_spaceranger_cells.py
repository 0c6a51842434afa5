"""Cells are written as Space Ranger's segmented_outputs, which other tools and our own reader open."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cell_samples
import numpy as np
import pytest
import shapely
from writer_samples import PREDICTION, SECTION

import histosge as hs
from histosge.errors import UsageError
from histosge.io.readers.tenx_matrix import read_matrix
from histosge.io.writers import WRITERS, WriteOptions
from histosge.prediction.count_allocation import conserve_cells
from histosge.workflow.outputs import Outputs

CELLS = cell_samples.cells()
PREDICTED = cell_samples.prediction(CELLS)
COUNTS, BETWEEN = conserve_cells(PREDICTED, SECTION, kind="rounded")
WRITER = WRITERS["spaceranger_cells"]
MATRIX = "filtered_feature_cell_matrix.h5"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the cells."""
    return WRITER.write(
        tmp_path_factory.mktemp("run") / "segmented_outputs", SECTION, PREDICTED, WriteOptions()
    )


def test_our_own_reader_reads_counts_at_centroids(folder: Path) -> None:
    """Counts, centroids and scale are those written; cells without counts are left out as in any matrix."""
    section = hs.read(folder.parent)
    has_counts = np.asarray(COUNTS.sum(axis=1)).ravel() > 0
    rows = np.flatnonzero(has_counts)
    assert section.spots.ids.tolist() == [f"cellid_{row + 1:09d}-1" for row in rows]
    assert np.array_equal(section.counts.toarray(), COUNTS[rows].toarray())
    assert np.abs(section.spots.xy - CELLS.xy_um[rows]).max() < 0.02 * SECTION.mpp
    assert section.mpp == SECTION.mpp
    assert section.slide is not None


@pytest.mark.slow
def test_scanpy_and_squidpy_read_it_as_visium(folder: Path) -> None:
    """Counts, pixels of the centroids and the image; the matrix alone is a 10x matrix."""
    import scanpy
    import squidpy

    plain = scanpy.read_10x_h5(folder / MATRIX)
    assert np.array_equal(plain.X.toarray(), COUNTS.toarray())
    for adata in (
        scanpy.read_visium(folder, count_file=MATRIX),
        squidpy.read.visium(folder, counts_file=MATRIX),
    ):
        assert np.array_equal(adata.X.toarray(), COUNTS.toarray())
        assert np.allclose(adata.obsm["spatial"].astype(float), CELLS.xy_um / SECTION.mpp, atol=0.01)
        (library,) = adata.uns["spatial"].values()
        height, width = library["images"]["hires"].shape[:2]
        scale = library["scalefactors"]["tissue_hires_scalef"]
        assert SECTION.slide is not None
        assert np.allclose(np.array([width, height]) / scale * SECTION.mpp, SECTION.slide.size_um, rtol=0.01)


def test_counts_in_and_between_cells_add_up_to_the_measured_ones(folder: Path) -> None:
    """Both matrices together have every count of every gene once; the readme says how many are in cells."""
    inside, between = (read_matrix(folder / name) for name in (MATRIX, "between_cells.h5"))
    assert between.barcodes.tolist() == SECTION.spots.ids.tolist()
    assert np.array_equal(between.counts.toarray(), BETWEEN.toarray())
    genes = inside.counts.sum(axis=0) + between.counts.sum(axis=0)
    assert np.array_equal(np.asarray(genes), np.asarray(SECTION.counts.sum(axis=0)))
    assert f"{int(COUNTS.sum())} are in cells" in (folder / "README.txt").read_text()


def test_outlines_are_those_of_the_cells(folder: Path) -> None:
    """Both files join to the matrix by number; classes are QuPath's; ids of the user are in a table."""
    for name, polygons in (("cell", CELLS.outlines), ("nucleus", CELLS.nuclei)):
        features = json.loads((folder / f"{name}_segmentations.geojson").read_text())["features"]
        assert len(features) == sum(polygon is not None for polygon in polygons)
        for feature in features:
            row = feature["properties"]["cell_id"] - 1
            outline = shapely.geometry.shape(feature["geometry"])
            exact = shapely.transform(polygons[row], lambda xy: xy / SECTION.mpp)
            assert shapely.hausdorff_distance(outline, exact) < 0.01
            assert feature["properties"].get("classification", {}).get("name", "") == CELLS.classes[row]
    lines = (folder / "cell_ids.csv").read_text().splitlines()
    assert lines[1] == f"cellid_000000001-1,{CELLS.ids[0]},Tumor"
    assert "No count was measured at a cell" in (folder / "README.txt").read_text()


def test_numbers_of_space_ranger_are_kept(tmp_path: Path) -> None:
    """Cells that came from Space Ranger keep their numbers, also where some are missing."""
    ids = np.array([f"cellid_{3 * row + 7:09d}-1" for row in range(len(CELLS))])
    prediction = cell_samples.prediction(replace(CELLS, ids=ids))
    folder = WRITER.write(tmp_path / "segmented_outputs", SECTION, prediction, WriteOptions())
    assert (folder / "cell_ids.csv").read_text().splitlines()[1].startswith(f"{ids[0]},{ids[0]},")


def test_other_locations_and_fractions_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    """Spots, sections without counts and fractions of counts are named, with what to do."""
    with pytest.raises(UsageError, match="needs cells with outlines"):
        WRITER.write(tmp_path / "a", SECTION, PREDICTION, WriteOptions())
    with pytest.raises(UsageError, match="whole counts"):
        WRITER.write(tmp_path / "a", SECTION, PREDICTED, WriteOptions(conserve="real"))
    with pytest.raises(UsageError, match="needs cells with outlines"):
        Outputs(also="spaceranger_cells").refuse_locations(SECTION, PREDICTION.locations)
    Outputs(also="spaceranger_cells").refuse_locations(SECTION, PREDICTED.locations)
    assert not list(tmp_path.iterdir())
