"""Encoders: patches of the image in, vectors out.

An encoder is an :class:`EncoderEntry` in ``ENTRIES`` of a module in this folder, or an entry point in the group
``histosge.encoders`` of another package. ``timm:NAME`` names any network of timm, ``NAME+NAME`` joins encoders, and
``NAME@dense`` is the dense form of one: computed once a tile of the image in place of once a patch. ``features:FILE``
and ``features:FOLDER`` are features of tiles that another tool computed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from histosge._runtime.registry import Registry
from histosge.errors import UsageError

from .base import Encoder, EncoderCard, EncoderEntry, PatchSize, Setup
from .compiled import compiled
from .dense import DENSE
from .dense_network import DenseNetworkEncoder, dense_card, dense_form
from .joined import JOIN, JoinedEncoder, joined_card, names_of, own_width
from .network import NetworkSpec
from .sharded import ShardedEncoder, sharded
from .tile_entry import entry as tile_entry
from .tile_features import FEATURES, TileFeatures
from .tile_folder import TileFolder
from .timm_any import PREFIX, TimmNetwork
from .timm_any import entry as timm_entry
from .weights import has_weights

__all__ = [
    "ENCODERS",
    "Encoder",
    "EncoderCard",
    "EncoderEntry",
    "PatchSize",
    "Setup",
    "load_encoder",
    "with_patch",
]


class _Encoders(Registry[EncoderEntry]):
    """The named encoders, and timm's behind a prefix and joined ones, which are too many to list."""

    def __getitem__(self, name: str) -> EncoderEntry:
        names = names_of(name)
        if len(names) > 1:
            return _joined_entry(names)
        if name.startswith(FEATURES):
            return tile_entry(name, self._licence)
        if name.endswith(DENSE) and not super().__contains__(name):
            return _dense_entry(name.removesuffix(DENSE))
        return timm_entry(name) if name.startswith(PREFIX) else super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        names = str(name).split(JOIN)
        if len(names) > 1:
            return all(part.strip() in self for part in names)
        if str(name).startswith(FEATURES):
            return True
        if str(name).endswith(DENSE) and not super().__contains__(name):
            return str(name).removesuffix(DENSE) in self
        return str(name).startswith(PREFIX) or super().__contains__(name)

    def _licence(self, name: str) -> str | None:
        """Return the licence of a named encoder; ``None`` where there is none of that name."""
        return super().__getitem__(name).card.licence if super().__contains__(name) else None

    def is_plug_in(self, name: str) -> bool:
        """Return whether an encoder, or one of those joined, comes from another package."""
        return any(super(_Encoders, self).is_plug_in(part) for part in names_of(name))


def _access(entry: EncoderEntry) -> tuple[bool, bool, str]:
    """Sort encoders without weights first, then those to download, then those that need permission."""
    card = entry.card
    return card.source is not None, card.gated, card.name


ENCODERS = _Encoders("encoder", EncoderCard, [__name__], order=_access)


def load_encoder(
    name: str, setup: Setup = Setup(), *, patch_um: float | Mapping[str, float] | None = None
) -> Encoder:
    """Return an encoder with its weights loaded.

    Parameters
    ----------
    name
        As listed by ``histosge list encoders``, or ``timm:NAME`` for any network of timm; several joined by ``+``.
        ``NAME@dense`` computes tiles of the image, ``features:FILE`` reads features of tiles from a file,
        ``features:FOLDER`` from one file a slide.
    setup
        Device, precision, local weights.
    patch_um
        Width of the patch in µm, instead of the encoder's own. Where the encoder reads several patches, the first
        gets this width and the others keep their proportions to it. The number of pixels stays, so that a smaller
        patch is read at a finer scale than the encoder was trained at. The dense form of a network keeps its µm per
        pixel: there the width says over what it is averaged. Of joined encoders, a width for each by name;
        one number is the width of all of them.

    Raises
    ------
    UsageError
        For an unknown name, a width that is not positive, a file of weights without the name of its encoder where
        several have weights, or a missing package.
    WeightsError
        When weights are missing, gated, damaged or of another network.

    Examples
    --------
    >>> load_encoder("texture", patch_um=110.0).card.patches[0]
    PatchSize(size_um=110.0, px=32)
    >>> load_encoder("texture+colour").card.dim
    153
    """
    names = names_of(name)
    for kind, named in (("weights", dict(setup.named_weights)), ("patch_um", patch_um)):
        unknown = [key for key in named if key not in ENCODERS] if isinstance(named, Mapping) else []
        if unknown:
            raise UsageError(f"`{kind}` names an encoder '{unknown[0]}' that there is not: see ENCODERS.")
    if len(names) > 1:
        setups = _own_setups(names, setup)
        parts = (load_encoder(part, own, patch_um=patch_um) for part, own in zip(names, setups, strict=True))
        return JoinedEncoder(tuple(parts))
    width_um = own_width(patch_um, names[0])
    if width_um is not None and not (math.isfinite(width_um) and width_um > 0):
        raise UsageError(
            f"`patch_um` must be positive, got {width_um}. A Visium spot is 55 µm wide; try 112."
        )
    encoder = _loaded(ENCODERS[names[0]], setup.of(names[0]))
    return encoder if width_um is None else with_patch(encoder, width_um)


def _loaded(entry: EncoderEntry, setup: Setup) -> Encoder:
    """Return an encoder on one device or on several, compiled if asked."""
    if not entry.reads_weights:
        return entry.build(setup)
    setups = [replace(setup, device=device, devices=()) for device in setup.devices or (setup.device,)]
    parts = [entry.build(own) for own in setups]
    return sharded([compiled(part) for part in parts] if setup.compiled else parts)


def _joined_entry(names: tuple[str, ...]) -> EncoderEntry:
    """Return the entry of joined encoders."""
    entries = [ENCODERS[part] for part in names]
    name = JOIN.join(names)
    return EncoderEntry(
        joined_card([entry.card for entry in entries]),
        lambda setup: load_encoder(name, setup),
        lambda: all(has_weights(entry) for entry in entries),
    )


def _dense_entry(name: str) -> EncoderEntry:
    """Return the entry of the dense form of a network.

    Raises
    ------
    UsageError
        For encoders that have none.
    """
    base = ENCODERS[name]
    spec = base.build
    if ENCODERS.is_plug_in(name) or not isinstance(spec, NetworkSpec | TimmNetwork):
        raise UsageError(
            f"'{name}' has no dense form: only texture, filters and networks that are built here have one. Leave "
            f"'{DENSE}' out."
        )
    shape = spec.map_shape()
    return EncoderEntry(
        dense_card(base.card, shape),
        lambda setup: dense_form(spec(setup), shape, spec.maps),
        base.has_weights,
    )


def _own_setups(names: tuple[str, ...], setup: Setup) -> list[Setup]:
    """Return what each of joined encoders is loaded with; a file without a name is that of the only one with weights.

    Raises
    ------
    UsageError
        Where several have weights.
    """
    readers = list(dict.fromkeys(part for part in names if ENCODERS[part].reads_weights))
    own = [part for part in readers if part not in dict(setup.named_weights)]
    if setup.weights is not None and len(own) > 1:
        raise UsageError(
            f"Expected the encoder of each file of `weights`, as {own[0]} and {own[1]} both have weights; "
            f"got '{setup.weights}'. Name it: {own[0]}=FILE."
        )
    return [setup.of(part) if part in readers else replace(setup.of(part), weights=None) for part in names]


def with_patch(encoder: Encoder, patch_um: float) -> Encoder:
    """Return ``encoder`` with its first patch ``patch_um`` wide, the others in proportion, and the same weights.

    Raises
    ------
    UsageError
        For an encoder whose patches have one size only.
    """
    if isinstance(encoder, JoinedEncoder):
        return JoinedEncoder(tuple(with_patch(part, patch_um) for part in encoder.parts))
    if isinstance(encoder, ShardedEncoder):
        return sharded([with_patch(part, patch_um) for part in encoder.parts])
    if isinstance(encoder, DenseNetworkEncoder | TileFeatures | TileFolder):
        return encoder.over(patch_um)
    card = encoder.card
    factor = patch_um / card.patches[0].size_um
    patches = tuple(PatchSize(patch.size_um * factor, patch.px) for patch in card.patches)
    value: Any = encoder
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        raise UsageError(f"Encoder '{card.name}' reads patches of one size only; leave `patch_um` out.")
    return cast(Encoder, replace(value, card=replace(card, patches=patches)))
