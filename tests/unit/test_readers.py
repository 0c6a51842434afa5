"""Sections of every format are read with their counts, positions and images."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from folders import TRUTH, read
from PIL import Image
from scipy import io, sparse

import histosge
from histosge.errors import DataError, HistosgeError
from histosge.section.section import Section


def same(section: Section) -> None:
    """The section is the one that was written: counts, names, locations, scale."""
    order = np.argsort(section.spots.ids)
    known = np.argsort(TRUTH.spots.ids)
    assert np.array_equal(section.spots.ids[order], TRUTH.spots.ids[known])
    assert np.array_equal(section.genes, TRUTH.genes)
    assert (section.counts[order] != TRUTH.counts[known]).nnz == 0
    assert np.abs(section.spots.xy[order] - TRUTH.spots.xy[known]).max() < 1.0
    assert abs(section.pitch_um - 100) < 0.5


def positions(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "spatial" / "tissue_positions.csv")


def headerless(folder: Path) -> None:
    table = positions(folder)
    (folder / "spatial" / "tissue_positions.csv").unlink()
    table.to_csv(folder / "spatial" / "tissue_positions_list.csv", header=False, index=False)


def parquet(folder: Path) -> None:
    table = positions(folder)
    (folder / "spatial" / "tissue_positions.csv").unlink()
    table.to_parquet(folder / "spatial" / "tissue_positions.parquet")


def mtx(folder: Path) -> None:
    (folder / "filtered_feature_bc_matrix.h5").unlink()
    target = folder / "filtered_feature_bc_matrix"
    target.mkdir()
    with gzip.open(target / "matrix.mtx.gz", "wb") as stream:
        io.mmwrite(stream, sparse.coo_matrix(TRUTH.counts.T.astype(int)))
    with gzip.open(target / "barcodes.tsv.gz", "wt") as stream:
        stream.write("".join(f"{name}\n" for name in TRUTH.spots.ids))
    with gzip.open(target / "features.tsv.gz", "wt") as stream:
        stream.write("".join(f"{name}\t{name}\tGene Expression\n" for name in TRUTH.genes))


def raw_only(folder: Path) -> None:
    (folder / "filtered_feature_bc_matrix.h5").rename(folder / "raw_feature_bc_matrix.h5")


def nested(folder: Path) -> None:
    inner = folder / "outs"
    inner.mkdir()
    for part in list(folder.iterdir()):
        if part != inner:
            part.rename(inner / part.name)


def more_positions(folder: Path) -> None:
    table = positions(folder)
    extra = table.iloc[:5].assign(barcode=[f"EXTRA-{i}" for i in range(5)], in_tissue=0, array_row=90)
    pd.concat([table, extra]).to_csv(folder / "spatial" / "tissue_positions.csv", index=False)


def no_hires(folder: Path) -> None:
    (folder / "spatial" / "tissue_hires_image.png").unlink()


@pytest.mark.parametrize(
    "change",
    [None, headerless, parquet, mtx, raw_only, nested, more_positions, no_hires],
    ids=lambda f: getattr(f, "__name__", "as written"),
)
def test_space_ranger_folders_of_all_versions_are_one_section(
    outs: Path, change: Callable[[Path], None] | None
) -> None:
    """Positions with and without header or in parquet, h5 or mtx, more positions than spots: the same section."""
    if change is not None:
        change(outs)
    same(read(outs))


def test_missing_positions_are_a_warning(outs: Path) -> None:
    """Spots of the matrix without a position are dropped, with a warning that counts them."""
    positions(outs).iloc[4:].to_csv(outs / "spatial" / "tissue_positions.csv", index=False)
    with pytest.warns(histosge.errors.HistosgeWarning, match="4 barcodes"):
        section = histosge.read(outs)
    assert len(section) == len(TRUTH) - 4


def test_a_message_names_the_image_that_is_used(outs: Path) -> None:
    """The image of `image`, else hires, else lowres, is used; a message has its µm per pixel."""
    said = [note.text for note in read(outs).messages]
    assert any("hires" in text and "2 µm per pixel" in text for text in said)
    full = outs.parent / "full.png"
    assert TRUTH.slide is not None
    picture = Image.fromarray(TRUTH.slide.thumbnail(2.0))
    picture.resize((picture.width * 4, picture.height * 4)).save(full)
    section = read(outs, image=full)
    assert section.slide is not None
    assert abs(section.slide.mpp - 0.5) < 0.01
    no_hires(outs)
    assert any("lowres" in note.text for note in read(outs).messages)


def test_a_section_can_be_read_without_any_image(outs: Path) -> None:
    """A section without image gives a warning; models of position can be fitted."""
    no_hires(outs)
    (outs / "spatial" / "tissue_lowres_image.png").unlink()
    section = read(outs)
    assert section.slide is None
    assert any(message.level == "warning" and "`image`" in message.text for message in section.messages)


def test_legacy_folders_are_read(st: Path) -> None:
    """Counts and spots are matched by array position; the scale follows from the 200 µm pitch."""
    section = read(st)
    assert abs(section.pitch_um - 200) < 1
    assert section.platform.name == "legacy_st"
    assert abs(section.mpp - 2.0) < 0.02


def adata_of(section: Section) -> anndata.AnnData:
    """The section as scanpy's reader of Visium leaves it."""
    assert section.slide is not None
    data = anndata.AnnData(section.counts.astype(np.float32).tocsr())
    data.obs_names, data.var_names = section.spots.ids.astype(object), section.genes.astype(object)
    data.obs["array_col"], data.obs["array_row"] = section.lattice_xy.astype(int).T
    data.obs["in_tissue"] = 1
    data.obsm["spatial"] = section.spots.xy / section.mpp
    factors = {"tissue_hires_scalef": section.mpp / 2.0, "spot_diameter_fullres": 55 / section.mpp}
    image = section.slide.thumbnail(2.0)
    data.uns["spatial"] = {"lib": {"images": {"hires": image}, "scalefactors": factors}}
    return data


def test_h5ad_as_scanpy_leaves_it_is_read(tmp_path: Path) -> None:
    """`obsm["spatial"]`, `uns["spatial"]` and raw counts are read."""
    adata_of(TRUTH).write_h5ad(tmp_path / "visium.h5ad")
    same(read(tmp_path / "visium.h5ad"))


def test_h5ad_with_normalised_values_is_read_from_its_layer(tmp_path: Path) -> None:
    """With a normalised X, `layers["counts"]` is read; without it the file is refused."""
    data = adata_of(TRUTH)
    data.layers["counts"] = data.X.copy()
    data.X = np.log1p(data.X.toarray() * 1.7)
    data.write_h5ad(tmp_path / "normalised.h5ad")
    same(read(tmp_path / "normalised.h5ad"))
    del data.layers["counts"]
    data.write_h5ad(tmp_path / "only.h5ad")
    with pytest.raises(DataError, match="counts"):
        read(tmp_path / "only.h5ad")


def test_visium_hd_bins_are_read(tmp_path: Path) -> None:
    """binned_outputs/square_016um: contiguous bins, scale from the file, the bin chosen by its width."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "hd" / "binned_outputs" / "square_016um"
    (folder / "spatial").mkdir(parents=True)
    row, column = (part.ravel() for part in np.meshgrid(np.arange(20), np.arange(20), indexing="ij"))
    names = [f"s_016um_{r:05d}_{c:05d}-1" for r, c in zip(row, column, strict=True)]
    counts = sparse.csr_matrix(rng.poisson(2.0, (400, 12)).astype(float) + 1)
    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "w") as file:
        group = file.create_group("matrix")
        group["data"], group["indices"], group["indptr"] = (
            counts.data.astype(int),
            counts.indices,
            counts.indptr,
        )
        group["shape"], group["barcodes"] = np.array([12, 400]), np.array(names, dtype="S")
        group["features/id"] = group["features/name"] = np.array([f"G{i}" for i in range(12)], dtype="S")
        group["features/feature_type"] = np.full(12, b"Gene Expression")
    table = pd.DataFrame({"barcode": names, "in_tissue": 1, "array_row": row, "array_col": column})
    table["pxl_row_in_fullres"], table["pxl_col_in_fullres"] = 100 + row * 58.5, 100 + column * 58.5
    table.to_parquet(folder / "spatial" / "tissue_positions.parquet")
    factors = {"microns_per_pixel": 0.2735, "bin_size_um": 16.0, "spot_diameter_fullres": 58.5}
    factors |= {"tissue_hires_scalef": 0.1, "tissue_lowres_scalef": 0.05}
    (folder / "spatial" / "scalefactors_json.json").write_text(json.dumps(factors))
    picture = np.full((140, 140, 3), 240, dtype=np.uint8)
    picture[5:130, 5:130] = rng.integers(90, 180, (125, 125, 3))
    Image.fromarray(picture).save(folder / "spatial" / "tissue_hires_image.png")
    section = read(tmp_path / "hd")
    assert section.platform.name == "visium_hd_016um"
    assert abs(section.pitch_um - 16) < 0.1
    assert len(section) == 400
    with pytest.raises(HistosgeError, match="16"):
        read(tmp_path / "hd", bin_um=8)


def test_spatialdata_stores_are_read(tmp_path: Path, outs: Path) -> None:
    """A store with a table, circles and an image is read."""
    from spatialdata import SpatialData
    from spatialdata.models import Image2DModel, ShapesModel, TableModel
    from spatialdata.transformations import Identity, Scale

    data = adata_of(TRUTH)
    del data.uns["spatial"]
    data.obs["region"] = pd.Categorical(["spots"] * len(TRUTH))
    data.obs["instance"] = np.arange(len(TRUTH))
    shapes = ShapesModel.parse(
        np.asarray(data.obsm["spatial"]), geometry=0, radius=55.0, transformations={"global": Identity()}
    )
    table = TableModel.parse(data, region="spots", region_key="region", instance_key="instance")
    assert TRUTH.slide is not None
    image = Image2DModel.parse(
        np.moveaxis(TRUTH.slide.thumbnail(2.0), 2, 0),
        dims=("c", "y", "x"),
        transformations={"global": Scale([4.0, 4.0], ("y", "x"))},
    )
    store = SpatialData.init_from_elements({"spots": shapes, "table": table, "hires_image": image})
    store.write(tmp_path / "store.zarr")
    same(read(tmp_path / "store.zarr"))


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "spots", "genes"),
    [
        ("her2st/C2", 187, 15000),
        ("crc16", 3106, 36601),
        ("dlpfc/151673", 3639, 5000),
        ("mouse_brain_dg", 624, 634),
        ("mob/MOB1", 379, 1000),
        ("mob/MOB2", 407, 1000),
    ],
)
def test_real_sections_have_the_spots_their_sources_say(
    real_data: Path, name: str, spots: int, genes: int
) -> None:
    """Numbers of spots and genes as published with the data."""
    section = read(real_data / name)
    assert len(section) == spots
    assert len(section.genes) >= genes
