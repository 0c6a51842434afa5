"""Means and percentiles of planes over windows around many points, from tables of sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from histosge._runtime.types import Array, Float, Float32

__all__ = ["Histograms", "Sums", "Windows"]

# a table of counts has one entry for squares of so many pixels
_BLOCK_PX = 4


@dataclass(frozen=True, slots=True)
class Windows:
    """Square windows of one size around points of an image; their edges may lie between pixels.

    Parameters
    ----------
    top, left
        Upper left corners in pixels; pixel i covers [i, i + 1).
    px
        Width.
    """

    top: Float[np.ndarray, " m"]
    left: Float[np.ndarray, " m"]
    px: float

    @classmethod
    def around(cls, centres_px: Float[np.ndarray, "m 2"], px: float) -> Windows:
        """Return the windows around centres (x, y)."""
        return cls(centres_px[:, 1] - px / 2, centres_px[:, 0] - px / 2, px)


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of planes over all rectangles from the upper left corner (Crow 1984): a window costs a few reads.

    Parameters
    ----------
    table
        (h + 1) × (w + 1) × planes.
    """

    table: Array

    @classmethod
    def of(cls, planes: Sequence[Array]) -> Sums:
        """Sum planes; the smaller ones go on with zeros below and to the right."""
        height, width = (max(plane.shape[axis] for plane in planes) for axis in (0, 1))
        table = np.zeros((height + 1, width + 1, len(planes)))
        for index, plane in enumerate(planes):
            table[1 : plane.shape[0] + 1, 1 : plane.shape[1] + 1, index] = plane
        return cls.from_cells(table)

    @classmethod
    def from_cells(cls, table: Array) -> Sums:
        """Sum in place; the first row and column are zero."""
        # row by row and column by column: several times as fast as np.cumsum along outer axes
        for row in range(1, table.shape[0]):
            table[row] += table[row - 1]
        for column in range(1, table.shape[1]):
            table[:, column] += table[:, column - 1]
        return cls(table)

    def over(self, rows: tuple[Array, Array], columns: tuple[Array, Array]) -> Array:
        """Return the sums over rectangles, given by their first and last edges, one row each.

        A cell that an edge cuts counts by the part inside: between its corners the table is interpolated bilinearly,
        which is exact where each cell is uniform.
        """
        stride = self.table.shape[1]
        cells = self.table.reshape(-1, self.table.shape[2])
        corners, weights = [], []
        for row, sign_down in ((rows[1], 1), (rows[0], -1)):
            for column, sign_across in ((columns[1], 1), (columns[0], -1)):
                first_row, below = _cell(row, self.table.shape[0])
                first_column, right = _cell(column, stride)
                right *= (sign := sign_down * sign_across)
                corner = first_row * stride + first_column
                corners += [corner, corner + 1, corner + stride, corner + stride + 1]
                weights += [
                    (1 - below) * (sign - right),
                    (1 - below) * right,
                    below * (sign - right),
                    below * right,
                ]
        number = len(rows[0])
        # a sparse matrix of weights: its product makes no copies of what it gathers
        matrix = csr_array(
            (
                np.stack(weights, axis=1).ravel().astype(cells.dtype),
                np.stack(corners, axis=1).ravel(),
                np.arange(number + 1, dtype=np.int32) * len(corners),
            ),
            shape=(number, len(cells)),
        )
        return np.asarray(matrix @ cells)

    def means(self, windows: Windows, *, less: tuple[int, int] = (0, 0)) -> Float[np.ndarray, "m planes"]:
        """Return the means over windows; ``less`` rows and columns at their lower and right edges are left out."""
        height, width = windows.px - less[0], windows.px - less[1]
        rows, columns = (windows.top, windows.top + height), (windows.left, windows.left + width)
        return np.asarray(self.over(rows, columns) / (height * width))


def _cell(edge: Array, length: int) -> tuple[Array, Array]:
    """Return the entry of a table before an edge and the part of the way to the next; nothing lies beyond the table."""
    edge = np.clip(edge, 0, length - 1)
    first = np.minimum(np.floor(edge), length - 2)
    return first.astype(np.int32), edge - first


@dataclass(frozen=True, slots=True)
class Histograms:
    """Histograms of a plane over windows, for percentiles.

    Pixels are counted in squares of 4 × 4, and values in bins; within a square and within a bin they count as evenly
    spread. A percentile is then off by a fraction of a bin.

    Parameters
    ----------
    sums
        Of the counts, one plane a bin.
    edges
        Of the bins.
    """

    sums: Sums
    edges: Float[np.ndarray, " bins_and_one"]

    @classmethod
    def of(cls, bins: Array, edges: Array) -> Histograms:
        """Count a plane of numbers of bins."""
        height, width = (-(-side // _BLOCK_PX) for side in bins.shape)
        number = len(edges) - 1
        block = (np.arange(bins.shape[0]) // _BLOCK_PX)[:, None] * width + np.arange(
            bins.shape[1]
        ) // _BLOCK_PX
        counts = np.bincount((block * number + bins).ravel(), minlength=height * width * number)
        # counts below 2²⁴ are exact in float32
        table = np.zeros((height + 1, width + 1, number), dtype=np.float32)
        table[1:, 1:] = counts.reshape(height, width, number)
        return cls(Sums.from_cells(table), edges)

    def percentiles(self, windows: Windows, percents: Sequence[float]) -> Float32[np.ndarray, "m p"]:
        """Return percentiles of the values in each window."""
        side = windows.px / _BLOCK_PX
        top, left = windows.top / _BLOCK_PX, windows.left / _BLOCK_PX
        counts = self.sums.over((top, top + side), (left, left + side))
        return self._ranks(np.cumsum(counts, axis=1, dtype=np.float64), percents).astype(np.float32)

    def _ranks(self, cumulated: Array, percents: Sequence[float]) -> Array:
        """Return the values below which a share of the counts lies."""
        rows = np.arange(len(cumulated))
        total = cumulated[:, -1]
        columns = []
        for percent in percents:
            target = percent / 100 * total
            bins = (cumulated < target[:, None]).sum(axis=1)
            bins = np.minimum(bins, cumulated.shape[1] - 1)
            before = np.where(bins > 0, cumulated[rows, bins - 1], 0)
            share = (target - before) / np.maximum(cumulated[rows, bins] - before, 1e-6)
            low, high = self.edges[bins], self.edges[bins + 1]
            columns.append(low + np.clip(share, 0, 1) * (high - low))
        return np.stack(columns, axis=1)
