"""Image features of locations, in the form that a model needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from histosge._runtime.messages import Message
from histosge.encoders import ENCODERS, load_encoder, with_patch
from histosge.encoders.base import Encoder
from histosge.encoders.blank_edge import with_blank_edge
from histosge.encoders.computed import ComputedEncoder
from histosge.encoders.embed import embed
from histosge.encoders.feature_store import FeatureStore
from histosge.encoders.joined import JoinedEncoder, names_of
from histosge.encoders.known_vectors import KnownVectors
from histosge.encoders.tile_features import TileFeatures
from histosge.encoders.tile_folder import TileFolder
from histosge.encoders.windowed import WindowedEncoder
from histosge.errors import UsageError
from histosge.images.patches import Patches
from histosge.images.slide import SlideImage
from histosge.models.base import Needs
from histosge.section.inputs import Inputs, concatenated
from histosge.section.locations import Locations, at_spots
from histosge.section.section import Section
from histosge.section.target import MANY_SPOTS

from .compute import Compute
from .recipe import Recipe

__all__ = [
    "encode",
    "encode_spots",
    "encoder_for",
    "encoder_messages",
    "many_patches",
    "patch_widths",
    "slide_of",
]


def encoder_for(
    section: Section,
    recipe: Recipe,
    *,
    needs: Needs,
    compute: Compute = Compute(),
    mpp: float | None = None,
) -> Encoder | None:
    """Return the encoder of a recipe, with the patch width that its model asks for.

    Parameters
    ----------
    section
        Gives the µm per pixel of patch widths in pixels.
    recipe
        Names the encoder.
    needs
        Of the model.
    compute
        Device, precision and weights.
    mpp
        µm per pixel of another section, whose patch width is to be used.

    Returns
    -------
    ``None`` for models that read no image features.

    Raises
    ------
    UsageError
        Where the section has no image, or patches around a location have no width.
    """
    if not needs.features:
        return None
    slide_of(section, recipe.model)
    patch_um = patch_widths(section, recipe, needs, mpp=mpp)
    encoder = load_encoder(recipe.encoder, compute.setup, patch_um=patch_um)
    if not needs.windows:
        return encoder
    return _at_windows(encoder, needs, patch_um, section)


def patch_widths(
    section: Section, recipe: Recipe, needs: Needs, *, mpp: float | None = None
) -> float | dict[str, float] | None:
    """Return the width of the patch in µm, for all encoders or by name; ``None``: each encoder's own.

    The user's width comes before the model's, the model's before the encoder's.
    """
    crop_um, patch_um = _crop_um(section, needs, mpp), recipe.patch_um
    if not isinstance(patch_um, Mapping):
        return patch_um or crop_um
    return {**({} if crop_um is None else dict.fromkeys(names_of(recipe.encoder), crop_um)), **patch_um}


def encode(
    section: Section,
    locations: Locations,
    *,
    needs: Needs,
    encoder: Encoder | None,
    compute: Compute = Compute(),
    spots: Inputs | None = None,
) -> Inputs:
    """Return what a model reads at ``locations``: image features, mean colour, image patches.

    Parameters
    ----------
    section, locations
        The image, and where on it.
    needs
        What the model reads.
    encoder
        As :func:`encoder_for` returns it.
    compute
        Features in its store are not computed again.
    spots
        What it reads at the spots of the section and, after them, of others, which saves computing it again.

    Raises
    ------
    UsageError
        Where the model reads the image and the section has none.
    """
    inputs = Inputs(locations)
    store = None if compute.store is None else FeatureStore(Path(compute.store))
    order = "rgb" if needs.crop is None else needs.crop.channel_order
    if encoder is not None:
        slide = slide_of(section, encoder.card.name)
        own = _of_section(encoder, section.name, slide)
        features = embed(
            slide,
            locations.xy,
            own,
            store=store,
            channel_order=order,
            progress=compute.progress,
            # those of the spots have the strip at the edge in them already
            known=_known(own, section, None if needs.blank_edge_um else spots),
        )
        if needs.blank_edge_um:
            features = with_blank_edge(features, own, slide, xy_um=locations.xy, edge_um=needs.blank_edge_um)
        joined = encoder.dims if isinstance(encoder, JoinedEncoder) else ()
        inputs = replace(inputs, features=features, joined=joined)
    # where a model names no patch width, neighbouring spots' patches touch
    crop_um = _crop_um(section, needs) or section.pitch_um
    if needs.colour:
        slide, colour = slide_of(section, "colour"), load_encoder("colour", patch_um=crop_um)
        rows = embed(slide, locations.xy, colour, store=store, progress=compute.progress)
        inputs = replace(inputs, colour=np.asarray(rows[:], dtype=np.float64))
    if needs.patch_px is not None:
        slide = slide_of(section, "the network of image patches")
        patches = Patches(slide, locations.xy, size_um=crop_um, px=needs.patch_px, channel_order=order)
        inputs = replace(inputs, patches=patches)
    return inputs


def _known(encoder: Encoder, section: Section, spots: Inputs | None) -> KnownVectors | None:
    """Return the features of the spots, where they are the same bits whatever is encoded beside them."""
    if spots is None or spots.features is None or not isinstance(encoder, ComputedEncoder):
        return None
    return KnownVectors(section.spots.xy, spots.features)


def encode_spots(
    sections: Sequence[Section], *, needs: Needs, encoder: Encoder | None, compute: Compute = Compute()
) -> Inputs:
    """Return what a model reads at the spots of several sections, joined; the predicted section comes first."""
    return concatenated(
        [
            encode(section, at_spots(section), needs=needs, encoder=encoder, compute=compute)
            for section in sections
        ]
    )


def many_patches(encoder: Encoder | None, locations: int) -> tuple[Message, ...]:
    """Return a warning where patches of very many locations are read one by one, and a dense form is faster.

    The dense form has other features, so that it is never taken without being asked for.
    """
    dense = [
        f"{part.card.name}@dense" for part in _single(encoder) if f"{part.card.name}@dense" in tuple(ENCODERS)
    ]
    if locations <= MANY_SPOTS or not dense:
        return ()
    text = (
        f"Image features of {locations} locations are computed patch by patch. `encoder` {'+'.join(dense)} computes "
        "them once a tile, several times as fast where locations are close together; these are other features."
    )
    return (Message("warning", text),)


def encoder_messages(encoder: Encoder | None) -> tuple[Message, ...]:
    """Return where tiles of a file of features lie on the slide, once they were read."""
    tiles = [part for part in _single(encoder) if isinstance(part, TileFeatures | TileFolder)]
    # windows around a location read the same file
    return tuple(dict.fromkeys(message for part in tiles for message in part.messages))


def _of_section(encoder: Encoder, name: str, slide: SlideImage) -> Encoder:
    """Return an encoder with the section's own file of features in place of a folder of them."""
    if isinstance(encoder, TileFolder):
        return encoder.of(slide, name)
    if isinstance(encoder, JoinedEncoder):
        return replace(encoder, parts=tuple(_of_section(part, name, slide) for part in encoder.parts))
    if isinstance(encoder, WindowedEncoder):
        own = tuple((_of_section(part, name, slide), offset) for part, offset in encoder.parts)
        return replace(encoder, parts=own)
    return encoder


def _single(encoder: Encoder | None) -> list[Encoder]:
    """Return the encoders of which one consists."""
    if isinstance(encoder, WindowedEncoder):
        return [single for part, _ in encoder.parts for single in _single(part)]
    if isinstance(encoder, JoinedEncoder):
        return list(encoder.parts)
    return [] if encoder is None else [encoder]


def _at_windows(
    encoder: Encoder, needs: Needs, patch_um: float | Mapping[str, float] | None, section: Section
) -> WindowedEncoder:
    """Return the encoder on the windows around a location that a model asks for."""
    own = encoder.card.patches
    if isinstance(patch_um, Mapping) or (patch_um is None and not own):
        raise UsageError(
            f"The model reads several patches around a location, which have one width; got {patch_um or 'none'}. Set "
            "`patch_um` to one number."
        )
    width_um = own[0].size_um if patch_um is None else patch_um
    parts: list[tuple[Encoder, tuple[float, float]]] = []
    for windows in needs.windows:
        # one set of weights, whatever the number of widths
        of_width = with_patch(encoder, width_um * windows.share)
        offsets = windows.offsets_um(width_um, section.pitch_um, section.lattice)
        parts += [(of_width, (float(x), float(y))) for x, y in offsets]
    return WindowedEncoder(tuple(parts))


def slide_of(section: Section, reader: str) -> SlideImage:
    """Return the section's image.

    Raises
    ------
    UsageError
        Where there is none; ``reader``, the model or encoder that needs it, is named.
    """
    if section.slide is None:
        raise UsageError(
            f"'{reader}' reads the H&E image, but section '{section.name}' has none. Give it as `image`, or choose a "
            "configuration that uses positions alone: `preset` positions."
        )
    return section.slide


def _crop_um(section: Section, needs: Needs, mpp: float | None = None) -> float | None:
    """Return the patch width that a model asks for, in µm; ``mpp`` is that of the section unless given."""
    if needs.crop is None:
        return None
    return needs.crop.width_um(mpp or section.mpp, section.spots.diameter_um)
