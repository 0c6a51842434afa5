"""A SpatialData store has circles, table and image in one frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cell_samples
import factored_samples
import numpy as np
import pytest
from writer_samples import LOCATIONS, MEAN, PREDICTION, SECTION

from histosge.io.writers import h5ad
from histosge.io.writers import spatialdata as spatialdata_writer
from histosge.io.writers.recognise import is_own_spatialdata
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


def test_the_table_is_that_of_the_h5ad_file(tmp_path: Path) -> None:
    """Columns of genes and locations are those of `prediction.h5ad`; the legend says in which unit positions are."""
    import anndata
    import spatialdata

    section = factored_samples.SECTION
    prediction = replace(
        factored_samples.FACTORED,
        total_counts=np.linspace(1.0, 2.0, len(factored_samples.LOCATIONS), dtype=np.float32),
    )
    table = spatialdata.read_zarr(spatialdata_writer.write(tmp_path / "p.zarr", section, prediction))["table"]
    adata = anndata.read_h5ad(h5ad.write(tmp_path / "p.h5ad", section, prediction))
    assert set(table.obs) == {*adata.obs, "region", "location_id"}
    assert np.array_equal(table.obs["predicted_total_counts"], adata.obs["predicted_total_counts"])
    assert set(table.var) == set(adata.var) >= {"r_loo", "grade", "fitted"}
    assert table.var["grade"].tolist() == adata.var["grade"].tolist()
    about = table.uns["histosge"]["layout"]["about"]
    assert "micrometres" in about["obsm_spatial"]
    assert np.allclose(table.obsm["spatial"], factored_samples.LOCATIONS.xy)
    assert {key[5:] for key in about if key.startswith("obsm_")} == set(table.obsm)


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


def test_cells_are_polygons_joined_to_the_table_by_id(tmp_path: Path) -> None:
    """Outlines and nuclei are those of the cells, in any order of the table; classes and areas are columns."""
    import spatialdata

    cells = cell_samples.cells()
    prediction = cell_samples.prediction(cells)
    path = spatialdata_writer.write(tmp_path / "c.zarr", SECTION, prediction)
    store = spatialdata.read_zarr(path)
    assert set(store.shapes) == {"cells", "nuclei"}
    assert is_own_spatialdata(path)
    assert store["cells"].index.tolist() == cells.ids.tolist() == store["table"].obs["cell_id"].tolist()
    assert np.allclose(store["cells"].area, cells.area_um2)
    assert store["nuclei"].index.tolist() == cells.ids[:-1].tolist()
    assert set(store["table"].obs["region"]) == {"cells"}
    assert [
        word if isinstance(word, str) else "" for word in store["table"].obs["class"]
    ] == cells.classes.tolist()
    values = spatialdata.get_values("ZONE1", element_name="cells", sdata=store, table_name="table")
    column = int(np.flatnonzero(SECTION.genes == "ZONE1")[0])
    assert np.allclose(values["ZONE1"], prediction.mean[:, column])
    joined, table = spatialdata.join_spatialelement_table(
        sdata=store, spatial_element_names="nuclei", table_name="table", how="left"
    )
    assert table is None or len(joined["nuclei"]) == len(cells) - 1


@pytest.mark.slow
def test_spatialdata_plot_paints_outlines(tmp_path: Path) -> None:
    """Colours of a gene fill the outlines of its cells: pixels inside of one are of one colour."""
    pytest.importorskip("spatialdata_plot")
    import spatialdata
    from matplotlib import pyplot

    cells = cell_samples.cells()
    path = spatialdata_writer.write(tmp_path / "c.zarr", SECTION, cell_samples.prediction(cells))
    figure, axes = pyplot.subplots()
    store = spatialdata.read_zarr(path)
    store.pl.render_shapes("cells", color="ZONE1").pl.show(coordinate_systems="global", ax=axes)
    drawn = sum(len(collection.get_paths()) for collection in axes.collections)
    pyplot.close(figure)
    assert drawn >= len(cells)
