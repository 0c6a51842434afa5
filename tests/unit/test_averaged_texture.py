"""The averaged form of `texture` is the mean of `texture` at five locations."""

from __future__ import annotations

import numpy as np

from histosge.datasets import synthetic
from histosge.encoders import load_encoder
from histosge.encoders.embed import embed

TISSUE = synthetic(columns=8, rows=8, genes=6).section
XY_UM = np.random.default_rng(0).uniform(250, 500, (20, 2))


def test_averaged_features_are_the_mean_over_five_patches() -> None:
    """Columns of the widest patch, whose step is 4 pixels, are the mean of `texture` at steps of as many µm."""
    assert TISSUE.slide is not None
    averaged, texture = load_encoder("texture@averaged"), load_encoder("texture")
    step_um = 4 * texture.card.patches[2].mpp
    shifts = step_um * np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
    # on the grid of the coarsest pixels patches are cut alike
    xy_um = np.round(XY_UM / texture.card.patches[2].mpp) * texture.card.patches[2].mpp
    single = [np.asarray(embed(TISSUE.slide, xy_um + shift, texture)[:]) for shift in shifts]
    mean, columns = np.mean(single, axis=0), slice(100, 150)
    vectors = np.asarray(embed(TISSUE.slide, xy_um, averaged)[:])
    assert np.abs(vectors - mean)[:, columns].max() < 0.02
    # and the middle patch alone is something else
    assert np.abs(vectors - single[0])[:, columns].max() > 0.02


def test_the_patches_hold_all_five_and_another_width_keeps_their_proportions() -> None:
    """Steps of about 30 µm at each scale; `patch_um` scales steps and patches together."""
    averaged, texture = load_encoder("texture@averaged"), load_encoder("texture")
    for wide, narrow in zip(averaged.card.patches, texture.card.patches, strict=True):
        assert wide.mpp == narrow.mpp
        assert abs((wide.size_um - narrow.size_um) / 2 - 30) < narrow.mpp
    half = load_encoder("texture@averaged", patch_um=averaged.card.patches[0].size_um / 2)
    assert [patch.px for patch in half.card.patches] == [patch.px for patch in averaged.card.patches]
    assert half.fingerprint != averaged.fingerprint != texture.fingerprint
