"""Cells as a file has them, before they are checked."""

from __future__ import annotations

from dataclasses import dataclass

from histosge._runtime.types import Array

__all__ = ["StoredCells"]


@dataclass(frozen=True, slots=True, eq=False)
class StoredCells:
    """Cells as a file has them: in its own units, perhaps invalid, perhaps with repeated ids.

    Parameters
    ----------
    ids
        Ids; an empty string where the file has none.
    outlines
        shapely geometries, (n,); ``None`` where no cell has an outline.
    xy
        Centroids, (n, 2); ``None``: those of the outlines.
    nuclei
        Outlines of nuclei, with ``None`` for a cell without.
    classes, confidence
        As in :class:`~histosge.segmentation.cells.Cells`.
    disjoint
        True where outlines cannot overlap, as those of a label image.
    """

    ids: list[str]
    outlines: Array | None = None
    xy: Array | None = None
    nuclei: Array | None = None
    classes: list[str] | None = None
    confidence: Array | None = None
    disjoint: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: Array) -> StoredCells:
        """Return the cells at ``index`` (integers), in that order."""

        def part(values: Array | None) -> Array | None:
            return None if values is None else values[index]

        classes = self.classes
        return StoredCells(
            [self.ids[row] for row in index],
            part(self.outlines),
            xy=part(self.xy),
            nuclei=part(self.nuclei),
            classes=None if classes is None else [classes[row] for row in index],
            confidence=part(self.confidence),
            disjoint=self.disjoint,
        )
