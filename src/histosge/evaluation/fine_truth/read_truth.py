"""Read a finer truth: a table of cells, an AnnData file of cells, or fine bins of Visium HD."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from histosge._runtime.messages import Message
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.geometry.points import Points
from histosge.images.slide import SlideImage, open_slide
from histosge.io.hdf5.anndata_file import read_anndata
from histosge.io.readers import read

from .truth import FineTruth

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_truth"]

_TABLES = ("cells.parquet", "cells.csv.gz", "cells.csv")
_ENDINGS = (".parquet", ".csv", ".csv.gz")
_IMAGES = ("he.png", "he.tif", "he.tiff", "he.jpg")
_POSITION, _PIXEL = ("x_um", "y_um"), ("pixel_x", "pixel_y")
_POSITION_OF_OBS = (_POSITION, ("x_centroid", "y_centroid"))
_DESCRIPTION = ("cell_id", *_POSITION, *_PIXEL, "area_um2")
# columns of tables of cells that are no genes: counted among them they would be false genes in silence
_NO_GENES = frozenset(
    (
        *(
            "x",
            "y",
            "x_centroid",
            "y_centroid",
            "fov",
            "area",
            "cell_area",
            "nucleus_area",
            "cluster",
            "leiden",
        ),
        *("transcript_counts", "control_probe_counts", "control_codeword_counts", "total_counts", "n_counts"),
        "n_genes",
    )
)
# largest root mean square distance of a cell from the pixel that the map of all cells expects, and of the two scales
_WORST_PX, _WORST_SCALES = 2.0, 0.05


def read_truth(path: Path | str, *, image: Path | str | None = None, mpp: float | None = None) -> FineTruth:
    """Read a finer truth.

    Parameters
    ----------
    path
        A table of cells (``.csv``, ``.csv.gz``, ``.parquet``) with the columns ``x_um``, ``y_um`` and a column of
        counts for every gene, further ``cell_id``, ``area_um2``, and ``pixel_x``, ``pixel_y`` on the image; a folder
        with such a table ``cells…`` and an image ``he…``; an ``.h5ad`` of cells with ``x_um``, ``y_um`` (or
        ``x_centroid``, ``y_centroid``, as Xenium has them, in µm) in ``obs``; or bins of Visium HD, of which the
        smallest are read.
    image
        H&E image of cells; by default ``he.png`` beside a table in a folder. Its scale follows from ``pixel_x`` and
        ``pixel_y``.
    mpp
        µm per pixel of ``image`` where the cells have no pixel positions: their µm are then those of the image,
        from its upper left corner.

    Raises
    ------
    UsageError
        When nothing is there, or image and cells are not in one frame.
    DataError
        For a table without positions or genes, and for counts that are not raw.
    """
    path = Path(path)
    if not path.exists():
        raise UsageError(f"Expected a finer truth, got nothing at '{path}'. Check the path.")
    tables = [path / name for name in _TABLES if path.is_dir() and (path / name).is_file()]
    if tables:
        images = [path / name for name in _IMAGES if (path / name).is_file()]
        image = image or (images[0] if images else None)
        return _of_table(_table(tables[0]), path.name, image=image, mpp=mpp, sources=(path,))
    if path.is_file() and path.name.endswith(_ENDINGS):
        return _of_table(_table(path), path.name.split(".")[0], image=image, mpp=mpp, sources=(path,))
    if path.is_file() and path.suffix == ".h5ad":
        return _of_anndata(path, image=image, mpp=mpp)
    return FineTruth.of_section(_smallest_bins(path))


def _smallest_bins(path: Path) -> Any:
    """Read the smallest bins of a Visium HD folder; any other format as it is."""
    for bin_um in (2.0, 8.0, 16.0):
        try:
            return read(path, reader="visium_hd", bin_um=bin_um)
        except UsageError:
            continue
    return read(path)


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise DataError(f"'{path}' is no table of cells that can be read: {error}") from error


def _of_table(
    table: pd.DataFrame,
    name: str,
    *,
    image: Path | str | None,
    mpp: float | None,
    sources: tuple[Path, ...],
) -> FineTruth:
    """Return the cells of a table; every column that does not describe a cell is a gene."""
    if missing := [column for column in _POSITION if column not in table]:
        raise DataError(f"Expected a column {missing[0]} in the table of cells '{name}', got none.")
    genes = [column for column in table.columns if column not in _DESCRIPTION]
    other = [column for column in genes if column in _NO_GENES or table[column].dtype.kind not in "iuf"]
    if other:
        raise DataError(
            f"Expected a gene's counts in every column of '{name}' but {', '.join(_DESCRIPTION)}; got '{other[0]}'. "
            "Leave out columns that are no genes."
        )
    if not genes:
        raise DataError(f"Expected columns of genes in the table of cells '{name}', got none.")
    cells = table["cell_id"] if "cell_id" in table else np.arange(len(table))
    pixels = table[list(_PIXEL)].to_numpy(dtype=np.float64) if set(_PIXEL) <= set(table.columns) else None
    return _framed(
        name,
        sparse.csr_matrix(table[genes].to_numpy(dtype=np.float64)),
        np.array(genes),
        cells=np.asarray(cells).astype(str),
        xy_um=table[list(_POSITION)].to_numpy(dtype=np.float64),
        pixels=pixels,
        image=(image, mpp),
        sources=sources,
    )


def _of_anndata(path: Path, *, image: Path | str | None, mpp: float | None) -> FineTruth:
    """Return the cells of an AnnData file."""
    cells = read_anndata(path)
    names = next((pair for pair in _POSITION_OF_OBS if set(pair) <= set(cells.obs.columns)), None)
    if names is None:
        raise DataError(
            f"Expected the columns x_um and y_um in obs of '{path.name}', got none. Positions in obsm have no unit; "
            "write them into obs in µm."
        )
    counts = cells.layers.get("counts", cells.X)
    pixels = cells.obs[list(_PIXEL)].to_numpy(np.float64) if set(_PIXEL) <= set(cells.obs.columns) else None
    return _framed(
        path.stem,
        sparse.csr_matrix(counts, dtype=np.float64),
        np.asarray(cells.var_names),
        cells=np.asarray(cells.obs_names).astype(str),
        xy_um=cells.obs[list(names)].to_numpy(dtype=np.float64),
        pixels=pixels,
        image=(image, mpp),
        sources=(path,),
    )


def _framed(
    name: str,
    counts: sparse.csr_matrix,
    genes: Array,
    *,
    cells: Array,
    xy_um: Array,
    pixels: Array | None,
    image: tuple[Path | str | None, float | None],
    sources: tuple[Path, ...],
) -> FineTruth:
    """Return cells in the frame of their image, whose scale follows from their positions in both frames."""
    path, mpp = image
    messages: tuple[Message, ...] = ()
    slide: SlideImage | None = None
    if path is not None:
        sources = (*sources, Path(path))
        if mpp is None and pixels is None:
            raise UsageError(
                f"Cells of '{name}' have no pixel_x and pixel_y, so that nothing says where they lie on the image. "
                "Give `mpp` if their µm count from the image's upper left corner, or leave the image out."
            )
        if mpp is None and pixels is not None:
            mpp, text = _scale(xy_um, pixels)
            xy_um, messages = pixels * mpp, (Message("info", text),)
        slide = open_slide(Path(path), mpp=mpp)
        off = ~slide.contains(xy_um)
        if off.mean() > 0.05:
            raise DataError(
                f"{100 * off.mean():.0f} % of the cells of '{name}' lie off the image. Positions and image do not "
                "belong together."
            )
    return FineTruth(
        name, counts, genes, Points(xy_um, cells), slide=slide, messages=messages, sources=sources
    )


def _scale(xy_um: Array, pixels: Array) -> tuple[float, str]:
    """Return µm per pixel from positions in both frames, and a sentence about it.

    Raises
    ------
    DataError
        When the pixels are no turned, mirrored and scaled copy of the positions.
    """
    design = np.column_stack([np.ones(len(xy_um)), xy_um])
    if len(xy_um) < 3 or not (np.isfinite(design).all() and np.isfinite(pixels).all()):
        raise DataError("Expected finite positions of at least 3 cells, in µm and in pixels.")
    coefficients = np.linalg.lstsq(design, pixels, rcond=None)[0]
    worst = float(np.sqrt(((design @ coefficients - pixels) ** 2).sum(axis=1).mean()))
    large, small = np.linalg.svd(coefficients[1:], compute_uv=False)
    if worst > _WORST_PX or not small > 0 or large / small - 1 > _WORST_SCALES:
        raise DataError(
            f"Expected pixels that are the positions turned and scaled, got a distance of {worst:.1f} pixels from "
            f"that, and scales of {large:.4f} and {small:.4f} pixels per µm. Check pixel_x and pixel_y."
        )
    mpp = float(1 / np.sqrt(large * small))
    text = (
        f"Cells are in the image's frame of {mpp:.2f} µm per pixel; scales along its axes differ by "
        f"{100 * (large / small - 1):.1f} %."
    )
    return mpp, text
