"""What every encoder keeps, whatever it is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping

import numpy as np

from histosge._runtime.types import Array
from histosge.encoders import load_encoder
from histosge.encoders.base import Encoder

from .property_error import expect, naming

__all__ = ["ENCODER_PROPERTIES", "check_encoder", "random_patches"]

_LOCATIONS = 70


def random_patches(encoder: Encoder, n: int, seed: int = 0) -> list[Array]:
    """Return a batch of random pixels for each patch size of an encoder."""
    rng = np.random.default_rng(seed)
    return [
        rng.integers(0, 256, (n, patch.px, patch.px, 3), dtype=np.uint8) for patch in encoder.card.patches
    ]


def card(encoder: Encoder) -> None:
    """Check card and fingerprint: name, dimension, patches, licence, and that it is fit for JSON."""
    card, name = encoder.card, encoder.card.name
    expect(name and name == name.strip(), name, "The card has a name.", repr(name))
    expect(card.dim > 0, name, "The card says how many features there are.", card.dim)
    expect(card.patches, name, "The card says which patches are read.", card.patches)
    expect(card.licence, name, "The card has a licence.", repr(card.licence))
    expect(
        (card.mean is None) == (card.std is None),
        name,
        "Mean and std of pixels come together.",
        (card.mean, card.std),
    )
    with naming(name, "The card is fit for JSON."):
        json.dumps(dataclasses.asdict(card))
    print_ = encoder.fingerprint
    expect(
        isinstance(print_, str) and print_,
        name,
        "There is a fingerprint of all that decides it.",
        repr(print_),
    )


def vectors(encoder: Encoder) -> None:
    """Check that there is one finite vector of 32-bit floats a location."""
    name = encoder.card.name
    with naming(name, "Five locations can be encoded."):
        encoded = np.asarray(encoder.encode(random_patches(encoder, 5)))
    shape = (5, encoder.card.dim)
    expect(encoded.shape == shape, name, f"Five locations have vectors of the shape {shape}.", encoded.shape)
    expect(encoded.dtype == np.float32, name, "Vectors are float32.", encoded.dtype)
    expect(np.isfinite(encoded).all(), name, "Vectors are finite.", "some are not")


def flat(encoder: Encoder) -> None:
    """Check that patches without any texture have finite vectors."""
    for value in (0, 255):
        pixels = [
            np.full((2, patch.px, patch.px, 3), value, dtype=np.uint8) for patch in encoder.card.patches
        ]
        encoded = np.asarray(encoder.encode(pixels))
        expect(
            np.isfinite(encoded).all(), encoder.card.name, f"Patches of {value} have finite vectors.", "NaN"
        )


def any_batch(encoder: Encoder) -> None:
    """Check that a location's vector depends on that location's patches alone, bit for bit."""
    batch, name = random_patches(encoder, _LOCATIONS), encoder.card.name
    whole = np.asarray(encoder.encode(batch))
    single = np.concatenate(
        [np.asarray(encoder.encode([size[row : row + 1] for size in batch])) for row in range(_LOCATIONS)]
    )
    sentence = "A location has the same bits in any batch."
    difference = np.abs(whole - single).max()
    expect(np.array_equal(whole, single), name, sentence, f"a difference of {difference:g}")


def unchanged(encoder: Encoder) -> None:
    """Check that encoding leaves the pixels as they are."""
    batch, again = random_patches(encoder, 3), random_patches(encoder, 3)
    encoder.encode(batch)
    same = all(map(np.array_equal, batch, again))
    expect(same, encoder.card.name, "Encoding leaves the pixels as they are.", "other pixels")


#: each is a function of an encoder that raises a ``PropertyError`` where the property does not hold
ENCODER_PROPERTIES: Mapping[str, Callable[[Encoder], None]] = {
    check.__name__: check for check in (card, vectors, flat, any_batch, unchanged)
}


def check_encoder(encoder: Encoder | str) -> None:
    """Check that an encoder has the properties that the encoders of this package have.

    They are: a card and a fingerprint; one finite vector of 32-bit floats a location, for flat patches too; the same
    bits in any batch; pixels that stay as they were. Encoders may depend on how the tissue lies on the glass.

    Parameters
    ----------
    encoder
        An encoder, or the name of a registered one, which is loaded.

    Raises
    ------
    PropertyError
        For the first property that does not hold, with what was seen.

    Examples
    --------
    >>> from histosge.testing import check_encoder
    >>> check_encoder("colour")
    """
    built = load_encoder(encoder) if isinstance(encoder, str) else encoder
    for check in ENCODER_PROPERTIES.values():
        check(built)
