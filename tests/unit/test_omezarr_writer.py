"""An OME-Zarr image has one channel a gene and opens in µm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader

from histosge import Prediction, grid, upsampled
from histosge.datasets import synthetic
from histosge.errors import DataError, UsageError
from histosge.geometry.points import Points
from histosge.io.layout.raster import Raster
from histosge.io.writers import WriteOptions, omezarr
from histosge.prediction.factored import Basis, FactoredPrediction
from histosge.section.locations import Locations, at_cells
from histosge.segmentation.cells import Cells

TISSUE = synthetic(columns=10, rows=10, genes=30)
SECTION = TISSUE.section
LOCATIONS = upsampled(SECTION, 4)
K = 4


def predicted(locations: Locations, genes: int = 24) -> FactoredPrediction:
    rng = np.random.default_rng(0)
    draw = [rng.uniform(0.2, 1.5, genes).astype(np.float32) for _ in range(4)]
    basis = Basis(SECTION.genes[:genes], draw[0], rng.normal(size=(genes, K)).astype(np.float32), *draw[1:])
    # smooth fields, as fields are
    waves = np.column_stack([TISSUE.zone(locations.xy), *(w(locations.xy) for w in TISSUE.compartments)])
    sd = rng.uniform(0.1, 1.0, waves.shape)
    return FactoredPrediction(locations, basis, waves.astype(np.float32), sd.astype(np.float16), {"seed": 1})


WHOLE = predicted(LOCATIONS)


def image_of(path: Path) -> tuple[list[np.ndarray], dict]:
    nodes = list(Reader(parse_url(path))())
    return [np.asarray(level) for level in nodes[0].data], nodes[0].metadata


def test_omezarr_opens_in_micrometres(tmp_path: Path) -> None:
    """Read by ome-zarr: each location's value is where the scale says, channels are genes, contrast has a width."""
    locations = grid(SECTION, 7.0)
    whole = predicted(locations)
    omezarr.write(tmp_path / "p.ome.zarr", SECTION, whole, WriteOptions(("ZONE1", "TUMOUR2")))
    levels, about = image_of(tmp_path / "p.ome.zarr")
    assert about["channel_names"] == ["ZONE1", "TUMOUR2"]
    assert [axis["name"] for axis in about["axes"]] == ["c", "y", "x"]
    assert {axis.get("unit") for axis in about["axes"][1:]} == {"micrometer"}
    assert len(levels) > 2
    for level, moves in zip(levels, about["coordinateTransformations"], strict=True):
        scale, shift = np.array(moves[0]["scale"]), np.array(moves[1]["translation"])
        column, row = np.rint((locations.xy - shift[:0:-1]) / scale[:0:-1]).astype(int).T
        for channel, gene in enumerate(about["channel_names"]):
            shown, values = level[channel, row, column], whole.gene(gene)
            # a pixel of a coarser level is the mean of its locations, which are smooth
            error = np.abs(shown - values).max()
            assert error < 1e-6 if level is levels[0] else error < 0.12 * np.ptp(values) * len(levels)
            assert np.corrcoef(shown, values)[0, 1] > 0.97
    for channel, gene in enumerate(about["channel_names"]):
        low, high = about["contrast_limits"][channel]
        assert low < high <= whole.gene(gene).max()
    root = zarr.open_group(str(tmp_path / "p.ome.zarr"), mode="r")
    assert root.attrs["multiscales"][0]["version"] == "0.4"  # type: ignore[index,call-overload]


def test_labels_are_rows_of_the_prediction(tmp_path: Path) -> None:
    """Label k is row k − 1 of the prediction, and every location of a lattice is seen."""
    omezarr.write(tmp_path / "p.zarr", SECTION, WHOLE, WriteOptions(("ZONE1",)))
    root = zarr.open_group(str(tmp_path / "p.zarr"), mode="r")
    labels, image = np.asarray(root["labels/locations/0"]), np.asarray(root["0"])[0]  # type: ignore[index]
    assert set(np.unique(labels)) == set(range(len(LOCATIONS) + 1))
    assert np.allclose(image[labels > 0], WHOLE.gene("ZONE1")[labels[labels > 0] - 1], atol=1e-6)
    assert not image[labels == 0].any()
    # the middle of a location's pixels is the location
    raster = Raster.of(LOCATIONS, spacing_um=1.0)
    row, column = np.nonzero(labels == 1 + 40)
    middle = raster.first_um + raster.pixel_um * np.array([column.mean(), row.mean()])
    assert np.linalg.norm(middle - LOCATIONS.xy[40]) < raster.pixel_um


def test_cells_and_single_locations_make_images(tmp_path: Path) -> None:
    """Locations anywhere, one location alone, locations on a line."""
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 500, (80, 2))
    for name, some in (
        ("cells", xy),
        ("one", xy[:1]),
        ("line", np.column_stack([np.arange(9) * 10.0, np.ones(9)])),
    ):
        locations = at_cells(SECTION, Cells(np.array([f"c{i}" for i in range(len(some))]), some))
        prediction = Prediction(locations, SECTION.genes[:1], np.ones((len(some), 1), np.float32))
        levels, _ = image_of(
            omezarr.write(tmp_path / name, SECTION, prediction, WriteOptions((str(SECTION.genes[0]),)))
        )
        assert levels[0].max() == 1.0


def test_wrong_input_is_refused(tmp_path: Path) -> None:
    """No genes, unknown ones, NaN, locations too far apart for an image; and nothing half-written stays."""
    prediction = WHOLE.whole(["ZONE1"])
    with pytest.raises(UsageError, match="got none"):
        omezarr.write(tmp_path / "p", SECTION, prediction, WriteOptions(()))
    with pytest.raises(UsageError, match="TUMOUR1"):
        omezarr.write(tmp_path / "p", SECTION, prediction, WriteOptions(("TUMOUR1",)))
    broken = replace(prediction, mean=prediction.mean * np.float32("nan"))
    with pytest.raises(DataError, match="NaN"):
        omezarr.write(tmp_path / "p", SECTION, broken, WriteOptions(("ZONE1",)))
    far = Points(np.array([[0.0, 0.0], [1e-3, 0.0], [1e5, 1e5], [1e5 + 1e-3, 1e5]]), np.array(list("abcd")))
    locations = replace(at_cells(SECTION, Cells(far.ids, SECTION.spots.xy[:4])), points=far)
    with pytest.raises(UsageError, match="pixels"):
        omezarr.write(
            tmp_path / "p",
            SECTION,
            Prediction(locations, prediction.genes, np.ones((4, 1))),
            WriteOptions(("ZONE1",)),
        )
    assert not list(tmp_path.iterdir())
