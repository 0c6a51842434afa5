"""Cellpose (Stringer et al. 2021), where it is installed."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np

from histosge._runtime.device import resolve_device
from histosge._runtime.types import Array
from histosge.images.slide import SlideImage
from histosge.images.tissue import TissueMask

from .base import Segment, Segmenter, SegmenterCard, locked

__all__ = ["ENTRIES"]


def _prepare(slide: SlideImage, mask: TissueMask, weights: Path | None) -> Segment:
    """Load a file of a model by its full path: ``CellposeModel(pretrained_model=…)``, which then downloads nothing."""
    model = import_module("cellpose.models").CellposeModel(
        gpu=resolve_device() != "cpu", pretrained_model=str(Path(weights or "").resolve())
    )

    def segment(rgb: Array, mpp: float) -> Array:
        # masks, flows, styles; version 3 returns the same three
        return np.asarray(model.eval(rgb)[0])

    return locked(segment)


ENTRIES = (
    Segmenter(
        SegmenterCard(
            name="cellpose",
            summary="nuclei or cells by the flow of a network, for models of H&E",
            mpp=0.5,
            coarsest_mpp=0.75,
            reach_um=64.0,
            licence="BSD-3-Clause; models as they state",
            citation="stringer2021",
            package="cellpose",
            weights="a file of a model for H&E images",
        ),
        _prepare,
    ),
)
