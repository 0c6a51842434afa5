"""Indices of sparse matrices are checked in every container, before compiled code reads memory by them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from folders import TRUTH, read
from scipy import io, sparse

from histosge.datasets.synthetic import synthetic, write_spaceranger
from histosge.errors import HistosgeError

SQUARE = synthetic(columns=8, rows=8, genes=12, lattice="square").section


def adata() -> anndata.AnnData:
    data = anndata.AnnData(TRUTH.counts.astype(np.float32).tocsr())
    data.obs_names, data.var_names = TRUTH.spots.ids.astype(object), TRUTH.genes.astype(object)
    data.obs["array_col"], data.obs["array_row"] = TRUTH.lattice_xy.astype(int).T
    data.obsm["spatial"] = TRUTH.spots.xy / TRUTH.mpp
    return data


def visium(folder: Path) -> tuple[Path, Path, str]:
    """Return the section, and the file and the group of its matrix."""
    outs = write_spaceranger(TRUTH, folder / "outs")
    return outs, outs / "filtered_feature_bc_matrix.h5", "matrix"


def visium_hd(folder: Path) -> tuple[Path, Path, str]:
    outs = write_spaceranger(SQUARE, folder / "hd" / "square_016um")
    return folder / "hd", outs / "filtered_feature_bc_matrix.h5", "matrix"


def h5ad_rows(folder: Path) -> tuple[Path, Path, str]:
    adata().write_h5ad(folder / "a.h5ad")
    return folder / "a.h5ad", folder / "a.h5ad", "X"


def h5ad_columns(folder: Path) -> tuple[Path, Path, str]:
    data = adata()
    data.X = sparse.csc_matrix(data.X)
    data.write_h5ad(folder / "a.h5ad")
    return folder / "a.h5ad", folder / "a.h5ad", "X"


def h5ad_raw(folder: Path) -> tuple[Path, Path, str]:
    data = adata()
    data.raw = data.copy()
    data.write_h5ad(folder / "a.h5ad")
    return folder / "a.h5ad", folder / "a.h5ad", "raw/X"


def h5ad_layer(folder: Path) -> tuple[Path, Path, str]:
    data = adata()
    data.layers["counts"] = data.X.copy()
    data.write_h5ad(folder / "a.h5ad")
    return folder / "a.h5ad", folder / "a.h5ad", "layers/counts"


def spatialdata(folder: Path) -> tuple[Path, Path, str]:
    from spatialdata import SpatialData
    from spatialdata.models import ShapesModel, TableModel
    from spatialdata.transformations import Identity

    data = adata()
    data.obs["region"], data.obs["instance"] = pd.Categorical(["spots"] * len(TRUTH)), np.arange(len(TRUTH))
    shapes = ShapesModel.parse(
        data.obsm["spatial"], geometry=0, radius=55.0, transformations={"global": Identity()}
    )
    table = TableModel.parse(data, region="spots", region_key="region", instance_key="instance")
    SpatialData.init_from_elements({"spots": shapes, "table": table}).write(folder / "s.zarr")
    return folder / "s.zarr", folder / "s.zarr", "tables/table/X"


def too_large(parts: dict[str, Any]) -> None:
    parts["indices"][3] = 10_000_000


def negative(parts: dict[str, Any]) -> None:
    parts["indices"][3] = -7


def repeated(parts: dict[str, Any]) -> None:
    row = int(np.argmax(np.diff(parts["indptr"]) > 1))
    start = parts["indptr"][row]
    parts["indices"][start + 1] = parts["indices"][start]


def pointers(parts: dict[str, Any]) -> None:
    parts["indptr"][2] = parts["indptr"][-1] + 1_000_000


def not_a_number(parts: dict[str, Any]) -> None:
    parts["data"] = parts["data"].astype(np.float32)
    parts["data"][3] = np.nan


CONTAINERS = [visium, h5ad_rows, h5ad_columns, h5ad_raw, h5ad_layer, spatialdata]
DAMAGE = [too_large, negative, repeated, pointers, not_a_number]


@pytest.mark.parametrize(
    ("container", "damage"),
    # Visium HD shares the matrix of Visium
    [*((container, damage) for container in CONTAINERS for damage in DAMAGE), (visium_hd, too_large)],
    ids=lambda f: f.__name__,
)
def test_damaged_indices_are_refused(
    tmp_path: Path,
    container: Callable[[Path], tuple[Path, Path, str]],
    damage: Callable[[dict[str, Any]], None],
) -> None:
    """Out of range, negative, twice, pointers past the end, NaN: a sentence in each container."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path, file, group = container(tmp_path)
    opened = zarr.open_group(file, mode="r+") if file.is_dir() else h5py.File(file, "r+")
    parts = {name: opened[group][name][:] for name in ("data", "indices", "indptr")}
    damage(parts)
    for name, values in parts.items():
        if file.is_dir():
            del opened[f"{group}/{name}"]
            opened[group].create_array(name, data=values)
        else:
            del opened[group][name]
            opened[group][name] = values
    if not file.is_dir():
        opened.close()
    if container in (h5ad_raw, h5ad_layer) and damage is not_a_number:
        # X holds counts, so that the other matrix is not needed
        assert len(read(path)) == len(TRUTH)
        return
    with pytest.raises(HistosgeError) as error:
        read(path, trust_alignment=True)
    assert str(error.value).endswith(".")


@pytest.mark.parametrize("line", ["999 1 3", "-1 1 3", "0 1 3", "1 1 nan", None])
def test_damaged_matrix_market_files_are_refused(tmp_path: Path, line: str | None) -> None:
    """Out of range, negative, NaN, and a value that is there twice."""
    outs, file, _ = visium(tmp_path)
    file.unlink()
    folder = outs / "filtered_feature_bc_matrix"
    folder.mkdir()
    io.mmwrite(folder / "matrix.mtx", sparse.coo_matrix(TRUTH.counts.T.astype(float)))
    (folder / "barcodes.tsv").write_text("".join(f"{name}\n" for name in TRUTH.spots.ids))
    (folder / "genes.tsv").write_text("".join(f"{gene}\t{gene}\n" for gene in TRUTH.genes))
    lines = (folder / "matrix.mtx").read_text().splitlines()
    lines[-1] = lines[-2] if line is None else line
    (folder / "matrix.mtx").write_text("\n".join(lines) + "\n")
    with pytest.raises(HistosgeError) as error:
        read(outs)
    assert str(error.value).endswith(".")


def test_a_matrix_file_without_a_matrix_is_refused(tmp_path: Path) -> None:
    """An HDF5 file without any group ends with a sentence."""
    outs, matrix, _ = visium(tmp_path)
    h5py.File(matrix, "w").close()
    with pytest.raises(HistosgeError, match="holds no matrix"):
        read(outs)
