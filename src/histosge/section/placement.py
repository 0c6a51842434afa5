"""Check that regions and cells of another program lie on the section, in its own scale."""

from __future__ import annotations

from typing import Literal

import numpy as np

from histosge._runtime.messages import Message, emit
from histosge._runtime.types import Array, Float
from histosge.errors import UsageError
from histosge.geometry.points import Points
from histosge.images.tissue import TissueMask

from .section import Section

__all__ = ["placement_messages", "refuse_off_section"]

# share off the image that is refused; regions are drawn generously around the tissue
_MOST_OUTSIDE = {"cells": 0.05, "regions": 0.2}
# without an image, locations further than this from every spot belong to another section; tissue may extend far
# beyond the spots, so that only a majority is refused
_SAME_SECTION_PITCHES, _MOST_FAR = 20.0, 0.5
# cells that end before this share of the image, and of the tissue, count pixels of a smaller copy
_CORNER, _CORNER_OF_TISSUE = 0.6, 0.7
# fewer cells may all be in one corner
_FEWEST = 20
_LEAST_ON_TISSUE = 0.5
# share off tissue that is said; a few lie at its edge
_FEW_OFF_TISSUE = 0.01


def refuse_off_section(section: Section, points: Points, kind: Literal["cells", "regions"]) -> None:
    """Refuse locations of another image or in another unit; warn of few that lie outside.

    Raises
    ------
    UsageError
        When more than 5 % of the cells, or a fifth of the regions, lie off the image; without an image, when most lie
        more than 20 pitches from every spot.
    """
    if not len(points):
        return
    slide = section.slide
    if slide is not None:
        outside, most, of = ~slide.contains(points.xy), _MOST_OUTSIDE[kind], "image"
    else:
        outside, most, of = _far(section, points.xy), _MOST_FAR, "spots"
    share = float(outside.mean())
    if share > most:
        x, y = points.xy[outside].mean(axis=0) / section.mpp
        raise UsageError(
            f"{share:.0%} of the {kind} lie outside of the {of}, around ({x:.0f}, {y:.0f}) px: their coordinates count "
            "other pixels, or other units. They must be those of the full-resolution image: pixels in GeoJSON, pixels "
            "or µm in tables, as the columns say."
        )
    if share > 0:
        emit([Message("warning", f"{share:.2%} of the {kind} lie outside of the {of}.")])


def placement_messages(
    section: Section, xy_um: Float[np.ndarray, "n 2"], mask: TissueMask
) -> tuple[Message, ...]:
    """Return warnings of cells that fill only a corner of the image, or that lie off tissue.

    Parameters
    ----------
    section
        Whose image the cells were detected on.
    xy_um
        Their centroids.
    mask
        Tissue.
    """
    if len(xy_um) < _FEWEST:
        return ()
    reach = float((xy_um.max(axis=0) / _tissue_end(mask)).max())
    if section.slide is not None:
        share = float((xy_um.max(axis=0) / np.array(section.slide.size_um)).max())
        if share < _CORNER and reach < _CORNER_OF_TISSUE:
            text = (
                f"The cells fill only the upper left {share:.0%} of the image: their coordinates may count the pixels "
                "of a smaller copy of the image, or µm. Those of the full-resolution image are expected."
            )
            return (Message("warning", text),)
    on_tissue = float(mask.contains(xy_um).mean())
    if on_tissue < _LEAST_ON_TISSUE:
        text = f"Only {on_tissue:.0%} of the cells lie on tissue: their coordinates may be those of another image."
        return (Message("warning", text),)
    if section.slide is not None and 1 - on_tissue > _FEW_OFF_TISSUE:
        text = (
            f"{1 - on_tissue:.1%} of the {len(xy_um)} cells lie off tissue (`in_tissue` is false for them)."
        )
        return (Message("warning", text),)
    return ()


def _tissue_end(mask: TissueMask) -> Array:
    """Return how far tissue reaches to the right and down, µm."""
    if not mask.mask.any():
        return np.full(2, np.inf)
    ends = [np.flatnonzero(mask.mask.any(axis=axis))[-1] + 1 for axis in (0, 1)]
    return np.asarray(np.array(ends) * mask.mpp + np.array(mask.origin_um))


def _far(section: Section, xy_um: Array) -> Array:
    """Return which positions are far from every spot."""
    from scipy.spatial import cKDTree

    distance = cKDTree(section.spots.xy).query(xy_um)[0]
    return np.asarray(distance > _SAME_SECTION_PITCHES * section.pitch_um)
