"""GeoJSON has one detection a location, in pixels, with the genes as measurements."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from writer_samples import LOCATIONS, MEAN, PREDICTION, SECTION

from histosge.errors import UsageError
from histosge.io.writers import WriteOptions, geojson
from histosge.prediction.prediction import Prediction
from histosge.section.locations import at_cells
from histosge.segmentation.cells import Cells


def test_qupath_gets_detections_in_pixels(tmp_path: Path) -> None:
    """GeoJSON: closed circles around the locations in full-resolution pixels, measurements named for genes."""
    path = geojson.write(tmp_path / "p.geojson", SECTION, PREDICTION, WriteOptions(("TUMOUR1", "ZONE1")))
    content = json.loads(path.read_text())
    assert len(content["features"]) == len(LOCATIONS)
    feature = content["features"][7]
    assert feature["properties"]["objectType"] == "detection"
    ring = np.array(feature["geometry"]["coordinates"][0])
    assert np.array_equal(ring[0], ring[-1])
    assert np.allclose(ring[:-1].mean(0) * SECTION.mpp, LOCATIONS.xy[7], atol=0.05)
    column = int(np.flatnonzero(SECTION.genes == "ZONE1")[0])
    assert feature["properties"]["measurements"]["ZONE1"] == pytest.approx(float(MEAN[7, column]), abs=1e-4)
    with pytest.raises(UsageError, match="NoGene"):
        geojson.write(tmp_path / "q.geojson", SECTION, PREDICTION, WriteOptions(("NoGene",)))
    assert not (tmp_path / "q.geojson").exists()


def test_cells_are_points(tmp_path: Path) -> None:
    """Locations without extent have no circle to draw."""
    locations = at_cells(SECTION, Cells(np.array([f"c{i}" for i in range(5)]), SECTION.spots.xy[:5] + 7.0))
    prediction = Prediction(locations, SECTION.genes, MEAN[:5])
    path = geojson.write(tmp_path / "c.geojson", SECTION, prediction, WriteOptions(("ZONE1",)))
    assert json.loads(path.read_text())["features"][0]["geometry"]["type"] == "Point"
