"""Outlines painted as labels on a grid of pixels."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Array, Int

__all__ = ["painted"]


def painted(
    outlines: Array, shape: tuple[int, int], *, mpp: float, corner_px: tuple[int, int] = (0, 0)
) -> Int[np.ndarray, "h w"]:
    """Return which outline covers the middle of a pixel, from 1; the later of two that overlap, 0 where there is none.

    Parameters
    ----------
    outlines
        shapely polygons and multipolygons in µm; an entry may be ``None``. Holes are left empty.
    shape
        Rows and columns.
    mpp
        µm per pixel.
    corner_px
        Column and row of the upper left pixel, in the pixels of the whole image.

    Examples
    --------
    >>> import shapely
    >>> painted(np.array([shapely.box(1, 1, 3, 2)]), (3, 4), mpp=1.0).tolist()
    [[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    import shapely
    from skimage.draw import polygon

    labels = np.zeros(shape, dtype=np.int32)
    parts, index = shapely.get_parts(outlines, return_index=True)
    holes = shapely.get_num_interior_rings(parts) > 0
    corner = np.array(corner_px) + 0.5
    for part, number, hollow in zip(parts, index + 1, holes, strict=True):
        rings = [part.exterior, *part.interiors] if hollow else [part.exterior]
        # the middle of pixel i is at i + 0.5
        lines = [(shapely.get_coordinates(ring) / mpp - corner).T[::-1] for ring in rings]
        inside = polygon(*lines[0], shape)
        if hollow:
            box = np.zeros(shape, dtype=bool)
            box[inside] = True
            for line in lines[1:]:
                box[polygon(*line, shape)] = False
            inside = np.nonzero(box)
        labels[inside] = number
    return labels
