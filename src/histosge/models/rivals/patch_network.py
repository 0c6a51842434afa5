"""What ST-Net and DeepSpaCE share: weights from ImageNet, the scale of pixels, turned and altered windows."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from histosge._runtime.types import Array
from histosge.encoders.base import EncoderCard, PatchSize
from histosge.encoders.network import IMAGENET_MEAN, IMAGENET_STD
from histosge.encoders.weights import PUBLISHED, find_weights, read_state
from histosge.errors import UsageError, WeightsError

if TYPE_CHECKING:
    import torch

    from histosge.models.deep.networks.patches import PhotographNetwork

__all__ = ["Initialisation", "Pixels", "altered", "begin", "constants", "dihedral", "turned"]

Initialisation: TypeAlias = Literal["auto", "imagenet", "random"]
Pixels: TypeAlias = Literal["imagenet", "measured", "unit", "raw"]

# torchvision's own file of DenseNet, older than its code, writes norm.1 where the code says norm1
_OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d)\.")
# torchvision's VGG ends in linear layers where timm's, of the same weights, has convolutions
_VGG = {"classifier.0": "pre_logits.fc1", "classifier.3": "pre_logits.fc2", "classifier.6": "head.fc"}


def constants(pixels: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation, in units of 0 to 255, by which pixels are normalised before fitting says otherwise."""
    if pixels == "imagenet":
        return tuple(255 * value for value in IMAGENET_MEAN), tuple(255 * value for value in IMAGENET_STD)
    scale = 1.0 if pixels == "raw" else 255.0
    return (0.0, 0.0, 0.0), (scale, scale, scale)


def begin(
    network: PhotographNetwork,
    backbone: str,
    how: Initialisation,
    weights: str | None,
    *,
    windows: Array | None = None,
) -> str:
    """Give a network its first weights, and its pixels their scale; return what a table must say of it.

    Parameters
    ----------
    network
        Untrained.
    backbone
        timm's name.
    how
        ``"imagenet"``: weights are loaded or refused. ``"auto"``: loaded where they can be had; without them the
        network begins at random, and says so. ``"random"``.
    weights
        Local file in place of the hub's.
    windows
        Windows to measure the mean and deviation of pixels on; ``None`` leaves them.

    Raises
    ------
    WeightsError
        When weights are wanted and cannot be had, or are those of another network.
    """
    import torch

    if windows is not None:
        shape = (3, 1, 1)
        values = windows.reshape(-1, 3).astype(np.float64)
        network.get_buffer("mean").copy_(torch.tensor(values.mean(axis=0)).view(shape))
        network.get_buffer("std").copy_(torch.tensor(np.maximum(values.std(axis=0), 1.0)).view(shape))
    if how == "random":
        return "random initialisation"
    path = _found(backbone, weights, how)
    if path is None:
        return "random initialisation"
    _load(network, backbone, path)
    return f"ImageNet weights ({path.name})"


@lru_cache(maxsize=8)
def _found(backbone: str, weights: str | None, how: Initialisation) -> Path | None:
    """Return the file of weights; ``None`` where there is none and that is allowed."""
    card = EncoderCard(
        name=backbone,
        dim=1000,
        patches=(PatchSize(112.0, 224),),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        licence="BSD-3-Clause",
        gated=False,
        source=f"timm/{backbone}.tv_in1k",
        revision=None,
        citation="wightman2019timm",
        summary="Trained on ImageNet.",
    )
    try:
        return find_weights(card, PUBLISHED, None if weights is None else Path(weights))
    except WeightsError:
        if how == "imagenet" or weights is not None:
            raise
        return None


def _load(network: PhotographNetwork, backbone: str, path: Path) -> None:
    """Put ImageNet weights into everything but the last layer, every name and shape agreeing."""
    wanted = network.body.state_dict()
    head = {id(value) for value in network.head.parameters()}
    last = {name for name, value in network.body.named_parameters() if id(value) in head}
    state = {_current(name): value for name, value in read_state(path, backbone).items()}
    given = {
        name: state[name].reshape(value.shape).float() if value.is_floating_point() else state[name]
        for name, value in wanted.items()
        if name in state and name not in last and state[name].numel() == value.numel()
    }
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}
    missing = sorted(set(wanted) - set(given) - last - counters)
    if missing:
        raise WeightsError(
            f"The weights in '{path}' are not those of '{backbone}': {len(missing)} tensors are missing or of another "
            f"shape, such as '{missing[0]}'."
        )
    network.body.load_state_dict(given, strict=False)


def _current(name: str) -> str:
    for old, new in _VGG.items():
        name = name.replace(old, new) if name.startswith(old) else name
    return _OLD_NAME.sub(r"\1\2.", name)


def turned(windows: torch.Tensor) -> torch.Tensor:
    """Return each window mirrored and turned at random, all eight ways equally likely."""
    import torch

    ways = torch.randint(8, (len(windows),)).tolist()
    return torch.stack([dihedral(window, way) for window, way in zip(windows, ways, strict=True)])


def dihedral(windows: torch.Tensor, way: int) -> torch.Tensor:
    """Return windows in one of the eight ways that leave a square a square; 0 leaves them as they are."""
    import torch

    mirrored = windows.flip(-1) if way >= 4 else windows
    return torch.rot90(mirrored, way % 4, dims=(-2, -1))


def altered(windows: torch.Tensor) -> torch.Tensor:
    """Return each window as DeepSpaCE trains on it: turned, cropped, coloured, and one of noise, blur, distortion."""
    import torch

    change = _alterations(windows.shape[-1])
    return torch.stack([change(window) for window in turned(windows)])


@lru_cache(maxsize=2)
def _alterations(px: int) -> Callable[[torch.Tensor], torch.Tensor]:
    from torchvision.transforms import v2

    blur = v2.GaussianBlur(3 if px < 16 else 5)
    steps: list[Any] = [
        v2.RandomApply([v2.RandomResizedCrop(px, scale=(0.5, 1.0), antialias=True)], p=0.5),
        # colours change between 0 and 1
        v2.Lambda(lambda window: window / 255),
        v2.RandomApply([v2.ColorJitter(brightness=0.2, saturation=0.3, hue=0.05)], p=0.5),
        v2.RandomApply([v2.RandomChannelPermutation()], p=0.5),
        v2.RandomChoice([v2.GaussianNoise(0.0, 0.05), blur, v2.ElasticTransform(20.0)]),
        v2.Lambda(lambda window: window.clamp(0, 1) * 255),
    ]
    chain: Callable[[torch.Tensor], torch.Tensor] = v2.Compose(steps)
    return chain


def refuse_names(backbone: str) -> None:
    """Refuse a backbone that timm does not know.

    Raises
    ------
    UsageError
        With near misses.
    """
    import difflib

    import timm

    if not timm.is_model(backbone):
        near = difflib.get_close_matches(backbone, timm.list_models(), n=3)
        raise UsageError(f"timm has no network '{backbone}'. Did you mean {', '.join(near) or 'vgg16'}?")
