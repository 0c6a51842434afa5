"""What an encoder is: a card, and a function from patches of the image to vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from histosge._runtime.device import Precision
from histosge._runtime.types import Float32, UInt8
from histosge.errors import UsageError

__all__ = ["Encoder", "EncoderCard", "EncoderEntry", "PatchSize", "Setup"]


@dataclass(frozen=True, slots=True)
class PatchSize:
    """The size of a square patch of tissue, and the number of pixels it is sampled with.

    Parameters
    ----------
    size_um
        Width in µm.
    px
        Width in pixels as the encoder reads it.

    Examples
    --------
    >>> PatchSize(112.0, 224).mpp
    0.5
    """

    size_um: float
    px: int

    def __post_init__(self) -> None:
        if not (self.size_um > 0 and self.px >= 1):
            raise UsageError(
                f"A patch needs a positive size in µm and pixels, got {self.size_um} µm and {self.px} px."
            )

    @property
    def mpp(self) -> float:
        """µm per pixel as sampled."""
        return self.size_um / self.px


@dataclass(frozen=True, slots=True)
class EncoderCard:
    """What a user must know of an encoder before trusting or publishing its output.

    The defaults are those of an encoder without weights, such as one of features computed by a function.

    Parameters
    ----------
    name
        As given to ``--encoder``.
    dim
        Length of the vector a location gets.
    patches
        Sizes of the patches around a location, finest first. Networks read one, at the size and µm per pixel they were
        trained with; ``texture`` reads three scales.
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
        Key in ``references.bib``, or the BibTeX entries themselves, as an encoder of another package gives them; empty:
        none.
    summary
        One sentence.

    Examples
    --------
    >>> EncoderCard("brightness", dim=1, patches=(PatchSize(55.0, 8),)).licence
    'not stated'
    """

    name: str
    dim: int
    patches: tuple[PatchSize, ...]
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    licence: str = "not stated"
    gated: bool = False
    source: str | None = None
    revision: str | None = None
    citation: str = ""
    summary: str = ""


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
    named_weights
        Local files by the name of their encoder, where several are loaded; they come before ``weights``.
    compiled
        Whether networks are compiled.
    devices
        Several devices that share the work, in place of ``device``.
    """

    device: str = "cpu"
    precision: Precision = "fp32"
    weights: Path | None = None
    named_weights: tuple[tuple[str, Path], ...] = ()
    compiled: bool = False
    devices: tuple[str, ...] = ()

    def of(self, name: str) -> Setup:
        """Return what one encoder is loaded with: its own file where there is one."""
        return replace(self, weights=dict(self.named_weights).get(name, self.weights), named_weights=())


@runtime_checkable
class Encoder(Protocol):
    """A function from patches to vectors. The vector of a location depends on the patches of that location alone."""

    @property
    def card(self) -> EncoderCard:
        """Describe the encoder."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of all that determines the output: card, weights, precision."""
        ...

    def encode(self, patches: Sequence[UInt8[np.ndarray, "b h w 3"]]) -> Float32[np.ndarray, "b d"]:
        """Return one vector a location; ``patches`` holds one batch of RGB images for each size of the card."""
        ...


@dataclass(frozen=True, slots=True)
class EncoderEntry:
    """A registry entry: the card, readable without loading anything, and the builder.

    Parameters
    ----------
    card
        Describes the encoder.
    build
        Loads it.
    has_weights
        Whether its weights are on this computer; loads nothing and makes no request. ``None``: those of ``card.source``
        are on this computer where they are among the downloads of the Hugging Face hub. A package that keeps weights
        elsewhere answers for them here.
    """

    card: EncoderCard
    build: Callable[[Setup], Encoder]
    has_weights: Callable[[], bool] | None = None

    @property
    def reads_weights(self) -> bool:
        """Whether it has weights at all."""
        return self.card.source is not None or self.has_weights is not None
