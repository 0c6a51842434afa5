"""An image in memory as a backend."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from histosge._runtime.hashing import fingerprint
from histosge._runtime.types import Array, UInt8, frozen
from histosge.errors import DataError

__all__ = ["SMALLEST_PX", "ArrayBackend", "as_rgb", "halved", "refuse_narrow_range"]

# of the shorter side of the coarsest level, nearly twice as many at most
SMALLEST_PX = 256
# of an image that is halved at once
_ROWS = 16
# glass and pale tissue of a bright-field image are far brighter than a quarter of the range
_LEAST_BRIGHTEST = 1 << 14


@dataclass(frozen=True, slots=True, eq=False)
class ArrayBackend:
    """An RGB image held in memory, with halved copies of itself for coarse reading.

    Parameters
    ----------
    rgb
        The image, uint8.
    path
        Where it came from, if from a file.
    mpp
        µm per pixel of the file's metadata.
    orientation
        Exif orientation of the file, 1 to 8, which is not applied.
    """

    rgb: UInt8[np.ndarray, "h w 3"]
    path: Path | None = None
    mpp: float | None = None
    orientation: int = 1
    fingerprint: str = ""
    shapes: tuple[tuple[int, int], ...] = ()
    _levels: tuple[Array, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        levels = [frozen(np.ascontiguousarray(self.rgb))]
        while min(levels[-1].shape[:2]) >= 2 * SMALLEST_PX:
            levels.append(frozen(halved(levels[-1])))
        object.__setattr__(self, "rgb", levels[0])
        object.__setattr__(self, "_levels", tuple(levels))
        object.__setattr__(self, "shapes", tuple((level.shape[0], level.shape[1]) for level in levels))
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", fingerprint(levels[0]))

    def read(self, level: int, corner: tuple[int, int], size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
        """Return a rectangle of ``level``."""
        (left, top), (width, height) = corner, size
        return np.asarray(self._levels[level][top : top + height, left : left + width])

    def close(self) -> None:
        """Nothing to release."""


def as_rgb(pixels: Array, origin: str, *, whole: bool = True) -> UInt8[np.ndarray, "h w 3"]:
    """Return ``pixels`` (h × w, h × w × 1, 2, 3 or 4) as 8-bit RGB.

    Gray is repeated, alpha is laid on white, as slide viewers do. 16-bit values are divided by 257: the full range,
    whatever the brightest pixel, so that all patches of an image are scaled alike.

    Parameters
    ----------
    pixels, origin
        The pixels, and where they come from.
    whole
        Whether they are the whole image, whose range is then checked (:func:`refuse_narrow_range`).

    Raises
    ------
    DataError
        For other kinds of pixels, and for a whole 16-bit image that uses a small part of its range.
    """
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.dtype == np.uint16:
        if whole and pixels.size:
            refuse_narrow_range(int(pixels[..., :3].max()), origin)
        pixels = (pixels // 257).astype(np.uint8)
    if pixels.dtype != np.uint8 or pixels.ndim != 3:
        raise DataError(
            f"Expected an image of 8- or 16-bit pixels, got {pixels.dtype} in {origin}. Convert it to 8-bit RGB."
        )
    channels = pixels.shape[2]
    if channels not in (1, 2, 3, 4):
        raise DataError(
            f"Expected gray, RGB or RGBA, got {channels} channels in {origin}. Convert it to RGB."
        )
    colour = pixels[..., : 3 if channels >= 3 else 1]
    if channels in (2, 4):
        alpha = pixels[..., -1:].astype(np.uint16)
        colour = ((colour.astype(np.uint16) * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(colour, (*colour.shape[:2], 3)))


def refuse_narrow_range(brightest: int, origin: str) -> None:
    """Refuse 16-bit pixels that use a small part of their range: 10, 12 or 14 bits of a camera.

    Divided by 257, 12 bits leave 16 levels of gray near black. The factor that restores them cannot be read from the
    file: the brightest pixel of a section need not be white.

    Raises
    ------
    DataError
        When the brightest pixel is darker than a quarter of the range.
    """
    if brightest >= _LEAST_BRIGHTEST:
        return
    raise DataError(
        f"Expected 16-bit pixels from 0 to 65535, got at most {brightest} in {origin}: they use a small part of their "
        f"range, as those of a {max(8, int(brightest).bit_length())}-bit camera do. Stretch them to 8 bits and export "
        "the image again."
    )


def halved(rgb: Array) -> Array:
    """Return the image at half the size, each pixel the mean of four; an odd last row or column is left out."""
    height, width = rgb.shape[0] // 2 * 2, rgb.shape[1] // 2 * 2
    half = np.empty((height // 2, width // 2, 3), dtype=np.uint8)
    # some rows at a time, which stay in the processor's cache
    for top in range(0, height, _ROWS):
        even = rgb[top : min(top + _ROWS, height), :width]
        rows = even[::2].astype(np.uint16)
        rows += even[1::2]
        rows = rows.reshape(len(rows), -1)
        total = np.empty((len(rows), width // 2, 3), dtype=np.uint16)
        for channel in range(3):
            np.add(rows[:, channel::6], rows[:, channel + 3 :: 6], out=total[..., channel])
        half[top // 2 : top // 2 + len(rows)] = (total + 2) >> 2
    return half
