"""Shapes of a SpatialData store (an extra: ``pip install 'histosge[spatialdata]'``)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.messages import Message, emit
from histosge._runtime.types import Array
from histosge.errors import DataError, HistosgeError, UsageError
from histosge.segmentation.cells import Cells
from histosge.segmentation.checked_cells import checked_cells

from .base import CellOptions, CellSource
from .geoparquet import of_shapes

__all__ = ["ENTRIES"]

# corners of a quarter of a circle: the area is that of the circle to 0.2 %
_CORNERS = 16


def detect(path: Path) -> bool:
    """Return whether the path is a store with shapes, or one of its shapes (``store.zarr/shapes/NAME``)."""
    return path.is_dir() and ((path / "shapes").is_dir() or _is_element(path))


def _is_element(path: Path) -> bool:
    return path.parent.name == "shapes" and (path / "shapes.parquet").is_file()


def read(path: Path, options: CellOptions) -> Cells:
    """Read polygons, circles or points of one element, in the coordinate system of full-resolution pixels.

    Where a store has several elements, the one that is named for cells is read, with nuclei of the same index.

    Raises
    ------
    UsageError
        When it is not clear which element holds the cells, or the package is missing.
    DataError
        When the store is damaged.
    """
    root, named = (path.parent.parent, path.name) if _is_element(path) else (path, options.layer)
    frames = _shapes(root)
    name = _chosen(frames, named, root)
    shapes, ids = _in_pixels(frames[name])
    columns = {
        column: frames[name][column].tolist() for column in frames[name].columns if column != "geometry"
    }
    columns["cell_id"] = ids
    stored = of_shapes(shapes, columns, path)
    nuclei = [other for other in frames if "nucle" in other.lower() and other != name]
    if stored.outlines is not None and len(nuclei) == 1:
        nucleus_of = dict(zip(*reversed(_in_pixels(frames[nuclei[0]])), strict=True))
        inside = np.array([nucleus_of.get(cell) for cell in ids], dtype=object)
        stored = replace(stored, nuclei=inside)
    emit([Message("info", f"Cells are the shapes '{name}' of '{root}'.")])
    return checked_cells(stored, path, source="spatialdata", scale=options.mpp)


def _shapes(root: Path) -> dict[str, Any]:
    try:
        import spatialdata
    except ModuleNotFoundError as error:
        raise UsageError(
            "SpatialData is an extra. Install it: pip install 'histosge[spatialdata]'"
        ) from error
    try:
        return dict(spatialdata.read_zarr(root, selection=("shapes",)).shapes)
    except (HistosgeError, MemoryError):
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"'{root}' is damaged or no SpatialData store ({reason}). Copy it again.") from error


def _chosen(frames: dict[str, Any], named: str | None, root: Path) -> str:
    """Return which element holds the cells: the one that was named, the only one, or the one named for cells."""
    if named is not None:
        if named in frames:
            return named
        raise UsageError(f"There are no shapes '{named}' in '{root}'; it holds {', '.join(frames)}.")
    names = [name for name in frames if "cell" in name.lower()]
    outlines = [name for name in names if "radius" not in frames[name].columns]
    for candidates in (list(frames), names, outlines):
        if len(candidates) == 1:
            return candidates[0]
    raise UsageError(
        f"'{root}' holds several shapes: {', '.join(frames) or 'none'}. Give the path of one, as "
        f"'{root.name}/shapes/{next(iter(frames), 'NAME')}'."
    )


def _in_pixels(frame: Any) -> tuple[Array, list[str]]:
    """Return outlines (circles made polygons) in full-resolution pixels, and the ids of the index."""
    import shapely
    import spatialdata
    from spatialdata.transformations import get_transformation

    systems = {
        str(name): step.to_affine_matrix(("x", "y"), ("x", "y"))
        for name, step in get_transformation(frame, get_all=True).items()
    }
    # "global" counts pixels, unless it was scaled down to a smaller image while another system was not
    unchanged = [name for name, matrix in systems.items() if np.allclose(matrix, np.eye(3))]
    shrunk = "global" in systems and bool(unchanged) and abs(np.linalg.det(systems["global"])) < 1
    system = "global" if "global" in systems and not shrunk else (unchanged or list(systems))[0]
    moved = spatialdata.transform(frame, to_coordinate_system=system)
    shapes = np.asarray(moved.geometry.to_numpy(), dtype=object)
    if "radius" in moved.columns:
        shapes = shapely.buffer(shapes, moved["radius"].to_numpy(dtype=np.float64), quad_segs=_CORNERS)
    return shapes, [str(name) for name in moved.index]


ENTRIES = (
    CellSource(
        "spatialdata",
        "shapes of a SpatialData store: polygons, circles or points; store.zarr/shapes/NAME where there are several",
        detect,
        read,
        priority=20,
    ),
)
