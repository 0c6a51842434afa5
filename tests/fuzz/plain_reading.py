"""Counts and positions of a changed input as read without the package: by loops over h5py, csv, gzip and pandas alone.

Where a changed input is read with another result, counts and positions are to be these.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["of_h5ad", "of_legacy_st", "of_spaceranger"]


def of_spaceranger(outs: Path) -> dict[str, Any]:
    """Read a matrix in HDF5 or Matrix Market, and the positions."""
    matrix = outs / "filtered_feature_bc_matrix.h5"
    parts = _of_h5(matrix) if matrix.is_file() else _of_mtx(outs / "filtered_feature_bc_matrix")
    xy = dict(_positions(outs / "spatial"))
    parts["xy_px"] = np.array([xy.get(name, (np.nan, np.nan)) for name in parts["ids"]])
    return parts


def _filled(parts: tuple[Any, Any, Any], shape: tuple[int, int]) -> Any:
    """Return a compressed matrix as a dense one, row by row."""
    data, indices, ends = parts
    dense = np.zeros(shape)
    for row in range(shape[0]):
        for at in range(int(ends[row]), int(ends[row + 1])):
            dense[row, int(indices[at])] += float(data[at])
    return dense


def _words(values: Any) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _of_h5(path: Path) -> dict[str, Any]:
    import h5py

    with h5py.File(path) as file:
        group = file["matrix"]
        ids, genes = _words(group["barcodes"][:]), _words(group["features/id"][:])
        parts = (group["data"][:], group["indices"][:], group["indptr"][:])
        return {
            "ids": ids,
            "gene_ids": genes,
            "counts": _filled(parts, (len(ids), len(genes))),
        }


def _of_mtx(folder: Path) -> dict[str, Any]:
    barcodes, features, matrix = (
        gzip.decompress((folder / f"{name}.gz").read_bytes()).decode("utf-8-sig").splitlines()
        for name in ("barcodes.tsv", "features.tsv", "matrix.mtx")
    )
    ids = [line.split("\t")[0] for line in barcodes if line.strip()]
    genes = [line.split("\t")[0] for line in features if line.strip()]
    dense = np.zeros((len(ids), len(genes)))
    lines = [line for line in matrix if line.strip() and not line.startswith("%")]
    for line in lines[1:]:
        gene, spot, value = line.split()
        dense[int(spot) - 1, int(gene) - 1] += float(value)
    return {"ids": ids, "gene_ids": genes, "counts": dense}


def _positions(spatial: Path) -> Iterator[tuple[str, tuple[float, float]]]:
    import pandas as pd

    if (path := spatial / "tissue_positions.parquet").is_file():
        table = pd.read_parquet(path).reset_index()
        for row in table.to_dict("records"):
            yield (
                str(row["barcode"]),
                (float(row["pxl_col_in_fullres"]), float(row["pxl_row_in_fullres"])),
            )
        return
    path = next(path for path in sorted(spatial.glob("tissue_positions*.csv")))
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    names = [
        "barcode",
        "in_tissue",
        "array_row",
        "array_col",
        "pxl_row_in_fullres",
        "pxl_col_in_fullres",
    ]
    if set(names) & set(rows[0]):
        names, rows = rows[0], rows[1:]
    names = names if "barcode" in names else ["barcode", *names[1:]]
    for row in rows:
        named = dict(zip(names, row[-len(names) :], strict=False))
        yield (
            named["barcode"],
            (float(named["pxl_col_in_fullres"]), float(named["pxl_row_in_fullres"])),
        )


def of_legacy_st(folder: Path) -> dict[str, Any]:
    """Read the tables of counts and of spots; spots are called by their positions on the array."""
    text = gzip.decompress((folder / "counts.tsv.gz").read_bytes()).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text), delimiter="\t"))
    spots = list(csv.DictReader(io.StringIO((folder / "spots.tsv").read_text("utf-8-sig")), delimiter="\t"))
    xy = {
        f"{float(spot['x']):g}x{float(spot['y']):g}": (
            float(spot["pixel_x"]),
            float(spot["pixel_y"]),
        )
        for spot in spots
    }
    ids, genes = [row[0] for row in rows[1:]], rows[0][1:]
    counts = np.array([[float(value) for value in row[1 : len(genes) + 1]] for row in rows[1:]])
    places = np.array([xy.get(name, (np.nan, np.nan)) for name in ids])
    return {"ids": ids, "gene_ids": genes, "counts": counts, "xy_px": places}


def of_h5ad(path: Path) -> dict[str, Any]:
    """Read the counts of ``layers["counts"]`` or ``X``, and ``obsm["spatial"]``."""
    import h5py

    with h5py.File(path) as file:
        obs, var = file["obs"], file["var"]
        ids = _words(obs[obs.attrs["_index"]][:])
        # without identifiers, the names are taken
        genes = _words(var["gene_ids" if hasattr(var.get("gene_ids"), "shape") else var.attrs["_index"]][:])
        stored = file["layers/counts"] if "counts" in file.get("layers", {}) else file["X"]
        parts = (stored["data"][:], stored["indices"][:], stored["indptr"][:])
        counts = _filled(parts, (len(ids), len(genes)))
        return {
            "ids": ids,
            "gene_ids": genes,
            "counts": counts,
            "xy_px": file["obsm/spatial"][:, :2],
        }
