"""What an encoder is: a card of facts, and windows of tissue in, vectors out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from histosge._runtime.device import Precision
from histosge._runtime.types import Float32, UInt8
from histosge.errors import UsageError

__all__ = ["Encoder", "EncoderCard", "EncoderEntry", "Setup", "View"]


@dataclass(frozen=True, slots=True)
class View:
    """A square window of tissue, ``size_um`` wide, sampled with ``px`` × ``px`` pixels."""

    size_um: float
    px: int

    def __post_init__(self) -> None:
        if not (self.size_um > 0 and self.px >= 1):
            raise UsageError(
                f"A view needs a positive size in µm and pixels, got {self.size_um} µm and {self.px} px."
            )

    @property
    def mpp(self) -> float:
        """µm per pixel as sampled."""
        return self.size_um / self.px


@dataclass(frozen=True, slots=True)
class EncoderCard:
    """What a user must know of an encoder before trusting or publishing its output.

    Parameters
    ----------
    name
        As given to ``--encoder``.
    dim
        Length of the vector a location gets.
    views
        The windows looked at around each location, largest detail first. Patch models have one, at the size and
        µm/px they were trained with; ``texture`` has several physical scales.
    mean, std
        Channel normalisation the network expects, for pixels in [0, 1]; ``None`` where the encoder takes raw RGB.
    licence
        SPDX id, or the licence's own words.
    gated
        Whether the weights need an approved account.
    source
        Hub id or package of the weights; ``None`` for encoders without weights.
    revision
        Pinned revision, where known.
    citation
        Key in ``references.bib``.
    summary
        One sentence.
    """

    name: str
    dim: int
    views: tuple[View, ...]
    mean: tuple[float, float, float] | None
    std: tuple[float, float, float] | None
    licence: str
    gated: bool
    source: str | None
    revision: str | None
    citation: str
    summary: str


@dataclass(frozen=True, slots=True)
class Setup:
    """Where and how an encoder runs.

    Parameters
    ----------
    device
        A resolved device (see :func:`histosge._runtime.device.resolve_device`).
    precision
        ``"fp32"``, or ``"bf16"`` autocast.
    weights
        A local file instead of the hub's.
    """

    device: str = "cpu"
    precision: Precision = "fp32"
    weights: Path | None = None


@runtime_checkable
class Encoder(Protocol):
    """Turns windows of tissue into vectors. Each location's vector depends on that location's windows alone."""

    @property
    def card(self) -> EncoderCard:
        """The facts."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of all that determines the output: card, weights, precision."""
        ...

    def encode(self, windows: Sequence[UInt8[np.ndarray, "b h w 3"]]) -> Float32[np.ndarray, "b d"]:
        """Return one vector a location; ``windows`` holds one batch of RGB images per view of the card."""
        ...


@dataclass(frozen=True, slots=True)
class EncoderEntry:
    """A registry entry: the card, readable without loading anything, and the builder."""

    card: EncoderCard
    build: Callable[[Setup], Encoder]
