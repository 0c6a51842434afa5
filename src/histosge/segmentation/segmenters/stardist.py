"""StarDist (Schmidt et al. 2018), where it is installed."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np

from histosge._runtime.types import Array
from histosge.images.slide import SlideImage
from histosge.images.tissue import TissueMask

from .base import Segment, Segmenter, SegmenterCard, locked

__all__ = ["ENTRIES"]

# percentiles that become 0 and 1, as in the example of its documentation
_LOWEST, _HIGHEST = 1, 99.8


def _prepare(slide: SlideImage, mask: TissueMask, weights: Path | None) -> Segment:
    """Load a folder of a model: ``StarDist2D(None, name=…, basedir=…)``, which downloads nothing."""
    normalize = import_module("csbdeep.utils").normalize
    folder = Path(weights or "").resolve()
    model = import_module("stardist.models").StarDist2D(None, name=folder.name, basedir=str(folder.parent))

    def segment(rgb: Array, mpp: float) -> Array:
        labels, _ = model.predict_instances(normalize(rgb, _LOWEST, _HIGHEST, axis=(0, 1, 2)))
        return np.asarray(labels)

    return locked(segment)


ENTRIES = (
    Segmenter(
        SegmenterCard(
            name="stardist",
            summary="nuclei as star-convex polygons, by a network",
            mpp=0.5,
            coarsest_mpp=0.75,
            reach_um=48.0,
            licence="BSD-3-Clause",
            citation="schmidt2018",
            package="stardist",
            weights="a folder of a model for H&E, such as 2D_versatile_he, with config.json and weights_best.h5",
        ),
        _prepare,
    ),
)
