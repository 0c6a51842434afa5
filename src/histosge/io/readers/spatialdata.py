"""SpatialData zarr stores (an extra: ``pip install 'histosge[spatialdata]'``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from histosge.errors import DataError, HistosgeError, UsageError
from histosge.geometry.lattice import is_visium
from histosge.geometry.platforms import VISIUM, Platform
from histosge.section.section import Section

from .anndata_counts import counts_of, refuse_damaged_matrices, refuse_predictions
from .anndata_positions import lattice_of
from .assemble import SectionParts, assemble
from .base import Reader, ReadOptions
from .spatialdata_images import images_of, matrix_of
from .spatialdata_instances import rows_with_shapes

__all__ = ["ENTRIES", "import_spatialdata"]


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
    with _parsing(path):
        table, region, table_name = _table(store, options.library_id)
        system = _system(store, region)
        shapes = spatialdata.transform(store.shapes[region], to_coordinate_system=system)
        rows, instances, matching = rows_with_shapes(table, shapes.index, region)
        table, shapes = table[rows], shapes.loc[instances]
        centres = shapes.geometry.centroid
        images = images_of(store, region, system, chosen=options.image is not None)
    lattice_xy, complete = lattice_of(table)
    if not complete.all():
        raise DataError(
            f"Expected numbers in obs['array_row'] and obs['array_col'] of table '{table_name}', got others. Correct "
            "those columns, or drop them."
        )
    refuse_predictions(table)
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
        images=images,
        spot_px=None if radius is None else 2 * radius,
        messages=(*matching, *counts.messages),
    )
    return assemble(parts.with_message("info", f"Table '{table_name}' of '{region}' in '{system}'."), options)


def _opened(path: Path) -> Any:
    spatialdata = import_spatialdata()
    with _parsing(path):
        store = spatialdata.read_zarr(path)
    if not store.tables:
        raise DataError(
            f"Expected a table in '{path}', found none. Write the counts into the store's tables."
        )
    return store


@contextmanager
def _parsing(path: Path) -> Iterator[None]:
    """Turn errors of anndata, zarr, parquet and dask, each of its own class, into a sentence."""
    try:
        yield
    except (HistosgeError, MemoryError):
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"'{path}' is damaged or no SpatialData store ({reason}). Copy it again.") from error


def _table(store: Any, library_id: str | None) -> tuple[Any, str, str]:
    """Return the table, the shapes it annotates, and its name."""
    from spatialdata.models import get_table_keys

    candidates: list[tuple[Any, str, str]] = []
    for name, table in store.tables.items():
        refuse_damaged_matrices(table)
        regions, region_key, _ = get_table_keys(table)
        for region in [regions] if isinstance(regions, str) else list(regions or []):
            if region in store.shapes:
                candidates.append((table[table.obs[region_key] == region], region, name))
    if not candidates:
        raise DataError(
            "Expected a table that annotates shapes (spots), found none. Check the store's regions."
        )
    listed = ", ".join(f"{region} (table {name})" for _, region, name in candidates)
    chosen = candidates if library_id is None else [item for item in candidates if library_id in item[1:]]
    if not chosen:
        raise UsageError(f"There is no region or table '{library_id}' in the store; it holds {listed}.")
    if len(chosen) > 1:
        raise UsageError(
            f"The store holds several sections: {listed}. Choose one with `library_id`, by its region, or by its table "
            "where several tables have the same region."
        )
    return chosen[0]


def _system(store: Any, region: str) -> str:
    """Return the coordinate system in which spots count full-resolution pixels.

    It is ``global``, or else the one in which spots are as they are stored (the reader of Space Ranger names it after
    the sample), not one that was scaled to a smaller image, which ``global`` may be, too.
    """
    from spatialdata.transformations import get_transformation

    systems = {
        str(name): matrix_of(step)
        for name, step in get_transformation(store.shapes[region], get_all=True).items()
    }
    unchanged = [name for name, matrix in systems.items() if np.allclose(matrix, np.eye(3))]
    if "global" in systems and not (unchanged and np.abs(np.linalg.det(systems["global"])) < 1):
        return "global"
    return (unchanged or list(systems))[0]


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
