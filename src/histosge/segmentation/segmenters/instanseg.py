"""InstanSeg (Goldsborough et al. 2024), where it is installed."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np

from histosge._runtime.types import Array
from histosge.images.slide import SlideImage
from histosge.images.tissue import TissueMask

from .base import Segment, Segmenter, SegmenterCard, locked

__all__ = ["ENTRIES"]


def _prepare(slide: SlideImage, mask: TissueMask, weights: Path | None) -> Segment:
    """Load a TorchScript file, and give InstanSeg the module: a name would be downloaded."""
    module = import_module("torch").jit.load(str(weights), map_location="cpu")
    model = import_module("instanseg").InstanSeg(module, verbosity=0)

    def segment(rgb: Array, mpp: float) -> Array:
        labels, _ = model.eval_small_image(rgb, mpp)
        # images × outputs × rows × columns: nuclei come first
        return np.asarray(np.asarray(labels)[0, 0])

    return locked(segment)


ENTRIES = (
    Segmenter(
        SegmenterCard(
            name="instanseg",
            summary="nuclei by embeddings of a network",
            mpp=0.5,
            coarsest_mpp=0.75,
            reach_um=64.0,
            licence="Apache-2.0",
            citation="goldsborough2024",
            package="instanseg",
            weights="the file instanseg.pt of the model brightfield_nuclei",
        ),
        _prepare,
    ),
)
