"""A whole-slide image addressed in micrometres: the only module where µm become pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from histosge._runtime.hashing import fingerprint
from histosge._runtime.summary import as_text
from histosge._runtime.types import Array, Float, Int, UInt8
from histosge.errors import UsageError

from .backends import open_backend
from .backends.array import ArrayBackend, as_rgb
from .backends.base import Backend

__all__ = ["SlideImage", "open_slide"]

# pixels of a level read at once for a thumbnail: 48 MB
_BLOCK_PX = 4096


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class SlideImage:
    """An image with a scale. Pixel i covers [i, i + 1) · mpp; (0, 0) is the upper left corner.

    Parameters
    ----------
    backend
        The pixels: a file format, or an array in memory.
    mpp
        µm per pixel of level 0 of this image.

    Raises
    ------
    UsageError
        For a scale that is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> slide = SlideImage.from_array(np.full((100, 200, 3), 240, dtype=np.uint8), mpp=0.5)
    >>> slide.size_um
    (100.0, 50.0)
    >>> slide.read(np.array([50.0, 25.0]), size_um=16.0, px=8).shape
    (8, 8, 3)
    """

    backend: Backend
    mpp: float

    def __post_init__(self) -> None:
        if not self.mpp > 0:
            raise UsageError(
                f"`mpp` must be positive, got {self.mpp}. A 20× scan has about 0.5 µm per pixel."
            )

    @classmethod
    def from_array(cls, rgb: Array, mpp: float) -> SlideImage:
        """Return a slide of an image in memory (gray, RGB or RGBA, 8 or 16 bits)."""
        return cls(ArrayBackend(as_rgb(rgb, "the array")), mpp)

    def __repr__(self) -> str:
        height, width = self.backend.shapes[0]
        origin = "in memory" if self.backend.path is None else self.backend.path.name
        size, scale = f"{width} × {height} px", f"{self.mpp:.4g} µm per pixel"
        return as_text("SlideImage", {"size": size, "scale": scale, "origin": origin})

    @property
    def size_um(self) -> tuple[float, float]:
        """Width and height."""
        height, width = self.backend.shapes[0]
        return width * self.mpp, height * self.mpp

    @property
    def fingerprint(self) -> str:
        """A hash of pixels and scale."""
        return fingerprint(self.backend.fingerprint, self.mpp)

    def contains(self, xy_um: Float[np.ndarray, "n 2"]) -> Array:
        """Return which positions lie on the image."""
        return np.asarray(((xy_um >= 0) & (xy_um < np.array(self.size_um))).all(axis=1))

    def read(self, centre_um: Float[np.ndarray, 2], size_um: float, px: int) -> UInt8[np.ndarray, "px px 3"]:
        """Return a square patch, ``size_um`` wide, sampled with ``px`` × ``px`` pixels.

        The coarsest level that is at least as sharp is read; finer pixels are averaged by area, coarser ones
        interpolated. Beyond the edge the image is mirrored.
        """
        return np.asarray(self.read_many(np.asarray(centre_um)[None], size_um, px)[0])

    def read_many(
        self, centres_um: Float[np.ndarray, "b 2"], size_um: float, px: int
    ) -> UInt8[np.ndarray, "b px px 3"]:
        """Return one patch a position, as :meth:`read` does."""
        level, scale = self._level(size_um / px)
        corners = (np.asarray(centres_um, dtype=np.float64) - size_um / 2) / scale
        extent = (size_um / scale, size_um / scale)
        patches = np.empty((len(corners), px, px, 3), dtype=np.uint8)
        for patch, corner in zip(patches, corners, strict=True):
            patch[:] = self._resample(level, corner, extent, (px, px))
        return patches

    def read_region(
        self, corner_um: Float[np.ndarray, 2], mpp: float, px: tuple[int, int]
    ) -> UInt8[np.ndarray, "h w 3"]:
        """Return the rectangle whose upper left corner is given, ``px`` (width, height) large at ``mpp`` µm per pixel.

        Pixels are averaged, interpolated and mirrored as :meth:`read` does.
        """
        level, scale = self._level(mpp)
        corner = np.asarray(corner_um, dtype=np.float64) / scale
        return np.ascontiguousarray(
            self._resample(level, corner, (px[0] * mpp / scale, px[1] * mpp / scale), px)
        )

    def thumbnail(self, mpp: float) -> UInt8[np.ndarray, "h w 3"]:
        """Return the whole image at ``mpp`` µm per pixel (never sharper than it is), read block by block."""
        mpp = max(mpp, self.mpp)
        level, scale = self._level(mpp)
        width, height = (max(1, round(side / mpp)) for side in self.size_um)
        # a whole level of a slide does not fit into memory
        step = max(1, int(_BLOCK_PX * scale / mpp))
        image = np.empty((height, width, 3), dtype=np.uint8)
        for top in range(0, height, step):
            for left in range(0, width, step):
                part = image[top : top + step, left : left + step]
                corner = np.array([left, top]) * mpp / scale
                extent = (part.shape[1] * mpp / scale, part.shape[0] * mpp / scale)
                part[:] = self._resample(level, corner, extent, (part.shape[1], part.shape[0]))
        return image

    def _level(self, mpp: float) -> tuple[int, float]:
        """Return the coarsest level that is at least as sharp as ``mpp``, and its µm per pixel."""
        widths = [shape[1] for shape in self.backend.shapes]
        scales = [self.mpp * _factor(widths[0] / width) for width in widths]
        # a rounding error must not cost a level
        level = max((index for index, scale in enumerate(scales) if scale <= mpp * 1.0001), default=0)
        return level, scales[level]

    def _resample(
        self, level: int, corner_px: Array, extent_px: tuple[float, float], out_px: tuple[int, int]
    ) -> Array:
        """Return the rectangle at ``corner_px``, ``extent_px`` large (x, y; pixels of the level), as ``out_px``."""
        from PIL import Image

        left, top = (int(side) for side in np.floor(corner_px))
        right, bottom = (int(side) for side in np.ceil(corner_px + extent_px - 1e-9))
        # whole pixels that cover the rectangle; `box` then cuts fractions of the outer ones
        pixels = self._mirrored(level, (left, max(right, left + 1)), (top, max(bottom, top + 1)))
        x, y = corner_px[0] - left, corner_px[1] - top
        box = (x, y, min(x + extent_px[0], pixels.shape[1]), min(y + extent_px[1], pixels.shape[0]))
        # averaging when shrinking avoids aliasing; interpolation when enlarging avoids blocks
        shrinks = extent_px[0] >= out_px[0]
        method = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
        return np.asarray(Image.fromarray(pixels).resize(out_px, method, box=box))

    def _mirrored(self, level: int, x_range: tuple[int, int], y_range: tuple[int, int]) -> Array:
        """Return pixels [x0, x1) × [y0, y1) of a level; the image goes on as its mirror image beyond the edges."""
        height, width = self.backend.shapes[level]
        if x_range[0] >= 0 and y_range[0] >= 0 and x_range[1] <= width and y_range[1] <= height:
            x, y = x_range[0], y_range[0]
            return np.ascontiguousarray(self.backend.read(level, (x, y), (x_range[1] - x, y_range[1] - y)))
        columns, rows = _mirror(x_range, width), _mirror(y_range, height)
        x, y = int(columns.min()), int(rows.min())
        part = self.backend.read(level, (x, y), (int(columns.max()) - x + 1, int(rows.max()) - y + 1))
        return np.ascontiguousarray(part[rows - y][:, columns - x])


def open_slide(path: Path, *, mpp: float | None = None) -> SlideImage:
    """Open an image file.

    Parameters
    ----------
    path
        TIFF, OME-TIFF, SVS, NDPI, MRXS, PNG, JPEG …
    mpp
        µm per pixel; ``None`` takes the value of the file's metadata.

    Raises
    ------
    UsageError
        When there is no file, or neither the file nor ``mpp`` gives the scale.
    DataError
        When it is no image, or damaged.
    """
    backend = open_backend(path)
    scale = backend.mpp if mpp is None else mpp
    if scale is None:
        raise UsageError(
            f"'{path}' has no µm per pixel of a slide scanner in its metadata (dots per inch are a printer's; pixels "
            "under 0.1 µm are a slip between mm and cm). Give it as `mpp`."
        )
    return SlideImage(backend, scale)


def _factor(ratio: float) -> float:
    """Return a level's downsampling: the nearest integer, where sizes were rounded."""
    return float(round(ratio)) if abs(ratio - round(ratio)) < 0.02 * ratio else ratio


def _mirror(span: tuple[int, int], length: int) -> Int[np.ndarray, " m"]:
    """Return the indices of a span of a row of ``length`` pixels that is continued by its mirror image."""
    # the image and its mirror image repeat with period 2 · length
    position = np.arange(*span) % (2 * length)
    return np.asarray(np.where(position < length, position, 2 * length - 1 - position))
