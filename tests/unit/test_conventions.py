"""Files as HEST, CELLxGENE, R and SpatialData's reader of Space Ranger write them are the same section."""

from __future__ import annotations

import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from folders import TRUTH, read

from histosge.errors import DataError
from histosge.io.readers.anndata import from_anndata
from histosge.section.section import Section

#: hires pixels per full-resolution pixel
SLIDE = TRUTH.slide
assert SLIDE is not None
SCALE = TRUTH.mpp / SLIDE.mpp


def scanpy_like() -> anndata.AnnData:
    assert SLIDE is not None
    obs = pd.DataFrame(index=TRUTH.spots.ids)
    obs["array_col"], obs["array_row"] = TRUTH.lattice_xy.T.astype(int)
    adata = anndata.AnnData(TRUTH.counts.astype(np.float32), obs=obs, var=pd.DataFrame(index=TRUTH.genes))
    adata.obsm["spatial"] = TRUTH.spots.xy / TRUTH.mpp
    image = SLIDE.thumbnail(SLIDE.mpp)
    factors = {"tissue_hires_scalef": SCALE, "spot_diameter_fullres": 55 / TRUTH.mpp}
    adata.uns["spatial"] = {"lib": {"images": {"hires": image}, "scalefactors": factors}}
    return adata


def same(section: Section) -> None:
    assert SLIDE is not None
    assert section.slide is not None
    assert np.abs(section.spots.xy - TRUTH.spots.xy).max() < 1
    assert section.slide.mpp == pytest.approx(SLIDE.mpp, rel=0.01)


def test_an_image_of_any_name_with_its_scale_factor_is_used() -> None:
    """HEST names the image downscaled_fullres; its scale factor has the same name."""
    adata = scanpy_like()
    library = adata.uns["spatial"]["lib"]
    library["images"] = {"downscaled_fullres": library["images"]["hires"]}
    library["scalefactors"] = {"tissue_downscaled_fullres_scalef": SCALE}
    same(from_anndata(adata))


def test_cellxgene_files_are_read() -> None:
    """A flag beside the library, identifiers as index, names in feature_name: names are names, identifiers stay."""
    adata = scanpy_like()
    adata.uns["spatial"]["is_single"] = True
    adata.var["feature_name"] = TRUTH.genes
    adata.var_names = [f"ENSG{i:011d}" for i in range(adata.n_vars)]
    section = from_anndata(adata)
    same(section)
    assert section.genes.tolist() == TRUTH.genes.tolist()
    assert str(section.gene_ids[1]) == "ENSG00000000001"


def test_columns_of_positions_are_taken_by_name() -> None:
    """obsm["spatial"] as a table with row before column gives the same positions; unknown names are refused."""
    adata = scanpy_like()
    yx = pd.DataFrame(adata.obsm["spatial"][:, ::-1], index=adata.obs_names)
    adata.obsm["spatial"] = yx.set_axis(["pxl_row_in_fullres", "pxl_col_in_fullres"], axis=1)
    same(from_anndata(adata))
    adata.obsm["spatial"] = yx.set_axis(["first", "second"], axis=1)
    with pytest.raises(DataError, match="got first, second"):
        from_anndata(adata)


def test_a_spot_without_array_position_is_left_out() -> None:
    """NA as text in array_row leaves out that spot, with a warning; where many have none, the column is named."""
    adata = scanpy_like()
    rows = adata.obs["array_row"].astype(str)
    rows.iloc[3] = "NA"
    adata.obs["array_row"] = rows.astype("category")
    section = from_anndata(adata)
    assert len(section) == len(TRUTH) - 1
    assert any(str(TRUTH.spots.ids[3]) in message.text for message in section.messages)
    adata.obs["array_row"] = "NA"
    with pytest.raises(DataError, match=r"obs\['array_row'\], got 'NA' for"):
        from_anndata(adata)


@pytest.mark.parametrize("form", [list, str], ids=["boxed", "text"])
def test_scale_factors_as_r_writes_them_are_numbers(outs: Path, form: type) -> None:
    """[0.25] and "0.25" are the number 0.25."""
    path = outs / "spatial" / "scalefactors_json.json"
    content = json.loads(path.read_text())
    path.write_text(
        json.dumps({key: [value] if form is list else str(value) for key, value in content.items()})
    )
    same(read(outs))


def test_scale_factors_that_are_no_numbers_are_named(outs: Path) -> None:
    """A scale factor that is no number is an error that names it, not an image left out."""
    path = outs / "spatial" / "scalefactors_json.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tissue_hires_scalef": [0.25, 0.5]}))
    with pytest.raises(DataError, match=r"number for tissue_hires_scalef .* got \[0.25, 0.5\]"):
        read(outs)


@pytest.mark.parametrize("full", ["global", "sample"])
def test_spots_of_spatialdata_count_full_resolution_pixels(tmp_path: Path, full: str) -> None:
    """The hires image is in a system of its own: spots stay in full-resolution pixels, and the image has its scale."""
    from spatialdata import SpatialData
    from spatialdata.models import Image2DModel, ShapesModel, TableModel
    from spatialdata.transformations import Identity, Scale

    adata = scanpy_like()
    image = adata.uns.pop("spatial")["lib"]["images"]["hires"]
    adata.obs["region"] = pd.Categorical(["S"] * adata.n_obs)
    adata.obs["spot_id"] = np.arange(adata.n_obs)
    systems = {"hires": Scale([SCALE, SCALE], axes=("y", "x")), full: Identity()}
    shapes = ShapesModel.parse(
        np.asarray(adata.obsm["spatial"]), geometry=0, radius=55.0, transformations=systems
    )
    picture = Image2DModel.parse(
        np.moveaxis(image, 2, 0), dims=("c", "y", "x"), transformations={"hires": Identity()}
    )
    table = TableModel.parse(adata, region="S", region_key="region", instance_key="spot_id")
    SpatialData(images={"image": picture}, shapes={"S": shapes}, tables={"table": table}).write(
        tmp_path / "visium.zarr"
    )
    section = read(tmp_path / "visium.zarr")
    same(section)
    assert section.mpp == pytest.approx(TRUTH.mpp, rel=0.01)
