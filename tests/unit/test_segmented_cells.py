"""Segmented cells of Space Ranger 4 are read at their outlines, and name cells by their own ids."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from folders import TRUTH, read

from histosge.datasets.synthetic import write_spaceranger
from histosge.errors import DataError, HistosgeWarning, UsageError
from histosge.segmentation.sources import CellOptions, read_cells

MPP = 0.5
FIRST = 7


def square(number: int, xy_px: np.ndarray) -> dict:
    """Return the outline of a cell of 20 pixels as Space Ranger writes it."""
    corners = np.array([[-10, -10], [10, -10], [10, 10], [-10, 10], [-10, -10]]) + xy_px
    geometry = {"type": "Polygon", "coordinates": [corners.tolist()]}
    return {"type": "Feature", "geometry": geometry, "properties": {"cell_id": number}}


def outlines(path: Path, numbers: list[int]) -> Path:
    """Write outlines around the spots of the section, in the reverse order."""
    xy_px = TRUTH.spots.xy / MPP
    features = [square(number, xy) for number, xy in zip(numbers, xy_px, strict=True)]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features[::-1]}))
    return path


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """A folder segmented_outputs: the counts of cells 7, 8, …, their outlines, and one outline without counts."""
    folder = write_spaceranger(TRUTH, tmp_path / "run" / "outs" / "segmented_outputs")
    for path in folder.glob("spatial/tissue_positions*"):
        path.unlink()
    matrix = folder / "filtered_feature_bc_matrix.h5"
    matrix = matrix.rename(folder / "filtered_feature_cell_matrix.h5")
    numbers = list(range(FIRST, FIRST + len(TRUTH)))
    with h5py.File(matrix, "r+") as file:
        del file["matrix/barcodes"]
        file["matrix/barcodes"] = np.array([f"cellid_{number:09d}-1" for number in numbers], dtype="S")
    path = outlines(folder / "cell_segmentations.geojson", numbers)
    content = json.loads(path.read_text())
    content["features"].insert(0, square(1, np.array([30.0, 30.0])))
    path.write_text(json.dumps(content))
    factors = json.loads((folder / "spatial/scalefactors_json.json").read_text())
    del factors["spot_diameter_fullres"]
    (folder / "spatial/scalefactors_json.json").write_text(json.dumps(factors | {"microns_per_pixel": MPP}))
    return folder


def test_counts_of_cells_are_joined_to_their_outlines(cells: Path) -> None:
    """Counts are at the centroids of the outlines of the same ids, whatever their order."""
    for path in (cells, cells.parent, cells.parent.parent):
        section = read(path)
        assert section.platform.name == "visium_hd_cells"
        assert (section.counts != TRUTH.counts).nnz == 0
        assert np.abs(section.spots.xy - TRUTH.spots.xy).max() < 1e-6
        assert section.spots.ids[0] == "cellid_000000007-1"
        assert section.name == "run_cells"
        # of the disk with the area of a square of 20 pixels
        assert section.spots.diameter_um == pytest.approx(2 * 20 * MPP / np.pi**0.5)


def test_outlines_of_another_segmentation_are_refused(cells: Path) -> None:
    """Other ids, no outlines, ids that are no numbers, two outlines of a cell."""
    path = cells / "cell_segmentations.geojson"
    content = json.loads(path.read_text())
    outlines(path, list(range(FIRST + 60, FIRST + 60 + len(TRUTH))))
    with pytest.raises(DataError, match=r"60 of 135 cells .* no outline"):
        read(cells)
    content["features"].append(content["features"][5])
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="1 cells have several outlines"):
        read(cells)
    content["features"][-1] = square(5, np.zeros(2)) | {"properties": {"cell_id": "five"}}
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="got 'five'"):
        read(cells)
    path.unlink()
    with pytest.raises(UsageError, match=r"cell_segmentations\.geojson"):
        read(cells)


def test_bins_come_before_cells_and_cells_can_be_chosen(cells: Path) -> None:
    """Beside binned_outputs the folder segmented_outputs is read where its own path is given."""
    square_um = write_spaceranger(TRUTH, cells.parent / "binned_outputs" / "square_016um")
    assert read(square_um.parent.parent, mpp=MPP, trust_alignment=True).platform.name == "visium_hd_016um"
    assert read(cells).platform.name == "visium_hd_cells"


def test_cells_have_the_ids_of_the_user(cells: Path, tmp_path: Path) -> None:
    """``cell_id`` of Space Ranger, ids of tables as they are written; those that occur twice are numbered."""
    options = CellOptions(MPP)
    outlined = read_cells(cells / "cell_segmentations.geojson", options)
    ids, xy_um = outlined.ids, outlined.xy_um
    assert ids[:2].tolist() == ["1", str(FIRST + len(TRUTH) - 1)]
    assert np.abs(xy_um[1] - TRUTH.spots.xy[-1]).max() < 1e-6
    table = tmp_path / "cells.csv"
    table.write_text("cell_id,x,y\n007,1,2\n7,3,4\n,5,6\n")
    assert read_cells(table, options).ids.tolist() == ["007", "7", "cell_2"]
    table.write_text("Object ID,Name,x,y\n,A,1,2\n,A,3,4\n,B,5,6\n,A-1,7,8\n")
    with pytest.warns(HistosgeWarning, match=r"1 of 4 cells .* as 'A'; .*'A-2'"):
        assert read_cells(table, options).ids.tolist() == ["A", "A-2", "B", "A-1"]
