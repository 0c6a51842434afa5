"""Overlapping tiles of a slide image, on one grid of pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Bool, Float, UInt8
from histosge.images.slide import SlideImage
from histosge.images.tissue import TissueMask

__all__ = ["Tile", "sampling_mpp", "tiles_of"]


@dataclass(frozen=True, slots=True)
class Tile:
    """A square of the grid, and the surroundings that are read with it.

    Parameters
    ----------
    column, row
        Upper left pixel of the square.
    size_px
        Width of the square.
    halo_px
        Width of the surroundings.
    mpp
        µm per pixel.
    """

    column: int
    row: int
    size_px: int
    halo_px: int
    mpp: float

    def corner_px(self) -> tuple[int, int]:
        """Return column and row of the upper left pixel that is read: those left of and above the image are not."""
        return max(0, self.column - self.halo_px), max(0, self.row - self.halo_px)

    def read(self, slide: SlideImage) -> UInt8[np.ndarray, "h w 3"]:
        """Return the pixels of square and surroundings, as far as the image reaches."""
        left, top = self.column - self.halo_px, self.row - self.halo_px
        width = self.size_px + 2 * self.halo_px
        centre_um = (np.array([left, top]) + width / 2) * self.mpp
        pixels = slide.read(centre_um, width * self.mpp, width)
        columns, rows = (round(side / self.mpp) for side in slide.size_um)
        return pixels[max(0, -top) : max(0, rows - top), max(0, -left) : max(0, columns - left)]

    def owns(self, xy_px: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
        """Return which positions, in pixels of the whole image, lie in the square: every one lies in one tile's."""
        corner = np.array([self.column, self.row])
        return np.asarray(((xy_px >= corner) & (xy_px < corner + self.size_px)).all(axis=1))


def sampling_mpp(slide: SlideImage, mpp: float) -> float:
    """Return the µm per pixel nearest to ``mpp`` at which pixels are averages of whole pixels of the image.

    So the pixels are the same in whichever tile they are read.
    """
    return slide.mpp * max(1, round(mpp / slide.mpp))


def tiles_of(
    slide: SlideImage, mask: TissueMask, *, mpp: float, tile_um: float, halo_um: float
) -> list[Tile]:
    """Return the tiles of a slide that have tissue, row by row.

    Parameters
    ----------
    slide
        The image.
    mask
        Where tissue is.
    mpp
        µm per pixel, of :func:`sampling_mpp`.
    tile_um, halo_um
        Widths of squares and of surroundings.
    """
    size, halo = max(1, round(tile_um / mpp)), int(np.ceil(halo_um / mpp))
    rows, columns = np.nonzero(mask.mask)
    # a pixel of the mask may lie in several squares: those of its corners
    corners = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
    xy_um = (np.stack([columns, rows], axis=1)[:, None] + corners * 0.999) * mask.mpp + np.array(
        mask.origin_um
    )
    xy_um = np.clip(xy_um.reshape(-1, 2), 0, np.array(slide.size_um) - 1e-6)
    squares = np.unique((xy_um / mpp // size).astype(int)[:, ::-1], axis=0)
    return [Tile(int(column) * size, int(row) * size, size, halo, mpp) for row, column in squares]
