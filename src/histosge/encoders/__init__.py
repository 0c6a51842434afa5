"""Encoders: windows of tissue in, vectors out.

An encoder is an :class:`EncoderEntry` in ``ENTRIES`` of a module in this folder, or an entry point in the group
``histosge.encoders`` of another package. ``timm:NAME`` names any network of timm.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, cast

from histosge._runtime.registry import Registry
from histosge.errors import UsageError

from .base import Encoder, EncoderCard, EncoderEntry, Setup, View
from .timm_any import PREFIX
from .timm_any import entry as timm_entry

__all__ = ["ENCODERS", "Encoder", "EncoderCard", "EncoderEntry", "Setup", "View", "load_encoder"]


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
    """Return an encoder that is ready to look.

    Parameters
    ----------
    name
        As listed by ``histosge list encoders``, or ``timm:NAME`` for any network of timm.
    setup
        Device, precision, local weights.
    patch_um
        Width in µm of the window to look at instead of the encoder's own; where it has several views, the first
        gets this width and the others keep their proportions to it. The sampling in pixels stays, so that a
        smaller window is seen at a finer scale than the encoder was trained at.

    Raises
    ------
    UsageError
        For an unknown name, a width that is not positive, or a missing package.
    WeightsError
        When weights are missing, gated, damaged or of another network.
    """
    if patch_um is not None and not (math.isfinite(patch_um) and patch_um > 0):
        raise UsageError(
            f"Expected a positive view_um, got {patch_um}. A Visium spot is 55 µm wide; try 112."
        )
    encoder = ENCODERS[name].build(setup)
    return encoder if patch_um is None else _looking_at(encoder, patch_um)


def _looking_at(encoder: Encoder, patch_um: float) -> Encoder:
    """Return ``encoder`` with its first view ``patch_um`` wide and the others in proportion."""
    card = encoder.card
    factor = patch_um / card.views[0].size_um
    views = tuple(View(view.size_um * factor, view.px) for view in card.views)
    value: Any = encoder
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        raise UsageError(f"Encoder '{card.name}' looks at its own window only; leave view_um out.")
    return cast(Encoder, dataclasses.replace(value, card=dataclasses.replace(card, views=views)))
