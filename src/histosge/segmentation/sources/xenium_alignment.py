"""The matrix by which Xenium Explorer lays an H&E image on a Xenium section."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from histosge._runtime.types import Array
from histosge.errors import DataError

from .base import CellOptions

__all__ = ["alignment_of", "refuse_wrong_way"]

_NAMES = ("*imagealignment.csv", "*matrix.csv")
# columns of key points: on the Xenium image, and on the H&E image
_FIXED, _MOVING = ("fixedX", "fixedY"), ("alignmentX", "alignmentY")
# the scale by the matrix and the one by the spots differ by less
_SAME_SCALE = 0.1
# share of cells that lands better the other way round, from which the matrix is that of the other way
_BETTER = 0.05


def alignment_of(folder: Path) -> Array:
    """Return the affine matrix (3, 3) from pixels of the H&E image to pixels of the Xenium image.

    Parameters
    ----------
    folder
        The bundle, with a file ``…_he_imagealignment.csv``, or the ``matrix.csv`` that Xenium Explorer exports; a
        table of key points is fitted by least squares.

    Raises
    ------
    DataError
        When there is none or several, or it is no affine matrix.
    """
    files = sorted({file for name in _NAMES for file in folder.glob(name) if not file.name.startswith(".")})
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise DataError(
            f"Expected one alignment of the H&E image in '{folder}' (…_he_imagealignment.csv, by Xenium Explorer), got "
            f"{names}. The cells are in µm of the Xenium image, and the H&E image may be turned against it."
        )
    try:
        rows = list(csv.reader(files[0].read_text(encoding="utf-8-sig").splitlines()))
        matrix = _fitted(rows) if rows and _FIXED[0] in rows[0] else np.array(rows, dtype=np.float64)
    except (ValueError, LookupError, UnicodeError, csv.Error, np.linalg.LinAlgError) as error:
        raise DataError(f"'{files[0]}' is no matrix of 3 × 3 numbers ({error}). Export it again.") from error
    if matrix.shape != (3, 3) or not np.allclose(matrix[2], (0, 0, 1)):
        raise DataError(
            f"Expected an affine matrix of 3 × 3 numbers in '{files[0]}', got others. Export it again."
        )
    if not np.isfinite(matrix).all() or np.linalg.cond(matrix[:2, :2]) > 1e6:
        raise DataError(f"The matrix in '{files[0]}' maps the image to a line. Export it again.")
    return matrix


def _fitted(rows: list[list[str]]) -> Array:
    """Return the affine matrix that fits key points best."""
    columns = [[rows[0].index(name) for name in pair] for pair in (_FIXED, _MOVING)]
    fixed, moving = (
        np.array([[row[c] for c in pair] for row in rows[1:] if row], dtype=float) for pair in columns
    )
    if len(fixed) < 3:
        raise ValueError(f"three key points are needed, got {len(fixed)}")
    design = np.column_stack([moving, np.ones(len(moving))])
    solution, _, rank, _ = np.linalg.lstsq(design, fixed, rcond=None)
    if rank < 3:
        raise ValueError("its key points lie on a line")
    return np.vstack([solution.T, (0, 0, 1)])


def refuse_wrong_way(matrix: Array, xy_px: Array, options: CellOptions, *, pixel_um: float) -> None:
    """Refuse a matrix that maps Xenium to H&E pixels rather than the reverse, or that is of another image.

    The scale decides (pixels of the Xenium image times the matrix's scale are those of the section's image), and,
    where both directions have the same, by where the cells land.

    Parameters
    ----------
    matrix
        From H&E pixels to Xenium pixels.
    xy_px
        Centroids in Xenium pixels.
    options
        Scale and size of the section's image.
    pixel_um
        µm per Xenium pixel.

    Raises
    ------
    DataError
        When the matrix does not fit.
    """
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    fits, fits_reversed = (
        abs(pixel_um * factor / options.mpp - 1) <= _SAME_SCALE for factor in (scale, 1 / scale)
    )
    reverse = (
        "the alignment matrix is the wrong way round: it must map pixels of the H&E image to pixels of the Xenium "
        "image. Export it from Xenium Explorer again, or invert it"
    )
    if not fits:
        reason = reverse if fits_reversed else "it was made for another image, or another scale of it"
        raise DataError(
            f"By the alignment matrix the H&E image has {pixel_um * scale:.4g} µm per pixel, by the section "
            f"{options.mpp:.4g}: {reason}."
        )
    if options.image_px is None:
        return
    onto, reversed_onto = (_share_inside(m, xy_px, options.image_px) for m in (np.linalg.inv(matrix), matrix))
    if fits_reversed and reversed_onto > onto + _BETTER:
        raise DataError(
            f"{onto:.0%} of the cells land on the image by the alignment matrix, {reversed_onto:.0%} by its inverse: "
            f"{reverse}."
        )


def _share_inside(matrix: Array, xy_px: Array, size_px: tuple[float, float]) -> float:
    landed = xy_px @ matrix[:2, :2].T + matrix[:2, 2]
    return float(((landed >= 0) & (landed <= np.array(size_px))).all(axis=1).mean()) if len(landed) else 0.0
