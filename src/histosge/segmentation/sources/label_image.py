"""Label images: masks of Cellpose, StarDist, InstanSeg, Mesmer and others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from histosge._runtime.messages import Message, emit
from histosge._runtime.types import Array
from histosge.errors import DataError
from histosge.segmentation.cells import Cells
from histosge.segmentation.checked_cells import checked_cells
from histosge.segmentation.label_outlines import label_outlines
from histosge.segmentation.label_rows import LabelRows, opened_labels
from histosge.segmentation.paired_nuclei import paired_nuclei
from histosge.segmentation.stored_cells import StoredCells

from .base import CellOptions, CellSource

__all__ = ["ENTRIES"]

_ENDINGS = (".tif", ".tiff", ".btf", ".npy", ".npz", ".png")
# side of the largest cell, µm; megakaryocytes and oocytes reach 100
_LARGEST_UM = 200.0
# share of labels of larger extent that is refused: each is of several cells
_MOST_LARGE = 0.01
# scales that differ by less are one
_SAME_SCALE = 0.01


def detect(path: Path) -> bool:
    """Return whether the path is an image, an array, or labels in OME-Zarr, by its name."""
    return _is_zarr(path) or (path.is_file() and path.name.lower().endswith(_ENDINGS))


def _is_zarr(path: Path) -> bool:
    has_labels = path.parent.name == "labels" or (path / "labels").is_dir()
    return path.is_dir() and has_labels and any((path / name).exists() for name in ("zarr.json", ".zattrs"))


def read(path: Path, options: CellOptions) -> Cells:
    """Read outlines along the edges of pixels; ids are the labels.

    Labels count full-resolution pixels, or the image's pixels at a smaller scale: their width and height then are the
    image's, times one factor.

    Raises
    ------
    DataError
        When the size of the labels is not that of the image, or many labels are of several cells.
    """
    with opened_labels(path) as planes:
        scale = _scale(planes[0], options, path)
        stored = [_stored(plane, scale, path) for plane in planes]
    cells = stored[-1]
    if len(stored) == 2:
        cells = _with_nuclei(cells, stored[0], path)
    return checked_cells(cells, path, source="label_image", scale=scale)


def _scale(labels: LabelRows, options: CellOptions, path: Path) -> float:
    """Return µm of the section per pixel of the labels."""
    height, width = labels.shape
    if options.image_px is None:
        return _stated_scale(labels, options, path)
    factors = np.array(options.image_px) / (width, height)
    # the two factors agree to within one pixel of either image
    slack = (1 + options.tolerance_px) / min(width, height) * factors.max()
    if abs(factors[0] - factors[1]) > slack:
        raise DataError(
            f"The labels of '{path}' have {width} × {height} pixels, the section's image {options.image_px[0]:.0f} × "
            f"{options.image_px[1]:.0f}: they were made from another image, or a part of it. Give those of the whole."
        )
    factor = float(factors.mean())
    if abs(factor - 1) <= (1 + options.tolerance_px) / min(width, height):
        return options.mpp
    text = f"The labels of '{path}' are on an image {factor:.4g} times as coarse as the section's, and were scaled."
    emit([Message("warning", text)])
    return options.mpp * factor


def _stated_scale(labels: LabelRows, options: CellOptions, path: Path) -> float:
    """Return the scale of labels where the section has no image: the file's own."""
    if labels.mpp is None:
        text = f"The section has no image; labels of '{path}' are taken to count its full-resolution pixels."
        emit([Message("warning", text)])
        return options.mpp
    # the file's µm are pixels times the scale that its image states
    stated = options.image_mpp or options.mpp
    return options.mpp if abs(labels.mpp / stated - 1) < _SAME_SCALE else labels.mpp * options.mpp / stated


def _stored(labels: LabelRows, scale: float, path: Path) -> StoredCells:
    names, outlines, large = label_outlines(labels, largest_px=max(1, int(np.ceil(_LARGEST_UM / scale))))
    number = len(names) + len(large)
    if len(large) and not len(names):
        raise DataError(
            f"All labels of '{path}' are wider than {_LARGEST_UM:g} µm, as {large[0]}: it is a mask without a number "
            "for each cell. Give labels, as skimage.measure.label makes them."
        )
    if len(large) > max(1, _MOST_LARGE * number):
        raise DataError(
            f"{len(large)} of {number} labels of '{path}' are wider than {_LARGEST_UM:g} µm, as {large[0]}: they begin "
            "anew in each tile, or the scale is another. Number the cells of the whole image, each once."
        )
    if len(large):
        text = f"{len(large)} of {number} labels of '{path}' are wider than {_LARGEST_UM:g} µm, and were left out."
        emit([Message("warning", text)])
    return StoredCells(names.astype(str).tolist(), outlines, disjoint=True)


def _with_nuclei(cells: StoredCells, nuclei: StoredCells, path: Path) -> StoredCells:
    outlines = np.empty(0, dtype=object) if cells.outlines is None else cells.outlines
    shapes: Array = np.empty(0, dtype=object) if nuclei.outlines is None else nuclei.outlines
    of_cells, lost = paired_nuclei(outlines, shapes)
    if lost:
        text = f"{lost} of {len(nuclei)} nuclei of '{path}' lie in no cell, and were left out."
        emit([Message("warning", text)])
    return replace(cells, nuclei=of_cells)


ENTRIES = (
    CellSource(
        "label_image",
        "label images (TIFF, OME-TIFF, OME-Zarr, PNG, npy, npz): masks of Cellpose, StarDist, InstanSeg",
        detect,
        read,
        priority=40,
    ),
)
