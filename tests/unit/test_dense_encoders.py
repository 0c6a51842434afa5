"""Dense encoders compute a tile of the image once; what a location gets is what its patch would give."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histosge._runtime.types import Array
from histosge.datasets import synthetic
from histosge.encoders import load_encoder
from histosge.encoders.dense import DenseEncoder
from histosge.encoders.embed import embed
from histosge.encoders.feature_store import FeatureStore
from histosge.encoders.window_sums import Histograms, Sums, Windows

TISSUE = synthetic(columns=10, rows=10, genes=6).section
assert TISSUE.slide is not None
SLIDE = TISSUE.slide
NAMES = ("texture", "filters")
XY_UM = np.random.default_rng(0).uniform(150, 900, (80, 2))


def dense(name: str, xy_um: Array) -> Array:
    """Return the dense features of locations."""
    return np.asarray(embed(SLIDE, xy_um, load_encoder(f"{name}@dense"))[:])


@pytest.mark.parametrize("name", NAMES)
def test_on_the_grid_of_pixels_dense_features_are_those_of_patches(name: str) -> None:
    """There windows are whole pixels: columns agree with r ≥ 0.9, and most of them up to rounding."""
    # pixels of the coarsest scale are a grid of all scales
    px_um = max(patch.mpp for patch in load_encoder(name).card.patches)
    xy_um = np.round(XY_UM / px_um) * px_um
    patches, tiles = np.asarray(embed(SLIDE, xy_um, load_encoder(name))[:]), dense(name, xy_um)
    deviation = patches.std(axis=0)
    alike = np.abs(patches - tiles).max(axis=0) <= 2e-3 + 0.02 * deviation
    r = [
        np.corrcoef(patches[:, column], tiles[:, column])[0, 1] for column in np.flatnonzero(deviation > 1e-4)
    ]
    assert min(r) > 0.9
    # percentiles come from bins, clusters of edges from all positions of their squares
    assert alike.mean() > 0.6


@pytest.mark.parametrize("name", NAMES)
def test_between_pixels_dense_features_are_nearly_those_of_patches(name: str) -> None:
    """Resampling moves a patch's pixels, but means over it stay: median r over the columns ≥ 0.97."""
    patches, tiles = np.asarray(embed(SLIDE, XY_UM, load_encoder(name))[:]), dense(name, XY_UM)
    varied = np.flatnonzero(patches.std(axis=0) > 1e-4)
    r = [np.corrcoef(patches[:, column], tiles[:, column])[0, 1] for column in varied]
    assert np.median(r) > 0.97


@pytest.mark.parametrize("name", NAMES)
def test_a_location_has_the_same_bits_whichever_others_are_asked_for(name: str) -> None:
    """Tiles are a fixed grid on the image, so that a vector depends on the image around the location alone."""
    whole = dense(name, XY_UM)
    order = np.random.default_rng(1).permutation(len(XY_UM))
    assert np.array_equal(dense(name, XY_UM[order]), whole[order])
    assert np.array_equal(dense(name, XY_UM[7:8]), whole[7:8])


@pytest.mark.parametrize("name", NAMES)
def test_no_location_notices_where_tiles_meet(name: str) -> None:
    """Of another grid of tiles the features are the same, up to rounding."""
    encoder = load_encoder(f"{name}@dense")
    assert isinstance(encoder, DenseEncoder)

    @dataclass(frozen=True)
    class Narrow:
        card: Any = encoder.card
        fingerprint: str = "narrow"
        tile_um: float = encoder.tile_um / 2
        margins_px: Any = encoder.margins_px
        encode: Any = encoder.encode
        encode_tile: Any = encoder.encode_tile

    usual, narrow = dense(name, XY_UM), np.asarray(embed(SLIDE, XY_UM, Narrow())[:])
    assert np.abs(usual - narrow).max() < 1e-3


def test_dense_features_have_a_fingerprint_and_a_key_of_their_own(tmp_path: Path) -> None:
    """They have different fingerprints and different keys in the feature store."""
    store = FeatureStore(tmp_path)
    for name in ("texture", "texture@dense"):
        embed(SLIDE, XY_UM[:10], load_encoder(name), store=store)
    assert len(list(tmp_path.iterdir())) == 2
    assert load_encoder("texture@dense").card.name == "texture@dense"


def test_stored_dense_features_go_on_after_an_interruption(tmp_path: Path) -> None:
    """Chunks that are whole are kept, the others computed again; the rows are in the order of the locations."""
    encoder, store = load_encoder("texture@dense"), FeatureStore(tmp_path)
    xy_um = np.random.default_rng(2).uniform(150, 900, (1100, 2))
    xy_um = xy_um[np.argsort(xy_um[:, 1])]

    def stop(done: int, total: int, text: str) -> None:
        if done > 1080:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed(SLIDE, xy_um, encoder, store=store, progress=stop)
    (folder,) = tmp_path.iterdir()
    kept = (folder / "chunks.txt").read_text().split("\n")
    assert 0 < len([line for line in kept if line]) < 3
    counts: list[int] = []
    rows = embed(SLIDE, xy_um, encoder, store=store, progress=lambda done, total, text: counts.append(total))
    assert counts[-1] < len(xy_um)
    assert np.array_equal(rows[:], dense("texture", xy_um))


def test_sums_over_windows_are_those_of_their_pixels() -> None:
    """Whole windows give means of pixels; edges between pixels weigh the outer ones by the part inside."""
    plane = np.random.default_rng(3).normal(size=(30, 40))
    windows = Windows(np.array([3.0, 10.25]), np.array([5.0, 7.5]), 8)
    means = Sums.of([plane]).means(windows)[:, 0]
    rows, columns = np.ones(9), np.ones(9)
    rows[[0, -1]], columns[[0, -1]] = (0.75, 0.25), (0.5, 0.5)
    expected = [plane[3:11, 5:13].mean(), rows @ plane[10:19, 7:16] @ columns / 64]
    assert np.allclose(means, expected)


def test_percentiles_of_windows_are_right_to_a_bin() -> None:
    """Ten levels, each a tenth of the pixels: the percentiles are theirs, within a bin."""
    levels = np.random.default_rng(4).permuted(np.arange(64 * 64) * 100 // (64 * 64)).reshape(64, 64)
    histograms = Histograms.of(levels, np.linspace(0, 1, 101))
    (values,) = histograms.percentiles(Windows(np.zeros(1), np.zeros(1), 64), (10.0, 50.0, 90.0))
    assert np.allclose(values, (0.1, 0.5, 0.9), atol=0.011)
