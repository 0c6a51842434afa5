"""The features of a GeoJSON file as arrays, from which cells are chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from histosge._runtime.types import Array
from histosge.geometry.geojson import Shape, iterate_shapes

from .polygon_arrays import joined_pieces, polygon_pieces

__all__ = ["Features", "read_features"]

# features that are made into shapes at once: their lists of numbers are in memory
_BLOCK = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Features in the order of their file, in its pixels; row i of ``ids`` to ``nuclei`` is feature i.

    Parameters
    ----------
    ids
        Those of the file; ``cell_7`` where the eighth feature has none.
    kinds, labels, probabilities
        QuPath's type of object, the class and the probability of each, as in
        :class:`~histosge.geometry.geojson.Shape`.
    nuclei
        Outlines of nuclei; ``None`` for a feature without.
    polygons, row
        All polygons, and the feature that each belongs to.
    points, point_row
        All positions of features that are points, (m, 2), and the feature that each belongs to.
    """

    ids: Array
    kinds: Array
    labels: Array
    probabilities: Array
    nuclei: Array
    polygons: Array
    row: Array
    points: Array
    point_row: Array

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def outlines(self) -> Array:
        """One polygon or multipolygon a feature; ``None`` for points."""
        return joined_pieces(self.polygons, self.row, len(self))

    def take(self, keep: Array) -> Features:
        """Return the features where ``keep`` is true."""
        number = np.cumsum(keep) - 1
        of, of_point = keep[self.row], keep[self.point_row]
        return Features(
            self.ids[keep],
            self.kinds[keep],
            labels=self.labels[keep],
            probabilities=self.probabilities[keep],
            nuclei=self.nuclei[keep],
            polygons=self.polygons[of],
            row=number[self.row[of]],
            points=self.points[of_point],
            point_row=number[self.point_row[of_point]],
        )

    @classmethod
    def of(cls, shapes: Sequence[Shape]) -> Features:
        """Return the features of a block of shapes."""
        polygons, row = polygon_pieces([shape.polygons for shape in shapes])
        nuclei = joined_pieces(*polygon_pieces([shape.nucleus for shape in shapes]), len(shapes))
        return cls(
            np.array([shape.id or f"cell_{shape.number}" for shape in shapes], dtype=object),
            np.array([shape.kind for shape in shapes], dtype=object),
            labels=np.array([shape.label for shape in shapes], dtype=object),
            probabilities=np.array([shape.probability for shape in shapes], dtype=np.float64),
            nuclei=nuclei,
            polygons=polygons,
            row=row,
            points=np.vstack([np.empty((0, 2)), *(shape.points for shape in shapes)]),
            point_row=np.repeat(np.arange(len(shapes)), [len(shape.points) for shape in shapes]),
        )

    @classmethod
    def joined(cls, blocks: Sequence[Features]) -> Features:
        """Return the features of blocks one after the other."""
        start = np.cumsum([0, *(len(block) for block in blocks)])
        row = [block.row + first for block, first in zip(blocks, start[:-1], strict=True)]
        point_row = [block.point_row + first for block, first in zip(blocks, start[:-1], strict=True)]
        return cls(
            np.concatenate([block.ids for block in blocks]),
            np.concatenate([block.kinds for block in blocks]),
            labels=np.concatenate([block.labels for block in blocks]),
            probabilities=np.concatenate([block.probabilities for block in blocks]),
            nuclei=np.concatenate([block.nuclei for block in blocks]),
            polygons=np.concatenate([block.polygons for block in blocks]),
            row=np.concatenate(row),
            points=np.concatenate([block.points for block in blocks]),
            point_row=np.concatenate(point_row),
        )


def read_features(path: Path, left_out: Counter[str]) -> Features:
    """Read all polygons and points of a file, block by block.

    Parameters
    ----------
    path
        GeoJSON.
    left_out
        Counts by kind what is no polygon and no point.

    Raises
    ------
    UsageError, DataError
        As :func:`~histosge.geometry.geojson.iterate_shapes` does.
    """
    shapes = iterate_shapes(path, left_out, points=True)
    return Features.joined([Features.of(block) for block in _blocks(shapes)] or [Features.of([])])


def _blocks(shapes: Iterator[Shape]) -> Iterator[list[Shape]]:
    while block := list(islice(shapes, _BLOCK)):
        yield block
