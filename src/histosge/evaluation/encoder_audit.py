"""The audit of encoders of other packages: image features must follow from the pixels of a patch alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from histosge._runtime.types import Array
from histosge.encoders import ENCODERS, load_encoder
from histosge.encoders.base import Encoder, Setup
from histosge.encoders.windowed import WindowedEncoder
from histosge.errors import DataError
from histosge.images.patches import Patches
from histosge.section.inputs import Inputs
from histosge.section.section import Section
from histosge.workflow.compute import Compute
from histosge.workflow.encode import encoder_for, patch_widths, slide_of
from histosge.workflow.recipe import Recipe

from .audit import Leak
from .separate_process import run_separately
from .study import Study

__all__ = ["audit_encoder"]

# spots that are encoded again, and at once: a network takes about a second a patch on a laptop
_SPOTS, _BATCH = 256, 64
# networks round differently in batches of another size: difference relative to the standard deviation of a feature
_ROUNDING = 1e-2


@dataclass(frozen=True, slots=True)
class _Work:
    """What decides the vectors of an encoder."""

    name: str
    setup: Setup
    patch_um: float | tuple[tuple[str, float], ...] | None
    channel_order: Literal["rgb", "bgr"]
    # from a location to where the patch is, µm
    offset_um: tuple[float, float] = (0.0, 0.0)

    def load(self) -> Encoder:
        """Return the encoder."""
        widths = dict(self.patch_um) if isinstance(self.patch_um, tuple) else self.patch_um
        return load_encoder(self.name, self.setup, patch_um=widths)


def audit_encoder(study: Study, recipe: Recipe, inputs: Inputs, compute: Compute) -> tuple[Leak, ...]:
    """Return a leak where an encoder of another package returns something else when it is given the pixels alone.

    Parameters
    ----------
    study
        Whose target is encoded.
    recipe
        Names the encoder.
    inputs
        With the image features, as they are fitted.
    compute
        Device, precision and weights.

    Raises
    ------
    DataError
        Where the encoder fails in a process of its own, or opens a file of the section.
    """
    needs = recipe.build().needs
    if inputs.features is None or not ENCODERS.is_plug_in(recipe.encoder):
        return ()
    order = "rgb" if needs.crop is None else needs.crop.channel_order
    widths = patch_widths(study.target, recipe, needs)
    # the work is remembered by its content
    patch_um = tuple(sorted(widths.items())) if isinstance(widths, dict) else widths
    work = _Work(recipe.encoder, compute.setup, patch_um, order)
    columns = slice(None)
    if needs.windows:
        # the first window around a location tells of all: they have the same encoder
        encoder = encoder_for(study.target, recipe, needs=needs, compute=compute)
        part, offset_um = _first_window(encoder)
        work = replace(work, patch_um=part.card.patches[0].size_um, offset_um=offset_um)
        columns = slice(part.card.dim)
    rows, vectors = _vectors(study.target, work)
    features = np.asarray(inputs.features[rows], dtype=np.float64)[:, columns]
    scale = np.maximum(features.std(axis=0), 1e-6)
    if features.shape == vectors.shape and np.all(np.abs(features - vectors) <= _ROUNDING * scale):
        return ()
    message = (
        f"The image features of '{recipe.encoder}' differ when the encoder is given the pixels of the patches and "
        "nothing else: they depend on something besides the image."
    )
    return (Leak("features", message),)


def _first_window(encoder: Encoder | None) -> tuple[Encoder, tuple[float, float]]:
    """Return the encoder of the first window around a location, and its offset."""
    if not isinstance(encoder, WindowedEncoder):
        raise TypeError("the encoder of a model of several windows has windows")
    return encoder.parts[0]


@lru_cache(maxsize=4)
def _vectors(section: Section, work: _Work) -> tuple[Array, Array]:
    """Return rows of spots, and their vectors from a process that is given the pixels of their patches."""
    rows = np.arange(len(section))
    if len(rows) > _SPOTS:
        rows = np.sort(np.random.default_rng(0).choice(rows, _SPOTS, replace=False))
    slide = slide_of(section, work.name)
    encoder = work.load()
    pixels = [
        Patches(slide, section.spots.xy[rows] + work.offset_um, size.size_um, size.px, work.channel_order)[:]
        for size in encoder.card.patches
    ]
    outcome = run_separately(_encode, work, pixels, closed=section.sources)
    if outcome.opened:
        raise DataError(
            f"Leak: The encoder '{work.name}' opened '{outcome.opened[0]}', a file of the section that is scored. An "
            "encoder may read the pixels of the patches, and nothing else of the section."
        )
    if not isinstance(outcome.value, np.ndarray):
        raise DataError(
            f"Leak: The encoder '{work.name}' fails in a process that is given the pixels of the patches and nothing "
            f"else ({outcome.value}). An encoder may read its own package and stored weights; it finds no path of the "
            "section and none of its files."
        )
    return rows, outcome.value


def _encode(work: _Work, pixels: list[Array]) -> Array:
    encoder = work.load()
    starts = range(0, len(pixels[0]), _BATCH)
    return np.concatenate(
        [encoder.encode([part[start : start + _BATCH] for part in pixels]) for start in starts]
    )
