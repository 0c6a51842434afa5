"""Segmented cells of Visium HD: Space Ranger 4's ``segmented_outputs``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.names import positions
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.geometry.geojson import read_shapes
from histosge.geometry.platforms import VISIUM_HD_CELLS
from histosge.geometry.polygons import centroid_of
from histosge.section.section import Section

from .assemble import SectionParts, assemble
from .base import Reader, ReadOptions
from .spaceranger import images_of, read_scalefactors, spatial_of
from .tenx_matrix import read_matrix

__all__ = ["ENTRIES"]

_MATRICES = tuple(f"{kind}_feature_cell_matrix{end}" for kind in ("filtered", "raw") for end in (".h5", ""))
_OUTLINES = ("cell_segmentations.geojson", "nucleus_segmentations.geojson")
# share of the matrix's cells without an outline that is another section's
_MOST_WITHOUT = 0.1


def detect(path: Path) -> bool:
    """Return whether the path is ``segmented_outputs``, or a folder with it and without bins."""
    return path.is_dir() and _folder_of(path) is not None


def read(path: Path, options: ReadOptions) -> Section:
    """Read the counts of cells, at the centroids of their outlines; cells without an outline are left out.

    Raises
    ------
    UsageError
        When the outlines are missing.
    DataError
        When parts are damaged, or belong to different sections.
    """
    folder = _folder_of(path)
    if folder is None:
        raise UsageError(
            f"Expected {_MATRICES[0]} in '{path}', found none. Give the folder segmented_outputs."
        )
    matrix = read_matrix(next(folder / name for name in _MATRICES if (folder / name).exists()))
    outlines = next((folder / name for name in _OUTLINES if (folder / name).is_file()), None)
    if outlines is None:
        raise UsageError(
            f"Expected {' or '.join(_OUTLINES)} in '{folder}', found none: the cells have no positions without it."
        )
    barcodes, xy_px, diameter_px = _cells(outlines)
    rows = positions(matrix.barcodes, barcodes)
    outlined = rows >= 0
    messages = (
        *matrix.messages,
        *_without_outline(int((~outlined).sum()), len(rows), matrix.barcodes, outlines),
    )
    spatial = spatial_of(folder)
    factors = read_scalefactors(spatial)
    parts = SectionParts(
        name=_name_of(folder),
        platform=VISIUM_HD_CELLS,
        counts=matrix.counts[outlined],
        barcodes=matrix.barcodes[outlined],
        genes=matrix.genes,
        gene_ids=matrix.gene_ids,
        xy_px=xy_px[rows[outlined]],
        lattice_xy=None,
        images=images_of(spatial, factors),
        spot_px=diameter_px,
        file_mpp=factors.get("microns_per_pixel"),
        messages=messages,
    )
    return assemble(parts, options)


def _folder_of(path: Path) -> Path | None:
    bins = (path / "binned_outputs", path / "outs/binned_outputs")
    folders = [path] if any(item.is_dir() for item in bins) else [path, path / "segmented_outputs"]
    folders += [] if any(item.is_dir() for item in bins) else [path / "outs/segmented_outputs"]
    return next((f for f in folders if any((f / name).exists() for name in _MATRICES)), None)


def _name_of(folder: Path) -> str:
    parents = [
        item.name for item in (folder, *folder.parents) if item.name not in ("segmented_outputs", "outs", "")
    ]
    return f"{parents[0]}_cells" if parents else "cells"


def _cells(path: Path) -> tuple[Array, Array, float]:
    """Return the barcodes of the outlined cells, their centroids in pixels, and the median of their diameters.

    The matrix calls cell 12 of the outlines ``cellid_000000012-1``.
    """
    import shapely

    shapes, _ = read_shapes(path, points=False)
    barcodes, centroids, areas = [], [], []
    for shape in shapes:
        if not shape.id.isdecimal():
            raise DataError(
                f"Expected a whole number cell_id in feature {shape.number + 1} of '{path}', got '{shape.id}'. Copy "
                "the file again."
            )
        centroid = centroid_of(shape)
        if centroid is None:
            continue
        barcodes.append(f"cellid_{int(shape.id):09d}-1")
        centroids.append(centroid)
        areas.append(sum(shapely.Polygon(border).area for border, *_ in shape.polygons))
    if not barcodes:
        raise DataError(f"Expected outlines of cells in '{path}', got none. Copy the file again.")
    names, counts = np.unique(barcodes, return_counts=True)
    if (counts > 1).any():
        raise DataError(
            f"{int((counts > 1).sum())} cells have several outlines in '{path}', as '{names[counts > 1][0]}' has: "
            "its counts would have no certain position. Copy the file again."
        )
    # of the disk with the area of a cell
    diameter_px = 2 * float(np.sqrt(np.median(areas) / np.pi))
    return np.array(barcodes), np.array(centroids), diameter_px


def _without_outline(lost: int, total: int, barcodes: Array, path: Path) -> tuple[Message, ...]:
    """Return a message of cells without an outline; refuse many."""
    if lost > _MOST_WITHOUT * total:
        first = barcodes[0] if total else "none"
        raise DataError(
            f"{lost} of {total} cells of the matrix (as '{first}') have no outline in '{path}': they are of different "
            "sections, or the matrix is the raw one of another segmentation. Give those of one run."
        )
    text = f"{lost} of {total} cells of the matrix have no outline and were left out."
    return (Message("warning", text),) if lost else ()


ENTRIES = (
    Reader(
        "visium_hd_cells",
        "segmented cells of Visium HD: the folder segmented_outputs of Space Ranger 4",
        detect,
        read,
        priority=12,
        choices=(),
    ),
)
