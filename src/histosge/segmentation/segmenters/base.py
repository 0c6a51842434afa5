"""What a segmenter is: an image tile in, labels of nuclei out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from histosge._runtime.types import Int, UInt8
from histosge.images.slide import SlideImage
from histosge.images.tissue import TissueMask

__all__ = ["Segment", "Segmenter", "SegmenterCard"]

#: ``segment(rgb, mpp) -> labels``: which nucleus covers a pixel of a tile, from 1; 0 where there is none
Segment = Callable[[UInt8[np.ndarray, "h w 3"], float], Int[np.ndarray, "h w"]]


@dataclass(frozen=True, slots=True)
class SegmenterCard:
    """Facts about a segmenter.

    Parameters
    ----------
    name
        As in ``--cells NAME`` and ``--segmenter NAME``.
    summary
        One sentence.
    mpp
        µm per pixel at which it is given tiles: the image is averaged to about this; coarser ones are taken as they
        are.
    coarsest_mpp
        µm per pixel beyond which an image is refused.
    reach_um
        How far from a nucleus the image changes its outline. Tiles overlap by twice as much.
    licence
        Of code and weights.
    citation
        Key in ``references.bib``.
    package
        Python package that must be installed; empty for what comes with histosge.
    """

    name: str
    summary: str
    mpp: float
    coarsest_mpp: float
    reach_um: float
    licence: str
    citation: str
    package: str = ""

    @property
    def installed(self) -> bool:
        """Whether the package that it needs is there."""
        return not self.package or find_spec(self.package) is not None


@dataclass(frozen=True, slots=True)
class Segmenter:
    """A card, and what makes a function of tiles for a slide.

    Parameters
    ----------
    card
        Facts about it.
    prepare
        ``prepare(slide, mask)`` takes what concerns the slide as a whole (colours of its stains) or loads weights, and
        returns the function that is then called for each tile, from several threads.
    """

    card: SegmenterCard
    prepare: Callable[[SlideImage, TissueMask], Segment]
