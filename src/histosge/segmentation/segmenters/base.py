"""What a segmenter is: an image tile in, labels of nuclei out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from histosge._runtime.types import Int, UInt8
from histosge.errors import DataError, UsageError, WeightsError
from histosge.images.slide import SlideImage
from histosge.images.tissue import TissueMask

__all__ = ["Segment", "Segmenter", "SegmenterCard", "locked"]

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
    weights
        What the file or folder of its weights is; empty for what needs none. Nothing is ever downloaded.
    """

    name: str
    summary: str
    mpp: float
    coarsest_mpp: float
    reach_um: float
    licence: str
    citation: str
    package: str = ""
    weights: str = ""

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
        ``prepare(slide, mask, weights)`` takes what concerns the slide as a whole (colours of its stains), or loads
        weights of a path, and returns the function that is then called for each tile, from several threads.
    """

    card: SegmenterCard
    prepare: Callable[[SlideImage, TissueMask, Path | None], Segment]

    def ready(self, slide: SlideImage, mask: TissueMask, weights: Path | None) -> Segment:
        """Return the function of tiles, once package and weights are known to be there.

        Raises
        ------
        UsageError
            When the package is not installed, or weights are named that it does not take.
        WeightsError
            When there are no weights at the path.
        """
        card = self.card
        if not card.installed:
            raise UsageError(
                f"The segmenter '{card.name}' needs the package '{card.package}', which is not installed. Install it, "
                "or use 'nuclei', which needs nothing."
            )
        if weights is not None and not card.weights:
            raise UsageError(f"The segmenter '{card.name}' has no weights; got '{weights}'. Leave them out.")
        if card.weights and (weights is None or not weights.exists()):
            got = "none" if weights is None else f"none at '{weights}'"
            raise WeightsError(
                f"Expected the weights of '{card.name}' ({card.weights}), got {got}. Nothing is downloaded; give the "
                f"path of a copy: {card.name}=PATH."
            )
        return self.prepare(slide, mask, weights)


def locked(segment: Segment) -> Segment:
    """Return a function of tiles that runs once at a time: networks are not made for several threads."""
    lock = threading.Lock()

    def run(rgb: UInt8[np.ndarray, "h w 3"], mpp: float) -> Int[np.ndarray, "h w"]:
        with lock:
            labels = np.asarray(segment(rgb, mpp))
        if labels.shape != rgb.shape[:2]:
            raise DataError(f"Expected labels of {rgb.shape[:2]} pixels of a segmenter, got {labels.shape}.")
        return labels.astype(np.int64)

    return run
