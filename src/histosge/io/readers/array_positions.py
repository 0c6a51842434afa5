"""Whether columns and rows on the array belong to the positions in the image, and in this order."""

from __future__ import annotations

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.types import Array
from histosge.errors import DataError
from histosge.section.alignment import ORIENTATIONS, check_alignment
from histosge.section.section import Section

__all__ = ["refuse_exchanged", "refuse_fractional"]

# deviation from a whole number that single precision leaves
_WHOLE = 1e-3
# orientations that are no turn
_MIRRORED = tuple(ORIENTATIONS[index] for index in (1, 2, 4, 7))


def refuse_fractional(lattice_xy: Array | None, barcodes: Array) -> None:
    """Refuse columns and rows of the array that are no whole numbers: pixels, µm, or interpolated positions.

    Raises
    ------
    DataError
        When there are some.
    """
    if lattice_xy is None or not np.isfinite(lattice_xy).all():
        return
    fractional = (np.abs(lattice_xy - np.rint(lattice_xy)) > _WHOLE).any(axis=1)
    if fractional.any():
        column, row = lattice_xy[fractional][0]
        raise DataError(
            f"Expected whole numbers as column and row of the array, got {column:g} and {row:g} for "
            f"'{barcodes[fractional][0]}' and {int(fractional.sum()) - 1} others. Give the array's own columns and "
            "rows, or leave them out: positions in pixels are enough."
        )


def refuse_exchanged(section: Section, *, trust_alignment: bool) -> Section:
    """Refuse positions that are a mirror image of their array where the image fits better with x and y exchanged.

    Columns of an array grow to the right and rows downwards; the image may be turned. Where no turn brings them there,
    x and y are exchanged, of the positions or of the array, or the image is mirrored. A microscope's image of a slide
    that a CytAssist has pressed onto its array is: Visium HD is mirrored as a rule, and not checked.

    Raises
    ------
    DataError
        When the image fits a mirrored orientation better than the one it has, by however little.
    """
    lattice = section.lattice
    if lattice is None or np.linalg.det(lattice.step_um) > 0 or section.platform.name.startswith("visium_hd"):
        return section
    text = "The array is mirrored in the positions: x and y are exchanged, or the image is mirrored"
    if section.slide is None or trust_alignment:
        return section.with_messages(Message("warning", f"{text}. That was not checked."))
    result = check_alignment(section)
    if result.margin is None:
        return section.with_messages(
            Message("warning", f"{text}; too few spots to compare orientations with the image: not checked.")
        )
    if result.is_clear and result.problem is None:
        return section.with_messages(
            Message("info", "The array is mirrored in the image, which fits as it is.")
        )
    if result.problem is not None or (result.margin < 0 and result.alternative in _MIRRORED):
        raise DataError(
            f"{text} ({result.summary}). Expected x (pxl_col) and y (pxl_row): exchange them; if the image is mirrored "
            "and belongs to the positions, set `trust_alignment`."
        )
    return section.with_messages(Message("warning", f"{text}: {result.summary}."))
