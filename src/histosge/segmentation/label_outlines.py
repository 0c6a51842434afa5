"""Outlines of the cells of a label image, along the edges of its pixels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from histosge._runtime.types import Array

from .label_rows import LabelRows

__all__ = ["label_outlines", "traced"]

# rows that are read at once; more are read where a cell goes on below
_ROWS = 512
# entries of a table of labels; labels that are further apart are searched for
_LARGEST_TABLE = 1 << 24
# steps along the border: right, down, left, up; a cell lies to the right of its border
_STEP_X, _STEP_Y = np.array([1, 0, -1, 0]), np.array([0, 1, 0, -1])


def label_outlines(labels: LabelRows, *, largest_px: int) -> tuple[Array, Array, Array]:
    """Return labels, their outlines in pixels, and the labels that were left out as too large.

    The image is read twice, band by band: for the extent of each label, then for the borders of the labels that begin
    in a band. Memory depends on the width of the image and the height of its cells, not on its height.

    Parameters
    ----------
    labels
        The image.
    largest_px
        Side of the largest cell; a label of larger extent is no cell, or belongs to several.

    Returns
    -------
    Labels, ascending; polygons or multipolygons with the area of their pixels; labels left out.
    """
    names, top, bottom, left, right = _extents(labels)
    large = np.maximum(bottom - top, right - left) > largest_px
    kept, shapes = [], []
    for first, last in _bands(labels.shape[0]):
        begin = np.flatnonzero((top >= first) & (top < last) & ~large)
        if not len(begin):
            continue
        block = labels.rows(first, int(bottom[begin].max()))
        chosen = names[begin]
        outlines = traced(block, chosen, origin=(0, first))
        kept.append(chosen)
        shapes.append(outlines)
    if not kept:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=object), names[large]
    order = np.argsort(np.concatenate(kept))
    return np.concatenate(kept)[order], np.concatenate(shapes)[order], names[large]


def _bands(height: int) -> Iterator[tuple[int, int]]:
    for first in range(0, height, _ROWS):
        yield first, min(first + _ROWS, height)


def _extents(labels: LabelRows) -> tuple[Array, Array, Array, Array, Array]:
    """Return the labels and the extent of each: first and last row (exclusive), first and last column (exclusive)."""
    parts = []
    for first, last in _bands(labels.shape[0]):
        block = labels.rows(first, last)
        # ends of the runs of equal labels in each row
        change = np.pad(block[:, 1:] != block[:, :-1], ((0, 0), (1, 1)), constant_values=True)
        y, x = np.nonzero((change[:, 1:] | change[:, :-1]) & (block != 0))
        if not len(y):
            continue
        names, index = np.unique(block[y, x].astype(np.int64), return_inverse=True)
        low, high = np.full((2, len(names)), np.iinfo(np.int64).max), np.full((2, len(names)), -1)
        for axis, values in enumerate((y + first, x)):
            np.minimum.at(low[axis], index, values)
            np.maximum.at(high[axis], index, values + 1)
        parts.append((names, low[0], high[0], low[1], high[1]))
    if not parts:
        return tuple(np.empty(0, dtype=np.int64) for _ in range(5))  # type: ignore[return-value]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    names, index = np.unique(columns[0], return_inverse=True)
    result = [names]
    for column, smallest in zip(columns[1:], (True, False, True, False), strict=True):
        extreme = np.full(len(names), np.iinfo(np.int64).max if smallest else -1)
        (np.minimum if smallest else np.maximum).at(extreme, index, column)
        result.append(extreme)
    return result[0], result[1], result[2], result[3], result[4]


def traced(block: Array, chosen: Array, *, origin: tuple[int, int] = (0, 0)) -> Array:
    """Return the outlines of chosen labels of an image, one polygon or multipolygon each.

    Each border between a label and what is not that label is a unit step with the label to its right. Steps are
    followed to rings, all rings of the image at once; where two pixels of a label touch at a corner alone, the ring
    turns right, so that they are separate pieces.

    Parameters
    ----------
    block
        Labels (h, w).
    chosen
        Ascending labels, all of them in ``block``.
    origin
        Position (x, y) of the first pixel.

    Examples
    --------
    >>> image = np.array([[1, 1, 0], [1, 1, 2]])
    >>> [shape.wkt for shape in traced(image, np.array([1, 2]))]
    ['POLYGON ((0 0, 2 0, 2 2, 0 2, 0 0))', 'POLYGON ((2 1, 3 1, 3 2, 2 2, 2 1))']
    """
    label, x, y, way = _steps(block, chosen)
    width = block.shape[1] + 1
    vertex = y * width + x
    number = width * (block.shape[0] + 1)
    code = (label * number + vertex) * 4 + way
    order = np.argsort(code)
    label, x, y, way, code = (part[order] for part in (label, x, y, way, code))
    end = (y + _STEP_Y[way]) * width + x + _STEP_X[way]
    following = _following(label * number + end, way, code)
    ring, step = _rings(label, following)
    return _polygons(ring, step, label, x + origin[0], y + origin[1], way, number=len(chosen))


def _steps(block: Array, chosen: Array) -> tuple[Array, Array, Array, Array]:
    """Return the unit steps of all borders: row of the label in ``chosen``, position (x, y), direction."""
    padded = np.pad(block, 1)
    inside = padded[1:-1, 1:-1]
    neighbours = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])
    # a step begins at the pixel's corner: upper left, upper right, lower right, lower left
    corners = ((0, 0), (1, 0), (1, 1), (0, 1))
    parts = []
    for way, (neighbour, (right, down)) in enumerate(zip(neighbours, corners, strict=True)):
        y, x = np.nonzero((inside != 0) & (neighbour != inside))
        row = _row_in(chosen, inside[y, x].astype(np.int64))
        y, x, row = y[row >= 0], x[row >= 0], row[row >= 0]
        parts.append((row, x + right, y + down, np.full(len(y), way)))
    label, right_of, below, direction = (np.concatenate(part) for part in zip(*parts, strict=True))
    return label, right_of, below, direction


def _row_in(chosen: Array, labels: Array) -> Array:
    """Return which of the chosen labels each of some labels is; −1 for others."""
    span = int(chosen[-1] - chosen[0]) + 1
    if span <= _LARGEST_TABLE:
        # a table of the labels from the first chosen one to the last; its end is for those that are outside
        table = np.full(span + 1, -1)
        table[chosen - chosen[0]] = np.arange(len(chosen))
        index = labels - chosen[0]
        index[(index < 0) | (index >= span)] = span
        return np.asarray(table[index])
    row = np.minimum(np.searchsorted(chosen, labels), len(chosen) - 1)
    return np.where(chosen[row] == labels, row, -1)


def _following(end: Array, way: Array, code: Array) -> Array:
    """Return the step that follows each: to the right where there is one, else straight on, else to the left."""
    following = np.full(len(code), -1)
    for turn in (1, 0, 3):
        expected = end * 4 + (way + turn) % 4
        at = np.minimum(np.searchsorted(code, expected), len(code) - 1)
        hit = (code[at] == expected) & (following < 0)
        following[hit] = at[hit]
    return following


def _rings(label: Array, following: Array) -> tuple[Array, Array]:
    """Return rings as (number of the ring, step), in the order of the steps along each ring."""
    rings, steps = [], []
    free = np.ones(len(label), dtype=bool)
    count = 0
    while free.any():
        left = np.flatnonzero(free)
        # one ring of each label that has some left
        start = left[np.unique(label[left], return_index=True)[1]]
        ring, step = np.arange(count, count + len(start)), start
        count += len(start)
        first = start
        while len(step):
            rings.append(ring)
            steps.append(step)
            free[step] = False
            step = following[step]
            on = step != first
            ring, step, first = ring[on], step[on], first[on]
    order = np.argsort(np.concatenate(rings), kind="stable")
    return np.concatenate(rings)[order], np.concatenate(steps)[order]


def _polygons(
    ring: Array, step: Array, label: Array, x: Array, y: Array, way: Array, *, number: int
) -> Array:
    """Return the polygon of each label; corners are where the direction changes."""
    import shapely

    first = np.flatnonzero(np.diff(ring, prepend=-1))
    last = np.append(first[1:], len(ring)) - 1
    before = np.roll(way[step], 1)
    before[first] = way[step[last]]
    corner = way[step] != before
    xy = np.column_stack([x[step[corner]], y[step[corner]]]).astype(np.float64)
    linear = shapely.linearrings(xy, indices=ring[corner])
    of_label = label[step[first]]
    # borders run clockwise on the screen, where y points down; those of holes the other way
    outer = _area(xy, ring[corner], len(first)) > 0
    return _assembled(linear, of_label, outer, number)


def _area(xy: Array, ring: Array, number: int) -> Array:
    """Return the signed area of rings, positive where they run clockwise on the screen."""
    following = np.arange(1, len(xy) + 1)
    first = np.flatnonzero(np.diff(ring, prepend=-1))
    following[np.append(first[1:], len(xy)) - 1] = first
    cross = xy[:, 0] * xy[following, 1] - xy[following, 0] * xy[:, 1]
    return np.bincount(ring, weights=cross, minlength=number) / 2


def _assembled(rings: Array, label: Array, outer: Array, number: int) -> Array:
    """Return one shape a label of its rings; holes are cut out."""
    import shapely

    result = np.full(number, None, dtype=object)
    single = np.bincount(label, minlength=number)[label] == 1
    polygons = shapely.polygons(rings)
    # a ring that touches itself at a corner encloses a hole, or is several rings
    bad = ~shapely.is_valid(polygons)
    polygons[bad] = shapely.make_valid(polygons[bad])
    result[label[single]] = polygons[single]
    for name in np.unique(label[~single]):
        own = label == name
        whole, holes = shapely.union_all(polygons[own & outer]), polygons[own & ~outer]
        result[name] = shapely.difference(whole, shapely.union_all(holes)) if len(holes) else whole
    return result
