"""Whether an image is bright-field H&E, and what its pixels and tags leave open."""

from __future__ import annotations

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.types import Array, Float, UInt8
from histosge.errors import DataError

from .background import WITHOUT_COLOUR, background, white_of
from .slide import SlideImage
from .stained import densities, stained

__all__ = ["appearance_messages"]

# fine enough for tissue, and at most this many pixels a side
_MPP, _SIDE_PX = 16.0, 1500
# of 255; bright-field glass and tissue are brighter, fluorescence is dark between cells
_DARK, _FAINT, _BRIGHT = 40, 60, 110
_SHARE_DARK = 0.3
# fewer pixels of tissue say nothing of the stain
_FEWEST_PX = 200
# density of green over the mean density: sections had 1.19 to 2.18, H-DAB has 1.05, a green-free stain is no H&E
_LEAST_GREEN = 0.7
# sum of the 2 %, 50 % and 98 % quantiles of (red − blue), of densities of length 1: genuine sections had 0.01 and
# more, apart from one without haematoxylin (−0.79); a chip image with red and blue exchanged has −0.18
_RED_OVER_BLUE = -0.05
# pure colours are drawn: share of the image from which a message is worth it
_DRAWN_HIGH, _DRAWN_LOW, _SHARE_DRAWN = 225, 40, 2e-4
# values of the TIFF and Exif tag Orientation, and what viewers do with the pixels
_TURNS = {
    2: "mirrored left to right",
    3: "rotated by 180°",
    4: "upside down",
    5: "transposed",
    6: "rotated by 90° clockwise",
    7: "mirrored across its other diagonal",
    8: "rotated by 90° counter-clockwise",
}


def appearance_messages(slide: SlideImage, name: str, *, refuse: bool = True) -> tuple[Message, ...]:
    """Return warnings about an image's colours and orientation tag.

    Red and blue are never exchanged by the package: haematoxylin absorbs more red than blue, but a section without it,
    or a brown stain, cannot be distinguished from one whose channels were exchanged.

    Parameters
    ----------
    slide
        The image.
    name
        What it is called in messages.
    refuse
        Whether an image that is certainly no bright-field image is refused; otherwise it is a warning.

    Raises
    ------
    DataError
        For fluorescence that was flattened to RGB or gray, and for colours that no stain of tissue has.
    """
    rgb = slide.thumbnail(max(_MPP, slide.mpp, max(slide.size_um) / _SIDE_PX))
    texts = [*_orientation(slide, name), *_drawn(rgb, name)]
    problem = _dark_field(rgb, name)
    if problem is None:
        problem, colours = _colours(rgb, max(_MPP, slide.mpp, max(slide.size_um) / _SIDE_PX), name)
        texts += colours
    if problem is not None and refuse:
        raise DataError(problem)
    return tuple(Message("warning", text) for text in (*texts, *([problem] if problem else [])))


def _orientation(slide: SlideImage, name: str) -> list[str]:
    turn = _TURNS.get(getattr(slide.backend, "orientation", 1))
    if turn is None:
        return []
    return [
        f"'{name}' has an orientation tag: viewers show it {turn}. The tag is ignored; coordinates count the pixels as "
        "they are stored. If they were made in a program that turns the image, save the image turned and without the "
        "tag."
    ]


def _drawn(rgb: UInt8[np.ndarray, "h w 3"], name: str) -> list[str]:
    """Return a message where pixels have pure colours, as lines and text of other programs; magenta is eosin."""
    high, low = rgb >= _DRAWN_HIGH, rgb <= _DRAWN_LOW
    pure = (high | low).all(axis=2) & high.any(axis=2) & low.any(axis=2)
    pure &= ~(high[..., 0] & low[..., 1] & high[..., 2])
    share = float(pure.mean())
    if share < _SHARE_DRAWN:
        return []
    return [
        f"'{name}' seems to be drawn on: {share:.2%} of its pixels have pure colours. Lines and text change the image "
        "features near them; give the image without annotations."
    ]


def _dark_field(rgb: UInt8[np.ndarray, "h w 3"], name: str) -> str | None:
    """Return a sentence where the image is dark, and what is not dark is no brighter than cells that fluoresce."""
    brightest = rgb.max(axis=2)
    dark = brightest < _DARK
    rest = rgb[~dark]
    if dark.mean() < _SHARE_DARK or len(rest) < _FEWEST_PX:
        return None
    # glow fades into the dark, tissue that was cut out ends there
    fades = np.percentile(rest.max(axis=1), 10) < _FAINT
    if not fades or np.percentile(rest.mean(axis=1), 75) >= _BRIGHT:
        return None
    return (
        f"Expected a bright-field H&E image, got '{name}', which is dark ({dark.mean():.0%} of it nearly black), as "
        "fluorescence is (DAPI, or channels merged to RGB). Export the H&E image of the section as 8-bit RGB."
    )


def _colours(rgb: UInt8[np.ndarray, "h w 3"], mpp: float, name: str) -> tuple[str | None, list[str]]:
    """Return a reason to refuse the colours of the tissue, and warnings about them."""
    outside = background(rgb, mpp)
    tissue = stained(rgb, mpp, outside=outside)
    white = white_of(rgb, outside)
    stain = densities(rgb, white)[:, tissue]
    if stain.shape[1] < _FEWEST_PX:
        return None, []
    means = stain.mean(axis=1)
    if np.ptp(np.log10(np.clip(rgb[tissue].mean(axis=0) / white, 1e-3, 1))) < WITHOUT_COLOUR / 6:
        return None, [f"'{name}' is gray: features of encoders for H&E images depend on its colours."]
    if means[1] < _LEAST_GREEN * means.mean():
        return (
            f"Expected an H&E image, got '{name}', whose tissue absorbs less green than red and blue: no stain "
            "of tissue does, but inverted fluorescence may. Export the H&E image as 8-bit RGB."
        ), []
    if _red_over_blue(stain) >= _RED_OVER_BLUE:
        return None, []
    return None, [
        f"The tissue in '{name}' absorbs more blue than red: red and blue may be exchanged (BGR, as OpenCV writes it), "
        "or it has little haematoxylin. Compare its colours in a viewer, and save it as RGB where they are wrong."
    ]


def _red_over_blue(stain: Float[np.ndarray, "3 n"]) -> float:
    """Return by how much red is absorbed more than blue, over the darker four fifths of the tissue."""
    total = stain.mean(axis=0)
    dense = stain[:, total > np.quantile(total, 0.2)]
    difference: Array = (dense[0] - dense[2]) / np.maximum(np.linalg.norm(dense, axis=0), 1e-6)
    return float(np.quantile(difference, (0.02, 0.5, 0.98)).sum()) if difference.size else 0.0
