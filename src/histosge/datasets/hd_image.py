"""The H&E image of a large tissue, drawn strip by strip into a tiled TIFF with a pyramid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from histosge._runtime.types import Array, UInt8

from .hd_tissue import HDTissue
from .stain import DARKNESS, EOSIN, GRID_UM, HAEMATOXYLIN, NUCLEI, NUCLEUS_UM, PAPER, PINK

__all__ = ["HDImage"]

_TILE_PX = 512
# step of the maps that are interpolated
_COARSE_UM = 16.0
# standard deviations of a nucleus that are drawn around a strip
_REACH = 4


@dataclass(frozen=True, eq=False)
class HDImage:
    """The stained tissue at a resolution.

    Parameters
    ----------
    tissue
        What is stained.
    mpp
        µm per pixel.
    """

    tissue: HDTissue
    mpp: float

    @property
    def side_px(self) -> int:
        """Width and height."""
        return round(self.tissue.size_um / self.mpp)

    def write(self, path: Path) -> UInt8[np.ndarray, "rows columns 3"]:
        """Write the image with its pyramid, and return it at half the resolution."""
        import tifffile

        halves: list[Array] = []
        sides = _sides(self.side_px)
        options = {
            "dtype": np.uint8,
            "tile": (_TILE_PX, _TILE_PX),
            "photometric": "rgb",
            "compression": "jpeg",
            "compressionargs": {"level": 90},
            "resolutionunit": "CENTIMETER",
        }
        shape = (self.side_px, self.side_px, 3)
        with tifffile.TiffWriter(path, bigtiff=True) as file:
            per_cm = 1e4 / self.mpp
            file.write(
                self._tiles(halves), shape=shape, subifds=len(sides), resolution=(per_cm, per_cm), **options
            )
            half = pixels = np.concatenate(halves)
            for level in range(len(sides)):
                pixels = _halved(pixels) if level else half
                per_cm = 1e4 / self.mpp / 2 ** (level + 1)
                file.write(pixels, subfiletype=1, resolution=(per_cm, per_cm), **options)
        return half

    def _tiles(self, halves: list[Array]) -> Iterator[Array]:
        """Yield the tiles of the file, and keep each strip of them at half the resolution."""
        for top in range(0, self.side_px, _TILE_PX):
            strip = self._strip(top)
            halves.append(_halved(strip))
            for left in range(0, self.side_px, _TILE_PX):
                yield np.ascontiguousarray(strip[:, left : left + _TILE_PX])

    def _strip(self, top: int) -> Array:
        """Return the rows from ``top`` to the end of their tile, RGB."""
        from scipy.ndimage import gaussian_filter

        bottom, margin = min(top + _TILE_PX, self.side_px), round(_REACH * NUCLEUS_UM / self.mpp)
        rows = np.arange(top - margin, bottom + margin)
        maps = [self._map(index, rows) for index in range(4)]
        tissue = gaussian_filter((maps.pop() > 0).astype(np.float32), 2.0)
        sigma = NUCLEUS_UM / self.mpp
        nuclei = gaussian_filter(self._dots(rows), sigma) * np.float32(2 * np.pi * sigma**2)
        fibres = 1 + 0.35 * maps[1] * self._map(4, rows)
        eosin = sum(share * weight for share, weight in zip(maps, PINK, strict=True)) * fibres
        blue = 0.55 * np.minimum(nuclei, 1.6) + 0.05
        inner = slice(margin, margin + bottom - top)
        noise = np.random.default_rng([self.tissue.seed, 3, top]).normal(0, 2.0, (bottom - top, self.side_px))
        channels = []
        for channel in range(3):
            optical = tissue * (blue * HAEMATOXYLIN[channel] + eosin * EOSIN[channel])
            channels.append(PAPER[channel] * np.exp(-np.log(10.0) * optical[inner]) + noise)
        image = np.clip(np.rint(np.stack(channels, axis=-1)), 0, 255)
        return np.asarray(image, dtype=np.uint8)

    def _map(self, index: int, rows: Array) -> Array:
        """Return rows of a coarse map at the resolution of the image, interpolated linearly."""
        coarse = self._maps[index]
        scale = self.mpp / (self.tissue.size_um / (len(coarse) - 1))
        at_row = np.clip((rows + 0.5) * scale, 0, len(coarse) - 1.001)
        at_column = np.clip((np.arange(self.side_px) + 0.5) * scale, 0, len(coarse) - 1.001)
        low, share = at_row.astype(int), (at_row % 1)[:, None].astype(np.float32)
        along = coarse[low] * (1 - share) + coarse[low + 1] * share
        low, share = at_column.astype(int), (at_column % 1).astype(np.float32)
        return np.asarray(along[:, low] * (1 - share) + along[:, low + 1] * share)

    @cached_property
    def _maps(self) -> list[Array]:
        """Shares of the compartments, border of the tissue, and fibres, on coarse grids over the image."""
        from scipy.ndimage import gaussian_filter

        xy_um, shape = self._grid(_COARSE_UM)
        shares = self.tissue.shares(xy_um)
        maps = [shares[:, index] for index in range(3)] + [self.tissue.border(xy_um)]
        # streaks some µm thick and ten times as long
        points = min(max(round(self.tissue.size_um / 4.0), 8), 4096)
        streaks = np.random.default_rng([self.tissue.seed, 4]).normal(size=(points, points))
        streaks = gaussian_filter(streaks, (1.0, 6.0))
        return [part.reshape(shape).astype(np.float32) for part in maps] + [
            (streaks / streaks.std()).astype(np.float32)
        ]

    def _grid(self, step_um: float) -> tuple[Array, tuple[int, int]]:
        """Return points from edge to edge of the image, some ``step_um`` apart, and their rows and columns."""
        along = np.linspace(0, self.tissue.size_um, round(self.tissue.size_um / step_um) + 2)
        x, y = np.meshgrid(along, along)
        return np.column_stack([x.ravel(), y.ravel()]), (len(along), len(along))

    @cached_property
    def _nuclei(self) -> tuple[Array, Array, Array]:
        """Rows, columns (pixels) and darkness of the nuclei, by row: a jittered grid, so that they hardly overlap."""
        rng = np.random.default_rng([self.tissue.seed, 2])
        centres = np.arange(GRID_UM / 2, self.tissue.size_um, GRID_UM)
        x, y = np.meshgrid(centres, centres)
        xy_um = np.column_stack([x.ravel(), y.ravel()])
        xy_um += rng.uniform(-0.4 * GRID_UM, 0.4 * GRID_UM, xy_um.shape)
        shares = self.tissue.shares(xy_um)
        chance = shares @ NUCLEI * np.exp(0.6 * self.tissue.nuclei(xy_um)) * self.tissue.inside(xy_um)
        taken = rng.random(len(xy_um)) < np.clip(chance, 0, 0.97)
        darkness = (shares @ DARKNESS)[taken] * rng.uniform(0.7, 1.3, taken.sum())
        column, row = (xy_um[taken] / self.mpp).astype(int).T
        order = np.argsort(row, kind="stable")
        return row[order], column[order], darkness[order]

    def _dots(self, rows: Array) -> Array:
        """Return the darkness of the nuclei at their middles, for rows of the image."""
        row, column, darkness = self._nuclei
        start, stop = np.searchsorted(row, (rows[0], rows[-1] + 1))
        dots = np.zeros((len(rows), self.side_px), dtype=np.float32)
        dots[row[start:stop] - rows[0], np.minimum(column[start:stop], self.side_px - 1)] = darkness[
            start:stop
        ]
        return dots


def _sides(side_px: int) -> list[int]:
    """Return the sides of the smaller images of the pyramid."""
    sides = [side_px // 2]
    while sides[-1] > 2 * _TILE_PX:
        sides.append(sides[-1] // 2)
    return sides


def _halved(rgb: Array) -> Array:
    """Return the means of 2 × 2 pixels; an odd row or column at the end is left out."""
    height, width = rgb.shape[0] // 2 * 2, rgb.shape[1] // 2 * 2
    quarters = [rgb[row:height:2, column:width:2].astype(np.uint16) for row in (0, 1) for column in (0, 1)]
    return np.asarray((np.sum(quarters, axis=0, dtype=np.uint16) + 2) // 4, dtype=np.uint8)
