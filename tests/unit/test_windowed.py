"""Features of several windows around a location: where they are, in which order, and how wide."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import histosge as hs
from histosge._runtime.types import Array
from histosge.encoders import load_encoder
from histosge.encoders.embed import embed
from histosge.encoders.windowed import WindowedEncoder
from histosge.errors import UsageError
from histosge.models.base import Crop, Needs, Windows
from histosge.section.locations import at_spots
from histosge.workflow.encode import encode, encoder_for

SECTION = hs.synthetic(columns=5, rows=5, genes=8).section
NEEDS = Needs(features=True, crop=Crop(60.0), windows=(Windows.grid(2, share=0.5), Windows.ring(3)))


def features(recipe: hs.Recipe, compute: hs.Compute = hs.Compute(), needs: Needs = NEEDS) -> Array:
    encoder = encoder_for(SECTION, recipe, needs=needs, compute=compute)
    inputs = encode(SECTION, at_spots(SECTION), needs=needs, encoder=encoder, compute=compute)
    return np.asarray(inputs.features[:])  # type: ignore[index]


def alone(name: str, patch_um: float, offset: tuple[float, float]) -> Array:
    """Features of a window of each spot."""
    assert SECTION.slide is not None
    rows = embed(SECTION.slide, SECTION.spots.xy + offset, load_encoder(name, patch_um=patch_um))
    return np.asarray(rows[:])


@pytest.mark.parametrize("name", ["colour", "colour+texture"])
def test_windows_have_their_own_features(name: str, tmp_path: Path) -> None:
    """Columns are those of each window, of its width, in order; the same from a store, and half as wide in parts."""
    values = features(hs.Recipe(encoder=name))
    windows = [(30.0, (-15.0, -15.0)), (30.0, (15.0, -15.0)), (30.0, (-15.0, 15.0)), (30.0, (15.0, 15.0))]
    pitch = SECTION.pitch_um
    ring = [(pitch * np.cos(angle), pitch * np.sin(angle)) for angle in 2 * np.pi * np.arange(3) / 3]
    windows += [(60.0, (float(x), float(y))) for x, y in ring]
    expected = np.concatenate([alone(name, width, offset) for width, offset in windows], axis=1)
    assert np.array_equal(values, expected)
    assert np.array_equal(features(hs.Recipe(encoder=name), hs.Compute(store=tmp_path)), expected)
    # a user's width comes before the model's
    wider = features(hs.Recipe(encoder=name, patch_um=120.0))
    assert np.array_equal(wider[:, : alone(name, 60.0, (0, 0)).shape[1]], alone(name, 60.0, (-30.0, -30.0)))


def test_progress_goes_over_all_windows_once() -> None:
    """The last report is the whole, and no report goes back."""
    seen: list[tuple[int, int]] = []
    features(
        hs.Recipe(encoder="colour"), hs.Compute(progress=lambda done, total, text: seen.append((done, total)))
    )
    done = [part for part, _ in seen]
    assert done == sorted(done)
    assert seen[-1] == (7 * len(SECTION), 7 * len(SECTION))


def test_the_fingerprint_is_that_of_widths_and_offsets() -> None:
    """Fits with other windows are other fits."""
    encoder = load_encoder("colour", patch_um=50.0)
    prints = {
        WindowedEncoder(parts).fingerprint
        for parts in (
            ((encoder, (0.0, 0.0)),),
            ((encoder, (0.0, 5.0)),),
            ((load_encoder("colour", patch_um=60.0), (0.0, 0.0)),),
        )
    }
    assert len(prints) == 3


def test_windows_have_the_same_width() -> None:
    """Widths by the name of an encoder are refused, as the windows touch."""
    with pytest.raises(UsageError, match="have one width"):
        features(hs.Recipe(encoder="colour+texture", patch_um={"colour": 50.0, "texture": 60.0}))
    # without any width the encoder's own counts
    own = features(hs.Recipe(encoder="colour"), needs=replace(NEEDS, crop=None, windows=(Windows(),)))
    width = load_encoder("colour").card.patches[0].size_um
    assert np.array_equal(own, alone("colour", width, (0.0, 0.0)))
