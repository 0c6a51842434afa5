"""The encoder of the paper at its true size, without its weights: a seeded network in the published file layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from histosge._runtime.types import Array
from histosge.datasets import synthetic
from histosge.encoders import Setup, load_encoder
from histosge.encoders.embed import embed
from histosge.encoders.feature_store import FeatureStore
from histosge.errors import WeightsError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    """ViT-L/16 as the paper's authors build it, with seeded parameters."""
    torch.manual_seed(0)
    options = {
        "img_size": 224,
        "patch_size": 16,
        "init_values": 1e-5,
        "num_classes": 0,
        "dynamic_img_size": True,
    }
    built: torch.nn.Module = timm.create_model("vit_large_patch16_224", **options)
    with torch.no_grad():
        for parameter in built.parameters():
            # LayerScale starts at 1e-5, which would hide the blocks; trained ones are larger
            parameter.copy_(0.5 + 0.1 * torch.randn_like(parameter)) if parameter.shape == (1024,) else None
        # matrices that all blocks share are written once: the file has 60 MB, not 1.2 GB. Vectors differ, so that a
        # block in another's place would be seen
        matrices = {name: value for name, value in built.blocks[0].named_parameters() if value.ndim > 1}
        for block in built.blocks[1:]:
            for name, value in matrices.items():
                block.get_parameter(name).data = value.data
    return built.eval()


@pytest.fixture(scope="module")
def weights(network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state dict in the layout that UNI's repository uses."""
    folder = tmp_path_factory.mktemp("ckpts") / "uni"
    folder.mkdir()
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    return folder / "pytorch_model.bin"


@pytest.fixture(scope="module")
def patches() -> Array:
    """Three patches of tissue, 112 µm wide."""
    tissue = synthetic(columns=8, rows=8, genes=6).section
    assert tissue.slide is not None
    return tissue.slide.read_many(tissue.spots.xy[:3], 112.0, 224)


def test_the_weights_are_loaded_strictly_and_the_output_is_the_networks(
    network: torch.nn.Module, weights: Path, patches: Array
) -> None:
    """1024 numbers a window, equal to those of the bare network on ImageNet-normalised pixels."""
    encoder = load_encoder("uni", Setup(weights=weights))
    ours = encoder.encode([patches])
    assert ours.shape == (3, encoder.card.dim) == (3, 1024)
    pixels = torch.from_numpy(patches.copy()).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (encoder.card.mean, encoder.card.std))
    with torch.inference_mode():
        theirs = network((pixels - mean) / std).numpy()
    assert np.allclose(ours, theirs, atol=1e-3 * np.abs(theirs).max())
    assert np.array_equal(encoder.encode([patches]), ours)


def test_normalisation_is_that_of_the_published_configuration(weights: Path) -> None:
    """ImageNet's mean and deviation, a 224-pixel patch of 112 µm: 0.5 µm per pixel, as UNI was trained."""
    card = load_encoder("uni", Setup(weights=weights)).card
    assert card.mean == (0.485, 0.456, 0.406)
    assert card.std == (0.229, 0.224, 0.225)
    assert [(patch.px, patch.mpp) for patch in card.patches] == [(224, 0.5)]


def test_bf16_is_close_to_fp32(weights: Path, patches: Array) -> None:
    """Autocast changes directions of vectors by less than 2 %, and has its own key in the store."""
    exact, fast = (load_encoder("uni", Setup(precision=p, weights=weights)) for p in ("fp32", "bf16"))  # type: ignore[arg-type]
    fp32, bf16 = exact.encode([patches]), fast.encode([patches])
    cosine = (fp32 * bf16).sum(1) / np.linalg.norm(fp32, axis=1) / np.linalg.norm(bf16, axis=1)
    assert (cosine > 0.98).all()
    assert exact.fingerprint != fast.fingerprint


def test_features_of_uni_travel_through_the_store(weights: Path, tmp_path: Path) -> None:
    """Embedding through the store gives what the encoder gives, with the licence beside it."""
    import zarr

    tissue = synthetic(columns=8, rows=8, genes=6).section
    assert tissue.slide is not None
    encoder = load_encoder("uni", Setup(weights=weights))
    rows = embed(tissue.slide, tissue.spots.xy[:3], encoder, store=FeatureStore(tmp_path))
    assert rows.shape == (3, 1024)
    (folder,) = tmp_path.iterdir()
    assert "CC-BY-NC-ND" in zarr.open_group(folder, mode="r").attrs["encoder"]["licence"]


def test_weights_that_lack_a_tensor_are_refused(weights: Path, tmp_path: Path) -> None:
    """Strict loading: one tensor missing, and the sentence names it."""
    state = torch.load(weights, weights_only=True)
    state.pop("blocks.3.attn.qkv.weight")
    torch.save(state, tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"blocks\.3\.attn\.qkv\.weight"):
        load_encoder("uni", Setup(weights=tmp_path / "pytorch_model.bin"))
