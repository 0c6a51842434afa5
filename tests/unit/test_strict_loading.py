"""Every encoder with weights is the network of its file, or there is no encoder: no tensor stays random."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from histosge.encoders import ENCODERS, Encoder, Setup, load_encoder
from histosge.encoders.conch import PackagedNetwork
from histosge.encoders.network import NetworkSpec
from histosge.errors import WeightsError

State: TypeAlias = dict[str, torch.Tensor]

# shallow and narrow versions of the same architectures
_TRANSFORMER = {"depth": 1, "embed_dim": 24, "num_heads": 2}
_SMALL: dict[str, dict[str, Any]] = {
    "densenet121": {"growth_rate": 4, "block_config": (1, 1, 1, 1)},
    "resnet50": {"layers": (1, 1, 1, 1), "channels": (4, 4, 8, 8)},
}
SPECS = sorted(name for name, entry in ENCODERS.items() if isinstance(entry.build, NetworkSpec))
PACKAGED = sorted(name for name, entry in ENCODERS.items() if isinstance(entry.build, PackagedNetwork))
TIMM = ["timm:test_efficientnet", "timm:test_vit", "timm:test_resnet@1"]
TOY = {"visual.conv.weight": (4, 3, 2, 2), "visual.conv.bias": (4,), "text.weight": (5, 5)}


def seeded(network: torch.nn.Module, seed: int = 1) -> State:
    """Return random numbers for every tensor of a network."""
    generator = torch.Generator().manual_seed(seed)
    return {
        key: torch.rand(value.shape, generator=generator) if value.is_floating_point() else value
        for key, value in network.state_dict().items()
    }


class _Toy(torch.nn.Module):
    """A tower of images and one of words."""

    def __init__(self) -> None:
        super().__init__()
        self.visual, self.text = torch.nn.Module(), torch.nn.Linear(5, 5, bias=False)
        self.visual.conv = torch.nn.Conv2d(3, 4, 2)


def toy_package(path: Path) -> tuple[torch.nn.Module, Any]:
    """Load as a careless package does: what is there and fits."""
    from safetensors.torch import load_file

    network = _Toy()
    expected = network.state_dict()
    fitting = {key: value for key, value in load_file(path).items() if key in expected}
    fitting = {key: value for key, value in fitting.items() if value.shape == expected[key].shape}
    network.load_state_dict(fitting, strict=False)
    return network, SimpleNamespace(transforms=[SimpleNamespace(mean=(0.5,) * 3, std=(0.5,) * 3)])


def case(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[State, Callable[[Path], Encoder]]:
    """Return seeded tensors of an encoder, and what loads it from a file."""
    if name in SPECS:
        spec = ENCODERS[name].build
        assert isinstance(spec, NetworkSpec)
        spec = replace(spec, network=partial(spec.network, **_SMALL.get(name, _TRANSFORMER)))
        return seeded(spec.network()), lambda path: spec(Setup(weights=path))
    if name in PACKAGED:
        monkeypatch.setitem(sys.modules, "toy", ModuleType("toy"))
        monkeypatch.setattr("histosge.encoders.conch.find_spec", lambda package: package)
        built = ENCODERS[name].build
        assert isinstance(built, PackagedNetwork)
        packaged = replace(built, create=toy_package, tower="visual.")
        return seeded(_Toy()), lambda path: packaged(Setup(weights=path))
    network = timm.create_model(name.removeprefix("timm:").partition("@")[0])
    return seeded(network), lambda path: load_encoder(name, Setup(weights=path))


def saved(state: State, folder: Path) -> Path:
    """Write a file of weights."""
    save_file({key: value.contiguous() for key, value in state.items()}, folder / "w.safetensors")
    return folder / "w.safetensors"


def _visual(state: State) -> str:
    """Return the name of a tensor on which every vector depends."""
    return next(key for key, value in state.items() if value.ndim == 4)


@pytest.mark.parametrize("name", [*SPECS, *PACKAGED, *TIMM])
def test_the_tensors_of_the_file_are_those_of_the_network(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole file loads, and each of its tensors that the network has is in the network."""
    state, load = case(name, monkeypatch)
    network = load(saved(state, tmp_path)).network  # type: ignore[attr-defined]
    for key, value in network.state_dict().items():
        assert torch.equal(value, state[key]), key


@pytest.mark.parametrize("name", [*SPECS, *PACKAGED, *TIMM])
def test_any_other_file_is_refused_with_the_tensor_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing tensor, one too many, other names, another shape: one sentence each, which names a tensor."""
    state, load = case(name, monkeypatch)
    key = _visual(state)
    without = {other: value for other, value in state.items() if other != key}
    prefix = "visual." if name in PACKAGED else ""
    files = {
        f"1 tensors missing, e.g. '{key}'": without,
        f"1 unexpected, e.g. '{prefix}odd.weight'": state | {f"{prefix}odd.weight": torch.zeros(3)},
        f"tensors missing, e.g. '{prefix}": {f"other.{other}": value for other, value in state.items()},
        f"1 of another shape, e.g. '{key}'": state | {key: torch.zeros(9, 9, 9, 9)},
    }
    for words, content in files.items():
        with pytest.raises(WeightsError) as caught:
            load(saved(content, tmp_path))
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_package_that_loads_other_values_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network of the right names and shapes whose numbers are not those of the file is no encoder."""
    state, _ = case("conch", monkeypatch)
    built = ENCODERS["conch"].build
    assert isinstance(built, PackagedNetwork)
    _, transform = toy_package(saved(state, tmp_path))
    forgetful = replace(built, create=lambda path: (_Toy(), transform))
    with pytest.raises(WeightsError, match=r"with other values than the file holds \(2 tensors"):
        forgetful(Setup(weights=saved(state, tmp_path)))


def test_a_file_without_classifier_or_with_another_one_loads(tmp_path: Path) -> None:
    """The classifier is not needed: absent, or one of other classes, the vectors are the same."""
    state = seeded(timm.create_model("test_efficientnet"))
    patches = np.random.default_rng(0).integers(0, 255, (3, 160, 160, 3), dtype=np.uint8)
    other = {key: value[:7] if key.startswith("classifier") else value for key, value in state.items()}
    bare = {key: value for key, value in state.items() if not key.startswith("classifier")}
    vectors = [
        load_encoder("timm:test_efficientnet", Setup(weights=saved(content, tmp_path))).encode([patches])
        for content in (state, other, bare)
    ]
    assert np.array_equal(vectors[0], vectors[1])
    assert np.array_equal(vectors[0], vectors[2])
    with pytest.raises(WeightsError, match=r"74 tensors missing, e\.g\. 'conv_stem\.weight'"):
        load_encoder(
            "timm:test_efficientnet",
            Setup(weights=saved({"classifier.bias": state["classifier.bias"]}, tmp_path)),
        )


def package_names(blocks: int) -> list[str]:
    """Return the names of convolutions and normalisations in a file of EfficientNet-Lite, first to last."""
    names = ["_conv_stem", "_bn0"]
    for block in range(blocks):
        layers = ["_expand_conv", "_bn0"] if block else []
        layers += ["_depthwise_conv", "_bn1", "_project_conv", "_bn2"]
        names += [f"_blocks.{block}.{layer}" for layer in layers]
    return [*names, "_conv_head", "_bn1", "_fc"]


def test_files_of_the_efficientnet_lite_packages_are_read(tmp_path: Path) -> None:
    """The packages' names in the order of layers are timm's in the same order; a missing block is refused."""
    network = timm.create_model("tf_efficientnet_lite0")
    state = seeded(network)
    layers = list(dict.fromkeys(key.rpartition(".")[0] for key in state))
    names = package_names(sum(len(stage) for stage in network.blocks))
    assert len(names) == len(layers)
    theirs = dict(zip(layers, names, strict=True))
    renamed = {f"{theirs[layer]}.{kind}": state[f"{layer}.{kind}"] for layer, _, kind in _parts(state)}
    encoder = load_encoder("timm:tf_efficientnet_lite0", Setup(weights=saved(renamed, tmp_path)))
    loaded = encoder.network.state_dict()  # type: ignore[attr-defined]
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())
    assert len(loaded) == len(state) - 2
    del renamed["_blocks.3._bn1.bias"]
    with pytest.raises(WeightsError, match=r"1 tensors missing, e\.g\. 'blocks\.2\.0\.bn2\.bias'"):
        load_encoder("timm:tf_efficientnet_lite0", Setup(weights=saved(renamed, tmp_path)))


def _parts(state: State) -> list[tuple[str, str, str]]:
    return [key.rpartition(".") for key in state]
