"""SpatialData zarr stores (an extra: ``pip install 'histosge[spatialdata]'``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.geometry.lattice import is_visium
from histosge.geometry.platforms import VISIUM, Platform
from histosge.images.backends.array import ArrayBackend, as_rgb
from histosge.section.section import Section

from .anndata_counts import counts_of, refuse_damaged
from .anndata_positions import lattice_of
from .assemble import SectionParts, assemble
from .base import Reader, ReadOptions
from .image_choice import ImageCandidate

__all__ = ["ENTRIES", "import_spatialdata"]

# an image with more pixels than this is read at a coarser scale, to fit into memory
_MAX_PIXELS = 120_000_000


def import_spatialdata() -> Any:
    """Return the package ``spatialdata``.

    Raises
    ------
    UsageError
        When it is not installed.
    """
    try:
        import spatialdata
    except ModuleNotFoundError as error:
        raise UsageError(
            "SpatialData is an extra. Install it: pip install 'histosge[spatialdata]'"
        ) from error
    return spatialdata


def detect(path: Path) -> bool:
    """Return whether the path is a zarr store with a table of SpatialData."""
    return path.is_dir() and any((path / name).is_dir() for name in ("tables", "table")) and _is_zarr(path)


def _is_zarr(path: Path) -> bool:
    return any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zattrs"))


def read(path: Path, options: ReadOptions) -> Section:
    """Read the table that annotates shapes, their centres, and the sharpest image of the same coordinate system.

    Raises
    ------
    UsageError
        When several libraries are there and none is chosen, or the package is missing.
    DataError
        When the store is damaged or lacks a part.
    """
    spatialdata = import_spatialdata()
    store = _opened(path)
    if not store.tables:
        raise DataError(
            f"Expected a table in '{path}', found none. Write the counts into the store's tables."
        )
    table, region, table_name = _table(store, options.library_id)
    system = _system(store, region)
    shapes = spatialdata.transform(store.shapes[region], to_coordinate_system=system)
    _, _, instance_key = spatialdata.models.get_table_keys(table)
    shapes = shapes.loc[table.obs[instance_key].to_numpy()]
    centres = shapes.geometry.centroid
    lattice_xy, complete = lattice_of(table)
    if not complete.all():
        raise DataError(
            f"Expected numbers in obs['array_row'] and obs['array_col'] of table '{table_name}', got others. Correct "
            "those columns, or drop them."
        )
    counts = counts_of(table)
    radius = float(np.median(shapes["radius"])) if "radius" in shapes else None
    xy_px = np.column_stack([centres.x, centres.y])
    parts = SectionParts(
        name=path.stem,
        platform=VISIUM if is_visium(xy_px, lattice_xy) else Platform("unknown", None, None, "square"),
        counts=counts.counts,
        barcodes=table.obs_names.to_numpy(dtype=str),
        genes=counts.genes,
        gene_ids=counts.gene_ids,
        xy_px=xy_px,
        lattice_xy=lattice_xy,
        images=_images(store, region, system),
        spot_px=None if radius is None else 2 * radius,
        messages=counts.messages,
    )
    return assemble(parts.with_message("info", f"Table '{table_name}' of '{region}' in '{system}'."), options)


def _opened(path: Path) -> Any:
    try:
        return import_spatialdata().read_zarr(path)
    except (UsageError, MemoryError):
        raise
    # errors of anndata, zarr, parquet and dask, each of its own class
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"'{path}' is damaged or no SpatialData store ({reason}). Copy it again.") from error


def _table(store: Any, library_id: str | None) -> tuple[Any, str, str]:
    """Return the table, the shapes it annotates, and its name."""
    from spatialdata.models import get_table_keys

    candidates = []
    for name, table in store.tables.items():
        refuse_damaged(table)
        regions, region_key, _ = get_table_keys(table)
        for region in [regions] if isinstance(regions, str) else list(regions or []):
            if region in store.shapes:
                candidates.append((table[table.obs[region_key] == region], region, name))
    if library_id is not None:
        candidates = [item for item in candidates if library_id in item[1:]]
    if not candidates:
        raise DataError(
            "Expected a table that annotates shapes (spots), found none. Check the store's regions."
        )
    if len(candidates) > 1:
        names = ", ".join(region for _, region, _ in candidates)
        raise UsageError(f"The store holds several sections: {names}. Choose one with `library_id`.")
    return candidates[0]


def _system(store: Any, region: str) -> str:
    """Return the coordinate system in which spots count full-resolution pixels.

    It is ``global``, or else the one in which spots are as they are stored (the reader of Space Ranger names it after
    the sample), not one that was scaled to a smaller image.
    """
    from spatialdata.transformations import get_transformation

    systems = get_transformation(store.shapes[region], get_all=True)
    if "global" in systems:
        return "global"
    unchanged = [name for name, step in systems.items() if np.allclose(_matrix(step), np.eye(3))]
    return str((unchanged or list(systems))[0])


def _images(store: Any, region: str, system: str) -> tuple[ImageCandidate, ...]:
    """Return the images that are scaled against the coordinate system, not rotated.

    An image need not be in the system itself: where it shares another one with the spots, that gives its scale.
    """
    from spatialdata.transformations import get_transformation

    of_spots = {
        str(name): _matrix(step)
        for name, step in get_transformation(store.shapes[region], get_all=True).items()
    }
    images = []
    for image in store.images.values():
        of_image = get_transformation(image, get_all=True)
        shared = [name for name in (system, *of_spots) if name in of_image]
        if not shared:
            continue
        # pixels of the image to the shared system, back to the spots as stored, and on to the chosen system
        matrix = of_spots[system] @ np.linalg.inv(of_spots[shared[0]]) @ _matrix(of_image[shared[0]])
        for scale_image in _scales(image):
            if int(scale_image.sizes["y"]) * int(scale_image.sizes["x"]) > _MAX_PIXELS:
                continue
            candidate = _image_candidate(scale_image, matrix, _scales(image)[0])
            if candidate is not None:
                images.append(candidate)
            break
    return tuple(images)


def _matrix(transformation: Any) -> Array:
    return np.asarray(transformation.to_affine_matrix(("x", "y"), ("x", "y")), dtype=np.float64)


def _scales(image: Any) -> list[Any]:
    """Return the arrays of an image, sharpest first."""
    if hasattr(image, "children") and image.children:
        return [next(iter(child.ds.values())) for child in image.children.values()]
    return [image]


def _image_candidate(image: Any, matrix: Array, sharpest: Any) -> ImageCandidate | None:
    rotated = abs(matrix[0, 1]) + abs(matrix[1, 0]) > 1e-6 * abs(matrix[0, 0])
    if rotated or np.abs(matrix[:2, 2]).max() > 1:
        return None
    shrunk = sharpest.sizes["x"] / image.sizes["x"]
    scale = float(1 / (matrix[0, 0] * round(shrunk, 3)))
    pixels = _channels_last(image)
    kind = "full" if abs(scale - 1) < 0.01 else "hires"
    return ImageCandidate(kind, scale, source=ArrayBackend(as_rgb(pixels, "the SpatialData image")))  # type: ignore[arg-type]


def _channels_last(image: Any) -> Array:
    pixels = np.asarray(image.transpose("y", "x", "c").values)
    if pixels.dtype.kind == "f":
        pixels = np.rint(np.clip(pixels * (255 if pixels.max() <= 1 else 1), 0, 255)).astype(np.uint8)
    return pixels[..., :3] if pixels.shape[2] > 4 else pixels


ENTRIES = (
    Reader(
        "spatialdata",
        "SpatialData zarr: a table that annotates shapes, and an image",
        detect,
        read,
        priority=50,
        choices=("library_id",),
    ),
)
