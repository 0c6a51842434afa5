"""Positions of patches in µm: from what their file says of its pixels, or from where the spots are in the patches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from histosge._runtime.types import Array, Float

from .task import PATCH_UM

__all__ = ["Positions", "positions_of"]

# attributes: µm per pixel of the slide, and pixels of the slide across a patch
_WIDTHS = ("pixel_size", "patch_size_src")
# share by which the width of a patch in µm may differ from 112: it is a whole number of pixels of the slide
_ROUNDING = 0.05
# pixels by which the middle of a patch may miss its spot: corners and spots are rounded
_MISS_PX = 1.5
# µm per pixel of slides that are scanned
_LEAST_MPP, _MOST_MPP = 0.05, 5.0
_ADD = (
    "add the attribute `pixel_size` to `coords` in that file: µm per pixel of the slide, `pixel_size_um_estimated` in "
    "the table of HEST-1k"
)


@dataclass(frozen=True, slots=True, eq=False)
class Positions:
    """Centres of patches, or why there are none.

    Parameters
    ----------
    xy_um
        In µm; ``None`` where nothing says how wide a pixel is.
    absent
        Why not, and what to do; empty where there are positions.
    derived
        How they were found, where the file of patches does not say it.
    """

    xy_um: Float[np.ndarray, "n 2"] | None
    absent: str = ""
    derived: str = ""


def positions_of(
    corners_px: Float[np.ndarray, "n 2"], attributes: Mapping[str, Any], spots_px: Array | None
) -> Positions:
    """Return the centres of patches of 112 µm.

    Parameters
    ----------
    corners_px
        Top left corner of each patch, in pixels of the slide.
    attributes
        Of the arrays in the file of patches. ``pixel_size`` is µm per pixel of the slide, ``patch_size_src`` the width
        of a patch in its pixels; the layout of the benchmark has neither for certain.
    spots_px
        Where the spots are, in the same pixels, as ``obsm["spatial"]`` of the counts has it. Without those attributes
        the width of a pixel follows from it, provided that all patches have their spot in the middle.

    Examples
    --------
    >>> import numpy as np
    >>> corners, spots = np.array([[0.0, 0.0], [448.0, 0.0]]), np.array([[224.0, 224.0], [672.0, 224.0]])
    >>> positions_of(corners, {"pixel_size": 0.25}, None).xy_um.tolist()
    [[56.0, 56.0], [168.0, 56.0]]
    >>> positions_of(corners, {}, spots).derived
    '0.25 µm per pixel, because the spots are in the middle of patches of 112 µm'
    >>> positions_of(corners, {}, None).xy_um is None
    True
    """
    if any(name in attributes for name in _WIDTHS):
        return _by_attributes(corners_px, attributes)
    mpp = _mpp_of_middles(corners_px, spots_px)
    if mpp is None:
        return Positions(None, f"nothing says how wide its pixels are; {_ADD}")
    how = f"{mpp:.4g} µm per pixel, because the spots are in the middle of patches of {PATCH_UM:g} µm"
    return Positions(_centres(corners_px, mpp), derived=how)


def _by_attributes(corners_px: Array, attributes: Mapping[str, Any]) -> Positions:
    """Return positions by the attributes, which must agree with patches of 112 µm."""
    try:
        values = {name: float(np.ravel(attributes[name])[0]) for name in _WIDTHS if name in attributes}
    except (TypeError, ValueError, IndexError):
        return Positions(None, f"its `pixel_size` or `patch_size_src` is no number; {_ADD}")
    width_px = values.get("patch_size_src", 0.0)
    mpp = values.get("pixel_size", PATCH_UM / width_px if width_px else 0.0)
    width_um = width_px * mpp if "patch_size_src" in values else PATCH_UM
    if not _LEAST_MPP <= mpp <= _MOST_MPP or not abs(width_um / PATCH_UM - 1) <= _ROUNDING:
        listed = ", ".join(f"`{name}` {value:g}" for name, value in values.items())
        why = f"its {listed} make no patch {PATCH_UM:g} µm wide; correct the attributes of `coords`"
        return Positions(None, why)
    return Positions(_centres(corners_px, mpp))


def _centres(corners_px: Array, mpp: float) -> Float[np.ndarray, "n 2"]:
    return np.asarray((corners_px + 0.5 * PATCH_UM / mpp) * mpp)


def _mpp_of_middles(corners_px: Array, spots_px: Array | None) -> float | None:
    """Return µm per pixel where every spot is as far right of its patch's corner as below it, and all as far."""
    if spots_px is None or spots_px.shape != corners_px.shape or spots_px.dtype.kind not in "iuf":
        return None
    if not np.isfinite(spots_px).all():
        return None
    half_px = spots_px - corners_px
    middle = float(np.median(half_px))
    if middle <= 0 or np.abs(half_px - middle).max() > _MISS_PX:
        return None
    mpp = 0.5 * PATCH_UM / float(half_px.mean())
    return mpp if _LEAST_MPP <= mpp <= _MOST_MPP else None
