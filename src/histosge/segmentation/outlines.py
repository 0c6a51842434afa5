"""Outlines of labelled areas as polygons in µm."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Array, Int

__all__ = ["outlines_of"]

# pixels by which an outline may be simplified: less than pixels say of it
_TOLERANCE_PX = 0.2


def outlines_of(
    labels: Int[np.ndarray, "h w"], chosen: Int[np.ndarray, " n"], *, mpp: float, corner_px: tuple[int, int]
) -> Array:
    """Return the outline of each chosen label as a shapely polygon, without holes; ``None`` for labels without area.

    The outline is the line on which the area, smoothed over three pixels, covers one half. Areas that touch share it:
    where one covers more than one half no other does.

    Parameters
    ----------
    labels
        Which area a pixel belongs to, from 1.
    chosen
        The labels, each of which occurs.
    mpp
        µm per pixel.
    corner_px
        Column and row of the upper left pixel, in the pixels of the whole image.

    Examples
    --------
    >>> labels = np.zeros((12, 12), dtype=int)
    >>> labels[3:9, 3:9] = 1
    >>> outline = outlines_of(labels, np.array([1]), mpp=0.5, corner_px=(100, 0))[0]
    >>> round(outline.centroid.x, 6), round(outline.centroid.y, 6)
    (53.0, 3.0)
    """
    import shapely
    from scipy.ndimage import find_objects

    boxes = find_objects(labels)
    polygons = np.full(len(chosen), None, dtype=object)
    for index, label in enumerate(chosen):
        rows, columns = boxes[label - 1]
        ring = _ring(labels[rows, columns] == label)
        if len(ring) < 4:
            continue
        # pixel i covers [i, i + 1): its middle is at i + 0.5
        corner = np.array([columns.start + corner_px[0], rows.start + corner_px[1]]) + 0.5
        polygons[index] = shapely.Polygon((ring + corner) * mpp)
    return np.asarray(shapely.simplify(polygons, _TOLERANCE_PX * mpp))


def _ring(area: Array) -> Array:
    """Return the longest border of an area as (x, y) in pixels from the middle of its first one."""
    from skimage.measure import find_contours

    padded = np.pad(area.astype(np.float32), 2)
    # (1, 2, 1) / 4 along both axes
    smooth = padded[:, 1:-1] / 2 + (padded[:, :-2] + padded[:, 2:]) / 4
    smooth = smooth[1:-1] / 2 + (smooth[:-2] + smooth[2:]) / 4
    lines = find_contours(smooth, 0.5)
    return max(lines, key=len)[:, ::-1] - 1 if lines else np.empty((0, 2))
