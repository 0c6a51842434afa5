"""The appearance of the tissue around a location: a wide patch and steerable filters; no weights, no download."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float32, UInt8

from .base import EncoderCard, EncoderEntry, PatchSize, Setup
from .computed import ComputedEncoder
from .filter_bank import COLUMNS, responses
from .texture import stains_of, statistics

__all__ = ["CARD", "ENTRIES", "FiltersEncoder"]

# statistics of the widest patch, as those of `texture`: it says which tissue is around
_STATISTICS = 50
_PATCHES = (PatchSize(220.0, 32), PatchSize(440.0, 32))

CARD = EncoderCard(
    name="filters",
    # haematoxylin, eosin and grey of both patches
    dim=_STATISTICS + 3 * COLUMNS * len(_PATCHES),
    patches=_PATCHES,
    licence="BSD-3-Clause",
    citation="freeman1991",
    summary="Steerable filters on wide patches, to be joined: texture+filters for sections never measured; no weights.",
)


@dataclass(frozen=True, slots=True)
class FiltersEncoder(ComputedEncoder):
    """Edges, ridges, blobs and their clusters on patches of 220 and 440 µm, and the statistics of the wider one.

    Meant to be joined to ``texture`` (``texture+filters``), whose patches are narrower. The filters see haematoxylin,
    eosin and grey (see :func:`~histosge.encoders.filter_bank.responses`). What they are worth:
    docs/results/texture-filters.md.

    Parameters
    ----------
    card
        Describes the encoder; other patch sizes give other scales.
    """

    card: EncoderCard = CARD

    def vectors(self, patches: Sequence[UInt8[np.ndarray, "b h w 3"]]) -> Float32[np.ndarray, "b d"]:
        """Return the statistics of the widest patch, then the responses on all patches."""
        return np.concatenate([statistics(patches[-1]), *map(_filtered, patches)], axis=1)


def _filtered(rgb: UInt8[np.ndarray, "b h w 3"]) -> Array:
    """Return the responses to haematoxylin, eosin and grey of patches of one size, one row a patch."""
    red, green, blue = np.ascontiguousarray(np.moveaxis(rgb, 3, 0)).astype(np.float32) / np.float32(255)
    grey = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    haematoxylin, eosin, _ = stains_of(red, green, blue)
    columns = [column for plane in (haematoxylin, eosin, grey) for column in responses(plane)]
    return np.stack(columns, axis=1).astype(np.float32)


def _build(setup: Setup) -> FiltersEncoder:
    """Return the encoder; it runs on the CPU whatever the device."""
    return FiltersEncoder()


ENTRIES = (EncoderEntry(CARD, _build),)
