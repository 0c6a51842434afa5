"""The area that locations stand for: where a map of them may be painted."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Array, Bool, Float

__all__ = ["covered_area", "covered_pixels"]

# in median circumradii of neighbouring locations: wider triangles are holes or lie along the border, and printed arrays
# are not perfectly even; how far beyond the outermost locations is painted, half of the distance on a square lattice;
# and the radius of a location without neighbours
_WIDEST, _BEYOND, _ALONE = 1.6, 0.7, 1.25
# locations in the middle of the section, where no border makes triangles wide
_SAMPLE = 2000
# standard deviation of the smoothing of the border in pitches of the spots: their rows end in teeth of half a pitch
_SMOOTH = 0.6
# pixels of a pitch, and most pixels along a side, where borders are traced
_PIXELS_PER_PITCH, _MOST_PIXELS = 12, 1500


def covered_pixels(
    xy_um: Float[np.ndarray, "n 2"],
    centres: Float[np.ndarray, "h w 2"],
    *,
    distance: Float[np.ndarray, "h w"],
    pitch_um: float,
) -> Bool[np.ndarray, "h w"]:
    """Return which pixels of an image are painted: those within or close to the triangles of neighbouring locations.

    Triangles are those of Delaunay (delaunay1934), and half a distance beyond them counts: a lattice of any shape is
    covered without gaps. Rows of spots end in teeth, which no tissue has; the border is smoothed by a Gaussian of 0.6
    pitches. Holes and single locations that this would close or remove stay as they were.

    Parameters
    ----------
    xy_um
        Of the locations.
    centres, distance
        Centre of each pixel, and its distance to the nearest location, µm. Pixels are square.
    pitch_um
        Distance of the measured spots.
    """
    from scipy.spatial import Delaunay, QhullError

    pixel = _pixel(centres)
    try:
        mesh = Delaunay(xy_um)
    except (QhullError, ValueError):
        # a single location, or all on a line; at least one pixel, so that it stays visible
        extent = float(np.ptp(xy_um, axis=0).max()) / max(len(xy_um) - 1, 1)
        return np.asarray(distance <= max(extent, pixel))
    return _smoothed(_near(xy_um, mesh, centres, distance=distance, pixel=pixel), _SMOOTH * pitch_um / pixel)


def covered_area(xy_um: Float[np.ndarray, "n 2"], pitch_um: float) -> tuple[Array, ...]:
    """Return the borders of the area of locations in µm, as :func:`covered_pixels` has it.

    Outer borders and holes are to be filled by the even-odd rule.

    Parameters
    ----------
    xy_um
        The locations.
    pitch_um
        Distance of the measured spots.

    Examples
    --------
    >>> xy = np.array([(x, y) for x in range(0, 2000, 50) for y in range(0, 2000, 50)], dtype=float)
    >>> len(covered_area(xy, 100.0))
    1
    """
    from scipy.spatial import cKDTree
    from skimage.measure import approximate_polygon, find_contours

    low, high = xy_um.min(axis=0) - 2 * pitch_um, xy_um.max(axis=0) + 2 * pitch_um
    pixel = max(pitch_um / _PIXELS_PER_PITCH, float((high - low).max()) / _MOST_PIXELS)
    columns, rows = np.ceil((high - low) / pixel).astype(int)
    x, y = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    centres = np.stack([x, y], axis=2) * pixel + low
    distance = cKDTree(xy_um).query(centres.reshape(-1, 2))[0].reshape(rows, columns)
    covered = covered_pixels(xy_um, centres, distance=distance, pitch_um=pitch_um)
    # the margin of two pitches is free, so that all borders are closed; find_contours returns (row, column)
    lines = find_contours(covered.astype(np.float32), 0.5)
    return tuple((approximate_polygon(line, 0.6)[:-1, ::-1] + 0.5) * pixel + low for line in lines)


def _near(xy_um: Array, mesh: object, centres: Array, *, distance: Array, pixel: float) -> Array:
    """Return which pixels lie in close triangles, or as far from them as half a distance of locations."""
    from scipy.ndimage import distance_transform_edt
    from scipy.spatial import cKDTree

    triangles: Array = mesh.simplices  # type: ignore[attr-defined]
    radius = _circumradii(xy_um[triangles])
    median = float(np.median(radius[_central(xy_um, triangles)]))
    close = radius <= _WIDEST * median
    triangle: Array = mesh.find_simplex(centres)  # type: ignore[attr-defined]
    covered = (triangle >= 0) & close[triangle]
    beyond = distance_transform_edt(~covered) * pixel if covered.any() else np.full(covered.shape, np.inf)
    near = covered | (beyond <= _BEYOND * median)
    alone = np.setdiff1d(np.arange(len(xy_um)), triangles[close])
    if len(alone):
        reach = max(_ALONE * median, pixel)
        near |= (cKDTree(xy_um[alone]).query(centres, distance_upper_bound=reach)[0] <= reach) & (
            distance <= reach
        )
    return np.asarray(near)


def _smoothed(mask: Array, sigma_px: float) -> Array:
    """Return a mask with a smooth border; parts and holes that would vanish stay as they are."""
    from scipy.ndimage import gaussian_filter, label

    smooth = gaussian_filter(mask.astype(np.float32), sigma_px, mode="nearest") > 0.5
    for side in (True, False):
        parts, number = label(mask == side)
        kept = np.zeros(number + 1, dtype=bool)
        kept[np.unique(parts[smooth == side])] = True
        kept[0] = True
        smooth[~kept[parts]] = side
    return np.asarray(smooth)


def _pixel(centres: Array) -> float:
    """Return the width of the pixels whose centres these are."""
    rows, columns = centres.shape[:2]
    if columns > 1:
        return float(centres[0, 1, 0] - centres[0, 0, 0])
    return float(centres[1, 0, 1] - centres[0, 0, 1]) if rows > 1 else 1.0


def _central(xy_um: Array, triangles: Array) -> Array:
    """Return the triangles of the locations in the middle of the section, where no border makes them wide."""
    middle = np.argsort(np.linalg.norm(xy_um - np.median(xy_um, axis=0), axis=1))[:_SAMPLE]
    central = np.isin(triangles, middle).all(axis=1)
    return np.flatnonzero(central) if central.any() else np.arange(len(triangles))


def _circumradii(corners: Float[np.ndarray, "t 3 2"]) -> Float[np.ndarray, " t"]:
    """Return the radius of the circle through the corners of each triangle."""
    # R = abc / 4A for a triangle with sides a, b, c and area A
    sides = [np.linalg.norm(corners[:, i] - corners[:, j], axis=1) for i, j in ((0, 1), (1, 2), (2, 0))]
    (ax, ay), (bx, by) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    area = np.abs(ax * by - ay * bx) / 2
    return np.asarray(np.prod(sides, axis=0) / np.maximum(4 * area, 1e-9))
