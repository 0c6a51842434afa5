"""Inputs that are read: folders, files and stores of a section of some 40 spots, images, regions, cells, lists."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import plain_reading as plain
from kinds import Kind
from seen import Seen, of_function, parts_of_section

__all__ = ["READER_KINDS"]

_MATRIX = ("counts", "genes", "gene_ids", "ids")
_POSITIONS = ("ids", "xy_px", "lattice_xy", "scale", "diameter", "image")
_PICTURE = ("image", "pixels")
_ALL = (*_MATRIX, *_POSITIONS, "pixels")


@cache
def tissue(lattice: Any = "hexagonal") -> Any:
    """The section that all inputs are made of."""
    from histosge.datasets.synthetic import synthetic

    return synthetic(columns=7, rows=7, genes=24, lattice=lattice).section


def read(path: Path, **options: Any) -> Seen:
    """Read a section, and check it as ``doctor`` does."""

    def call() -> tuple[dict[str, Any], tuple[str, ...]]:
        import histosge
        from histosge.workflow import doctor

        section = histosge.read(path, **options)
        findings = [check.finding for check in doctor._section(section) if check.verdict != "ok"]
        parts, messages = parts_of_section(section)
        return parts, (*messages, *findings)

    return of_function(call)


# --- Space Ranger ---------------------------------------------------------------------------------------------


def _picture(path: Path, size: int) -> tuple[int, int]:
    from PIL import Image

    slide = tissue().slide
    image = Image.fromarray(slide.thumbnail(slide.mpp))
    image.thumbnail((size, size))
    image.save(path)
    return image.size


def make_spaceranger(folder: Path) -> None:
    """Write ``outs`` with a matrix in HDF5 and images of at most 200 pixels."""
    from histosge.datasets.synthetic import write_spaceranger

    section = tissue()
    spatial = write_spaceranger(section, folder / "outs") / "spatial"
    factors = json.loads((spatial / "scalefactors_json.json").read_text())
    full = section.slide.size_um[0] / section.mpp
    for kind, size in (("hires", 200), ("lowres", 60)):
        width, _ = _picture(spatial / f"tissue_{kind}_image.png", size)
        factors[f"tissue_{kind}_scalef"] = width / full
    (spatial / "scalefactors_json.json").write_text(json.dumps(factors))


def _make_mtx(folder: Path) -> None:
    """Write the same with Matrix Market files, a list without header and a JPEG."""
    from scipy.io import mmwrite

    make_spaceranger(folder)
    section, outs = tissue(), folder / "outs"
    (outs / "filtered_feature_bc_matrix.h5").unlink()
    matrix, spatial = outs / "filtered_feature_bc_matrix", outs / "spatial"
    matrix.mkdir()
    mmwrite(matrix / "matrix.mtx", section.counts.T.astype(int))
    (matrix / "barcodes.tsv").write_text("".join(f"{name}\n" for name in section.spots.ids))
    features = [f"ENSG{number:011d}\t{name}\tGene Expression\n" for number, name in enumerate(section.genes)]
    (matrix / "features.tsv").write_text("".join(features))
    for path in list(matrix.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()
    rows = (spatial / "tissue_positions.csv").read_text().splitlines()[1:]
    (spatial / "tissue_positions.csv").unlink()
    (spatial / "tissue_positions_list.csv").write_text("\n".join(rows) + "\n")
    (spatial / "tissue_hires_image.png").unlink()
    _picture(spatial / "tissue_hires_image.jpg", 200)


def _make_hd(folder: Path) -> None:
    """Write bins of 16 µm on a square lattice, with positions in Parquet."""
    import pandas as pd

    make_spaceranger(folder / "made")
    outs = folder / "binned_outputs" / "square_016um"
    outs.parent.mkdir(parents=True)
    shutil.move(folder / "made" / "outs", outs)
    (folder / "made").rmdir()
    spatial = outs / "spatial"
    table = pd.read_csv(spatial / "tissue_positions.csv")
    # a square of bins, 32 pixels apart
    side = int(np.ceil(len(table) ** 0.5))
    row, column = np.divmod(np.arange(len(table)), side)
    table = table.assign(array_row=row, array_col=column, pxl_row_in_fullres=row * 32.0 + 200)
    table.assign(pxl_col_in_fullres=column * 32.0 + 200).to_parquet(
        spatial / "tissue_positions.parquet", index=False
    )
    (spatial / "tissue_positions.csv").unlink()
    factors = json.loads((spatial / "scalefactors_json.json").read_text())
    factors |= {
        "microns_per_pixel": 0.5,
        "spot_diameter_fullres": 32.0,
        "bin_size_um": 16.0,
    }
    (spatial / "scalefactors_json.json").write_text(json.dumps(factors))


def _make_st(folder: Path) -> None:
    from histosge.datasets.synthetic import write_legacy_st

    write_legacy_st(tissue("square"), folder / "st")


def _archive_kind(kind: str, name: str, mode: Any) -> Kind:
    """The files of a sample in an archive."""

    def make(folder: Path) -> None:
        import tarfile
        import zipfile

        make_spaceranger(folder)
        files = [path for path in sorted((folder / "outs").rglob("*")) if path.is_file()]
        if mode == "zip":
            with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
                for path in files:
                    archive.write(path, f"A/{path.relative_to(folder)}")
        else:
            with tarfile.open(folder / name, mode) as archive:
                for path in files:
                    archive.add(path, f"A/{path.relative_to(folder)}")
        shutil.rmtree(folder / "outs")

    # a tar archive has checksums of names and sizes alone; one byte may change any file in it
    return Kind(kind, make, lambda folder, out: read(folder / name), {name: _ALL}, 0.7)


# --- AnnData and SpatialData ----------------------------------------------------------------------------------


def _adata() -> Any:
    import anndata
    import pandas as pd
    from PIL import Image

    section = tissue()
    image = Image.fromarray(section.slide.thumbnail(section.slide.mpp))
    image.thumbnail((120, 120))
    pixels = np.asarray(image)
    obs = pd.DataFrame(index=section.spots.ids.astype(object))
    obs["in_tissue"], obs["array_row"] = 1, section.lattice_xy[:, 1].astype(int)
    obs["array_col"] = section.lattice_xy[:, 0].astype(int)
    var = pd.DataFrame(
        {"gene_ids": [f"ENSG{n:011d}" for n in range(len(section.genes))]},
        index=section.genes,
    )
    data = anndata.AnnData(section.counts.astype(np.float32), obs=obs, var=var)
    data.obsm["spatial"] = np.asarray(section.spots.xy) / section.mpp
    full = section.slide.size_um[0] / section.mpp
    factors = {
        "tissue_hires_scalef": pixels.shape[1] / full,
        "spot_diameter_fullres": 110.0,
    }
    data.uns["spatial"] = {"library": {"images": {"hires": pixels}, "scalefactors": factors}}
    return data


def _make_h5ad(folder: Path) -> None:
    _adata().write_h5ad(folder / "section.h5ad")


def _make_h5ad_raw(folder: Path) -> None:
    """Write log-normalised values with the counts in a layer and in ``raw``, compressed, dense."""
    data = _adata()
    data.raw = data.copy()
    data.layers["counts"] = data.X.copy()
    data.X = np.log1p(data.X.toarray())
    data.write_h5ad(folder / "section.h5ad", compression="gzip")


def _make_spatialdata(folder: Path) -> None:
    import pandas as pd
    from spatialdata import SpatialData
    from spatialdata.models import Image2DModel, ShapesModel, TableModel
    from spatialdata.transformations import Identity, Scale

    data = _adata()
    library = data.uns.pop("spatial")["library"]
    data.obs["region"] = pd.Categorical(["spots"] * len(data))
    data.obs["instance"] = np.arange(len(data))
    xy_px = np.asarray(data.obsm["spatial"])
    shapes = ShapesModel.parse(xy_px, geometry=0, radius=55.0, transformations={"global": Identity()})
    scale = 1 / library["scalefactors"]["tissue_hires_scalef"]
    image = Image2DModel.parse(
        np.moveaxis(library["images"]["hires"], 2, 0),
        dims=("c", "y", "x"),
        transformations={"global": Scale([scale, scale], axes=("x", "y"))},
    )
    table = TableModel.parse(data, region="spots", region_key="region", instance_key="instance")
    elements = {"spots": shapes, "table": table, "image": image}
    SpatialData.init_from_elements(elements).write(folder / "section.zarr")


# --- images ---------------------------------------------------------------------------------------------------


def _make_image(name: str, **options: Any) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        import tifffile
        from PIL import Image

        slide = tissue().slide
        image = Image.fromarray(slide.thumbnail(slide.mpp))
        image.thumbnail((180, 180))
        if name.endswith(".tif"):
            tifffile.imwrite(folder / name, np.asarray(image), photometric="rgb", **options)
        else:
            image.save(folder / name, **options)

    return make


def _image_kind(kind: str, name: str, **options: Any) -> Kind:
    def use(folder: Path, out: Path) -> Seen:
        return read(folder / name, mpp=5.0)

    return Kind(kind, _make_image(name, **options), use, {name: _ALL})


# --- regions, cells, lists ------------------------------------------------------------------------------------


def _make_regions(folder: Path) -> None:
    make_spaceranger(folder)
    square = [[300, 300], [1500, 300], [1500, 1300], [300, 1300], [300, 300]]
    hole = [[600, 600], [900, 600], [900, 900], [600, 900], [600, 600]]
    triangle = [[200, 1400], [700, 1400], [400, 1700], [200, 1400]]
    features = [
        {
            "type": "Feature",
            "id": "a",
            "geometry": {"type": "Polygon", "coordinates": [square, hole]},
            "properties": {},
        },
        {
            "type": "Feature",
            "geometry": {"type": "MultiPolygon", "coordinates": [[triangle]]},
            "properties": {"name": "second", "objectType": "annotation"},
        },
    ]
    (folder / "regions.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def _centroids() -> list[list[float]]:
    return (np.asarray(tissue().spots.xy)[::4] / tissue().mpp + 7).round(1).tolist()


def _make_cells(folder: Path) -> None:
    make_spaceranger(folder)
    features = []
    for number, (x, y) in enumerate(_centroids()):
        ring = [
            [x - 5, y - 5],
            [x + 5, y - 5],
            [x + 5, y + 5],
            [x - 5, y + 5],
            [x - 5, y - 5],
        ]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        features.append(
            {
                "type": "Feature",
                "id": f"cell{number}",
                "geometry": geometry,
                "properties": {},
            }
        )
    (folder / "cells.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def _make_cell_table(folder: Path) -> None:
    make_spaceranger(folder)
    rows = [f"cell{number},{x},{y},{number / 7:.3f}" for number, (x, y) in enumerate(_centroids())]
    (folder / "cells.csv").write_text("\n".join(["Object ID,Centroid X px,Centroid Y px,Area", *rows]) + "\n")


@cache
def _read_once(path: Path) -> Any:
    """The section beside regions or cells, which is not changed."""
    import histosge

    return histosge.read(path)


def _locate(folder: Path, **target: Any) -> Seen:
    def call() -> tuple[dict[str, Any], tuple[str, ...]]:
        import warnings

        from histosge.section.target import Target, locate, tissue_of

        section = _read_once(folder / "outs")
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter("always")
            locations = locate(section, Target(**target), tissue_of(section))
        parts = {
            "ids": [str(name) for name in locations.points.ids],
            "xy_px": np.asarray(locations.xy) / section.mpp,
            "lattice_xy": np.asarray(locations.lattice_xy),
        }
        return parts, tuple(str(warning.message) for warning in raised)

    return of_function(call)


def _make_genes(folder: Path) -> None:
    make_spaceranger(folder)
    (folder / "genes.txt").write_text("".join(f"{name}\n" for name in tissue().genes[:9]))


def _use_genes(folder: Path, out: Path) -> Seen:
    def call() -> tuple[dict[str, Any], tuple[str, ...]]:
        from histosge.section.genes import GeneChoice, select

        panel = select(_read_once(folder / "outs"), GeneChoice.parse(folder / "genes.txt"))
        return {"genes": panel.names.tolist()}, tuple(message.text for message in panel.messages)

    return of_function(call)


def _make_truth(folder: Path) -> None:
    make_spaceranger(folder)
    rows = [f"{name}\tlayer {number % 3}" for number, name in enumerate(tissue().spots.ids)]
    (folder / "truth.tsv").write_text("\n".join(["spot\tlayer", *rows]) + "\n")


def _use_truth(folder: Path, out: Path) -> Seen:
    def call() -> tuple[dict[str, Any], tuple[str, ...]]:
        from histosge.domains.annotation import read_annotation

        return {
            "labels": list(read_annotation(folder / "truth.tsv", _read_once(folder / "outs").spots.ids))
        }, ()

    return of_function(call)


def _plain(name: str, reading: Callable[[Path], dict[str, Any]]) -> Callable[[Path], dict[str, Any]]:
    return lambda folder: reading(folder / name)


_OF_OUTS = {
    "*matrix.h5": _MATRIX,
    "*tissue_positions*": _POSITIONS,
    "*scalefactors_json.json": ("scale", "diameter", "image", "pixels"),
    "*image.png": _PICTURE,
    "*image.jpg": _PICTURE,
    "*.gz": _MATRIX,
}
_OF_ST = {"*counts.tsv.gz": _MATRIX, "*spots.tsv": _POSITIONS, "*image.png": _PICTURE}

READER_KINDS = (
    Kind(
        "spaceranger-h5",
        make_spaceranger,
        lambda folder, out: read(folder / "outs"),
        _OF_OUTS,
        2,
        _plain("outs", plain.of_spaceranger),
    ),
    Kind(
        "spaceranger-mtx",
        _make_mtx,
        lambda folder, out: read(folder / "outs"),
        _OF_OUTS,
        2,
        _plain("outs", plain.of_spaceranger),
    ),
    Kind(
        "visium-hd",
        _make_hd,
        lambda folder, out: read(folder / "binned_outputs"),
        _OF_OUTS,
        1,
        _plain("binned_outputs/square_016um", plain.of_spaceranger),
    ),
    _archive_kind("upload-tar", "GSE1_RAW.tar", "w"),
    _archive_kind("upload-tar-gz", "sample.tar.gz", "w:gz"),
    _archive_kind("upload-zip", "sample.zip", "zip"),
    Kind(
        "legacy-st",
        _make_st,
        lambda folder, out: read(folder / "st"),
        _OF_ST,
        2,
        _plain("st", plain.of_legacy_st),
    ),
    Kind(
        "h5ad",
        _make_h5ad,
        lambda folder, out: read(folder / "section.h5ad"),
        {"*.h5ad": _ALL},
        2,
        _plain("section.h5ad", plain.of_h5ad),
    ),
    Kind(
        "h5ad-raw",
        _make_h5ad_raw,
        lambda folder, out: read(folder / "section.h5ad"),
        {"*.h5ad": _ALL},
        1,
        _plain("section.h5ad", plain.of_h5ad),
    ),
    Kind(
        "spatialdata",
        _make_spatialdata,
        lambda folder, out: read(folder / "section.zarr"),
        {"*": _ALL},
        2,
    ),
    _image_kind("image-tiff", "slide.tif"),
    _image_kind("image-tiff-tiled", "slide.tif", tile=(32, 32), compression="zlib"),
    _image_kind("image-tiff-jpeg", "slide.tif", tile=(64, 64), compression="jpeg"),
    _image_kind("image-png", "slide.png"),
    _image_kind("image-jpeg", "slide.jpg", quality=90),
    Kind(
        "regions",
        _make_regions,
        lambda folder, out: _locate(folder, regions=folder / "regions.geojson", spacing_um=40.0),
        {"regions.geojson": ("ids", "xy_px", "lattice_xy")},
    ),
    Kind(
        "cells-geojson",
        _make_cells,
        lambda folder, out: _locate(folder, cells=folder / "cells.geojson"),
        {"cells.geojson": ("ids", "xy_px", "lattice_xy")},
    ),
    Kind(
        "cells-csv",
        _make_cell_table,
        lambda folder, out: _locate(folder, cells=folder / "cells.csv"),
        {"cells.csv": ("ids", "xy_px", "lattice_xy")},
    ),
    Kind("gene-list", _make_genes, _use_genes, {"genes.txt": ("genes",)}, 0.5),
    Kind("annotation", _make_truth, _use_truth, {"truth.tsv": ("labels",)}, 0.5),
)
