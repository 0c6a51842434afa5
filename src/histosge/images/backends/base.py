"""What a backend of slide images must offer: levels, and rectangles of their pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from histosge._runtime.types import UInt8

__all__ = ["Backend", "Format", "plausible_mpp"]


# what scanners and microscopes make; a tag outside of it is a printer's, or centimetres taken for millimetres
_PLAUSIBLE_MPP = (0.1, 50.0)
# highest resolution of a printer, dots per inch, and the numbers of which it is a multiple: 600, 720, 1200 …
_PRINTER_DPI, _PRINTER_STEPS = 9600, (6, 25)


def plausible_mpp(mpp: float | None) -> float | None:
    """Return µm per pixel of a file's metadata, or ``None`` where no slide scanner makes such pixels.

    Scanners make pixels of 0.1 to 50 µm. Whole dots per inch (600, 1200 …) are a printer's, unless they are whole µm
    as well (2540 dots per inch are 10 µm).

    Examples
    --------
    >>> plausible_mpp(0.5), plausible_mpp(25400 / 600), plausible_mpp(0.065)
    (0.5, None, None)
    """
    if mpp is None or not _PLAUSIBLE_MPP[0] <= mpp <= _PLAUSIBLE_MPP[1]:
        return None
    dpi = 25.4e3 / mpp
    # pixels per centimetre are rounded: 236.22 for 600 dots per inch
    whole = any(abs(dpi / step - round(dpi / step)) * step < 2e-4 * dpi for step in _PRINTER_STEPS)
    return None if whole and dpi <= _PRINTER_DPI and abs(mpp - round(mpp)) > 2e-4 * mpp else mpp


@runtime_checkable
class Backend(Protocol):
    """A pyramid of 8-bit RGB images; level 0 is the largest. Only backends count in pixels."""

    @property
    def path(self) -> Path | None:
        """The file, or ``None`` for an array in memory."""
        ...

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """``(height, width)`` of each level, largest first; a flat image has one."""
        ...

    @property
    def mpp(self) -> float | None:
        """µm per pixel of level 0 of the file's metadata, ``None`` where they have none that is plausible."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash that changes with the pixels; cheap, so of a large file its size and its ends."""
        ...

    def read(self, level: int, corner: tuple[int, int], size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
        """Return a rectangle of a level that lies wholly inside it.

        Parameters
        ----------
        level
            0 is the largest.
        corner
            Left and top, in pixels of the level.
        size
            Width and height, in pixels of the level.
        """
        ...

    def close(self) -> None:
        """Release files; reading afterwards is an error."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """A registry entry: how to recognise an image file, and how to open it.

    Parameters
    ----------
    name
        Of the format.
    detect
        Whether a file has this format; cheap, and never an error.
    open
        Open it.
    priority
        Formats are tried in ascending order: one that others could be mistaken for comes first.
    """

    name: str
    detect: Callable[[Path], bool]
    open: Callable[[Path], Backend]
    priority: int = 60
