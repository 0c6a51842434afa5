"""The interface of a source of cells: a layout in which a program writes the cells it found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from histosge._runtime.types import Array
from histosge.errors import DataError
from histosge.segmentation.cells import Cells

__all__ = ["CellOptions", "CellSource"]


@dataclass(frozen=True, slots=True, eq=False)
class CellOptions:
    """What is known of the section when its cells are read.

    Parameters
    ----------
    mpp
        µm per full-resolution pixel, by the spots: the scale of everything else of the section.
    image_mpp
        µm per full-resolution pixel by the image's own metadata, which other programs use; ``None`` where unknown. A
        program's µm are pixels times this scale.
    image_px
        Width and height of the full-resolution image in pixels; ``None`` without an image.
    tolerance_px
        How far ``image_px`` may be off: a smaller copy of the image says the size to within one of its own pixels.
    layer
        Name of the element in a store of several, such as a SpatialData store; ``None`` where there is one.
    alignment
        Affine matrix (3, 3) from pixels of the section's image to pixels of the image that the cells were found on
        (Xenium's H&E alignment matrix has this direction); ``None`` takes the file beside the cells.
    """

    mpp: float
    image_mpp: float | None = None
    image_px: tuple[float, float] | None = None
    tolerance_px: float = 1.0
    layer: str | None = None
    alignment: Array | None = None

    def __post_init__(self) -> None:
        if not (self.mpp > 0 and np.isfinite(self.mpp)):
            raise DataError(f"Expected `mpp` above 0, got {self.mpp}.")


@dataclass(frozen=True, slots=True)
class CellSource:
    """A registry entry.

    Parameters
    ----------
    name
        The program or layout: :attr:`Cells.source <histosge.Cells>` of the cells that it reads.
    summary
        What it reads, for ``histosge list cell-sources``.
    detect
        Return whether a path has this layout; cheap, and never an error.
    read
        Read the cells in µm of the section. Damaged files raise a :class:`~histosge.errors.DataError`.
    priority
        Sources are tried in ascending order: layouts of one program come before general ones.
    """

    name: str
    summary: str
    detect: Callable[[Path], bool]
    read: Callable[[Path, CellOptions], Cells]
    priority: int = 50
