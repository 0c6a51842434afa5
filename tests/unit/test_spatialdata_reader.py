"""SpatialData stores: ids of shapes, coordinate systems, and several images, regions or tables."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from folders import TRUTH, read

from histosge.errors import DataError, UsageError
from histosge.io.readers.spatialdata_instances import rows_with_shapes

N = len(TRUTH)
# pixels of the hires image per full-resolution pixel
SCALE = 0.25


def table_of(instances: Any, region: str = "A") -> anndata.AnnData:
    """Return the counts of the section, of shapes with these ids."""
    from spatialdata.models import TableModel

    data = anndata.AnnData(TRUTH.counts.astype(np.float32).tocsr())
    data.obs_names, data.var_names = TRUTH.spots.ids.astype(object), TRUTH.genes.astype(object)
    data.obs["array_col"], data.obs["array_row"] = TRUTH.lattice_xy.astype(int).T
    data.obs["region"], data.obs["spot_id"] = pd.Categorical([region] * N), np.arange(N)
    table = TableModel.parse(data, region=region, region_key="region", instance_key="spot_id")
    # after the model's own checks, as other programs write what they like
    table.obs["spot_id"] = instances
    return table


def shapes_of(index: Any, systems: dict[str, float]) -> Any:
    """Return the spots as circles, with the scale of each coordinate system."""
    from spatialdata.models import ShapesModel
    from spatialdata.transformations import Scale

    steps = {name: Scale([scale, scale], axes=("x", "y")) for name, scale in systems.items()}
    return ShapesModel.parse(
        TRUTH.spots.xy / TRUTH.mpp, geometry=0, radius=55.0, index=pd.Index(index), transformations=steps
    )


def image_of(system: str, scale: float, *, side: float = 1.0) -> Any:
    """Return the image (or a part of it), whose pixels are ``scale`` of the system's wide."""
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import Scale

    assert TRUTH.slide is not None
    pixels = np.moveaxis(TRUTH.slide.thumbnail(2.0), 2, 0)
    pixels = pixels[:, : round(side * pixels.shape[1])]
    steps = {system: Scale([scale, scale], axes=("x", "y"))}
    return Image2DModel.parse(pixels, dims=("c", "y", "x"), transformations=steps)


def store(path: Path, **elements: Any) -> Path:
    """Write a store; by default of one section with a hires image."""
    from spatialdata import SpatialData

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = {"A": shapes_of(np.arange(N), {"global": 1.0}), "table": table_of(np.arange(N))}
        parts["A_hires_image"] = image_of("global", 1 / SCALE)
        parts = {name: part for name, part in (parts | elements).items() if part is not None}
        SpatialData.init_from_elements(parts).write(path / "s.zarr")
    return path / "s.zarr"


def same(path: Path, **options: Any) -> None:
    section = read(path, trust_alignment=True, **options)
    assert (section.counts != TRUTH.counts[: len(section)]).nnz == 0
    assert np.abs(section.spots.xy - TRUTH.spots.xy[: len(section)]).max() < 1
    assert section.mpp == pytest.approx(TRUTH.mpp, rel=0.01)
    assert section.slide is not None
    assert section.slide.mpp == pytest.approx(TRUTH.mpp / SCALE, rel=0.01)


@pytest.mark.parametrize("form", ["text", "reversed", "text shapes"])
def test_ids_of_another_type_are_the_same_ids(tmp_path: Path, form: str) -> None:
    """Text 7 is shape 7, and the order of the shapes does not matter."""
    shapes = shapes_of(np.arange(N), {"global": 1.0})
    if form == "reversed":
        shapes = shapes.iloc[::-1]
    if form == "text shapes":
        shapes = shapes_of(np.arange(N).astype(str), {"global": 1.0})
    instances = np.arange(N)
    same(store(tmp_path, A=shapes, table=table_of(instances.astype(str) if form == "text" else instances)))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda ids: ids + 0.5, "whole numbers"),
        (lambda ids: ids + 60, "60 of 135 ids .* of no shape"),
        (lambda ids: np.where(ids == 3, 4, ids), "in several rows"),
        (lambda ids: np.where(ids == 3, np.nan, ids), "got none in some"),
        (lambda ids: np.array([f"spot{i}" for i in ids]), "135 of 135 ids"),
    ],
)
def test_ids_that_name_no_shape_are_refused(change: Any, sentence: str) -> None:
    """Fractional, of other shapes, twice, missing."""
    with pytest.raises(DataError, match=sentence):
        rows_with_shapes(table_of(change(np.arange(N))), pd.RangeIndex(N), "A")


def test_rows_without_a_shape_are_left_out() -> None:
    """One of 135 rows: a warning that counts it; 7.0 is shape 7."""
    rows, shapes, (message,) = rows_with_shapes(table_of(np.arange(float(N))), pd.RangeIndex(N - 1), "A")
    assert rows.sum() == N - 1
    assert shapes.dtype.kind == "i"
    assert "1 of 135 rows" in message.text


@pytest.mark.parametrize(
    ("systems", "image"),
    [
        ({"global": 1.0, "downscaled_hires": SCALE}, ("downscaled_hires", 1.0)),
        ({"A": 1.0, "A_downscaled_hires": SCALE}, ("A_downscaled_hires", 1.0)),
        ({"A": 1.0, "global": SCALE}, ("global", 1.0)),
    ],
)
def test_spots_count_full_resolution_pixels(
    tmp_path: Path, systems: dict[str, float], image: tuple[str, float]
) -> None:
    """Not those of a system that was scaled to the hires image, whatever its name, `global` included."""
    same(store(tmp_path, A=shapes_of(np.arange(N), systems), A_hires_image=image_of(*image)))


def test_several_images_are_listed(tmp_path: Path) -> None:
    """Two images of one scale, or of different extents; the region's own, by name, is taken."""
    full = image_of("global", 1 / SCALE)
    with pytest.raises(UsageError, match=r"Several images.*dapi, he.*`image`"):
        read(store(tmp_path, A_hires_image=None, he=full, dapi=full))


def test_the_image_of_the_region_is_taken(tmp_path: Path) -> None:
    """Among images of several samples in one system, that of the sample's name; a CytAssist picture is none."""
    same(
        store(
            tmp_path,
            B_hires_image=image_of("global", 9.0),
            A_cytassist_image=image_of("global", 2.0, side=0.5),
        )
    )


def test_regions_and_tables_are_chosen_by_name(tmp_path: Path) -> None:
    """Two regions, and two tables of one region, are listed and chosen from."""
    path = store(
        tmp_path,
        B=shapes_of(np.arange(N), {"global": 2.0}),
        table_b=table_of(np.arange(N), "B"),
        normalised=table_of(np.arange(N)),
    )
    with pytest.raises(UsageError, match=r"A \(table table\).*`library_id`"):
        read(path)
    with pytest.raises(UsageError, match="several sections"):
        read(path, library_id="A")
    with pytest.raises(UsageError, match=r"no region or table 'C'.*B \(table table_b\)"):
        read(path, library_id="C")
    same(path, library_id="table")
    assert read(path, library_id="B", trust_alignment=True).mpp == pytest.approx(TRUTH.mpp / 2, rel=0.01)
