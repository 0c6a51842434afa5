"""The two stains of a slide: their colours, and how much of each there is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float, UInt8, frozen
from histosge.images.background import background, white_of
from histosge.images.slide import SlideImage
from histosge.images.tissue import TissueMask

__all__ = ["REFERENCE", "Stains", "estimate_stains", "sampled_pixels"]

#: stain vectors of Ruifrok & Johnston (2001): haematoxylin and eosin, optical density of red, green and blue
REFERENCE = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
# of 255, added to pixels and to white so that black has a density
_DARKEST = 1.0
# optical density below which a pixel's colour is noise; Macenko et al. (2009) take 0.15 of natural logarithms
_LEAST_DENSITY = 0.12
# per cent of the angles left out at both ends, as Macenko et al. (2009)
_TAIL = 1.0
# cosine of the largest angle of estimated vectors to the reference, haematoxylin and eosin; beyond it the image has not
# two stains. Nothing on a slide may be eosin alone: the extreme direction of frozen sections is purple
_LEAST_COSINES = np.array([0.85, 0.75])
# and of the two to each other: nearer ones cannot be distinguished
_MOST_ALIKE = 0.97
_FEWEST_PIXELS = 1000
# fields on tissue from which colours are taken, their width, and µm per pixel of the overview for that of glass
_FIELDS, _FIELD_UM, _OVERVIEW_MPP = 64, 64.0, 8.0


@dataclass(frozen=True, slots=True, eq=False)
class Stains:
    """Colours of haematoxylin and eosin on a slide.

    Parameters
    ----------
    vectors
        Optical densities of red, green and blue of each stain, of length 1; haematoxylin first.
    white
        Colour of empty glass.
    estimated
        Whether the vectors are the slide's own, and not those of the reference.
    """

    vectors: Float[np.ndarray, "2 3"]
    white: Float[np.ndarray, " 3"]
    estimated: bool = False

    def __post_init__(self) -> None:
        lengths = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        object.__setattr__(self, "vectors", frozen(np.asarray(self.vectors / lengths)))
        object.__setattr__(self, "white", frozen(np.asarray(self.white, dtype=np.float64)))

    def densities(self, rgb: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "3 h w"]:
        """Return optical densities of red, green and blue; light brighter than glass counts below 0."""
        levels = np.arange(256, dtype=np.float64)
        tables = [
            -np.log10((levels + _DARKEST) / (white + _DARKEST)).astype(np.float32) for white in self.white
        ]
        return np.stack([table[rgb[..., channel]] for channel, table in enumerate(tables)])

    def unmixed(self, rgb: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "3 h w"]:
        """Return the amounts of haematoxylin and eosin, and of what is neither.

        Optical density is linear in the amounts (Beer and Lambert); the third vector stands perpendicular to both
        stains (Ruifrok & Johnston 2001).
        """
        third = np.cross(self.vectors[0], self.vectors[1])
        matrix = np.vstack([self.vectors, third / np.linalg.norm(third)])
        inverse = np.linalg.inv(matrix).T.astype(np.float32)
        return np.asarray(np.tensordot(inverse, self.densities(rgb), axes=1))


def estimate_stains(rgb: UInt8[np.ndarray, "n 3"], white: Float[np.ndarray, " 3"]) -> Stains:
    """Return the stains of a slide from pixels of its tissue.

    Optical densities of two stains lie in a plane; the extreme directions in it are the stains (Macenko et al. 2009).
    Where these are none that haematoxylin and eosin can have, the reference's are taken: an image of one stain only
    has no second direction.

    Parameters
    ----------
    rgb
        Pixels on tissue.
    white
        Colour of empty glass.
    """
    plain = Stains(REFERENCE, white)
    optical = plain.densities(rgb[:, None])[..., 0].T.astype(np.float64)
    optical = optical[optical.min(axis=1) > 0]
    optical = optical[optical.sum(axis=1) > 3 * _LEAST_DENSITY]
    if len(optical) < _FEWEST_PIXELS:
        return plain
    # the plane through the origin: the two main directions of the second moments
    plane = np.linalg.eigh(optical.T @ optical)[1][:, :0:-1]
    plane = plane * np.where(plane[:, :1].sum() < 0, -1, 1)
    angles = np.arctan2(optical @ plane[:, 1], optical @ plane[:, 0])
    extremes = np.percentile(angles, [_TAIL, 100 - _TAIL])
    vectors = np.stack([plane @ [np.cos(angle), np.sin(angle)] for angle in extremes])
    # haematoxylin absorbs more red
    vectors = vectors[np.argsort(-vectors[:, 0])]
    return Stains(vectors, white, True) if _plausible(vectors) else plain


def sampled_pixels(
    slide: SlideImage, mask: TissueMask, mpp: float
) -> tuple[UInt8[np.ndarray, "n 3"], Float[np.ndarray, " 3"]]:
    """Return pixels of fields spread evenly over the tissue of a slide, and the colour of its glass.

    Parameters
    ----------
    slide
        The image.
    mask
        Where tissue is.
    mpp
        µm per pixel at which the fields are read, at least that of the image.
    """
    overview_mpp = max(_OVERVIEW_MPP, slide.mpp)
    overview = slide.thumbnail(overview_mpp)
    white = white_of(overview, background(overview, overview_mpp))
    rows, columns = np.nonzero(mask.mask)
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(_FIELDS, len(rows))).astype(int))
    centres_um = (np.stack([columns, rows], axis=1)[chosen] + 0.5) * mask.mpp + np.array(mask.origin_um)
    px = max(8, round(_FIELD_UM / max(mpp, slide.mpp)))
    return slide.read_many(centres_um, _FIELD_UM, px).reshape(-1, 3), white


def _plausible(vectors: Array) -> bool:
    """Return whether two directions can be haematoxylin and eosin."""
    reference = REFERENCE / np.linalg.norm(REFERENCE, axis=1, keepdims=True)
    near = (vectors * reference).sum(axis=1) > _LEAST_COSINES
    return bool(near.all() and vectors[0] @ vectors[1] < _MOST_ALIKE and (vectors > -0.05).all())
