"""Scanner formats (SVS, NDPI, MRXS, SCN …) through OpenSlide."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.types import UInt8
from histosge.errors import DataError

from .array import as_rgb
from .base import Format, plausible_mpp
from .identity import file_identity

__all__ = ["ENTRIES", "OpenSlideBackend", "detect"]


def detect(path: Path) -> bool:
    """Return whether OpenSlide has a reader for the scanner; plain TIFF is left to the TIFF backend."""
    import openslide

    vendor = openslide.OpenSlide.detect_format(str(path))
    return vendor is not None and vendor != "generic-tiff"


@dataclass(frozen=True, slots=True, eq=False)
class OpenSlideBackend:
    """A scanner's pyramid; OpenSlide keeps its own bounded cache of tiles."""

    path: Path
    fingerprint: str = ""
    shapes: tuple[tuple[int, int], ...] = ()
    mpp: float | None = None
    _slide: Any = field(default=None, repr=False)

    @classmethod
    def open(cls, path: Path) -> OpenSlideBackend:
        """Open a slide.

        Raises
        ------
        DataError
            When OpenSlide cannot read it.
        """
        import openslide

        try:
            slide = openslide.OpenSlide(str(path))
        except openslide.OpenSlideError as error:
            raise DataError(
                f"OpenSlide cannot read '{path}' ({error}). Copy it and its companions again."
            ) from error
        shapes = tuple((height, width) for width, height in slide.level_dimensions)
        mpp = _number(slide.properties.get(openslide.PROPERTY_NAME_MPP_X))
        return cls(path, file_identity(path), shapes, mpp=plausible_mpp(mpp), _slide=slide)

    def read(self, level: int, corner: tuple[int, int], size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
        """Return a rectangle of ``level``."""
        import openslide

        # OpenSlide wants the corner in level-0 pixels
        down = self._slide.level_downsamples[level]
        origin = (round(corner[0] * down), round(corner[1] * down))
        try:
            pixels = np.asarray(self._slide.read_region(origin, level, size))
        except openslide.OpenSlideError as error:
            raise DataError(
                f"'{self.path}' is damaged at pixel {origin} ({error}). Copy it again."
            ) from error
        return as_rgb(pixels, f"'{self.path}'", whole=False)

    def close(self) -> None:
        """Release the file."""
        self._slide.close()


def _number(text: str | None) -> float | None:
    """Return a property as a number, where it is one."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


# before plain TIFF: the files of many scanners are TIFF with a private layout
ENTRIES = (Format("openslide", detect, OpenSlideBackend.open, priority=20),)
