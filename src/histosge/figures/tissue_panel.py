"""Draw a section's image, spots, scale bar and colour bar on matplotlib axes, in µm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.images.tissue import TissueMask
from histosge.section.section import Section

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "COLOUR_MAP",
    "DPI",
    "FAINT",
    "PANEL_IN",
    "Crop",
    "TissueView",
    "aspect_of",
    "colour_bar",
    "colour_limits",
    "crop",
    "discs",
    "draw_outline",
    "draw_sampled_spots",
    "draw_spots",
    "draw_tissue",
    "image_extent",
    "scale_bar",
    "spots_extent",
]

PANEL_IN = 3.1
DPI = 150
#: opacity of an image under coloured spots
FAINT = 0.35
COLOUR_MAP = "viridis"
EXPRESSION_UNIT = "log1p(CP10k)"
# colours span these percentiles of the drawn values: a few extreme spots must not take the whole scale
_PERCENTILES = (1.0, 99.0)
_IMAGE_PX = 900
# width of a measured spot as drawn, in pitches: larger than on the slide (0.55 for Visium), to be visible
_SPOT_PITCHES = 0.75
# on the whole image: small enough to see the tissue between, in a colour that no stain has
_DOT_PITCHES, _DOT_COLOUR = 0.3, "#00b4d8"


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """Part of an image, and its borders in µm (left, right, bottom, top)."""

    rgb: Array
    extent: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class TissueView:
    """What all panels of a figure share: the section, the corners of the view in µm, and the image there."""

    section: Section
    corners: Float[np.ndarray, "2 2"]
    image: Crop | None

    @classmethod
    def of(cls, section: Section, corners: Float[np.ndarray, "2 2"]) -> TissueView:
        """Return a view with the section's image read for it."""
        return cls(section, corners, crop(section, corners))


def spots_extent(section: Section) -> Float[np.ndarray, "2 2"]:
    """Return the corners of a view of the spots, with a margin of one pitch."""
    return np.array([section.spots.xy.min(0) - section.pitch_um, section.spots.xy.max(0) + section.pitch_um])


def image_extent(section: Section) -> Float[np.ndarray, "2 2"]:
    """Return the corners of the whole image; without image those of the spots."""
    if section.slide is None:
        return spots_extent(section)
    return np.array([[0.0, 0.0], section.slide.size_um])


def aspect_of(size: Array) -> float:
    """Return the ratio of two sides, limited so that panels of narrow sections stay legible."""
    return float(np.clip(size[0] / size[1], 0.4, 2.5))


def crop(section: Section, corners: Array) -> Crop | None:
    """Return the part of the image in view; ``None`` where the image does not reach into it."""
    if section.slide is None:
        return None
    mpp = max(section.slide.mpp, float((corners[1] - corners[0]).max()) / _IMAGE_PX)
    whole = section.slide.thumbnail(mpp)
    # the size of the thumbnail was rounded to whole pixels
    pixel = np.array(section.slide.size_um) / whole.shape[1::-1]
    left, top = np.floor(np.maximum(corners[0], 0) / pixel).astype(int)
    right, bottom = np.minimum(np.ceil(corners[1] / pixel).astype(int), whole.shape[1::-1])
    part = whole[top:bottom, left:right]
    if 0 in part.shape:
        return None
    return Crop(part, (left * pixel[0], right * pixel[0], bottom * pixel[1], top * pixel[1]))


def draw_tissue(axes: Axes, view: TissueView, *, alpha: float = 1.0) -> None:
    """Draw the image and set the axes: x to the right, y downwards, in µm."""
    (left, top), (right, bottom) = view.corners
    if view.image is not None:
        axes.imshow(view.image.rgb, extent=view.image.extent, alpha=alpha, interpolation="bilinear")
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], aspect="equal")
    axes.set_facecolor("white")
    for spine in axes.spines.values():
        spine.set(linewidth=0.5, color="0.6")


def draw_spots(axes: Axes, view: TissueView, values: Array) -> Any:
    """Draw the measured spots, coloured by values, over the faded image; return the artist for a colour bar."""
    draw_tissue(axes, view, alpha=FAINT)
    spots = discs(axes, view.section.spots.xy, _SPOT_PITCHES * view.section.pitch_um)
    spots.set(array=values, cmap=COLOUR_MAP, clim=colour_limits(values), rasterized=True)
    return spots


def draw_sampled_spots(axes: Axes, section: Section) -> None:
    """Draw the spots as small dots that leave the tissue visible."""
    discs(axes, section.spots.xy, _DOT_PITCHES * section.pitch_um, facecolors=_DOT_COLOUR)


def draw_outline(axes: Axes, mask: TissueMask | None, section: Section) -> None:
    """Draw the outlines of tissue that has spots; slide frames and other sections have none."""
    import shapely

    if mask is None:
        return
    spots = shapely.MultiPoint(section.spots.xy)
    for line in mask.outline():
        if len(line) >= 4 and shapely.intersects(shapely.Polygon(line).buffer(0), spots):
            axes.plot(*line.T, color="black", linewidth=0.8, path_effects=_halo(1.8))


def discs(axes: Axes, xy_um: Array, width_um: float, **style: Any) -> Any:
    """Draw discs of a width in µm, independent of the size of the panel."""
    from matplotlib.collections import EllipseCollection

    widths = np.full(len(xy_um), width_um)
    collection = EllipseCollection(
        widths,
        widths,
        np.zeros(len(xy_um)),
        units="xy",
        offsets=xy_um,
        offset_transform=axes.transData,
        linewidths=0,
        **style,
    )
    axes.add_collection(collection)
    return collection


def colour_limits(values: Array) -> tuple[float, float]:
    """Return the lower and upper end of a colour scale."""
    low, high = np.percentile(values, _PERCENTILES)
    # where nearly all values are equal, the extremes are the only difference to show
    if high - low < 1e-6:
        low, high = float(values.min()), float(values.max())
    return float(low), float(high) if high > low else float(low) + 1.0


def colour_bar(panels: Any, artist: Any, label: str = EXPRESSION_UNIT) -> None:
    """Draw the colour scale beside the panels that use it."""
    axes = panels if isinstance(panels, list) else [panels]
    bar = axes[0].figure.colorbar(artist, ax=axes, shrink=0.7, pad=0.015, aspect=24)
    bar.set_label(label, fontsize=7)
    bar.ax.tick_params(labelsize=7, width=0.5, length=2)
    bar.outline.set_linewidth(0.5)


def scale_bar(axes: Axes, corners: Array) -> None:
    """Draw a bar of a round length, at most a quarter of the view."""
    (left, _), (right, bottom) = corners
    quarter = (right - left) / 4
    power = 10 ** np.floor(np.log10(quarter))
    length = float(max(step for step in (1, 2, 5) if step * power <= quarter) * power)
    start, height = left + 0.05 * (right - left), bottom - 0.05 * (right - left)
    style: dict[str, Any] = {"color": "black", "path_effects": _halo(4.0), "solid_capstyle": "butt"}
    axes.plot([start, start + length], [height, height], linewidth=2.5, **style)
    text = f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} µm"
    label: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 8, "path_effects": _halo(2.0)}
    axes.text(start + length / 2, height - 0.02 * (right - left), text, **label)


def _halo(width: float) -> list[Any]:
    """Return a white edge, for lines and text over tissue of any colour."""
    from matplotlib import patheffects

    return [patheffects.withStroke(linewidth=width, foreground="white")]
