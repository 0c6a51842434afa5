"""Tissue masks, from an image or from the spots."""

from __future__ import annotations

from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np

from histosge._runtime.summary import as_text
from histosge._runtime.types import Bool, Float, frozen
from histosge.errors import DataError
from histosge.geometry.points import Points

from .slide import SlideImage
from .stained import stained

__all__ = ["TissueMask"]

# finer than a spot, coarser than cells; a whole Visium section is some 800 × 800 pixels
_MPP = 8.0
_POINT_MASK_REACH = 0.75
# no point between spots is farther from them: 0.58 pitches on a hexagonal lattice, 0.71 on a square one
_SPOT_REACH_PITCHES = 0.72
# share of that reach which does not count beyond the outermost spots: 0.45 pitches are left, more than the radius of
# a spot (0.28 on Visium) and less than half of the way to a further one, which the image decides
_RIM = 0.375


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

    def __repr__(self) -> str:
        height, width = self.mask.shape
        values = {"tissue": f"{self.fraction:.0%} tissue", "scale": f"{self.mpp:.4g} µm per pixel"}
        return as_text("TissueMask", {"size": f"{width} × {height}", **values})

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
        Between spots all is tissue. Beyond the outermost ones five eighths of their surroundings are: where the image
        shows the border of the tissue, spots beside it add no bulges.

        Parameters
        ----------
        points
            The spots on tissue.
        reach_um
            Radius around a spot that is tissue where spots surround it.
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
        # what is left of the surroundings, all of them together, without a rim
        near = distance_transform_edt(near) * self.mpp >= _RIM * reach_um
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
        """Detect the tissue in an image: what is stained, without what has no colour (:func:`stained`).

        Parameters
        ----------
        slide
            The image.
        mpp
            µm per pixel of the mask, at least that of the image.
        """
        mpp = max(mpp, slide.mpp)
        if slide.backend.path is None:
            # an array in memory may be changed by its owner
            return cls(stained(slide.thumbnail(mpp), mpp), mpp)
        known = _DETECTED.setdefault(slide, {})
        if mpp not in known:
            known[mpp] = cls(stained(slide.thumbnail(mpp), mpp), mpp)
        return known[mpp]

    @classmethod
    def of_section(cls, slide: SlideImage | None, spots: Points, pitch_um: float) -> TissueMask:
        """Return the tissue in the image and the surroundings of the spots, without pieces in which there is no spot.

        Parameters
        ----------
        slide
            The image; without it, the surroundings of the spots are taken.
        spots
            The measured spots on tissue.
        pitch_um
            Distance between neighbouring spots.
        """
        if slide is None:
            return cls.from_points(spots, pitch_um)
        return cls.from_slide(slide).with_spots(spots, _SPOT_REACH_PITCHES * pitch_um)

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


# masks of slides in files, as long as the slide is in use: the alignment and the locations need the same one
_DETECTED: WeakKeyDictionary[SlideImage, dict[float, TissueMask]] = WeakKeyDictionary()
