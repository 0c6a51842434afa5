"""Encoders: patches of the image in, vectors out.

An encoder is an :class:`EncoderEntry` in ``ENTRIES`` of a module in this folder, or an entry point in the group
``histosge.encoders`` of another package. ``timm:NAME`` names any network of timm.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, cast

from histosge._runtime.registry import Registry
from histosge.errors import UsageError

from .base import Encoder, EncoderCard, EncoderEntry, PatchSize, Setup
from .timm_any import PREFIX
from .timm_any import entry as timm_entry

__all__ = ["ENCODERS", "Encoder", "EncoderCard", "EncoderEntry", "PatchSize", "Setup", "load_encoder"]


class _Encoders(Registry[EncoderEntry]):
    """The named encoders, and timm's behind a prefix; the latter are too many to list."""

    def __getitem__(self, name: str) -> EncoderEntry:
        return timm_entry(name) if name.startswith(PREFIX) else super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        return str(name).startswith(PREFIX) or super().__contains__(name)


def _access(entry: EncoderEntry) -> tuple[bool, bool, str]:
    """Sort encoders without weights first, then those to download, then those that need permission."""
    card = entry.card
    return card.source is not None, card.gated, card.name


ENCODERS = _Encoders("encoder", EncoderCard, [__name__], order=_access)


def load_encoder(name: str, setup: Setup = Setup(), *, patch_um: float | None = None) -> Encoder:
    """Return an encoder with its weights loaded.

    Parameters
    ----------
    name
        As listed by ``histosge list encoders``, or ``timm:NAME`` for any network of timm.
    setup
        Device, precision, local weights.
    patch_um
        Width of the patch in µm, instead of the encoder's own. Where the encoder reads several patches, the first
        gets this width and the others keep their proportions to it. The number of pixels stays, so that a smaller
        patch is read at a finer scale than the encoder was trained at.

    Raises
    ------
    UsageError
        For an unknown name, a width that is not positive, or a missing package.
    WeightsError
        When weights are missing, gated, damaged or of another network.

    Examples
    --------
    >>> load_encoder("texture", patch_um=110.0).card.patches[0]
    PatchSize(size_um=110.0, px=32)
    """
    if patch_um is not None and not (math.isfinite(patch_um) and patch_um > 0):
        raise UsageError(
            f"`patch_um` must be positive, got {patch_um}. A Visium spot is 55 µm wide; try 112."
        )
    encoder = ENCODERS[name].build(setup)
    return encoder if patch_um is None else _with_patch(encoder, patch_um)


def _with_patch(encoder: Encoder, patch_um: float) -> Encoder:
    """Return ``encoder`` with its first patch ``patch_um`` wide and the others in proportion."""
    card = encoder.card
    factor = patch_um / card.patches[0].size_um
    patches = tuple(PatchSize(patch.size_um * factor, patch.px) for patch in card.patches)
    value: Any = encoder
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        raise UsageError(f"Encoder '{card.name}' reads patches of one size only; leave `patch_um` out.")
    return cast(Encoder, dataclasses.replace(value, card=dataclasses.replace(card, patches=patches)))
