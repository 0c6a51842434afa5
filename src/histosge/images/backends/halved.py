"""Levels by halving, for files that lack them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from histosge._runtime.hashing import fingerprint
from histosge._runtime.types import Array, UInt8

from .array import SMALLEST_PX, halved
from .base import Backend

__all__ = ["HalvedBackend", "with_halves"]

# pixels along a side of what is read at once to be halved: 12 MB
_BLOCK_PX = 2048
# by which rounded sizes of a file's levels differ from halves
_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class HalvedBackend:
    """A file with levels of half, a quarter … its size, halved while they are read.

    PNG and JPEG have halves in memory (:class:`~histosge.images.backends.array.ArrayBackend`). Here a rectangle of a
    half is made of the pixels of the file below it, in the same arithmetic, so that equal pixels give equal patches
    whatever the file. Levels that the file has are read as they are.

    Parameters
    ----------
    source
        The file.
    """

    source: Backend
    shapes: tuple[tuple[int, int], ...] = ()
    # of each level, that of the file it is made from, and how often this is halved
    _made_of: tuple[tuple[int, int], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        levels = _levels(self.source.shapes)
        object.__setattr__(self, "shapes", tuple(shape for shape, _, _ in levels))
        object.__setattr__(self, "_made_of", tuple((level, times) for _, level, times in levels))

    @property
    def path(self) -> Path | None:
        """The file."""
        return self.source.path

    @property
    def mpp(self) -> float | None:
        """µm per pixel of the file's metadata."""
        return self.source.mpp

    @property
    def fingerprint(self) -> str:
        """A hash of the file; another one than without halves, which give other patches."""
        return fingerprint(self.source.fingerprint, "halves")

    @property
    def orientation(self) -> int:
        """Orientation tag of the file, 1 to 8, which is not applied."""
        return int(getattr(self.source, "orientation", 1))

    def read(self, level: int, corner: tuple[int, int], size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
        """Return a rectangle of ``level``; of a half, block by block."""
        made_of, times = self._made_of[level]
        if not times:
            return self.source.read(made_of, corner, size)
        (left, top), (width, height) = corner, size
        out = np.empty((height, width, 3), dtype=np.uint8)
        step = max(1, _BLOCK_PX >> times)
        for y in range(0, height, step):
            for x in range(0, width, step):
                part = out[y : y + step, x : x + step]
                part[:] = self._half(made_of, times, (left + x, top + y), (part.shape[1], part.shape[0]))
        return out

    def close(self) -> None:
        """Release the file."""
        self.source.close()

    def _half(self, level: int, times: int, corner: tuple[int, int], size: tuple[int, int]) -> Array:
        """Return a rectangle of a level of the file that is halved ``times``."""
        (left, top), (width, height) = corner, size
        # whole squares of 2, 4, 8 … pixels: what an odd row or column would add is in no half
        pixels = self.source.read(level, (left << times, top << times), (width << times, height << times))
        for _ in range(times):
            pixels = halved(pixels)
        return pixels


def with_halves(backend: Backend) -> Backend:
    """Return the backend with the halves that it lacks, itself where it lacks none."""
    return backend if len(_levels(backend.shapes)) == len(backend.shapes) else HalvedBackend(backend)


def _levels(shapes: tuple[tuple[int, int], ...]) -> list[tuple[tuple[int, int], int, int]]:
    """Return shape, level of the file and number of halvings of all levels, largest first.

    Those of the file, and every half without one among them, down to the smallest that an image in memory has.
    """
    levels = [(shape, index, 0) for index, shape in enumerate(shapes)]
    last, factor = levels[0], 1
    while min(last[0]) >= 2 * SMALLEST_PX:
        factor *= 2
        (height, width), index, times = last
        half = ((height // 2, width // 2), index, times + 1)
        own = [level for level in levels if abs(shapes[0][1] / level[0][1] / factor - 1) < _TOLERANCE]
        last = own[0] if own else half
        if not own:
            levels.append(half)
    # levels of one size stay in the order of the file
    return sorted(levels, key=lambda level: -level[0][1])
