"""Every reader detects its own format and no other, and damaged inputs end in one sentence."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import histosge as hs
from histosge.datasets.folders import write_legacy_st, write_spaceranger
from histosge.io.readers import READERS, Reader, ReadOptions
from histosge.testing.reader_properties import READER_PROPERTIES, ReaderCase

HEXAGONAL = hs.synthetic(columns=8, rows=8, genes=12).section
SQUARE = hs.synthetic(columns=8, rows=8, genes=12, lattice="square").section


def space_ranger(folder: Path) -> Path:
    """Return a Space Ranger folder."""
    return write_spaceranger(HEXAGONAL, folder / "outs")


def visium_hd_bins(folder: Path) -> Path:
    """Return a folder with one size of bins."""
    write_spaceranger(SQUARE, folder / "hd" / "binned_outputs" / "square_016um")
    return folder / "hd"


def visium_hd_cells(folder: Path) -> Path:
    """Return a folder with the counts and the outlines of cells."""
    cells = write_spaceranger(HEXAGONAL, folder / "segmented_outputs")
    (cells / "filtered_feature_bc_matrix.h5").rename(cells / "filtered_feature_cell_matrix.h5")
    next(cells.glob("spatial/tissue_positions*")).unlink()
    corners = np.array([[-9, -9], [9, -9], [9, 9], [-9, 9], [-9, -9]])
    features = []
    with h5py.File(cells / "filtered_feature_cell_matrix.h5", "r+") as file:
        del file["matrix/barcodes"]
        numbers = range(1, len(HEXAGONAL) + 1)
        file["matrix/barcodes"] = np.array([f"cellid_{number:09d}-1" for number in numbers], dtype="S")
    for number, xy in zip(numbers, HEXAGONAL.spots.xy / HEXAGONAL.mpp, strict=True):
        geometry = {"type": "Polygon", "coordinates": [(xy + corners).tolist()]}
        features.append({"type": "Feature", "geometry": geometry, "properties": {"cell_id": number}})
    (cells / "cell_segmentations.geojson").write_text(json.dumps(features))
    factors = json.loads((cells / "spatial/scalefactors_json.json").read_text())
    factors["microns_per_pixel"] = HEXAGONAL.mpp
    (cells / "spatial/scalefactors_json.json").write_text(json.dumps(factors))
    return cells


def legacy_st(folder: Path) -> Path:
    """Return a folder with tables of counts and spots."""
    return write_legacy_st(SQUARE, folder / "st")


def h5ad(folder: Path) -> Path:
    """Return an AnnData file as scanpy writes it."""
    import anndata

    adata = anndata.AnnData(HEXAGONAL.counts.astype(np.float32).tocsr())
    adata.obs_names = HEXAGONAL.spots.ids.astype(object)
    adata.var_names = HEXAGONAL.genes.astype(object)
    adata.obs["array_col"], adata.obs["array_row"] = HEXAGONAL.lattice_xy.astype(int).T
    adata.obsm["spatial"] = HEXAGONAL.spots.xy / HEXAGONAL.mpp
    adata.write_h5ad(folder / "section.h5ad")
    return folder / "section.h5ad"


def spatialdata(folder: Path) -> Path:
    """Return a store with a table that annotates circles."""
    import anndata
    import pandas as pd
    from spatialdata import SpatialData
    from spatialdata.models import ShapesModel, TableModel
    from spatialdata.transformations import Identity

    n = len(HEXAGONAL)
    adata = anndata.AnnData(HEXAGONAL.counts.astype(np.float32).tocsr())
    adata.obs_names = HEXAGONAL.spots.ids.astype(object)
    adata.var_names = HEXAGONAL.genes.astype(object)
    adata.obs["array_col"], adata.obs["array_row"] = HEXAGONAL.lattice_xy.astype(int).T
    adata.obs["region"], adata.obs["instance"] = pd.Categorical(["spots"] * n), np.arange(n)
    xy_px = HEXAGONAL.spots.xy / HEXAGONAL.mpp
    shapes = ShapesModel.parse(xy_px, geometry=0, radius=55.0, transformations={"global": Identity()})
    table = TableModel.parse(adata, region="spots", region_key="region", instance_key="instance")
    SpatialData.init_from_elements({"spots": shapes, "table": table}).write(folder / "section.zarr")
    return folder / "section.zarr"


def image(folder: Path) -> Path:
    """Return an image file."""
    from PIL import Image

    assert HEXAGONAL.slide is not None
    Image.fromarray(HEXAGONAL.slide.thumbnail(2.0)).save(folder / "tissue.png")
    return folder / "tissue.png"


SAMPLES: dict[str, Callable[[Path], Path]] = {
    "visium": space_ranger,
    "visium_hd": visium_hd_bins,
    "visium_hd_cells": visium_hd_cells,
    "legacy_st": legacy_st,
    "h5ad": h5ad,
    "spatialdata": spatialdata,
    "image": image,
}
# an image has no spots whose pitch would give its scale
OPTIONS = {"image": ReadOptions(mpp=2.0)}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return one sample of each format."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: sample(tmp_path_factory.mktemp(name)) for name, sample in SAMPLES.items()}


@pytest.fixture(params=sorted(READERS))
def reader(request: pytest.FixtureRequest) -> Reader:
    """Return each reader in turn."""
    return READERS[request.param]


def test_every_format_of_the_package_has_a_sample() -> None:
    """A new reader needs a sample in this file."""
    own = {name for name, entry in READERS.items() if entry.read.__module__.startswith("histosge.")}
    assert own == set(SAMPLES)


def test_a_reader_detects_its_own_format_only(reader: Reader, samples: dict[str, Path]) -> None:
    """Detection is unambiguous, whatever the order of the readers."""
    assert {name for name, path in samples.items() if reader.detect(path)} == {reader.name}


def test_the_sample_is_read(reader: Reader, samples: dict[str, Path]) -> None:
    """The section has the counts and positions of the sample; an image has none, but locations."""
    section = reader.read(samples[reader.name], OPTIONS.get(reader.name, ReadOptions()))
    expected = SQUARE if reader.name in ("visium_hd", "legacy_st") else HEXAGONAL
    assert section.name
    if reader.name == "image":
        assert not section.has_counts
        assert len(section) > 0
        return
    assert section.counts.sum() == expected.counts.sum()
    assert len(section) == len(expected)
    # the same pattern of positions, at the scale of the platform
    scale = section.pitch_um / expected.pitch_um
    extent = np.ptp(section.spots.xy, axis=0) / np.ptp(expected.spots.xy, axis=0)
    assert np.allclose(extent, scale, rtol=0.02)


@pytest.mark.parametrize("check", READER_PROPERTIES)
def test_a_reader_has_the_properties_that_plug_ins_are_held_to(
    reader: Reader, check: str, samples: dict[str, Path]
) -> None:
    """Detection, sections, options and damaged files: the checks of `histosge.testing`."""
    options = OPTIONS.get(reader.name, ReadOptions())
    READER_PROPERTIES[check](ReaderCase(reader, samples[reader.name], options))
