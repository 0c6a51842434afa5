"""Several encoders as one: ``texture+uni`` gives the features of ``texture`` and, after them, those of ``uni``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from histosge._runtime.hashing import fingerprint
from histosge._runtime.types import Array, Float32, UInt8
from histosge.errors import UsageError
from histosge.section.inputs import FeatureRows

from .base import Encoder, EncoderCard

__all__ = ["JOIN", "JoinedEncoder", "JoinedRows", "joined_card", "names_of", "own_width"]

#: between the names of joined encoders
JOIN = "+"


def names_of(name: str) -> tuple[str, ...]:
    """Return the names of the encoders in a name; one where they are not joined.

    Raises
    ------
    UsageError
        Where a name is empty.

    Examples
    --------
    >>> names_of("texture + uni")
    ('texture', 'uni')
    """
    names = tuple(part.strip() for part in name.split(JOIN))
    if len(names) > 1 and not all(names):
        raise UsageError(
            f"Expected names of encoders between '{JOIN}', such as texture{JOIN}uni; got '{name}'."
        )
    return names


def own_width(patch_um: float | Mapping[str, float] | None, name: str) -> float | None:
    """Return the width of an encoder's patch where widths are named by encoder, or there is one for all."""
    return patch_um.get(name) if isinstance(patch_um, Mapping) else patch_um


def joined_card(cards: Sequence[EncoderCard]) -> EncoderCard:
    """Return the card of encoders that are joined."""
    names = [card.name for card in cards]
    licences = dict.fromkeys(f"{card.name}: {card.licence}" for card in cards)
    sources = dict.fromkeys(card.source for card in cards if card.source is not None)
    return EncoderCard(
        JOIN.join(names),
        dim=sum(card.dim for card in cards),
        patches=tuple(patch for card in cards for patch in card.patches),
        licence="; ".join(licences),
        gated=any(card.gated for card in cards),
        source=JOIN.join(sources) or None,
        summary=f"The features of {' and of '.join(names)}, side by side.",
    )


@dataclass(frozen=True, slots=True)
class JoinedEncoder:
    """Encoders whose features stand side by side.

    Parameters
    ----------
    parts
        In the order of the features. Each is computed and stored by itself.
    """

    parts: tuple[Encoder, ...]

    @property
    def card(self) -> EncoderCard:
        """Sum up the cards of the parts."""
        return joined_card([part.card for part in self.parts])

    @property
    def fingerprint(self) -> str:
        """Hash the fingerprints of the parts."""
        return fingerprint([part.fingerprint for part in self.parts])

    @property
    def dims(self) -> tuple[tuple[str, int], ...]:
        """Name and number of features of each part."""
        return tuple((part.card.name, part.card.dim) for part in self.parts)

    def encode(self, patches: Sequence[UInt8[np.ndarray, "b h w 3"]]) -> Float32[np.ndarray, "b d"]:
        """Return the vectors of the parts side by side; the patches of each part stand one after another."""
        vectors, start = [], 0
        for part in self.parts:
            end = start + len(part.card.patches)
            vectors.append(np.asarray(part.encode(patches[start:end]), dtype=np.float32))
            start = end
        return np.concatenate(vectors, axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class JoinedRows:
    """Features of several encoders side by side, each read from where it is; see :class:`FeatureRows`.

    Parameters
    ----------
    parts
        One for each encoder, of the same locations.
    """

    parts: tuple[FeatureRows, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, and the columns of all parts."""
        return self.parts[0].shape[0], sum(part.shape[1] for part in self.parts)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Array:
        """Return rows: an integer array, a slice or a boolean mask in, float32 out."""
        return np.concatenate([np.asarray(part[index], dtype=np.float32) for part in self.parts], axis=1)
