"""Dense networks: maps of a tile are computed once, and averaged around each location."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from histosge._runtime.types import Array
from histosge.datasets import synthetic
from histosge.encoders import ENCODERS, Encoder, Setup, load_encoder
from histosge.encoders.dense_network import DenseNetworkEncoder
from histosge.encoders.embed import embed
from histosge.errors import UsageError, WeightsError
from histosge.images.slide import SlideImage

TISSUE = synthetic(columns=10, rows=10, genes=6).section
assert TISSUE.slide is not None
SLIDE = TISSUE.slide
XY_UM = np.random.default_rng(0).uniform(300, 520, (12, 2))
NAMES = ("timm:test_efficientnet", "timm:test_vit", "timm:test_resnet@1")


@pytest.fixture(autouse=True)
def narrow_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read less of the image at once."""
    monkeypatch.setattr("histosge.encoders.dense_network._TILE_PX", 700)


def loaded(name: str, folder: Path, *, patch_um: float | None = None) -> Encoder:
    """Return an encoder with seeded random weights of its network."""
    torch.manual_seed(0)
    path = folder / "weights.safetensors"
    architecture = name.removeprefix("timm:").partition("@")[0]
    save_file(timm.create_model(architecture).state_dict(), path)
    return load_encoder(name, Setup(weights=path), patch_um=patch_um)


def features(slide: SlideImage, xy_um: Array, encoder: Encoder) -> Array:
    """Return the features of locations."""
    return np.asarray(embed(slide, xy_um, encoder)[:])


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_does_not_depend_on_the_other_locations(name: str, tmp_path: Path) -> None:
    """Alone, in another order and among others a location has the same features, up to rounding in batches."""
    encoder = loaded(f"{name}@dense", tmp_path)
    whole = features(SLIDE, XY_UM, encoder)
    assert whole.shape == (12, encoder.card.dim)
    assert whole.std(axis=0).max() > 0
    assert np.allclose(features(SLIDE, XY_UM[::-1], encoder), whole[::-1], atol=1e-4)
    assert np.allclose(features(SLIDE, XY_UM[3:4], encoder), whole[3:4], atol=1e-4)


@pytest.mark.parametrize("name", ["timm:test_efficientnet", "timm:test_resnet@1"])
def test_no_location_has_features_of_a_border(name: str, tmp_path: Path) -> None:
    """On an image of one colour all locations have the same features, though maps differ at the edges of inputs."""
    slide = SlideImage.from_array(np.full((400, 400, 3), (200, 120, 160), dtype=np.uint8), mpp=2.0)
    encoder = loaded(f"{name}@dense", tmp_path)
    assert isinstance(encoder, DenseNetworkEncoder)
    side = encoder.shape.inner_px * encoder.card.patches[0].mpp
    # across the edge where two inputs meet
    xy_um = np.stack([np.linspace(0, side, 7) + 90, np.full(7, 200.0)], axis=1)
    vectors = features(slide, xy_um, encoder)
    assert np.ptp(vectors, axis=0).max() < 1e-3 * np.abs(vectors).max()


def test_a_single_patch_has_the_vector_of_the_network(tmp_path: Path) -> None:
    """Where a network pools its last maps, their mean over a patch is its vector."""
    patches = np.random.default_rng(1).integers(0, 256, (2, 160, 160, 3), dtype=np.uint8)
    name = "timm:test_efficientnet"
    usual, dense = loaded(name, tmp_path), loaded(f"{name}@dense", tmp_path)
    assert np.allclose(dense.encode([patches]), usual.encode([patches]), atol=1e-5)
    assert dense.fingerprint != usual.fingerprint


def test_tokens_lie_where_the_tissue_is(tmp_path: Path) -> None:
    """Of a white image with one dark square, the locations on the square differ most from those far from it."""
    image = np.full((600, 600, 3), 240, dtype=np.uint8)
    image[280:320, 380:420] = 20
    slide = SlideImage.from_array(image, mpp=2.0)
    encoder = loaded("timm:test_vit@dense", tmp_path, patch_um=40.0)
    on_square = np.array([[800.0, 600.0]])
    xy_um = np.concatenate([on_square, np.array([[800.0, 760.0], [640.0, 600.0], [300.0, 300.0]])])
    vectors = features(slide, xy_um, encoder)
    distance = np.linalg.norm(vectors - vectors[-1], axis=1)
    assert distance[0] > 1.5 * distance[1:].max()


def test_a_width_says_what_is_averaged_and_keeps_the_scale(tmp_path: Path) -> None:
    """`patch_um` of a dense network leaves its µm per pixel, and changes the fingerprint."""
    usual = loaded("timm:test_vit@dense", tmp_path)
    narrow = loaded("timm:test_vit@dense", tmp_path, patch_um=40.0)
    assert narrow.card.patches[0].mpp == usual.card.patches[0].mpp
    assert narrow.card.patches[0].size_um == 40.0
    assert narrow.fingerprint != usual.fingerprint


def test_cards_of_dense_networks_say_what_they_return() -> None:
    """Known without weights: name, and the number of channels of the maps."""
    card = ENCODERS["phikon@dense"].card
    assert (card.name, card.dim, card.licence) == ("phikon@dense", 768, ENCODERS["phikon"].card.licence)
    assert "texture@dense+uni@dense" in ENCODERS
    assert "nothing@dense" not in ENCODERS


def test_what_has_no_dense_form_is_refused(tmp_path: Path) -> None:
    """One sentence for encoders without maps, and for missing weights."""
    with pytest.raises(UsageError, match="'colour' has no dense form"):
        load_encoder("colour@dense")
    with pytest.raises(UsageError, match="'conch' has no dense form"):
        load_encoder("conch@dense")
    with pytest.raises(WeightsError):
        load_encoder("uni@dense", Setup(weights=tmp_path / "nothing.bin"))
