"""A network runs compiled or on several devices; what that changes is in its fingerprint."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

import histosge as hs
from histosge._runtime.types import Array
from histosge.datasets import synthetic
from histosge.encoders import Encoder, load_encoder
from histosge.encoders.embed import embed
from histosge.encoders.feature_store import FeatureStore
from histosge.encoders.sharded import ShardedEncoder, sharded
from histosge.errors import UsageError

TISSUE = synthetic(columns=10, rows=10, genes=6).section
assert TISSUE.slide is not None
SLIDE = TISSUE.slide
XY_UM = np.random.default_rng(0).uniform(200, 900, (140, 2))
NETWORK = "timm:test_efficientnet"
NAMES = (NETWORK, f"{NETWORK}@dense")


@pytest.fixture(autouse=True)
def narrow_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have several tiles in a small image."""
    monkeypatch.setattr("histosge.encoders.dense_network._TILE_PX", 300)


def loaded(name: str, folder: Path, *, device: str = "cpu", compiled: bool = False) -> Encoder:
    """Return an encoder with seeded random weights of its network."""
    torch.manual_seed(0)
    path = folder / "weights.safetensors"
    save_file(timm.create_model(NETWORK.removeprefix("timm:")).state_dict(), path)
    compute = hs.Compute(device=device, weights=path, compiled=compiled)
    return load_encoder(name, compute.setup)


def features(encoder: Encoder, folder: Path | None = None) -> Array:
    """Return the features of the locations."""
    store = None if folder is None else FeatureStore(folder)
    return np.asarray(embed(SLIDE, XY_UM, encoder, store=store)[:])


@pytest.mark.parametrize("name", NAMES)
def test_shards_give_the_features_of_a_single_device(name: str, tmp_path: Path) -> None:
    """Batches and tiles are computed whole on one device, so that their number changes no more than rounding."""
    single, shards = loaded(name, tmp_path), loaded(name, tmp_path, device="cpu,cpu")
    assert isinstance(shards, ShardedEncoder)
    assert shards.fingerprint == single.fingerprint
    assert shards.card == single.card
    assert np.allclose(features(shards), features(single), rtol=0, atol=1e-6)
    wider = hs.Compute(device="cpu,cpu", weights=tmp_path / "weights.safetensors").setup
    assert load_encoder(name, wider, patch_um=200.0).card.patches[0].size_um == pytest.approx(200, abs=1)


def test_shards_work_side_by_side(tmp_path: Path) -> None:
    """Each waits until both have begun: one after the other they would never end."""
    both = threading.Barrier(2, timeout=60)

    class Waiting:
        card = loaded(NETWORK, tmp_path).card
        fingerprint = "waiting"

        def encode(self, patches: list[Array]) -> Array:
            both.wait()
            return np.zeros((len(patches[0]), self.card.dim), dtype=np.float32)

    # two chunks of 64 locations
    embed(SLIDE, XY_UM[:128], sharded([Waiting(), Waiting()]))


def test_crop_and_dense_form_of_a_network_are_kept_apart(tmp_path: Path) -> None:
    """Card, fingerprint and key of the store say which: one is never taken for the other."""
    crop, dense = (loaded(name, tmp_path) for name in NAMES)
    assert (crop.card.name, dense.card.name) == NAMES
    for encoder in (crop, dense):
        features(encoder, tmp_path / "kept")
    assert crop.fingerprint != dense.fingerprint
    assert len(list((tmp_path / "kept").iterdir())) == 2


@pytest.mark.slow
def test_a_compiled_network_gives_the_same_features(tmp_path: Path) -> None:
    """In both forms, up to the last digits."""
    for name in NAMES:
        plain, compiled = loaded(name, tmp_path), loaded(name, tmp_path, compiled=True)
        assert np.allclose(features(plain), features(compiled), atol=1e-4)
        assert plain.fingerprint != compiled.fingerprint


def test_unknown_devices_are_refused() -> None:
    """Before anything is computed; encoders without weights run as ever."""
    with pytest.raises(UsageError, match="Expected a device of this machine, got 'cuda:77'"):
        hs.Compute(device="cpu,cuda:77")
    setup = hs.Compute(device="cpu,cpu", compiled=True).setup
    assert load_encoder("colour", setup).fingerprint == load_encoder("colour").fingerprint
