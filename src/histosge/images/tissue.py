"""Tissue masks, from an image or from the spots."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from histosge._runtime.types import Array, Bool, Float, frozen
from histosge.errors import DataError
from histosge.geometry.points import Points

from .slide import SlideImage

__all__ = ["TissueMask"]

# finer than a spot, coarser than cells; a whole Visium section is some 800 × 800 pixels
_MPP = 8.0
# smaller pieces are dust, fiducials and lumina
_SPECK_UM2 = 150.0**2
_HOLE_UM2 = 400.0**2
_BLUR_UM = 16.0
# optical density below which nothing is stained, whatever the threshold; even pale tissue is above 0.1
_FAINTEST_DENSITY = 0.04
# the two classes of an image that is tissue everywhere differ by less than this
_LEAST_CONTRAST = 0.06
# of 255; stained tissue, even a fold, is brighter at this resolution
_BLACK = 8
_POINT_MASK_REACH = 0.75
# some scanners' background is mid-grey
_DARKEST_WHITE = 110.0


@dataclass(frozen=True, slots=True, eq=False)
class TissueMask:
    """A raster of where tissue is.

    Parameters
    ----------
    mask
        True on tissue, rows × columns.
    mpp
        µm per pixel of the mask.
    origin_um
        Position of the mask's upper left corner.

    Examples
    --------
    >>> import numpy as np
    >>> spots = Points(np.array([[0.0, 0.0], [100.0, 0.0]]), np.array(["A", "B"]))
    >>> mask = TissueMask.from_points(spots, pitch_um=100.0)
    >>> mask.contains(np.array([[50.0, 0.0], [300.0, 0.0]])).tolist()
    [True, False]
    """

    mask: Bool[np.ndarray, "h w"]
    mpp: float
    origin_um: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", frozen(self.mask))

    @property
    def fraction(self) -> float:
        """Share of the mask that is tissue."""
        return float(self.mask.mean())

    def contains(self, xy_um: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
        """Return which positions are on tissue; outside of the mask there is none."""
        columns, rows = np.floor((xy_um - np.array(self.origin_um)) / self.mpp).astype(int).T
        height, width = self.mask.shape
        inside = (columns >= 0) & (rows >= 0) & (columns < width) & (rows < height)
        on_tissue = np.zeros(len(xy_um), dtype=bool)
        on_tissue[inside] = self.mask[rows[inside], columns[inside]]
        return on_tissue

    def without_small_pieces(self, area_um2: float) -> TissueMask:
        """Return the mask without connected pieces smaller than an area."""
        from skimage.morphology import remove_small_objects

        return replace(self, mask=remove_small_objects(self.mask, max_size=int(area_um2 / self.mpp**2)))

    def with_spots(self, points: Points, reach_um: float) -> TissueMask:
        """Return the mask with the surroundings of the spots, and without pieces in which there is no spot.

        Spots mark pale tissue that the image does not show; pieces without any are fiducials of the frame and dirt.

        Parameters
        ----------
        points
            The spots on tissue.
        reach_um
            Radius around a spot that is tissue.
        """
        from scipy.ndimage import distance_transform_edt, label

        columns, rows = np.floor((points.xy - np.array(self.origin_um)) / self.mpp).astype(int).T
        height, width = self.mask.shape
        inside = (columns >= 0) & (rows >= 0) & (columns < width) & (rows < height)
        if not inside.any():
            return self
        far = np.ones(self.mask.shape, dtype=bool)
        far[rows[inside], columns[inside]] = False
        near = distance_transform_edt(far) * self.mpp <= reach_um
        pieces, number = label(self.mask | near)
        has_spot = np.zeros(number + 1, dtype=bool)
        has_spot[pieces[near]] = True
        return replace(self, mask=has_spot[pieces])

    def outline(self) -> list[Float[np.ndarray, "m 2"]]:
        """Return the borders of the tissue as closed polygons in µm."""
        from skimage.measure import find_contours

        # a border of background closes the outlines of tissue at the edge of the image
        padded = np.pad(self.mask.astype(np.float32), 1)
        # find_contours returns (row, column) of pixel centres
        return [
            (line[:, ::-1] - 0.5) * self.mpp + np.array(self.origin_um) for line in find_contours(padded, 0.5)
        ]

    @classmethod
    def from_slide(cls, slide: SlideImage, *, mpp: float = _MPP) -> TissueMask:
        """Detect the tissue in an image: optical density above the threshold of Otsu (1979).

        Parameters
        ----------
        slide
            The image.
        mpp
            µm per pixel of the mask, at least that of the image.
        """
        from scipy.ndimage import gaussian_filter

        mpp = max(mpp, slide.mpp)
        rgb = _without_black(slide.thumbnail(mpp)).astype(np.float32)
        density = gaussian_filter(_density(rgb), _BLUR_UM / mpp)
        return cls(_cleaned(density > _threshold(density), mpp), mpp)

    @classmethod
    def from_points(cls, points: Points, pitch_um: float) -> TissueMask:
        """Return the surroundings of the spots, up to three quarters of the pitch.

        Raises
        ------
        DataError
            When there are no points.
        """
        from scipy.spatial import cKDTree

        if not len(points):
            raise DataError("Expected at least one spot to mark tissue, got none.")
        # eight pixels a pitch resolve the disks around spots
        reach, mpp = _POINT_MASK_REACH * pitch_um, pitch_um / 8
        low = points.xy.min(0) - 2 * reach
        width, height = np.ceil((points.xy.max(0) + 2 * reach - low) / mpp).astype(int)
        columns, rows = np.meshgrid(np.arange(width), np.arange(height))
        centres = low + (np.column_stack([columns.ravel(), rows.ravel()]) + 0.5) * mpp
        near = cKDTree(points.xy).query(centres, distance_upper_bound=reach)[0] <= reach
        return cls(near.reshape(height, width), mpp, (float(low[0]), float(low[1])))


def _without_black(rgb: Array) -> Array:
    """Return the image with black areas made white: parts of a slide that were not scanned."""
    from scipy.ndimage import binary_dilation, binary_opening

    black = binary_opening(rgb.max(axis=2) < _BLACK, iterations=2)
    if not black.any():
        return rgb
    # pixels at the border are mixtures of black and white
    return np.asarray(np.where(binary_dilation(black, iterations=3)[..., None], np.uint8(255), rgb))


def _density(rgb: Array) -> Array:
    """Return the amount of stain, as optical density against the image's own white.

    Half the mean of the channels plus their range: stain has a colour, shadows and the frame's marks have none. The
    white is the 99th percentile of each channel, but not darker than ``_DARKEST_WHITE``: an image that is tissue
    everywhere has no white of its own.
    """
    white = np.maximum(np.percentile(rgb.reshape(-1, 3), 99, axis=0), _DARKEST_WHITE)
    density = -np.log10(np.clip(rgb / white, 1 / 255, 1))
    return np.asarray(0.5 * density.mean(axis=2) + np.ptp(density, axis=2))


def _threshold(density: Array) -> float:
    """Return Otsu's threshold, or that of the faintest stain where the image is tissue everywhere."""
    from skimage.filters import threshold_otsu

    if np.ptp(density) < 1e-6:
        return _FAINTEST_DENSITY
    # few very dark pixels (folds, pen) must not raise the threshold
    capped = np.minimum(density, np.percentile(density, 95))
    if np.ptp(capped) < 1e-6:
        return _FAINTEST_DENSITY
    cut = float(threshold_otsu(capped))
    below, above = capped[capped <= cut], capped[capped > cut]
    everywhere = below.mean() > 2 * _FAINTEST_DENSITY or above.mean() - below.mean() < _LEAST_CONTRAST
    # Otsu's threshold lies too high where dense and pale tissue differ; halfway to the background keeps the pale one
    halfway = float(below.mean() + cut) / 2
    return _FAINTEST_DENSITY if everywhere else max(_FAINTEST_DENSITY, min(cut, halfway + 0.01))


def _cleaned(mask: Array, mpp: float) -> Array:
    """Remove specks and fill holes smaller than a spot's surroundings."""
    from skimage.morphology import remove_small_holes, remove_small_objects

    speck, hole = (max(1, int(area / mpp**2)) for area in (_SPECK_UM2, _HOLE_UM2))
    return np.asarray(remove_small_holes(remove_small_objects(mask, max_size=speck), max_size=hole))
