"""Backbones of timm: first weights, and weights that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from histosge.errors import UsageError, WeightsError
from histosge.models import build_model
from histosge.models.deep.inputs import NetworkInputs


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


@pytest.mark.parametrize(("name", "backbone"), [("stnet", "densenet121"), ("deepspace", "vgg16")])
def test_imagenet_weights_come_from_a_file(name: str, backbone: str, tmp_path: Path) -> None:
    """All but the last layer is loaded from a local file with timm's or torchvision's names."""
    theirs = getattr(torchvision.models, backbone)(weights=None)
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
        last = theirs.classifier if backbone == "densenet121" else theirs.classifier[6]
        last.register_forward_pre_hook(lambda _, arguments: caught.append(arguments[0]))
        net(batch)
        theirs(scaled)
    assert torch.allclose(caught[0].flatten(1), caught[1].flatten(1), atol=1e-4)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    """A file of other weights, or none where they are required, is one sentence."""
    blank = NetworkInputs(np.zeros((4, 2)), np.zeros((4, 2)), None, np.zeros((4, 8, 8, 3), np.uint8))
    path = tmp_path / "weights.safetensors"
    save_file({"a.weight": torch.zeros(3)}, path)
    for weights in (str(path), str(tmp_path / "nothing.bin")):
        model: Any = build_model("stnet", None, weights=weights, initialisation="imagenet")
        with pytest.raises(WeightsError, match=r"weights"):
            model.initialise(model.build_network(0, 5), blank, np.zeros((4, 5), np.float32))


def test_an_unknown_backbone_is_refused_with_near_misses() -> None:
    """A network that timm does not have is refused by name."""
    with pytest.raises(UsageError, match="vgg16"):
        network("deepspace", 5, backbone="vgg_16")
