"""Cells in the layouts of programs that find them, beside the section that they lie on."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from kinds import Kind
from reader_kinds import make_spaceranger, tissue
from seen import Seen, of_function

__all__ = ["CELL_KINDS"]

_PARTS = ("ids", "xy_px", "areas_px", "nuclei_px", "classes")
_HALF_PX, _NUCLEUS_PX, _XENIUM_UM = 12, 6, 0.25


@cache
def _section(path: Path) -> Any:
    """The section beside the cells, which is not changed."""
    import histosge

    return histosge.read(path)


def _located(name: str) -> Callable[[Path, Path], Seen]:
    """Locate the cells of a file or folder, as ``run --cells`` does."""

    def use(folder: Path, out: Path) -> Seen:
        def call() -> tuple[dict[str, Any], tuple[str, ...]]:
            import shapely

            from histosge.section.target import Target, locate, tissue_of

            section = _section(folder / "outs")
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                locations = locate(section, Target(cells=folder / name), tissue_of(section))
            cells = locations.cells
            empty = np.zeros(len(cells))
            parts = {
                "ids": cells.ids.tolist(),
                "xy_px": np.asarray(locations.xy) / section.mpp,
                "areas_px": np.nan_to_num(cells.area_um2) / section.mpp**2,
                "nuclei_px": empty if cells.nuclei is None else np.nan_to_num(shapely.area(cells.nuclei)),
                "classes": [""] * len(cells) if cells.classes is None else cells.classes.tolist(),
            }
            return parts, tuple(str(warning.message) for warning in caught)

        return of_function(call)

    return use


def _centres() -> np.ndarray:
    return (np.asarray(tissue().spots.xy) / tissue().mpp).round()


def _ring(centre: Any, half: float) -> list[list[float]]:
    turns = ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))
    return [[float(centre[0] + half * x), float(centre[1] + half * y)] for x, y in turns]


def _polygon(centre: Any, half: float) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [_ring(centre, half)]}


def _make_qupath(folder: Path) -> None:
    make_spaceranger(folder)
    features = [
        {
            "type": "Feature",
            "id": f"cell{number}",
            "geometry": _polygon(centre, _HALF_PX),
            "nucleusGeometry": _polygon(centre, _NUCLEUS_PX),
            "properties": {
                "objectType": "cell",
                "classification": {"name": ("Tumor", "Stroma")[number % 2], "color": [1, 2, 3]},
                "measurements": {"Detection probability": 0.5, "Area": 1.5},
            },
        }
        for number, centre in enumerate(_centres())
    ]
    (folder / "cells.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def _make_cellvit(folder: Path) -> None:
    make_spaceranger(folder)
    cells = [
        {"centroid": centre.tolist(), "contour": _ring(centre, _HALF_PX)[:-1], "type": 1, "type_prob": 0.9}
        for centre in _centres()
    ]
    content = {"wsi_metadata": {}, "type_map": {"1": "Neoplastic"}, "cells": cells}
    (folder / "cells.json").write_text(json.dumps(content))


def _make_labels(folder: Path) -> None:
    import tifffile

    make_spaceranger(folder)
    width, height = (round(side / tissue().mpp) for side in tissue().slide.size_um)
    labels = np.zeros((height, width), dtype=np.uint16)
    for number, (x, y) in enumerate(_centres().astype(int), start=1):
        labels[y - _HALF_PX : y + _HALF_PX, x - _HALF_PX : x + _HALF_PX] = number
    tifffile.imwrite(folder / "masks.tif", labels, tile=(256, 256), compression="zlib")


def _make_segmented(folder: Path) -> None:
    make_spaceranger(folder)
    path = folder / "segmented_outputs"
    (path / "spatial").mkdir(parents=True)
    for name, half in (("cell", _HALF_PX), ("nucleus", _NUCLEUS_PX)):
        features = [
            {"type": "Feature", "geometry": _polygon(centre, half), "properties": {"cell_id": number}}
            for number, centre in enumerate(_centres(), start=1)
        ]
        content = {"type": "FeatureCollection", "features": features}
        (path / f"{name}_segmentations.geojson").write_text(json.dumps(content))
    factors = {"microns_per_pixel": tissue().mpp}
    (path / "spatial" / "scalefactors_json.json").write_text(json.dumps(factors))


def _make_xenium(folder: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    make_spaceranger(folder)
    path = folder / "xenium"
    path.mkdir()
    for name, half in (("cell", _HALF_PX), ("nucleus", _NUCLEUS_PX)):
        rings = [_ring(centre, half) for centre in _centres()]
        corners = np.array([xy for ring in rings for xy in ring]) * tissue().mpp
        ids = [f"aaaa{number}-1" for number, ring in enumerate(rings) for _ in ring]
        table = pyarrow.table({"cell_id": ids, "vertex_x": corners[:, 0], "vertex_y": corners[:, 1]})
        parquet.write_table(table, path / f"{name}_boundaries.parquet")
    scale = tissue().mpp / _XENIUM_UM
    (path / "s_he_imagealignment.csv").write_text(f"{scale},0,0\n0,{scale},0\n0,0,1\n")
    content = {"analysis_sw_version": "xenium-2.0.0", "pixel_size": _XENIUM_UM}
    (path / "experiment.xenium").write_text(json.dumps(content))


CELL_KINDS = (
    Kind("cells-qupath", _make_qupath, _located("cells.geojson"), {"cells.geojson": _PARTS}),
    Kind("cells-cellvit", _make_cellvit, _located("cells.json"), {"cells.json": _PARTS}),
    Kind("cells-labels", _make_labels, _located("masks.tif"), {"masks.tif": _PARTS}),
    Kind(
        "cells-spaceranger", _make_segmented, _located("segmented_outputs"), {"segmented_outputs/*": _PARTS}
    ),
    Kind("cells-xenium", _make_xenium, _located("xenium"), {"xenium/*": _PARTS}),
)
