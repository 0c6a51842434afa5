"""A SpatialData store has circles, table and image in one frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from writer_samples import LOCATIONS, MEAN, PREDICTION, SECTION

from histosge.io.writers import spatialdata as spatialdata_writer
from histosge.prediction.prediction import Prediction
from histosge.section.locations import at_cells
from histosge.segmentation.cells import Cells


def test_spatialdata_opens_what_was_written(tmp_path: Path) -> None:
    """Circles, table and image share one frame: a spot's colour in the image is the one under its circle."""
    import spatialdata

    store = spatialdata.read_zarr(spatialdata_writer.write(tmp_path / "p.zarr", SECTION, PREDICTION))
    assert np.array_equal(np.asarray(store["table"].X), MEAN)
    assert len(store["locations"]) == len(LOCATIONS)
    extent: dict[str, Any] = spatialdata.get_extent(store["image"], coordinate_system="global")
    assert SECTION.slide is not None
    assert np.allclose([extent["x"][1], extent["y"][1]], SECTION.slide.size_um, atol=1.0)
    joined = spatialdata.get_values("ZONE1", element_name="locations", sdata=store, table_name="table")
    assert len(joined) == len(LOCATIONS)


def test_a_section_without_image_is_written(tmp_path: Path) -> None:
    """Without an image the store has circles and table."""
    import spatialdata

    path = spatialdata_writer.write(tmp_path / "p.zarr", replace(SECTION, slide=None), PREDICTION)
    assert "image" not in spatialdata.read_zarr(path)


def test_cells_are_small_circles(tmp_path: Path) -> None:
    """Locations without extent are as wide as the distance to their neighbours."""
    import spatialdata

    locations = at_cells(SECTION, Cells(np.array([f"c{i}" for i in range(5)]), SECTION.spots.xy[:5] + 7.0))
    prediction = Prediction(locations, SECTION.genes, MEAN[:5])
    store = spatialdata.read_zarr(spatialdata_writer.write(tmp_path / "c.zarr", SECTION, prediction))
    assert (store["locations"]["radius"] > 0).all()
