"""Image features of the patches of a sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.types import Float32
from histosge.encoders import load_encoder
from histosge.encoders.base import Encoder
from histosge.encoders.dense import DenseEncoder
from histosge.encoders.embed import embed
from histosge.encoders.feature_store import FeatureStore
from histosge.encoders.joined import JOIN, names_of
from histosge.encoders.tile_features import TileFeatures
from histosge.errors import UsageError
from histosge.workflow.compute import Compute

from .heads import COMPONENTS
from .sample import Sample
from .task import PATCH_UM

__all__ = ["embeddings", "encoder_of_patches"]

# relative difference of widths that rounding explains
_ROUNDING = 1e-6


def encoder_of_patches(name: str, compute: Compute = Compute()) -> tuple[Encoder, tuple[Message, ...]]:
    """Return an encoder whose patches are no wider than those of the benchmark, and messages about it.

    One that reads wider patches is given narrower ones, in proportion, and a message says so.

    Raises
    ------
    UsageError
        For encoders of whole slides, and for features of a file: the benchmark has patches only.

    Examples
    --------
    >>> [round(size.size_um) for size in encoder_of_patches("texture")[0].card.patches]
    [28, 56, 112]
    """
    widths: dict[str, float] = {}
    messages = []
    for part in names_of(name):
        encoder = load_encoder(part, compute.setup)
        if isinstance(encoder, DenseEncoder | TileFeatures):
            raise UsageError(
                f"'{part}' needs a slide, and HEST-Benchmark has patches of {PATCH_UM:g} µm only. Choose an encoder "
                "of patches, such as texture or uni."
            )
        sizes = encoder.card.patches
        widest = max(size.size_um for size in sizes)
        if widest > PATCH_UM * (1 + _ROUNDING):
            widths[part] = sizes[0].size_um * PATCH_UM / widest
            text = (
                f"'{part}' reads patches {widest:g} µm wide; those of HEST-Benchmark are {PATCH_UM:g} µm, so that it "
                f"reads its own {PATCH_UM / widest:.2g} times as wide."
            )
            messages.append(Message("info", text))
    encoder = load_encoder(JOIN.join(names_of(name)), compute.setup, patch_um=widths or None)
    if encoder.card.dim < COMPONENTS:
        text = f"'{name}' has {encoder.card.dim} features: heads of {COMPONENTS} principal components have as many."
        messages.append(Message("info", text))
    return encoder, tuple(messages)


def embeddings(sample: Sample, encoder: Encoder, compute: Compute = Compute()) -> Float32[np.ndarray, "n d"]:
    """Return the features of each patch of a sample, from the store where they are there already."""
    column = sample.patches
    rows = embed(
        column.slide(PATCH_UM),
        column.centres_um(PATCH_UM),
        encoder,
        store=None if compute.store is None else FeatureStore(Path(compute.store)),
        progress=compute.progress,
    )
    return np.asarray(rows[:])
